"""What a conversation loses between its requests is found without being asked for."""

from __future__ import annotations

from typing import Any

import pytest

from evalkit.checks.history.continuity import continuity_warnings
from evalkit.transcript import Exchange, Request
from evalkit.verdict import Severity

CALL = {"type": "function_call", "id": "c1", "name": "find", "arguments": {}}
RESULT = {"type": "function_result", "call_id": "c1", "name": "find", "result": "x"}
SIGNED = {"type": "thought", "signature": "abc"}
OUTPUT = {"type": "model_output", "content": [{"type": "text", "text": "Hello"}]}
USER = {"type": "user_input", "content": [{"type": "text", "text": "Hi"}]}
FIRST = {"model": "m", "system_instruction": "Be kind.", "tools": [{"type": "function"}]}


def exchange(number: int, body: dict[str, Any], *steps: dict[str, Any]) -> Exchange:
    request = Request("POST", "/v1beta/interactions", body)
    answer = {"id": f"v{number}", "status": "completed", "steps": list(steps)}
    return Exchange(number, number, request, interaction=answer)


def codes(*exchanges: Exchange) -> list[str]:
    found = list(continuity_warnings(exchanges))
    assert {finding.severity for finding in found} <= {Severity.WARN}
    return [finding.code for finding in found]


def test_whole_conversations_have_no_warning() -> None:
    follow = {**FIRST, "previous_interaction_id": "v1", "input": [RESULT]}
    assert codes(exchange(1, {**FIRST, "input": "Hi"}, SIGNED, CALL), exchange(2, follow)) == []
    stateless = {**FIRST, "store": False, "input": [USER]}
    again = {**stateless, "input": [USER, SIGNED, CALL, RESULT]}
    assert codes(exchange(1, stateless, SIGNED, CALL), exchange(2, again)) == []


@pytest.mark.parametrize(
    ("first", "steps", "follow", "expected"),
    [
        ({}, [CALL], {"input": [RESULT]}, ["result_unpaired"]),
        (
            {"store": False},
            [CALL],
            {"store": False, "input": [USER, RESULT]},
            ["result_unpaired"],
        ),
        ({}, [CALL], {"input": [{"type": "user_input", "content": [RESULT]}]}, ["result_unpaired"]),
        ({}, [OUTPUT], {"input": "And now?"}, ["id_lost"]),
        ({}, [OUTPUT], {"input": [USER, OUTPUT, USER]}, []),
        ({}, [OUTPUT], {"previous_interaction_id": None, "input": [USER, USER]}, ["id_lost"]),
        (
            FIRST,
            [OUTPUT],
            {"previous_interaction_id": "v1", "input": "Go on"},
            ["setting_lost", "setting_lost"],
        ),
        (
            {"store": False},
            [OUTPUT],
            {"input": [USER, OUTPUT, USER]},
            ["setting_lost"],
        ),
        ({"store": True}, [OUTPUT], {"previous_interaction_id": "v1", "input": "Go on"}, []),
        (
            {},
            [{"type": "thought", "signature": ""}, CALL],
            {"previous_interaction_id": "v1", "input": [RESULT]},
            ["thought_unsigned"],
        ),
        (
            {},
            [{"type": "thought"}, CALL, OUTPUT],
            {"previous_interaction_id": "v1", "input": RESULT},
            ["thought_unsigned"],
        ),
        ({}, [{"type": "thought"}, OUTPUT], {"previous_interaction_id": "v1", "input": "x"}, []),
    ],
)
def test_loss_is_a_warning(
    first: dict[str, Any], steps: list[Any], follow: dict[str, Any], expected: list[str]
) -> None:
    assert codes(exchange(1, {"input": "Hi", **first}, *steps), exchange(2, follow)) == expected


def test_each_loss_is_reported_once() -> None:
    follow = {"previous_interaction_id": "v1", "input": "Go on"}
    body = {"system_instruction": "Be kind.", "input": "Hi"}
    exchanges = [exchange(1, body), *(exchange(number, follow) for number in (2, 3, 4))]
    (finding,) = continuity_warnings(exchanges)
    assert finding.where.exchange == 2
    assert "no system_instruction" in finding.message
