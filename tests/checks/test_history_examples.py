"""The check ``history`` on typical conversations of applications."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from evalkit.checks.core.base import View
from evalkit.checks.history.check import History, Level
from evalkit.protocol.stream_assembler import assemble
from evalkit.verdict import Finding
from tests.checks.building import transcript

REAL = Path(__file__).parents[3] / "shared" / "data" / "real"

U1: dict[str, Any] = {"type": "user_input", "content": [{"type": "text", "text": "I have 2 dogs."}]}
U2: dict[str, Any] = {"type": "user_input", "content": [{"type": "text", "text": "How many paws?"}]}
U3: dict[str, Any] = {"type": "user_input", "content": [{"type": "text", "text": "Sure?"}]}
T1: dict[str, Any] = {"type": "thought", "signature": "EvEFCu4F"}
T2: dict[str, Any] = {"type": "thought", "signature": "Second"}
M1: dict[str, Any] = {"type": "model_output", "content": [{"type": "text", "text": "Nice!"}]}
M2: dict[str, Any] = {"type": "model_output", "content": [{"type": "text", "text": "8 paws."}]}
C1: dict[str, Any] = {
    "type": "function_call",
    "id": "c1",
    "name": "count",
    "arguments": {"what": "dogs"},
}
C2: dict[str, Any] = {
    "type": "function_call",
    "id": "c2",
    "name": "count",
    "arguments": {"what": "cats"},
}
R1: dict[str, Any] = {
    "type": "function_result",
    "call_id": "c1",
    "name": "count",
    "result": [{"type": "text", "text": "2"}],
}
R2: dict[str, Any] = {
    "type": "function_result",
    "call_id": "c2",
    "name": "count",
    "result": [{"type": "text", "text": "0"}],
}
SEARCH: dict[str, Any] = {"type": "google_search_call", "arguments": {"queries": ["dogs"]}}


def without(step: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in step.items() if key not in keys}


def findings(
    *exchanges: dict[str, Any], level: Level = "exact", turn: int | None = None
) -> list[Finding]:
    """Check exchanges, each in its own turn."""
    conversation = transcript({"turns": [{"exchanges": [item]} for item in exchanges]})
    return list(
        History(level=level).run(View(conversation, conversation.turns[turn - 1] if turn else None))
    )


def codes(
    *exchanges: dict[str, Any], level: Level = "exact", turn: int | None = None
) -> list[tuple[str, str | None]]:
    return [
        (finding.code, finding.where.pointer)
        for finding in findings(*exchanges, level=level, turn=turn)
    ]


def sent(value: Any, *steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"input": value, "steps": list(steps), **more}


PASSING: dict[str, list[dict[str, Any]]] = {
    "one exchange": [sent([U1], M1)],
    "a string, then steps": [sent("I have 2 dogs.", M1), sent([U1, M1, U2], M2)],
    "a content object": [sent({"type": "text", "text": "I have 2 dogs."}, M1), sent([U1, M1, U2])],
    "a list of content": [
        sent([{"type": "text", "text": "I have 2 dogs."}], M1),
        sent([U1, M1, U2]),
    ],
    "content without a type": [sent([{"text": "I have 2 dogs."}], M1), sent([U1, M1, U2])],
    "a single step": [sent(U1, M1), sent([U1, M1, U2])],
    "content as a string": [
        sent([{"type": "user_input", "content": "I have 2 dogs."}], M1),
        sent([U1, M1, U2]),
    ],
    "content as one object": [
        sent([{"type": "user_input", "content": {"type": "text", "text": "I have 2 dogs."}}], M1),
        sent([U1, M1, U2]),
    ],
    "content among the steps": [
        sent([U1], M1),
        sent([U1, M1, {"type": "text", "text": "How many paws?"}]),
    ],
    "results right after their calls": [sent([U1], T1, C1, C2), sent([U1, T1, C1, R1, C2, R2], M1)],
    "results after the answer": [sent([U1], C1, T1, C2), sent([U1, C1, T1, C2, R2, R1], M1)],
    "results after a group of calls": [
        sent([U1], C1, C2, T1),
        sent([U1, C1, C2, R1, R2, T1, U2], M1),
    ],
    "results and a new message": [sent([U1], C1), sent([U1, C1, R1, U2], M1)],
    "results without ids, by order": [
        sent([U1], without(C1, "id"), without(C2, "id")),
        sent(
            [
                U1,
                without(C1, "id"),
                without(R1, "call_id"),
                without(C2, "id"),
                without(R2, "call_id"),
            ]
        ),
    ],
    "an answered call shown again": [
        sent([U1], C1),
        sent([U1, C1, R1], C1, M1),
        sent([U1, C1, R1, C1, M1, U2], M2),
    ],
    "a repeated call id": [
        sent([U1], C1),
        sent([U1, C1, R1], M1),
        sent([U1, C1, R1, M1, U2], {**C1, "arguments": {}}),
        sent([U1, C1, R1, M1, U2, {**C1, "arguments": {}}, {**R1, "result": "3"}], M2),
    ],
    "a history stored by the service": [
        sent("I have 2 dogs.", M1, id="v1_a"),
        sent("How many paws?", M2, request={"previous_interaction_id": "v1_a"}),
    ],
    "previous_interaction_id: null": [
        sent([U1], M1),
        sent([U1, M1, U2], request={"previous_interaction_id": None}),
    ],
    "an answer without steps": [sent([U1]), sent([U1, U2], M2)],
    "a request sent again unanswered": [
        sent([U1], M1),
        {"input": [U1, M1, U2], "error": {"status": 503, "code": "x", "message": "y"}},
        sent([U1, M1, U2], M2),
        sent([U1, M1, U2, M2, U3]),
    ],
    "a message abandoned after an error": [
        sent([U1], M1),
        {"input": [U1, M1, U2], "error": {"status": 400, "code": "x", "message": "y"}},
        sent([U1, M1, U3], M2),
    ],
    "a run in the background": [
        {"input": [U1], "status": "in_progress", "id": "v1/a", "request": {"background": True}},
        {
            "method": "GET",
            "path": "/v1beta/interactions/v1%2Fa",
            "status": "in_progress",
            "id": "v1/a",
        },
        {
            "method": "GET",
            "path": "/v1beta/interactions/v1%2Fa",
            "steps": [U1, T1, M1],
            "id": "v1/a",
        },
        sent([U1, T1, M1, U2], M2),
    ],
    "a call continued in two hops": [
        sent([U1], T1, status="requires_continuation"),
        sent([U1], M1, request={"continuation_token": "t"}),
        sent([U1, T1, M1, U2], M2),
    ],
    "a call continued by the service": [
        sent("I have 2 dogs.", T1, id="v1_a"),
        {"steps": [M1], "request": {"continuation_token": "t", "previous_interaction_id": "v1_a"}},
    ],
    "a cancelled run": [
        sent([U1], M1),
        {"path": "/v1beta/interactions/x", "method": "DELETE"},
        sent([U1, M1, U2]),
    ],
    "a late result": [sent([U1], C1), sent([U1, C1, R1, U2], M2)],
}


@pytest.mark.parametrize("name", PASSING)
def test_an_exact_history_passes(name: str) -> None:
    assert codes(*PASSING[name]) == []


FAILING: dict[str, tuple[list[dict[str, Any]], list[tuple[str, str]]]] = {
    "nothing re-sent, as a string": (
        [sent("I have 2 dogs.", M1), sent("How many paws?")],
        [("history_truncated", "/input")],
    ),
    "nothing re-sent, as a step": (
        [sent([U1], T1, M1), sent([U2])],
        [("history_truncated", "/input/0")],
    ),
    "no input at all": ([sent([U1], M1), {"steps": []}], [("history_truncated", "/input/0")]),
    "an empty input": ([sent([U1], T1, M1), sent([])], [("history_truncated", "/input/0")]),
    "only the answer's end lost": (
        [sent([U1], T1, C1, M1), sent([U1, T1, U2])],
        [("history_truncated", "/input/2")],
    ),
    "a sliding window": (
        [sent([U1, M1, U2], T1, M2), sent([U2, T1, M2, U3])],
        [("history_truncated", "/input/0")],
    ),
    "the only step of an answer": (
        [sent([U1], M1), sent([U1, U2])],
        [("step_missing", "/input/1")],
    ),
    "thoughts left out": (
        [sent([U1], T1, M1, T2, M2), sent([U1, M1, M2, U2])],
        [("step_missing", "/input/1"), ("step_missing", "/input/2")],
    ),
    "a call left out, its result sent": (
        [sent([U1], T1, C1), sent([U1, T1, R1])],
        [("step_missing", "/input/2")],
    ),
    "a call and its result left out": (
        [sent([U1], T1, C1), sent([U1, T1, U2])],
        [("step_missing", "/input/2")],
    ),
    "an old result left out": (
        [sent([U1, C1, R1], M1), sent([U1, C1, M1, U2])],
        [("step_missing", "/input/2")],
    ),
    "a message rewritten": (
        [sent([U1], M1), sent([U3, M1, U2])],
        [("input_rewritten", "/input/0/content/0/text")],
    ),
    "a message rewritten, as a string": (
        [
            sent("I have 2 dogs.", M1),
            sent([{"type": "user_input", "content": "Two dogs."}, M1, U2]),
        ],
        [("input_rewritten", "/input/0/content")],
    ),
    "a result rewritten": (
        [sent([U1, C1, R1], M1), sent([U1, C1, {**R1, "result": "3"}, M1, U2])],
        [("input_rewritten", "/input/2/result")],
    ),
    "a result that names another call": (
        [sent([U1, C1, R1], M1), sent([U1, C1, {**R1, "call_id": "c9"}, M1, U2])],
        [("input_rewritten", "/input/2/call_id")],
    ),
    "arguments as text": (
        [sent([U1], C1), sent([U1, {**C1, "arguments": '{"what": "dogs"}'}, R1])],
        [("step_altered", "/input/1/arguments")],
    ),
    "another type": (
        [sent([U1], M1), sent([U1, {**M1, "type": "output"}, U2])],
        [("step_altered", "/input/1/type")],
    ),
    "another call id": (
        [sent([U1], C1), sent([U1, {**C1, "id": "c7"}, {**R1, "call_id": "c7"}])],
        [("step_altered", "/input/1/id")],
    ),
    "signature and text": (
        [sent([U1], {**M1, "signature": "a"}), sent([U1, {**M2, "signature": "b"}, U2])],
        [("step_altered", "/input/1/content/0/text"), ("signature_altered", "/input/1/signature")],
    ),
    "a signature made up": (
        [sent([U1], M1), sent([U1, {**M1, "signature": "b"}, U2])],
        [("signature_altered", "/input/1/signature")],
    ),
    "a signature inside content": (
        [
            sent(
                [U1],
                {
                    "type": "model_output",
                    "content": [{"type": "text", "text": "a", "signature": "s"}],
                },
            ),
            sent([U1, {"type": "model_output", "content": [{"type": "text", "text": "a"}]}, U2]),
        ],
        [("signature_altered", "/input/1/content/0/signature")],
    ),
    "an argument called signature": (
        [
            sent([U1], {**C1, "arguments": {"signature": "x"}}),
            sent([U1, {**C1, "arguments": {"signature": "y"}}, R1]),
        ],
        [("step_altered", "/input/1/arguments/signature")],
    ),
    "an id of null": (
        [sent([U1], SEARCH, M1), sent([U1, {**SEARCH, "id": None}, M1, U2])],
        [("null_added", "/input/1/id")],
    ),
    "a result without a call": (
        [sent([U1], M1), sent([U1, M1, R1])],
        [("result_unpaired", "/input/2/call_id")],
    ),
    "a result without an id and a call": (
        [sent([U1], M1), sent([U1, M1, without(R1, "call_id")])],
        [("result_unpaired", "/input/2")],
    ),
    "a result sent twice": (
        [sent([U1], C1), sent([U1, C1, R1, R1])],
        [("step_duplicated", "/input/3")],
    ),
    "an old result sent again": (
        [sent([U1, C1, R1], M1), sent([U1, C1, R1, M1, R1, U2])],
        [("step_duplicated", "/input/4")],
    ),
    "one of two calls unanswered": (
        [sent([U1], C1, C2), sent([U1, C1, C2, R2])],
        [("call_unanswered", "/input/1")],
    ),
    "a message instead of a result": (
        [sent([U1], C1), sent([U1, C1, U2])],
        [("call_unanswered", "/input/1")],
    ),
    "a result before its call": (
        [sent([U1], T1, C1, M1), sent([U1, R1, T1, C1, M1])],
        [("step_reordered", "/input/1")],
    ),
    "a result in the middle": (
        [sent([U1], C1, T1, M1), sent([U1, C1, T1, R1, M1])],
        [("step_reordered", "/input/3")],
    ),
    "an invented step at the end": (
        [sent([U1], M1), sent([U1, M1, M2, U2])],
        [("step_invented", "/input/2")],
    ),
    "an inserted message": (
        [sent([U1], T1, M1), sent([U1, T1, U3, M1, U2])],
        [("step_invented", "/input/2")],
    ),
    "two steps that changed places among equal messages": (
        [
            sent([U1], T1),
            sent([U1, T1, U1], T2),
            sent([U1, T1, U1, T2, U1], M1),
            sent([T2, T1, U1, U1, U1, M1, U1]),
        ],
        [("step_reordered", "/input/0")],
    ),
    "a hop with another input": (
        [
            sent([U1], T1, status="requires_continuation"),
            sent([U2], M1, request={"continuation_token": "t"}),
        ],
        [("input_rewritten", "/input/0/content/0/text")],
    ),
    "a hop with more input": (
        [
            sent([U1], T1, status="requires_continuation"),
            sent([U1, T1], M1, request={"continuation_token": "t"}),
        ],
        [("step_invented", "/input/1")],
    ),
    "items that are not steps": (
        [sent([U1], M1), sent([U1, M1, 3, None])],
        [("step_invented", "/input/2"), ("step_invented", "/input/3")],
    ),
    "two faults": (
        [sent([U1], T1, M1, T2, M2), sent([U1, {**T1, "signature": "x"}, M1, M2, U2])],
        [("signature_altered", "/input/1/signature"), ("step_missing", "/input/3")],
    ),
}


@pytest.mark.parametrize("name", FAILING)
def test_each_mistake_is_one_finding_at_its_pointer(name: str) -> None:
    exchanges, expected = FAILING[name]
    assert codes(*exchanges) == expected


NULLS: dict[str, tuple[dict[str, Any], dict[str, Any], bool]] = {
    "annotations dropped": (
        {"type": "text", "text": "a", "annotations": None},
        {"type": "text", "text": "a"},
        True,
    ),
    "an unknown field dropped": (
        {"type": "text", "text": "a", "x": None},
        {"type": "text", "text": "a"},
        True,
    ),
    "a field added": (
        {"type": "text", "text": "a"},
        {"type": "text", "text": "a", "annotations": None},
        True,
    ),
    "a value turned into null": (
        {"type": "text", "text": "a", "annotations": []},
        {"type": "text", "text": "a", "annotations": None},
        False,
    ),
}


@pytest.mark.parametrize("name", NULLS)
def test_equivalent_allows_what_the_official_sdks_do(name: str) -> None:
    before, after, forgiven = NULLS[name]
    exchanges = (
        sent([U1], {"type": "model_output", "content": [before]}),
        sent([U1, {"type": "model_output", "content": [after]}, U2]),
    )
    assert codes(*exchanges) != []
    assert (codes(*exchanges, level="equivalent") == []) == forgiven


def test_equivalent_does_not_allow_a_changed_null_in_data() -> None:
    call = {**C1, "arguments": {"what": None}}
    exchanges = (sent([U1], call), sent([U1, {**C1, "arguments": {}}, R1]))
    assert codes(*exchanges, level="equivalent") == [("null_dropped", "/input/1/arguments/what")]


def test_equivalent_does_not_allow_dropping_a_required_null() -> None:
    exchanges = (sent([U1], {**SEARCH, "id": None}), sent([U1, SEARCH, U2]))
    assert codes(*exchanges, level="equivalent") == [("null_dropped", "/input/1/id")]
    exchanges = (sent([U1], SEARCH), sent([U1, {**SEARCH, "id": None}, U2]))
    assert codes(*exchanges, level="equivalent") == []


def test_a_mistake_is_reported_once_though_every_later_request_repeats_it() -> None:
    assert codes(sent([U1], T1, M1), sent([U1, M1, U2], M2), sent([U1, M1, U2, M2, U3])) == [
        ("step_missing", "/input/1")
    ]


def test_a_mistake_that_is_corrected_later_is_not_a_second_one() -> None:
    broken = sent([U1, M1, U2], M2)
    assert codes(sent([U1], T1, M1), broken, sent([U1, T1, M1, U2, M2, U3])) == [
        ("step_missing", "/input/1")
    ]
    altered = sent([U1, {**T1, "signature": "x"}, M1, U2], M2)
    assert codes(sent([U1], T1, M1), altered, sent([U1, T1, M1, U2, M2, U3])) == [
        ("signature_altered", "/input/1/signature")
    ]


def test_a_turn_reports_only_its_own_requests() -> None:
    exchanges = (sent([U1], T1, M1), sent([U1, M1, U2], M2), sent([U1, M1, U2, U3]))
    assert codes(*exchanges, turn=1) == []
    assert codes(*exchanges, turn=2) == [("step_missing", "/input/1")]
    assert codes(*exchanges, turn=3) == [("step_missing", "/input/3")]
    assert findings(*exchanges, turn=3)[0].where.to_json() == {
        "turn": 3,
        "exchange": 3,
        "pointer": "/input/3",
        "part": "request",
    }


def test_an_empty_signature_of_a_stream_may_be_kept_or_dropped() -> None:
    events = [
        {"event_type": "interaction.created", "interaction": {"status": "in_progress", "id": ""}},
        {
            "event_type": "step.start",
            "index": 0,
            "step": {
                "type": "function_call",
                "id": "c1",
                "name": "count",
                "arguments": {},
                "signature": "",
            },
        },
        {
            "event_type": "step.delta",
            "index": 0,
            "delta": {"type": "arguments_delta", "arguments": '{"what": "dogs"}'},
        },
        {"event_type": "step.stop", "index": 0},
        {
            "event_type": "interaction.completed",
            "interaction": {"status": "requires_action", "id": ""},
        },
    ]
    streamed = {"input": [U1], "events": events, "request": {"stream": True}}
    assert codes(streamed, sent([U1, C1, R1], M1)) == []
    assert codes(streamed, sent([U1, {**C1, "signature": ""}, R1], M1)) == []
    assert codes(streamed, sent([U1, {**C1, "signature": "x"}, R1], M1)) == [
        ("signature_altered", "/input/1/signature")
    ]
    assert codes(sent([U1], C1), sent([U1, {**C1, "signature": ""}, R1], M1)) == [
        ("signature_altered", "/input/1/signature")
    ]


def test_the_message_and_detail_of_a_finding() -> None:
    (finding,) = findings(sent([U1], T1, M1), sent([U1, {**T1, "signature": "EvEFCu4f"}, M1, U2]))
    assert (
        finding.message
        == 'the signature of thought "EvEFCu4F" (response of exchange 1) was altered'
    )
    assert finding.detail.splitlines() == [
        'expected  "EvEFCu4F"',
        'got       "EvEFCu4f"',
        "                  ^ character 8: expected 'F', got 'f'",
    ]
    (finding,) = findings(sent([U1], T1, M1), sent([U1, M1, T1, U2]))
    assert "moved" in finding.message
    (finding,) = findings(sent([U1], T1, M1, T2), sent([U1, T2, M1, T1, U2]))
    assert "changed places (/input/1 and /input/3)" in finding.message


def test_a_long_history_with_two_mistakes() -> None:
    steps = [{"type": "thought", "signature": f"s{number}"} for number in range(3000)]
    resent = steps[:5] + steps[6:]
    resent[2000], resent[2001] = resent[2001], resent[2000]
    found = codes(sent([U1], *steps), sent([U1, *resent, U2]))
    assert found[0] == ("step_missing", "/input/6")
    assert [code for code, _ in found] == ["step_missing", "step_reordered"]


@pytest.mark.skipif(not REAL.is_dir(), reason="the real recordings are not here")
@pytest.mark.parametrize("streamed", [False, True])
def test_real_responses_that_are_re_sent(streamed: bool) -> None:
    def answer(name: str) -> dict[str, Any]:
        if not streamed:
            found: dict[str, Any] = json.loads((REAL / f"{name}.json").read_text())
            return found
        events = [
            json.loads(line)
            for line in (REAL / f"{name}.chunks.txt").read_text().splitlines()
            if line.strip() and line.strip() != "[DONE]"
        ]
        interaction = assemble(events).interaction
        assert interaction is not None
        return interaction

    one, two = answer("multi-turn-stateless-turn1"), answer("multi-turn-stateless-turn2")
    history = [U1, *deepcopy(one["steps"]), U2]
    exchanges = [{"input": [U1], "interaction": one}, {"input": history, "interaction": two}]
    assert codes(*exchanges) == []
    third = [*history, *deepcopy(two["steps"]), U3]
    assert codes(*exchanges, {"input": third}) == []
    signed = next(place for place, step in enumerate(third) if step.get("signature"))
    third[signed]["signature"] = third[signed]["signature"][:-4]
    assert codes(*exchanges, {"input": third}) == [
        ("signature_altered", f"/input/{signed}/signature")
    ]
