"""The public strategies and the fake service of evalkit.testing."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

import evalkit.testing
from evalkit._lib.json import equal, loads
from evalkit.conversation import Plan
from evalkit.protocol.sse import read_events
from evalkit.protocol.step_types import REQUIRED_FIELDS, STEP_TYPES
from evalkit.protocol.stream_assembler import assemble
from evalkit.testing import (
    BEHAVIORS,
    FakeService,
    GeneratedStream,
    broken_streams,
    plans,
    run_conversation,
    steps,
    streams,
    transcripts,
)
from evalkit.testing.conversation_strategies import FixedTurn
from evalkit.testing.fake_service import ENDS
from evalkit.transcript import Request, Step, Transcript

FIELDS = {"model": "gemini-3.5-flash", "tools": [{"type": "function", "name": "lookup"}]}


def test_public_names() -> None:
    assert sorted(evalkit.testing.__all__) == [
        "BEHAVIORS",
        "FakeService",
        "GeneratedStream",
        "ServiceLogEntry",
        "broken_streams",
        "contents",
        "interactions",
        "json_objects",
        "json_values",
        "plans",
        "run_conversation",
        "steps",
        "streams",
        "text_annotations",
        "tool_results",
        "transcripts",
    ]
    assert all(getattr(evalkit.testing, name) for name in evalkit.testing.__all__)


@pytest.mark.parametrize("kind", STEP_TYPES)
def test_every_step_type_has_its_required_fields(kind: str) -> None:
    @settings(max_examples=5)
    @given(steps([kind], unknown=False))
    def check(step: dict[str, Any]) -> None:
        assert step["type"] == kind
        assert REQUIRED_FIELDS[kind] <= step.keys()

    check()


def test_unknown_steps_and_nulls_are_generated() -> None:
    assert find(steps(), lambda step: step["type"] not in STEP_TYPES)
    assert find(steps(["thought"]), lambda step: step.get("signature", 0) is None) == {
        "type": "thought",
        "signature": None,
    }


@given(streams())
def test_streams_describe_their_interaction(stream: GeneratedStream) -> None:
    assembled = assemble(read_events(stream.text).events)
    assert assembled.complete
    assert assembled.interaction is not None
    assert equal(assembled.interaction["steps"], stream.interaction["steps"])


@given(broken_streams())
def test_broken_streams_never_raise(text: str) -> None:
    read = read_events(text)
    result = assemble(read.events, garbage=read.garbage)
    assert result.complete or result.problems or result.error is not None


def test_broken_streams_are_broken() -> None:
    assert find(broken_streams(), lambda text: assemble(read_events(text).events).error is not None)
    assert find(broken_streams(), lambda text: not assemble(read_events(text).events).complete)


@given(transcripts())
def test_transcripts_are_complete(transcript: Transcript) -> None:
    assert transcript.turns
    assert {"history", "stream", "background"} <= transcript.settings.keys()


def steps_of(transcript: Transcript) -> list[Step]:
    return [step for turn in transcript.turns for step in turn.steps]


def repeats(transcript: Transcript) -> bool:
    calls = [
        step for step in steps_of(transcript) if step.type == "function_call" and "id" in step.raw
    ]
    return any(
        one.raw["id"] == two.raw["id"] and one.exchange != two.exchange
        for one in calls
        for two in calls
    )


def reasons(transcript: Transcript) -> str:
    return " ".join(turn.reason or "" for turn in transcript.turns)


def statuses(transcript: Transcript) -> set[int]:
    return {turn.error.status for turn in transcript.turns if turn.error}


ALONE: tuple[str, ...] = ()
SHOWS: dict[str, tuple[tuple[str, ...], Callable[[Transcript], bool]]] = {
    "calls": (
        ALONE,
        lambda transcript: any(step.type == "function_result" for step in steps_of(transcript)),
    ),
    "undeclared_calls": (
        ("calls",),
        lambda transcript: any(
            step.raw.get("name") == "undeclared" for step in steps_of(transcript)
        ),
    ),
    "completed_calls": (
        ALONE,
        lambda transcript: any(step.type == "function_result" for step in steps_of(transcript)),
    ),
    "idle_calls": (
        ("statuses",),
        lambda transcript: (
            {step.type for step in steps_of(transcript)} & {"function_call", "function_result"}
            == {"function_call"}
        ),
    ),
    "echoes": (("calls",), repeats),
    "statuses": (ALONE, lambda transcript: any(turn.status in ENDS for turn in transcript.turns)),
    "continuation": (
        ALONE,
        lambda transcript: any(
            "continuation_token" in exchange.request.body for exchange in transcript.exchanges
        ),
    ),
    "endless_continuation": (
        ("continuation",),
        lambda transcript: "used before" in reasons(transcript),
    ),
    "api_errors": (ALONE, lambda transcript: 429 in statuses(transcript)),
    "broken": (ALONE, lambda transcript: "broke off" in reasons(transcript)),
    "stream_errors": (ALONE, lambda transcript: 200 in statuses(transcript)),
    "wrong_kind": (
        ALONE,
        lambda transcript: any(
            problem["code"] == "not_streamed"
            for exchange in transcript.exchanges
            for problem in exchange.problems
        ),
    ),
    "missing_ids": (ALONE, lambda transcript: "has no id" in reasons(transcript)),
}
"""For each behavior, the others it needs and a test for it in a conversation of two turns."""


class Shown(Exception):
    """A conversation shows the behavior."""


def test_every_behavior_is_tested() -> None:
    assert SHOWS.keys() == BEHAVIORS.keys()


@pytest.mark.parametrize("behavior", BEHAVIORS)
def test_the_service_has_a_behavior_only_if_it_is_chosen(behavior: str) -> None:
    needs, is_shown = SHOWS[behavior]
    plan = Plan(fields=FIELDS, turns=[FixedTurn("one"), FixedTurn("two")], stream=True, max_hops=3)

    def shows(behaviors: Collection[str], examples: int) -> bool:
        @settings(max_examples=examples, derandomize=True, database=None, phases=[Phase.generate])
        @given(st.data())
        def check(data: st.DataObject) -> None:
            service = FakeService(data.draw, behaviors, rarity=2)
            if is_shown(run_conversation(plan, service, data.draw)):
                raise Shown

        try:
            check()
        except Shown:
            return True
        return False

    assert shows([*needs, behavior], 500)  # it ends with the first example that shows it
    assert not shows(needs, 30)


@given(st.data())
def test_a_stored_interaction_starts_with_the_steps_of_the_client(data: st.DataObject) -> None:
    service = FakeService(data.draw, [])
    created = service(
        Request("POST", "/v1/interactions", {**FIELDS, "input": "Hi", "background": True})
    ).json()
    assert created["status"] in ("in_progress", "queued")
    for _ in range(5):
        answer = service(Request("GET", f"/v1/interactions/{created['id']}"))
    assert loads(answer.text)["steps"][0] == {
        "type": "user_input",
        "content": [{"type": "text", "text": "Hi"}],
    }
    assert service.log[0].delivered


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v1beta/interactions", {"input": "Hi"}, 400),
        ("POST", "/v1beta/interactions", {**FIELDS, "agent": "a", "input": "Hi"}, 400),
        ("POST", "/v1beta/interactions", FIELDS, 400),
        (
            "POST",
            "/v1beta/interactions",
            {**FIELDS, "input": "Hi", "store": False, "background": True},
            400,
        ),
        (
            "POST",
            "/v1beta/interactions",
            {**FIELDS, "input": "Hi", "store": False, "previous_interaction_id": "v1_9"},
            400,
        ),
        (
            "POST",
            "/v1beta/interactions",
            {**FIELDS, "input": "Hi", "previous_interaction_id": "v1_9"},
            404,
        ),
        ("GET", "/v1beta/interactions/v1_9", None, 404),
        ("POST", "/v1beta/interactions", {**FIELDS, "input": "Hi"}, 200),
    ],
)
def test_the_service_refuses_what_the_api_refuses(
    method: str, path: str, body: Any, status: int
) -> None:
    @settings(max_examples=1)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        assert FakeService(data.draw, [])(Request(method, path, body)).status == status

    check()


def test_run_conversation_works_inside_a_test() -> None:
    @settings(max_examples=5)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        assert run_conversation(data.draw(plans()), FakeService(data.draw, []), data.draw).turns

    check()
