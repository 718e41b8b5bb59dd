from __future__ import annotations

from typing import ClassVar

import pytest
from hypothesis import given, settings

from evalkit._lib.json import JSON
from evalkit.protocol.model_base import Count, Typed
from evalkit.protocol.model_events import (
    EVENT_MODELS,
    ErrorEvent,
    InteractionCompleted,
    StepDelta,
    StepStart,
    UnknownEvent,
    read_event,
)
from evalkit.protocol.models import (
    ANNOTATION_MODELS,
    CONTENT_MODELS,
    STEP_MODELS,
    FunctionCall,
    FunctionResult,
    Interaction,
    ModelOutput,
    TextContent,
    Thought,
    UnknownAnnotation,
    UnknownContent,
    UnknownStep,
    UrlCitation,
    read_annotation,
    read_content,
    read_step,
)
from evalkit.protocol.steps import (
    ANNOTATION_FIELDS,
    CONTENT_FIELDS,
    STEP_FIELDS,
    STEP_TYPES,
    Fields,
)
from evalkit.protocol.stream_states import EVENT_TYPES
from tests.protocol import strategies
from tests.protocol.streams import (
    ANNOTATIONS,
    SEARCH_STEPS,
    WHOLE,
    completed,
    delta,
    refused,
    start,
)


@pytest.mark.parametrize(
    ("models", "fields"),
    [
        (STEP_MODELS, STEP_FIELDS),
        (CONTENT_MODELS, CONTENT_FIELDS),
        (ANNOTATION_MODELS, ANNOTATION_FIELDS),
    ],
)
def test_models_declare_the_fields_of_the_tables(
    models: dict[str, type[Typed]], fields: dict[str, Fields]
) -> None:
    declared = {kind: set(model.model_fields) for kind, model in models.items()}
    assert declared == {kind: {*row.required, *row.optional} for kind, row in fields.items()}


def test_there_is_a_model_for_each_event_and_each_step() -> None:
    assert set(EVENT_MODELS) == set(EVENT_TYPES)
    assert len(set(STEP_MODELS.values())) == len(STEP_TYPES) == 23


def test_an_answer_is_read_whole() -> None:
    raw: dict[str, JSON] = completed(steps=SEARCH_STEPS, x_new=1)["interaction"]
    view = Interaction.from_raw(raw)
    assert view.raw is raw
    assert (view.id, view.status, view.model, view.object) == (
        "v1_one",
        "completed",
        "m-1",
        "interaction",
    )
    assert view.usage is not None
    assert view.usage.total_tokens == 9
    assert view.output_text == "Spain won. Yes."
    assert view.unknown == {"x_new": 1}
    thought, output, call, result = view.steps
    assert isinstance(thought, Thought)
    assert thought.signature == "U2lnbmVk"
    assert isinstance(output, ModelOutput)
    (text,) = output.content
    assert isinstance(text, TextContent)
    cite = text.annotations[1]
    assert isinstance(cite, UrlCitation)
    assert (cite.title, cite.start_index, cite.end_index) == ("b.example", 0, 9)
    assert cite.raw is ANNOTATIONS[1]
    assert [step.type for step in view.steps] == [step["type"] for step in SEARCH_STEPS]
    assert [step.raw for step in (thought, output, call, result)] == SEARCH_STEPS


def test_wrong_fields_read_as_their_default_and_are_named() -> None:
    view = Interaction.from_raw(
        {
            "id": 7,
            "status": ["x"],
            "steps": {},
            "usage": [],
            "errors": "x",
            "labels": None,
            "model": "m",
        }
    )
    assert (view.id, view.status, view.steps, view.usage, view.errors, view.labels, view.model) == (
        None,
        None,
        (),
        None,
        (),
        None,
        "m",
    )
    assert view.invalid == ("id", "status", "steps", "usage", "errors")
    assert view.raw["status"] == ["x"]


def test_missing_fields_do_not_fail() -> None:
    assert all(read_step({"type": kind}).invalid == () for kind in STEP_TYPES)
    call = read_step({"type": "function_call", "arguments": '{"a"', "signature": "s"})
    assert isinstance(call, FunctionCall)
    assert (call.id, call.arguments, call.invalid, call.unknown) == (
        None,
        None,
        ("arguments",),
        {"signature": "s"},
    )


@pytest.mark.parametrize(
    "raw",
    [
        None,
        7,
        "x",
        [],
        [1],
        {},
        {"type": None},
        {"type": ["thought"]},
        {"type": "daydream", "x": 1},
    ],
)
def test_what_is_unknown_is_kept(raw: JSON) -> None:
    for view, kind in (
        (read_step(raw), UnknownStep),
        (read_content(raw), UnknownContent),
        (read_annotation(raw), UnknownAnnotation),
        (read_event(raw), UnknownEvent),
    ):
        assert type(view) is kind
        assert view.raw is raw
    assert Interaction.from_raw(raw).raw is raw
    assert Interaction.from_raw(raw).output_text == ""


class Counted(Typed):
    tag: ClassVar[str] = "kind"

    n: Count | None = None


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (3, 3),
        ("3", 3),
        ("-3", -3),
        (7.0, 7),
        (2**70, 2**70),
        (7.5, None),
        (True, None),
        ("x", None),
        ("", None),
        ("--3", None),
        ("٣", None),
        ("9" * 5000, None),
    ],
)
def test_counts(value: JSON, read: int | None) -> None:
    view = Counted.from_raw({"kind": "a", "n": value, "m": 1})
    assert view.n == read
    assert view.invalid == (("n",) if read is None else ())
    assert (view.type, view.unknown) == ("a", {"m": 1})


def test_lone_surrogates_are_text() -> None:
    view = Interaction.from_raw(
        {"id": "\ud800", "\udfff": 1, "steps": [{"type": "thought", "signature": "\udc80"}]}
    )
    assert view.id == "\ud800"
    assert view.unknown == {"\udfff": 1}
    assert view.steps[0].unknown == {}


@pytest.mark.parametrize(
    ("status", "running"),
    [
        ("queued", True),
        ("in_progress", True),
        ("completed", False),
        ("dreaming", False),
        (None, False),
    ],
)
def test_what_is_still_running(status: JSON, running: bool) -> None:
    assert Interaction.from_raw({"status": status}).running is running


def test_a_string_of_content_is_one_text() -> None:
    view = read_step({"type": "user_input", "content": "hello"})
    assert [block.raw for block in getattr(view, "content", ())] == [
        {"type": "text", "text": "hello"}
    ]


def test_events_are_read() -> None:
    assert [read_event(event).type for event in WHOLE] == [event["event_type"] for event in WHOLE]
    assert not any(read_event(event).invalid or read_event(event).unknown for event in WHOLE)
    started = read_event({**start(2, "thought"), "event_id": "e1"})
    assert isinstance(started, StepStart)
    assert (started.index, started.event_id, type(started.step)) == (2, "e1", Thought)
    added = read_event(delta(0, "text", text="a", x=1))
    assert isinstance(added, StepDelta)
    assert added.delta is not None
    assert (added.delta.type, added.delta.text, added.delta.unknown) == ("text", "a", {"x": 1})
    ended = read_event(completed(status="requires_action"))
    assert isinstance(ended, InteractionCompleted)
    assert ended.interaction is not None
    assert ended.interaction.status == "requires_action"


def test_error_codes_are_words_in_either_spelling() -> None:
    for code in (400, "400"):
        event = read_event(refused(code))
        assert isinstance(event, ErrorEvent)
        assert event.error is not None
        assert (event.error.code, event.error.message) == ("400", "too slow")


@pytest.mark.parametrize(
    ("value", "read"), [(True, True), (False, False), ("true", None), (1, None)]
)
def test_flags(value: JSON, read: bool | None) -> None:
    view = read_step({"type": "function_result", "call_id": "c", "is_error": value})
    assert isinstance(view, FunctionResult)
    assert view.is_error is read
    assert view.invalid == (("is_error",) if read is None else ())


def test_error_codes_of_other_kinds_are_no_codes() -> None:
    event = read_event(refused(True))
    assert isinstance(event, ErrorEvent)
    assert event.error is not None
    assert (event.error.code, event.error.invalid) == (None, ("code",))


@given(strategies.interactions)
@settings(max_examples=60, deadline=None)
def test_no_interaction_raises_and_nothing_is_lost(raw: dict[str, JSON]) -> None:
    view = Interaction.from_raw(raw)
    assert view.raw is raw
    assert [step.raw for step in view.steps] == raw["steps"]
    for step in view.steps:
        seen = {name for name in type(step).model_fields if name in step.raw}
        assert seen | set(step.unknown) | {"type"} == set(step.raw) | {"type"}
        assert set(step.invalid) <= seen


@given(strategies.events)
@settings(max_examples=100, deadline=None)
def test_no_event_raises(raw: JSON) -> None:
    assert read_event(raw).raw is raw
    assert read_step(raw).raw is raw
