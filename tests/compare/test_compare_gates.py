"""Gates: each rule at its bound, and the verdict of several."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from evalkit.compare.compared_run import ComparedRun
from evalkit.compare.comparison import Comparison
from evalkit.compare.gates import Gate
from tests.compare.lines import comparison, line, rows, split


def gate(**rules: Any) -> Gate:
    return Gate.model_validate(rules)


@pytest.mark.parametrize(
    ("cells", "rules", "verdict", "reason"),
    [
        ((50, 0, 0, 0), {}, "pass", "the gate has no rule about the model"),
        ((50, 0, 2, 0), {"max_regressions": 2}, "pass", "2 of 52 pairs regressed, at most 2 may"),
        ((50, 0, 3, 9), {"max_regressions": 2}, "fail", "3 of 62 pairs regressed, at most 2 may"),
        ((0, 0, 0, 0), {"max_regressions": 0}, "inconclusive", "no pair was scored in both runs"),
        ((0, 0, 1, 0), {"max_regressions": 0}, "fail", "1 of 1 pair regressed, none may"),
        (
            (40, 0, 12, 0),
            {"max_systematic_regressions": 0},
            "inconclusive",
            "12 variants regressed in fewer than 3 trials, which may be chance",
        ),
        ((40, 0, 2, 0), {"max_systematic_regressions": 2}, "pass", "2 variants regressed in fewer"),
        ((40, 9, 0, 3), {"max_systematic_regressions": 0}, "pass", "no variant has 3 trials"),
        (
            (80, 0, 2, 0),
            {"max_systematic_regressions": 0, "min_pass_rate": 0.8},
            "pass",
            "2 variants regressed in fewer than 3 trials",
        ),
        (
            (400, 0, 1, 1),
            {"non_inferiority": {"margin": 0.05}},
            "pass",
            "non-inferior: the difference of 402 pairs lies between -1.2 and +1.2 points (95%), "
            "the margin is 5.0 points",
        ),
        (
            (20, 0, 0, 0),
            {"non_inferiority": {"margin": 0.05}},
            "inconclusive",
            "about 74 scenarios like these would settle it with 80% power (74 results, 7,400 "
            "tokens, 740 ms in each run)",
        ),
        (
            (50, 0, 40, 0),
            {"non_inferiority": {"margin": 0.05}},
            "fail",
            "inferior: the difference of 90 pairs lies between -54",
        ),
        (
            (97, 3, 0, 0),
            {"min_pass_rate": 0.9},
            "pass",
            "97 of 100 scored results passed (97.0%, between 91.5% and 99.0%), at least 90.0% must",
        ),
        (
            (9, 1, 0, 0),
            {"min_pass_rate": 0.9},
            "inconclusive",
            "9 of 10 scored results passed (90.0%, between 54.4% and 98.6%)",
        ),
        ((3, 7, 0, 0), {"min_pass_rate": 0.9}, "fail", "3 of 10 scored results passed (30.0%"),
        ((5, 0, 0, 0), {"min_pass_rate": 1.0}, "pass", "5 of 5 scored results passed"),
        ((99, 1, 0, 0), {"min_pass_rate": 1.0}, "fail", "99 of 100 scored results passed"),
        (
            (97, 3, 0, 0),
            {"min_pass_rate": {"rate": 0.9, "lower_bound": 0.95}},
            "inconclusive",
            "that at least 95.0% pass must be shown (95%)",
        ),
        (
            (5, 0, 0, 0),
            {"pass_hat": {"k": 2, "min": 0.5}},
            "inconclusive",
            "too few variants have 2 scored trials, so pass^2 is not known",
        ),
        (
            (5, 0, 0, 0),
            {"cost": {"max_mean": 1}},
            "inconclusive",
            "none of 5 pairs has cost on both sides",
        ),
        (
            (5, 0, 0, 0),
            {"tokens": {"max_mean": 100, "max_increase": 0}},
            "pass",
            "the mean of tokens is 100 (between 100 and 100) over 5 of 5 pairs, at most 100 is allowed",
        ),
        (
            (5, 0, 0, 0),
            {"tokens": {"max_mean": 99}},
            "fail",
            "at most 99 is allowed",
        ),
        (
            (5, 0, 0, 0),
            {"required_tags": ["smoke"]},
            "fail",
            "none of 5 results of the candidate is tagged 'smoke'",
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
        == "pass^2 is 0.0% over 1 of 1 variant, it must be at least 50.0%"
    )
    actual = comparison(old, new, gate(tokens={"max_increase": 0.1})).verdict
    assert (actual.verdict, actual.reason) == (
        "inconclusive",
        "the mean of tokens went from 100 to 110.5 by +10.5% (one scenario: its precision is "
        "unknown) over 2 of 2 pairs, at most +10.0% is allowed",
    )


@pytest.mark.parametrize(
    ("growth", "verdict"),
    [([5] * 20, "pass"), ([20] * 20, "fail"), ([0, 20] * 10, "inconclusive")],
)
@pytest.mark.parametrize("rule", ["tokens", "cost", "latency"])
def test_means_have_an_inconclusive_zone(rule: str, growth: list[int], verdict: str) -> None:
    def lines(values: list[int]) -> list[dict[str, Any]]:
        found = [
            line(f"c{number}", tokens=value, elapsed_ms=value)
            for number, value in enumerate(values)
        ]
        for one in found:
            one["metrics"]["cost"] = one["metrics"]["elapsed_ms"]
        return found

    pair = lines([100] * 20), lines([100 + more for more in growth])
    bounded = gate(**{rule: {"max_increase": 0.1}}), gate(**{rule: {"max_mean": 110}})
    assert [comparison(*pair, one).verdict.verdict for one in bounded] == [verdict, verdict]


@pytest.mark.parametrize(("known", "verdict"), [(20, "pass"), (18, "pass"), (17, "inconclusive")])
def test_a_mean_over_few_pairs_is_not_a_pass(known: int, verdict: str) -> None:
    old = [line(f"c{number}") for number in range(20)]
    new = [line(f"c{number}", tokens=100 if number < known else None) for number in range(20)]
    actual = comparison(old, new, gate(tokens={"max_increase": 0.1})).verdict
    assert (actual.verdict, f"over {known} of 20 pairs" in actual.reason) == (verdict, True)


def test_an_error_makes_a_gate_inconclusive() -> None:
    old = [line("a"), line("b", tags=["smoke"])]
    new = [line("a"), line("b", "errored", tags=["smoke"])]
    actual = comparison(old, new, gate(max_regressions=0, required_tags=["smoke"])).verdict
    assert actual.verdict == "inconclusive"
    assert actual.reason == (
        "0 of 1 results tagged 'smoke' passed, all must; "
        "1 of 2 results of the candidate errored, none may"
    )
    assert comparison(old, new, gate(max_regressions=0, max_errors=None)).verdict.verdict == "pass"
    assert comparison(old, new, gate(max_regressions=0, max_errors=1)).verdict.verdict == "pass"


def test_a_failing_rule_overrides_an_inconclusive_one() -> None:
    actual = comparison(
        *split(5, 0, 1, 0),
        gate(max_regressions=0, non_inferiority={"margin": 0.5}, min_pass_rate=0.9),
    ).verdict
    assert [rule.verdict for rule in actual.rules[:3]] == ["fail", "inconclusive", "inconclusive"]
    assert (actual.verdict, actual.reason) == ("fail", "1 of 6 pairs regressed, none may")


SAME = [line(f"c{number}") for number in range(10)]


def changed(first: int, verdict: str, **fields: Any) -> list[dict[str, Any]]:
    return SAME[:first] + [line(f"c{number}", verdict, **fields) for number in range(first, 10)]


@pytest.mark.parametrize(
    ("old", "new", "rule", "verdict", "reason"),
    [
        (SAME, SAME[:9], "max_removed", "fail", "1 of 10 variants of the baseline are not in the"),
        (
            SAME,
            [*SAME[:7], *(line(f"d{number}") for number in range(3))],
            "max_removed",
            "fail",
            "3 of 10 variants of the baseline are not in the candidate, none may",
        ),
        (
            SAME,
            changed(8, "skipped"),
            "max_skipped",
            "inconclusive",
            "2 of 10 results of the candidate were skipped, none may",
        ),
        (
            changed(1, "errored"),
            SAME,
            "max_baseline_errors",
            "inconclusive",
            "9 of 10 results of the baseline errored, or were skipped only there, none may",
        ),
        (
            changed(4, "skipped"),
            SAME,
            "max_baseline_errors",
            "inconclusive",
            "6 of 10 results of the baseline errored, or were skipped only there, none may",
        ),
        (
            SAME,
            [*SAME, line("c0", trial=2), line("c1", trial=2)],
            "max_unmatched",
            "inconclusive",
            "2 of 22 results are trials that only one of the runs has, none may",
        ),
        (SAME, SAME[:0], "min_pairs", "fail", "10 of 10 variants of the baseline"),
    ],
)
def test_missing_evidence_is_not_a_pass(
    old: list[dict[str, Any]], new: list[dict[str, Any]], rule: str, verdict: str, reason: str
) -> None:
    actual = comparison(old, new)
    assert (actual.verdict.verdict, reason in actual.verdict.reason) == (verdict, True)
    assert rule in {one.rule for one in actual.verdict.rules if one.verdict != "pass"}
    if rule != "min_pairs":
        lax = gate(max_regressions=0, **{rule: None})
        assert comparison(old, new, lax).verdict.verdict == "pass"


def test_named_exceptions_are_allowed_with_their_reason() -> None:
    old, new = SAME, [*SAME[:7], line("c7", "skipped"), line("c8", "errored")]
    reasons = {"s::c7": "needs a device", "s::c8": "mirror is down", "s::c9": "feature removed"}
    actual = comparison(old, new, gate(max_regressions=0, allow=reasons))
    assert actual.verdict.verdict == "pass"
    messages = " ".join(rule.message for rule in actual.verdict.rules)
    for name, reason in reasons.items():
        assert f"allowed: {name} ({reason})" in messages
    stale = comparison(old, old, gate(max_regressions=0, allow=reasons))
    assert "the gate allows 's::c7', of which nothing is missing" in stale.warnings


@pytest.mark.parametrize("allowed", ["s::a", "s::a[fr]"])
def test_an_exception_is_a_scenario_or_a_variant(allowed: str) -> None:
    old = [line("b"), line("a", parts=["fr"]), line("a", parts=["fr"], trial=2)]
    actual = comparison(old, old[:1], gate(max_regressions=0, allow={allowed: "why"}))
    assert actual.verdict.verdict == "pass"


def compared(old: ComparedRun, new: ComparedRun, **rules: Any) -> Comparison:
    named = Gate.model_validate(rules) if rules else None
    return Comparison(baseline=old, candidate=new, named_gate=named)


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        (
            ComparedRun(name="new", rows=rows(SAME[:2]), collected=10, deselected=8),
            "8 of 10 variants were deselected in the candidate, none may",
        ),
        (
            ComparedRun(
                name="new", rows=rows(SAME[:2]), collected=10, left_out=8, is_complete=False
            ),
            "the candidate run did not end; 8 of 10 variants of the candidate have no result",
        ),
        (ComparedRun(name="new", rows=rows(SAME), is_complete=False), "the candidate run did not"),
    ],
)
def test_an_incomplete_candidate_is_inconclusive(new: ComparedRun, reason: str) -> None:
    old = ComparedRun(name="old", rows=rows(SAME), collected=10)
    actual = compared(old, new)
    assert (actual.verdict.verdict, reason in actual.verdict.reason) == ("inconclusive", True)
    lax = {"max_removed": None, "max_deselected": None, "complete": False, "max_regressions": 0}
    assert compared(old, new, **lax).verdict.verdict == "pass"


def test_a_deselected_baseline_is_inconclusive() -> None:
    old = ComparedRun(name="old", rows=rows(SAME[:2]), collected=10, deselected=8)
    actual = compared(old, ComparedRun(name="new", rows=rows(SAME), collected=10)).verdict
    assert actual.verdict == "inconclusive"
    assert "8 of 10 variants were deselected in the baseline, none may" in actual.reason


def test_a_baseline_that_lost_results_is_inconclusive() -> None:
    """The candidate's failures have no partner, so nothing regressed."""
    old = ComparedRun(name="old", rows=rows(SAME[:2]), collected=10, left_out=8)
    failed = [line(f"c{number}", "failed") for number in range(2, 10)]
    new = ComparedRun(name="new", rows=rows([*SAME[:2], *failed]), collected=10)
    actual = compared(old, new, max_regressions=0).verdict
    assert actual.verdict == "inconclusive"
    assert "8 of 10 variants of the baseline have no result" in actual.reason
    assert compared(old, new, max_regressions=0, complete=False).verdict.verdict == "pass"


def test_more_is_removed_than_was_deselected() -> None:
    old = ComparedRun(name="old", rows=rows(SAME), collected=10)
    new = ComparedRun(name="new", rows=rows(SAME[:2]), collected=9, deselected=7)
    assert compared(old, new).verdict.verdict == "fail"


def test_duplicates_fail() -> None:
    old = ComparedRun(name="old", rows=rows(SAME))
    new = ComparedRun(name="new", rows=rows(SAME), duplicates=3)
    actual = compared(old, new)
    assert actual.verdict.verdict == "fail"
    assert actual.verdict.reason.startswith("3 results more than once in a run")


def repeated(
    count: int, trials: int, failed: int, each: int, source: str = "live"
) -> list[dict[str, Any]]:
    """Return trials of scenarios; of the first ``failed`` scenarios ``each`` trials fail."""
    return [
        line(
            f"c{number}",
            "failed" if number < failed and trial <= each else "passed",
            trial=trial,
            source=source,
        )
        for number in range(count)
        for trial in range(1, trials + 1)
    ]


@pytest.mark.parametrize(
    ("new", "verdict", "reason"),
    [
        (repeated(120, 3, 0, 0), "pass", "0 of 120 variants that always passed now always fail"),
        (repeated(120, 3, 4, 1), "pass", "non-inferior: the difference of 360 pairs"),
        (repeated(120, 3, 1, 3), "fail", "1 of 120 variants that always passed now always fail"),
        (repeated(120, 3, 2, 2), "pass", "0 of 120 variants that always passed now always fail"),
        (repeated(120, 3, 60, 1), "fail", "inferior: the difference of 360 pairs"),
    ],
)
def test_live_runs_are_samples(new: list[dict[str, Any]], verdict: str, reason: str) -> None:
    actual = comparison(repeated(120, 3, 0, 0), new)
    assert actual.verdict.gate.startswith("test (live:")
    assert (actual.verdict.verdict, reason in actual.verdict.reason) == (verdict, True)


def test_the_only_trial_does_not_show_what_is_systematic() -> None:
    old, new = split(396, 0, 2, 2)
    for one in [*old, *new]:
        one["metrics"]["source"] = "recorded"
    actual = comparison(old, new).verdict
    assert actual.verdict == "pass"
    assert (
        "no variant has 3 trials that passed in the baseline; 2 variants regressed in fewer "
        in (actual.reason)
    )


@pytest.mark.parametrize(
    ("sources", "name"),
    [
        (("replayed", "replayed"), "replayed: nothing that passed may fail"),
        ((None, None), "replayed: nothing that passed may fail"),
        (("replayed", "live"), "live: at most 5 points worse"),
        (("recorded", "recorded"), "live: at most 5 points worse"),
        (("mixed", "replayed"), "live: at most 5 points worse"),
    ],
)
def test_the_default_gate_follows_the_source(sources: tuple[str | None, ...], name: str) -> None:
    old, new = ([line("a", source=source), line("b", source=source)] for source in sources)
    assert name in comparison(old, new).verdict.gate


def test_replay_lets_nothing_regress() -> None:
    assert comparison(*split(9, 1, 0, 3)).verdict.verdict == "pass"
    assert comparison(*split(9, 1, 1, 3)).verdict.verdict == "fail"


@pytest.mark.parametrize(
    "rules",
    [
        {"max_regression": 1},
        {"max_regressions": -1},
        {"non_inferiority": {"margin": 0}},
        {"non_inferiority": {"margin": 0.1, "confidence": 95}},
        {"min_pass_rate": 90},
        {"pass_hat": {"k": 0, "min": 1}},
        {"max_regressions": True},
        {"tokens": {"max_mean": float("inf")}},
        {"tokens": {}},
        {"cost": {"include": ["judge"]}},
        {"latency": {"max_increase": -2}},
        {"non_inferiority": {"margin": float("nan")}},
        {"allow": {"s::a": ""}},
    ],
)
def test_invalid_gates(rules: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        gate(**rules)


def test_a_drop_beyond_the_margin_is_settled_by_showing_it() -> None:
    actual = comparison(
        *split(40, 0, 6), gate=Gate.model_validate({"non_inferiority": {"margin": 0.05}})
    )
    [rule] = [one for one in actual.verdict.rules if one.rule == "non_inferiority"]
    assert rule.verdict == "inconclusive"
    assert "scenarios like these would settle it with 80% power" in rule.message
