"""What ``stream`` and ``latency`` report for small streams."""

from __future__ import annotations

from typing import Any

import pytest

from tests.checks.sample_turns import codes, judge, says

EVENTS = [
    {"event_type": "interaction.created", "interaction": {"id": "v1_a", "status": "in_progress"}},
    {"event_type": "step.start", "index": 0, "step": {"type": "thought"}},
    {
        "event_type": "step.delta",
        "index": 0,
        "delta": {"type": "thought_signature", "signature": "x"},
    },
    {"event_type": "step.stop", "index": 0},
    {"event_type": "step.start", "index": 1, "step": {"type": "model_output"}},
    {"event_type": "step.delta", "index": 1, "delta": {"type": "text", "text": "Hi"}},
    {"event_type": "step.stop", "index": 1},
    {"event_type": "interaction.completed", "interaction": {"id": "v1_a", "status": "completed"}},
]


STREAMED: dict[str, Any] = {
    "request": {"stream": True},
    "events": EVENTS,
    "event_ms": [1, 2, 3, 4, 5, 60, 70, 80],
    "elapsed_ms": 90,
}


@pytest.mark.parametrize(
    ("entry", "source", "expected"),
    [
        ({"latency": 100}, {"exchanges": [{"elapsed_ms": 60}, {"elapsed_ms": 40}]}, []),
        (
            {"latency": 99},
            {"exchanges": [{"elapsed_ms": 60}, {"elapsed_ms": 40}]},
            ["latency_exceeded"],
        ),
        ({"latency": 99}, {"exchanges": [{"elapsed_ms": 60}, {}]}, ["latency_unmeasured"]),
        ({"latency": {"first_token_ms": 60}}, STREAMED, []),
        ({"latency": {"first_token_ms": 59}}, STREAMED, ["first_token_late"]),
        ({"latency": {"first_token_ms": 59}}, {**STREAMED, "event_ms": []}, ["latency_unmeasured"]),
        ({"stream": {"first_token_ms": 59}}, STREAMED, []),
        ({"stream": {"first_token_ms": 59}}, {**STREAMED, "source": "live"}, ["first_token_late"]),
        (
            {"stream": {"first_token_ms": 59}},
            {**STREAMED, "source": "recorded"},
            ["first_token_late"],
        ),
    ],
)
def test_latency(entry: Any, source: Any, expected: list[str]) -> None:
    assert codes(entry, source) == expected


def test_latency_says_what_is_recorded() -> None:
    assert (
        judge({"latency": 1}, {"elapsed_ms": 60}).findings[0].message.startswith("recorded 60 ms")
    )
    assert (
        judge({"latency": 1}, {"elapsed_ms": 60, "source": "live"})
        .findings[0]
        .message.startswith("measured 60 ms")
    )


STORED: dict[str, Any] = {"method": "GET", "path": "/v1beta/interactions/v1_a", "id": "v1_a"}


CUT: dict[str, Any] = {**STREAMED, "events": EVENTS[:3], "failure": "the stream broke off"}


FAILURE = {"event_type": "error", "error": {"code": "gateway_timeout", "message": "late"}}


ANSWER = [{"type": "thought", "signature": "x"}, says("Hi")]


@pytest.mark.parametrize(
    ("exchanges", "expected"),
    [
        ([STREAMED], []),
        ([], []),
        ([{"steps": []}], ["not_streamed"]),
        ([{"request": {"stream": True}, "steps": []}], ["not_streamed"]),
        ([{**STREAMED, "events": EVENTS[:-1]}], ["completed_missing"]),
        ([{**STREAMED, "events": []}], ["empty_stream"]),
        (
            [{**STREAMED, "events": [EVENTS[0], *EVENTS[4:6], *EVENTS[7:]]}],
            ["index_gap", "step_not_stopped"],
        ),
        ([{**STREAMED, "events": [*EVENTS, {"event_type": "interaction.forecast"}]}], []),
        ([STREAMED, {**STORED, "steps": ANSWER}], []),
        (
            [STREAMED, {**STORED, "steps": [{"type": "user_input", "content": "Hello"}, *ANSWER]}],
            [],
        ),
        ([STREAMED, {**STORED, "steps": [ANSWER[0], {**ANSWER[1], "signature": ""}]}], []),
        ([STREAMED, {**STORED, "steps": [ANSWER[0], says("Ho")]}], ["stored_differs"]),
        ([STREAMED, {**STORED, "steps": ANSWER, "status": "incomplete"}], ["stored_differs"]),
        ([STREAMED, {**STORED, "steps": [], "status": "in_progress"}], []),
        ([STREAMED, {**STORED, "path": "/v1beta/interactions/other", "steps": []}], []),
        ([{**STREAMED, "broken": "connection reset", "problems": []}], ["stream_broken"]),
        ([{**STREAMED, "events": EVENTS[:-1], "resumed": True}], []),
        ([CUT, {**STORED, "steps": ANSWER}], ["stream_cut"]),
        ([CUT, {**STORED, "steps": ANSWER, "status": "in_progress"}], ["completed_missing"]),
        (
            [CUT, {**STORED, "path": "/v1beta/interactions/other", "steps": ANSWER}],
            ["completed_missing"],
        ),
        ([{**CUT, "events": [*CUT["events"], FAILURE]}, {**STORED, "steps": []}], ["stream_cut"]),
        ([{**STREAMED, "events": [EVENTS[0], FAILURE, *EVENTS[1:]]}], ["error_recovered"]),
    ],
)
def test_stream(exchanges: list[Any], expected: list[str]) -> None:
    assert codes("stream", {"exchanges": exchanges}) == expected


def test_stream_points_into_the_first_difference() -> None:
    result = judge(
        "stream", {"exchanges": [STREAMED, {**STORED, "steps": [ANSWER[0], says("Ho")]}]}
    )
    (finding,) = result.findings
    assert finding.where.pointer == "/steps/1/content/0/text"
    assert (finding.expected, finding.got) == ("Ho", "Hi")
