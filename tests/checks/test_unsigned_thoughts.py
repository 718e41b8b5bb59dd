"""Thoughts without a signature before function results: a warning, wherever the history is."""

from __future__ import annotations

from typing import Any

import pytest

from evalkit.verdict import Verdict
from tests.checks.sample_turns import CALL, RESULT, judge, says

USER: dict[str, Any] = {"type": "user_input", "content": [{"type": "text", "text": "hi"}]}
UNSIGNED: dict[str, Any] = {"type": "thought", "signature": ""}
BARE: dict[str, Any] = {"type": "thought", "summary": [{"type": "text", "text": "hm"}]}
SIGNED: dict[str, Any] = {"type": "thought", "signature": "EvEF"}


def stateless(*steps: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"input": [USER], "steps": list(steps), "status": "requires_action"}
    final = {"input": [USER, *steps, RESULT], "steps": [says("done")]}
    again = {"input": [USER, *steps, RESULT, says("done"), USER], "steps": [says("bye")]}
    return {"turns": [{"exchanges": [answer, final]}, {"exchanges": [again]}]}


def stateful(*steps: dict[str, Any]) -> dict[str, Any]:
    answer = {"id": "v1_a", "input": "hi", "steps": list(steps), "status": "requires_action"}
    request = {"previous_interaction_id": "v1_a"}
    final = {"id": "v1_b", "input": [RESULT], "request": request, "steps": [says("done")]}
    return {"exchanges": [answer, final]}


def streamed(*steps: dict[str, Any]) -> dict[str, Any]:
    events: list[dict[str, Any]] = [
        {
            "event_type": "interaction.created",
            "interaction": {"id": "v1_a", "status": "in_progress"},
        }
    ]
    for index, step in enumerate(steps):
        events.append({"event_type": "step.start", "index": index, "step": step})
        events.append({"event_type": "step.stop", "index": index})
    done = {"id": "v1_a", "status": "requires_action"}
    events.append({"event_type": "interaction.completed", "interaction": done})
    request = {"previous_interaction_id": "v1_a"}
    final = {"input": [RESULT], "request": request, "steps": [says("done")]}
    return {"exchanges": [{"input": "hi", "events": events}, final]}


@pytest.mark.parametrize("conversation", [stateless, stateful, streamed])
@pytest.mark.parametrize(
    ("steps", "count"),
    [
        ((UNSIGNED, CALL), 1),
        ((BARE, CALL), 1),
        ((SIGNED, UNSIGNED, CALL), 1),
        ((UNSIGNED, SIGNED, CALL), 0),
        ((UNSIGNED, says("text"), CALL), 0),
        ((CALL,), 0),
        ((SIGNED, CALL), 0),
    ],
)
def test_an_unsigned_thought_before_an_answered_call_is_a_warning(
    conversation: Any, steps: tuple[dict[str, Any], ...], count: int
) -> None:
    result = judge("history", conversation(*steps), whole=True)
    assert result.verdict is Verdict.PASSED
    assert [finding.code for finding in result.findings] == ["thought_unsigned"] * count
    for finding in result.findings:
        assert "function_call look" in finding.message
        assert finding.where.pointer in ("/input/1", "/input/2", "/steps/0", "/steps/1")


def test_a_call_that_nobody_answered_is_no_reason_for_a_warning() -> None:
    source = {"input": [USER], "steps": [UNSIGNED, CALL], "status": "requires_action"}
    assert judge("history", source, whole=True).findings == ()


def test_a_history_that_began_elsewhere_is_read_too() -> None:
    source = {"input": [USER, UNSIGNED, CALL, RESULT], "steps": [says("done")]}
    (finding,) = judge("history", source, whole=True).findings
    assert (finding.code, finding.where.pointer) == ("thought_unsigned", "/input/1")


def test_a_dropped_signature_is_the_fault_of_the_client_alone() -> None:
    source = stateless(SIGNED, CALL)
    source["turns"][0]["exchanges"][1]["input"][1] = BARE
    codes = {finding.code for finding in judge("history", source, whole=True).findings}
    assert "thought_unsigned" not in codes
