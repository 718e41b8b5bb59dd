"""What ``usage`` and ``cost`` report for small conversations."""

from __future__ import annotations

from typing import Any

import pytest

from evalkit.checks.core.base import View
from evalkit.verdict import Verdict
from tests.checks.building import transcript
from tests.checks.examples import check_entry
from tests.checks.sample_turns import codes


def usage(**fields: Any) -> dict[str, Any]:
    return {"usage": fields}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ([usage(total_tokens=3), usage(total_tokens=7)], []),
        ([usage(total_tokens=3), usage(total_tokens=8)], ["usage_exceeded"]),
        ([usage(), {}], ["usage_absent"]),
        ([usage(total_tokens=3), {}], ["usage_partial"]),
        ([usage(total_tokens="3"), usage(total_tokens=True)], ["usage_absent"]),
        # A run that is polled tells the same interaction again and again.
        (
            [
                {
                    "exchanges": [
                        {**usage(total_tokens=2), "id": "v1", "status": "in_progress"},
                        {**usage(total_tokens=10), "id": "v1"},
                    ]
                }
            ],
            [],
        ),
        (
            [
                {
                    "exchanges": [
                        {**usage(total_tokens=9), "id": "v1"},
                        {**usage(total_tokens=10), "id": "v1"},
                    ]
                }
            ],
            [],
        ),
        ([{"exchanges": [usage(total_tokens=9), usage(total_tokens=9)]}], ["usage_exceeded"]),
    ],
)
def test_usage(source: list[Any], expected: list[str]) -> None:
    assert (
        codes({"usage": {"total_tokens": {"max": 10}}}, {"turns": source}, whole=True) == expected
    )


def test_usage_of_one_turn() -> None:
    made = transcript({"turns": [usage(total_tokens=30), usage(total_tokens=7)]})
    entry = {"usage": {"total_tokens": {"max": 10}}}
    assert check_entry(entry, View(made, made.turns[1])).verdict is Verdict.PASSED
    assert check_entry(entry, View(made, made.turns[0])).verdict is Verdict.FAILED


def test_cost() -> None:
    prices = {"input_per_million": 1, "output_per_million": 10, "cached_per_million": 0.1}
    source = usage(
        total_input_tokens=1000,
        total_cached_tokens=500,
        total_tool_use_tokens=100,
        total_output_tokens=50,
        total_thought_tokens=50,
    )
    exact = (600 * 1 + 500 * 0.1 + 100 * 10) / 1_000_000
    assert codes({"cost": {"max": exact + 1e-9, **prices}}, source) == []
    assert codes({"cost": {"max": exact - 1e-9, **prices}}, source) == ["cost_exceeded"]
    assert codes({"cost": {"max": 1, **prices}}, usage(total_tokens=3)) == ["usage_absent"]
