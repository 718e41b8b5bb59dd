"""Gates: each rule at its bound, and the verdict of several."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from evalkit.compare.gates import DEFAULT, Gate
from tests.compare.lines import comparison, line, split


def gate(**rules: Any) -> Gate:
    return Gate.model_validate(rules)


@pytest.mark.parametrize(
    ("cells", "rules", "verdict", "reason"),
    [
        ((50, 0, 0, 0), {}, "pass", "0 of 50 results errored, none may"),
        ((50, 0, 2, 0), {"max_regressions": 2}, "pass", "2 of 52 pairs regressed, at most 2 may"),
        ((50, 0, 3, 9), {"max_regressions": 2}, "fail", "3 of 62 pairs regressed, at most 2 may"),
        ((0, 0, 0, 0), {"max_regressions": 0}, "inconclusive", "no pair was scored in both runs"),
        (
            (400, 0, 1, 1),
            {"non_inferiority": {"margin": 0.05}},
            "pass",
            "non-inferior: the difference lies between -1.",
        ),
        (
            (20, 0, 0, 0),
            {"non_inferiority": {"margin": 0.05}},
            "inconclusive",
            "neither shown non-inferior nor inferior",
        ),
        (
            (50, 0, 40, 0),
            {"non_inferiority": {"margin": 0.05}},
            "fail",
            "inferior: the difference lies between -54",
        ),
        (
            (9, 1, 0, 0),
            {"min_pass_rate": 0.9},
            "pass",
            "9 of 10 scored results passed (90.0%), at least 90.0% must",
        ),
        ((8, 2, 0, 0), {"min_pass_rate": 0.9}, "fail", "8 of 10 scored results passed (80.0%)"),
        (
            (9, 1, 0, 0),
            {"min_pass_rate": {"rate": 0.9, "lower_bound": 0.8}},
            "inconclusive",
            "at least 59.6% (95%), 80.0% must be shown",
        ),
        (
            (5, 0, 0, 0),
            {"pass_hat": {"k": 2, "min": 0.5}},
            "inconclusive",
            "no variant has 2 scored trials, so pass^2 is not known",
        ),
        ((5, 0, 0, 0), {"cost": {"max_mean": 1}}, "inconclusive", "no pair has cost on both sides"),
        (
            (5, 0, 0, 0),
            {"tokens": {"max_mean": 100, "max_increase": 0}},
            "pass",
            "the mean of tokens is 100, at most 100 is allowed",
        ),
        (
            (5, 0, 0, 0),
            {"tokens": {"max_mean": 99}},
            "fail",
            "the mean of tokens is 100, at most 99 is allowed",
        ),
        (
            (5, 0, 0, 0),
            {"required_tags": ["smoke"]},
            "fail",
            "no result of the candidate is tagged 'smoke'",
        ),
    ],
)
def test_rules(cells: tuple[int, ...], rules: dict[str, Any], verdict: str, reason: str) -> None:
    actual = comparison(*split(*cells), gate(**rules)).verdict
    assert (actual.verdict, actual.gate) == (verdict, "test")
    assert reason in actual.reason


def test_trials_and_growth() -> None:
    old = [line("a", trial=1, tokens=100), line("a", trial=2, tokens=100)]
    new = [line("a", trial=1, tokens=120), line("a", "failed", trial=2, tokens=101)]
    assert (
        comparison(old, new, gate(pass_hat={"k": 2, "min": 0.5})).verdict.reason
        == "pass^2 is 0.0%, it must be at least 50.0%"
    )
    actual = comparison(old, new, gate(tokens={"max_increase": 0.1})).verdict
    assert (actual.verdict, actual.reason) == (
        "fail",
        "the mean of tokens went from 100 to 110.5, at most 110 is allowed",
    )


def test_an_error_makes_a_gate_inconclusive() -> None:
    old = [line("a"), line("b", tags=["smoke"])]
    new = [line("a"), line("b", "errored", tags=["smoke"])]
    actual = comparison(old, new, gate(max_regressions=0, required_tags=["smoke"])).verdict
    assert actual.verdict == "inconclusive"
    assert (
        actual.reason
        == "0 of 1 results tagged 'smoke' passed, all must; 1 of 2 results errored, none may"
    )
    assert comparison(old, new, gate(max_regressions=0, max_errors=None)).verdict.verdict == "pass"
    assert comparison(old, new, gate(max_regressions=0, max_errors=1)).verdict.verdict == "pass"


def test_a_failing_rule_overrides_an_inconclusive_one() -> None:
    actual = comparison(
        *split(5, 0, 1, 0),
        gate(max_regressions=0, non_inferiority={"margin": 0.5}, min_pass_rate=0.9),
    ).verdict
    assert [rule.verdict for rule in actual.rules] == ["fail", "inconclusive", "fail", "pass"]
    assert actual.verdict == "fail"
    assert (
        actual.reason
        == "1 of 6 pairs regressed, none may; 5 of 6 scored results passed (83.3%), at least 90.0% must"
    )


def test_the_default_lets_nothing_regress() -> None:
    assert comparison(*split(9, 1, 0, 3)).verdict.verdict == "pass"
    assert comparison(*split(9, 1, 1, 3)).verdict.verdict == "fail"
    assert DEFAULT.max_errors == 0


@pytest.mark.parametrize(
    "rules",
    [
        {"max_regression": 1},
        {"max_regressions": -1},
        {"non_inferiority": {"margin": 0}},
        {"non_inferiority": {"margin": 0.1, "confidence": 95}},
        {"min_pass_rate": 90},
        {"pass_hat": {"k": 0, "min": 1}},
    ],
)
def test_invalid_gates(rules: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        gate(**rules)
