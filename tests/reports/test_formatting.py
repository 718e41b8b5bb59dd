"""How reports format values in Python."""

from __future__ import annotations

import json
from typing import Any

import pytest

from evalkit._lib.text import duration
from evalkit.reports.formatting import (
    LINE,
    clip,
    count,
    findings_of,
    headline,
    place_of,
    pretty,
)


def test_long_text_is_cut_and_says_so() -> None:
    text = clip("x" * 30, 20)
    note = "20 of 30 characters shown; the whole text is in results.jsonl"
    assert text == f"{'x' * 20}\n… {note}"
    assert clip("x" * 20, 20) == "x" * 20


@pytest.mark.parametrize(("number", "text"), [(0, "0 turns"), (1, "1 turn"), (1234, "1,234 turns")])
def test_count_agrees_with_its_noun(number: int, text: str) -> None:
    assert count(number, "turn") == text


DURATIONS: list[tuple[float, str]] = [
    (0, "0 ms"),
    (412.5, "413 ms"),
    (999.4, "999 ms"),
    (999.5, "1.0 s"),
    (1237.5, "1.2 s"),
    (99_949, "99.9 s"),
    (99_950, "1 min 40 s"),
    (3_725_000, "62 min 5 s"),
]


@pytest.mark.parametrize(("milliseconds", "text"), DURATIONS)
def test_duration_has_a_readable_unit(milliseconds: float, text: str) -> None:
    assert duration(milliseconds) == text


PLACES: list[tuple[dict[str, Any], str]] = [
    ({}, ""),
    ({"turn": 1, "step": 3}, "turn 1, step 3"),
    (
        {"turn": 1, "exchange": 2, "pointer": "/input/3", "part": "request"},
        "turn 1, exchange 2, request /input/3",
    ),
    ({"pointer": "", "part": "output"}, "output (whole)"),
    ({"turn": 2, "later_field": 5}, "turn 2"),
    ({"turn": 1, "file": "snapshots/a.txt"}, "turn 1, snapshots/a.txt"),
]


@pytest.mark.parametrize(("where", "text"), PLACES)
def test_place_is_readable(where: Any, text: str) -> None:
    check: Any = {"name": "text"}
    finding: Any = {"where": where}
    assert place_of(check, finding) == text


def test_place_has_the_turn_of_the_check_unless_the_finding_names_one() -> None:
    check: Any = {"name": "text", "turn": 2}
    finding: Any = {"where": {"step": 1}}
    assert place_of(check, finding) == "turn 2, step 1"
    finding = {"where": {"turn": 1}}
    assert place_of(check, finding) == "turn 1"


@pytest.mark.parametrize(
    ("verdict", "severities", "text"),
    [
        ("passed", [], ""),
        ("passed", ["warn"], "warning, text: finding 1"),
        ("passed", ["warn", "warn", "warn"], "warning, text: finding 1 (and 2 more)"),
        ("failed", ["warn", "error"], "text: finding 2"),
        ("failed", ["error", "error"], "text: finding 1 (and 1 more)"),
        ("errored", [], "the message"),
        ("skipped", [], "the message"),
    ],
)
def test_headline_gives_the_reason_of_a_verdict(
    verdict: str, severities: list[str], text: str
) -> None:
    findings = [
        {"severity": severity, "message": f"finding {number}"}
        for number, severity in enumerate(severities, 1)
    ]
    checks = [{"name": "text", "findings": findings}]
    head: Any = {"verdict": verdict, "message": "the message", "checks": checks}
    assert headline(head, findings_of(head)) == text


def test_short_json_is_on_one_line_and_long_json_is_not() -> None:
    value = {"location": "London", "days": [1, 2], "none": {}}
    assert pretty(value) == '{"location": "London", "days": [1, 2], "none": {}}'
    long = {"location": "x" * LINE}
    assert pretty(long) == json.dumps(long, indent=2)


def test_lone_surrogate_stays_escaped_in_json() -> None:
    assert pretty("a\ud800é") == '"a\\ud800é"'
