"""What ``steps`` reports for small conversations."""

from __future__ import annotations

from typing import Any

import pytest

from tests.checks.sample_turns import CALL, RESULT, codes, says

STEPS: list[tuple[Any, Any, list[str]]] = [
    ({"steps": []}, {"steps": []}, []),
    ({"steps": []}, {"steps": [says("a")]}, ["steps_differ"]),
    ({"steps": "thought*"}, {"steps": []}, []),
    (
        {"steps": {"steps": "function_call function_result", "ignore": "thought"}},
        {"steps": [{"type": "thought"}, CALL, RESULT]},
        [],
    ),
    ({"steps": ["function_call", "function_result"]}, {"steps": [CALL, RESULT]}, []),
    ({"steps": ["function_result", "function_call"]}, {"steps": [CALL, RESULT]}, ["steps_differ"]),
    ({"steps": [{"type": "brand_new"}]}, {"steps": [{"type": "brand_new"}]}, []),
    ({"steps": [{"function_call": {"name": "look"}}]}, {"steps": [CALL]}, []),
    (
        {"steps": [{"function_call": {"name": "look", "arguments": {}}}]},
        {"steps": [CALL]},
        ["steps_differ"],
    ),
    (
        {"steps": {"match": "in_order", "steps": ["thought", "model_output"]}},
        {"steps": [{"type": "thought"}, CALL, RESULT, says("a")]},
        [],
    ),
    (
        {"steps": {"match": "in_order", "steps": ["model_output", "thought"]}},
        {"steps": [{"type": "thought"}, says("a")]},
        ["steps_differ"],
    ),
    ({"steps": {"match": "in_order", "steps": []}}, {"steps": [says("a")]}, []),
    (
        {"steps": {"match": "any_order", "steps": ["model_output", "thought"]}},
        {"steps": [{"type": "thought"}, says("a")]},
        [],
    ),
    (
        {"steps": {"match": "any_order", "steps": ["model_output"]}},
        {"steps": [{"type": "thought"}, says("a")]},
        ["steps_differ"],
    ),
    (
        {"steps": {"match": "any_order", "steps": ["thought", "thought"]}},
        {"steps": [{"type": "thought"}]},
        ["steps_differ"],
    ),
    (
        {"steps": {"match": "superset", "steps": ["model_output"]}},
        {"steps": [{"type": "thought"}, says("a")]},
        [],
    ),
    (
        {"steps": {"match": "superset", "steps": ["function_call"]}},
        {"steps": [{"type": "thought"}, says("a")]},
        ["steps_differ"],
    ),
    (
        {"steps": {"match": "subset", "steps": ["function_call", "model_output"]}},
        {"steps": [says("a")]},
        [],
    ),
    (
        {"steps": {"match": "subset", "steps": ["function_call"]}},
        {"steps": [says("a")]},
        ["steps_differ"],
    ),
    # The plain entry must leave the one with a name to the step that has it.
    (
        {
            "steps": {
                "match": "any_order",
                "steps": ["function_call", {"function_call": {"name": "look"}}],
            }
        },
        {"steps": [CALL, {**CALL, "name": "b"}]},
        [],
    ),
]


@pytest.mark.parametrize(("entry", "source", "expected"), STEPS)
def test_steps(entry: Any, source: Any, expected: list[str]) -> None:
    assert codes(entry, source) == expected
