from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit._lib.json import JSON, equal
from evalkit.protocol.sse import SseParser, events_of_frames, frames, split_frames
from evalkit.protocol.step_types import STEP_TYPES
from evalkit.protocol.stream_assembler import assemble
from evalkit.protocol.stream_writer import SPLITS, events_of, sse_text
from tests.protocol import strategies
from tests.protocol.streams import MEDIA_STEPS, PLAIN_STEPS, SEARCH_STEPS, base64_of


def round_trip(
    interaction: dict[str, JSON], words: int = 1
) -> tuple[dict[str, JSON] | None, list[str]]:
    """Stream an interaction as bytes, one byte at a time, and assemble it again."""
    data = "".join(sse_text(events_of(interaction, words_per_delta=words))).encode()
    parser = SseParser()
    received = [
        frame for at in range(len(data)) for frame in parser.feed(data[at : at + 1])
    ] + parser.close()
    events, done, garbage = events_of_frames(received)
    assert done
    assembled = assemble(events, garbage=garbage)
    return assembled.interaction, [problem.code for problem in assembled.problems]


@pytest.mark.parametrize("kind", [*STEP_TYPES, "unknown"])
@given(data=st.data())
@settings(max_examples=25)
def test_steps_of_every_type_survive_a_round_trip(kind: str, data: st.DataObject) -> None:
    source = strategies.unknown_steps if kind == "unknown" else strategies.steps_of_type(kind)
    step = data.draw(source)
    before = copy.deepcopy(step)
    interaction, codes = round_trip(
        {"id": "v1_a", "status": "completed", "steps": [step]}, data.draw(st.integers(1, 4))
    )
    assert interaction is not None
    assert equal(interaction["steps"], [before])
    assert equal(step, before)
    assert codes == []


@given(strategies.interactions)
def test_interactions_survive_a_round_trip(interaction: dict[str, JSON]) -> None:
    assembled, codes = round_trip(interaction)
    assert equal(assembled, interaction)
    assert set(codes) <= {"field_missing", "status_running"}


KNOWN: list[tuple[str, list[JSON]]] = [
    ("plain", PLAIN_STEPS),
    ("search", SEARCH_STEPS),
    ("media", MEDIA_STEPS),
    (
        "two adjacent texts",
        [
            {
                "type": "model_output",
                "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            }
        ],
    ),
    (
        "audio that would be joined",
        [
            {
                "type": "model_output",
                "content": [
                    {"type": "audio", "data": base64_of(b"a")},
                    {"type": "audio", "data": base64_of(b"b")},
                ],
            }
        ],
    ),
    ("no content", [{"type": "model_output", "content": []}, {"type": "model_output"}]),
    (
        "explicit nulls",
        [
            {"type": "model_output", "content": None, "error": None},
            {"type": "thought", "signature": None, "summary": None},
        ],
    ),
    (
        "unknown content",
        [{"type": "model_output", "content": [{"type": "hologram", "text": "x"}]}],
    ),
    ("empty signatures", [{"type": kind, "signature": ""} for kind in STEP_TYPES]),
    (
        "arguments that are text",
        [{"type": "function_call", "id": "c", "name": "n", "arguments": '{"a"'}],
    ),
    (
        "a lone surrogate",
        [{"type": "model_output", "content": [{"type": "text", "text": "a \ud83d b"}]}],
    ),
]


@pytest.mark.parametrize("steps", [row[1] for row in KNOWN], ids=[row[0] for row in KNOWN])
@pytest.mark.parametrize("words", [1, 3])
def test_unusual_steps_survive_a_round_trip(steps: list[JSON], words: int) -> None:
    interaction, codes = round_trip({"status": "completed", "steps": steps}, words)
    assert interaction == {"status": "completed", "steps": steps}
    assert codes == []


def test_events_are_those_of_the_service() -> None:
    call = {"type": "function_call", "id": "c1", "name": "f", "arguments": {"a": 1}}
    interaction = {
        "status": "requires_action",
        "model": "m",
        "steps": [PLAIN_STEPS[0], call],
        "usage": {"total_tokens": 3},
    }
    assert events_of(interaction, event_ids=False) == [
        {
            "event_type": "interaction.created",
            "interaction": {"id": "", "model": "m", "status": "in_progress"},
        },
        {"event_type": "interaction.status_update", "interaction_id": "", "status": "in_progress"},
        {"event_type": "step.start", "index": 0, "step": {"type": "thought"}},
        {
            "event_type": "step.delta",
            "index": 0,
            "delta": {"type": "thought_signature", "signature": "U2lnbmVk"},
        },
        {"event_type": "step.stop", "index": 0},
        {
            "event_type": "step.start",
            "index": 1,
            "step": {
                "type": "function_call",
                "id": "c1",
                "name": "f",
                "arguments": {},
                "signature": "",
            },
        },
        {
            "event_type": "step.delta",
            "index": 1,
            "delta": {"type": "arguments_delta", "arguments": '{"a":1}'},
        },
        {"event_type": "step.stop", "index": 1},
        {
            "event_type": "interaction.completed",
            "interaction": {
                "id": "",
                "status": "requires_action",
                "model": "m",
                "usage": {"total_tokens": 3},
            },
        },
    ]


def test_searches_start_with_an_empty_signature_and_annotations_follow_the_text() -> None:
    events = events_of({"status": "completed", "steps": SEARCH_STEPS}, words_per_delta=2)
    starts = {
        event["step"]["type"]: event["step"]
        for event in events
        if event["event_type"] == "step.start"
    }
    assert starts["google_search_call"] == {
        "type": "google_search_call",
        "id": "s1",
        "arguments": {},
        "signature": "",
        "search_type": "web_search",
    }
    assert starts["google_search_result"] == {
        "type": "google_search_result",
        "call_id": "s1",
        "signature": "",
    }
    kinds = [event["delta"]["type"] for event in events if event["event_type"] == "step.delta"]
    assert kinds == [
        "thought_signature",
        "text",
        "text",
        "text_annotation_delta",
        "google_search_call",
        "google_search_result",
    ]


def test_media_are_deltas_unless_audio_would_be_joined() -> None:
    image, sound = ({"type": kind, "data": base64_of(b"a")} for kind in ("image", "audio"))
    for content, streamed in (([image, sound, image, image], True), ([image, sound, sound], False)):
        events = events_of({"steps": [{"type": "model_output", "content": content}]})
        assert [event["delta"] for event in events if event["event_type"] == "step.delta"] == (
            content if streamed else []
        )


@pytest.mark.parametrize(
    ("words", "parts"),
    [(1, ["Two ", "dogs \n", "bark."]), (2, ["Two dogs \n", "bark."]), (9, ["Two dogs \nbark."])],
)
def test_text_is_split_after_words(words: int, parts: list[str]) -> None:
    step = {"type": "model_output", "content": [{"type": "text", "text": "Two dogs \nbark."}]}
    events = events_of({"steps": [step]}, words_per_delta=words)
    assert [
        event["delta"]["text"] for event in events if event["event_type"] == "step.delta"
    ] == parts


def test_event_ids_are_numbers_in_order() -> None:
    events = events_of({"id": "a", "steps": PLAIN_STEPS})
    assert [event["event_id"] for event in events] == [
        str(number) for number in range(1, len(events) + 1)
    ]
    assert [
        event["delta"].get("text") for event in events if event["event_type"] == "step.delta"
    ] == [None, "Two ", "dogs."]
    assert not any("event_id" in event for event in events_of({"id": "a"}, event_ids=False))


def test_frames_are_one_event_each_and_end_with_done() -> None:
    events = events_of(
        {
            "id": "a",
            "steps": [
                {
                    "type": "model_output",
                    "content": [{"type": "text", "text": "a\n\nb\u2028\ud83d"}],
                }
            ],
        }
    )
    parts = sse_text(events)
    assert [frame.event for part in parts for frame in frames(part)] == [
        event["event_type"] for event in events
    ] + ["done"]
    assert split_frames("".join(parts)) == parts
    assert "".join(parts).isascii()
    assert parts[-1] == "event: done\ndata: [DONE]\n\n"
    assert sse_text(events, done=False) == parts[:-1]


def test_an_event_type_cannot_break_its_frame() -> None:
    (part,) = sse_text([{"event_type": "a\n\ndata: b"}], done=False)
    assert [frame.event for frame in frames(part)] == ["message"]


def test_every_type_but_user_input_has_a_split() -> None:
    assert set(STEP_TYPES) - set(SPLITS) == {"user_input"}
