"""Intervals that are valid at any time of stopping, and what a gate decides by them."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.sequential import (
    CLUSTERS,
    EFFECTS,
    MARGIN,
    TRIALS,
    WORSE,
    draw,
    log_capitals,
    simulate,
)
from evalkit.compare.clusters import ClusterSum, rate_interval
from evalkit.compare.compared_run import ComparedRun
from evalkit.compare.comparison import Comparison
from evalkit.compare.comparison_json import comparison_json
from evalkit.compare.confidence_sequence import (
    anytime_p,
    clusters_to_settle,
    clusters_without_difference,
    confidence_sequence,
    log_capital,
)
from evalkit.compare.gate_decision import undecidable
from evalkit.compare.gates import LIVE, Gate
from evalkit.results.early_stop import SIMULATED_ERRORS
from evalkit.results.records import SequentialRecord
from tests.compare.lines import line, rows, split

LARGEST = 5
clusters_of_pairs = st.lists(
    st.integers(1, LARGEST).flatmap(
        lambda size: st.tuples(st.just(size), st.integers(-size, size).map(float))
    ),
    max_size=60,
)


@given(clusters_of_pairs, st.randoms())
def test_the_interval_does_not_depend_on_the_order(
    clusters: list[tuple[int, float]], chance: Any
) -> None:
    interval = confidence_sequence(clusters, LARGEST, 0.95)
    chance.shuffle(clusters)
    assert confidence_sequence(clusters, LARGEST, 0.95) == interval
    assert -1 <= interval.low <= interval.high <= 1


@given(clusters_of_pairs)
def test_runs_change_sides_and_p_agrees_with_the_interval(
    clusters: list[tuple[int, float]],
) -> None:
    low, high = confidence_sequence(clusters, LARGEST, 0.95)
    swapped = confidence_sequence([(size, -total) for size, total in clusters], LARGEST, 0.95)
    assert swapped == (-high, -low)
    assert (anytime_p(clusters, LARGEST) < 0.05) == (not low <= 0 <= high)


@given(clusters_of_pairs, st.sampled_from([-0.9, -0.3, 0.0, 0.4, 0.9]))
def test_the_capital_is_a_fair_game(clusters: list[tuple[int, float]], mean: float) -> None:
    """Whatever happened before, a cluster with this mean adds nothing on average."""
    before = log_capital(Counter(clusters), LARGEST, mean)
    chances = {LARGEST: (1 + mean) / 2, -LARGEST: (1 - mean) / 2}
    after = sum(
        chance * math.exp(log_capital(Counter([*clusters, (LARGEST, total)]), LARGEST, mean))
        for total, chance in chances.items()
    )
    assert after == pytest.approx(math.exp(before), rel=1e-9, abs=1e-300)


def test_nothing_and_everything() -> None:
    assert confidence_sequence([], 1, 0.95) == (-1, 1)
    low, high = confidence_sequence([(1, 1.0)] * 1000, 1, 0.95)
    assert 0.98 < low < high == 1
    # Of clusters without a difference as many are needed as the doubled capital asks for.
    assert clusters_without_difference(0.1, 0.95) == 48
    assert confidence_sequence([(1, 0.0)] * 48, 1, 0.95).low > -0.1
    assert confidence_sequence([(1, 0.0)] * 47, 1, 0.95).low <= -0.1
    # Clusters that are smaller than they may be show less.
    assert confidence_sequence([(1, 0.0)] * 48, 2, 0.95).low < -0.1


def test_a_pass_rate_is_a_mean_of_two_values() -> None:
    clusters = [ClusterSum(1, float(number % 10 > 0)) for number in range(100)]
    low, high = rate_interval(clusters, 0.95, largest=1)
    fixed = rate_interval(clusters, 0.95)
    assert low < fixed.low < 0.9 < fixed.high < high < 1


def test_the_simulation_computes_what_the_package_does() -> None:
    sessions = draw("sizes", 40, 2, MARGIN, 3, seed=5)
    for side, mean in itertools.product((1, -1), (-0.1, 0.2)):
        capitals = log_capitals(sessions, mean, side)
        for number in range(3):
            counts = Counter(
                (size, side * total)
                for size, total in zip(sessions.sizes[number], sessions.totals[number], strict=True)
            )
            expected = log_capital(counts, sessions.largest, side * mean)
            assert capitals[number, -1] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize(("clusters", "trials"), [*itertools.product(CLUSTERS, TRIALS)])
def test_few_sessions_err_however_often_they_look(effect: str, clusters: int, trials: int) -> None:
    """At the margin every decision is an error."""
    samples = 400
    found = simulate(draw(effect, clusters, trials, MARGIN, samples, seed=4))
    slack = 2 * math.sqrt(0.025 * 0.975 / samples)
    assert found.passed <= 0.025 + slack
    assert found.failed <= 0.025 + slack
    assert found.passed + found.failed <= 0.05 + slack
    assert found.always >= 0.95 - slack


def test_the_errors_on_the_page_are_those_in_the_documentation() -> None:
    text = (Path(__file__).parents[2] / "docs/explanation/statistics.md").read_text("utf-8")
    (table,) = re.findall(r"covered always \|\n.*\n((?:\|.*\n)+)", text)
    errors = [100 - float(row.split("|")[5].strip(" %")) for row in table.splitlines()]
    assert len(errors) == len(CLUSTERS) * len(TRIALS)
    assert f"{max(errors):.1f} % decided wrongly" in SIMULATED_ERRORS


@pytest.mark.parametrize(("trials", "least"), [(1, (0.3, 0.7)), (5, (0.7, 0.85))])
def test_clear_cases_save_tokens_and_their_intervals_cover_the_truth(
    trials: int, least: tuple[float, float]
) -> None:
    as_good, worse = (
        simulate(draw("noise", 300, trials, drop, 300, seed=6)) for drop in (0.0, WORSE)
    )
    assert as_good.passed > 0.8
    assert worse.failed > 0.99
    assert (as_good.failed, worse.passed) == (0, 0)
    assert as_good.saved > least[0]
    assert worse.saved > least[1]
    assert min(as_good.coverage, worse.coverage) > 0.95


def test_bets_need_the_largest_size_in_advance() -> None:
    """A capital that could become negative would prove nothing."""
    worth = np.array([log_capital(Counter({(5, -5.0): 1}), 5, mean) for mean in (-0.99, 0.0, 0.99)])
    assert np.all(np.isfinite(worth))
    assert np.all(worth < 0)


def gate(**rules: Any) -> Gate:
    return Gate.model_validate(rules)


NON_INFERIOR = {"non_inferiority": {"margin": 0.1}}


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        (NON_INFERIOR, ""),
        ({**NON_INFERIOR, "max_systematic_regressions": 0, "min_pass_rate": 0.8}, ""),
        ({"min_pass_rate": {"rate": 0.8, "lower_bound": 0.7}}, ""),
        ({}, "has no rule with an interval (expected non_inferiority or min_pass_rate)"),
        ({"max_systematic_regressions": 0}, "has no rule with an interval"),
        ({**NON_INFERIOR, "max_regressions": 0}, "of max_regressions (it counts over all"),
        ({**NON_INFERIOR, "min_pass_rate": 1}, "of min_pass_rate (no result may fail)"),
        ({**NON_INFERIOR, "pass_hat": {"k": 2, "min": 0.5}}, "of pass_hat (it has no interval)"),
        ({**NON_INFERIOR, "tokens": {"max_mean": 5}}, "of tokens (its interval is that of a fixed"),
        ({**NON_INFERIOR, "required_tags": ["smoke"]}, "of required_tags (all results with"),
    ],
)
def test_gates_that_can_be_decided_early(rules: dict[str, Any], reason: str) -> None:
    actual = undecidable(gate(**rules))
    assert reason in actual
    assert bool(actual) == bool(reason)


def test_the_gate_of_live_runs_can_be_decided_early() -> None:
    assert undecidable(LIVE) == ""


def record(**changes: Any) -> SequentialRecord:
    values: Any = {
        "gate": "release",
        "seed": 1,
        "scenarios": 60,
        "largest": 1,
        "decision": None,
        "not_run": {},
        **changes,
    }
    return values  # type: ignore[no-any-return]


def sequential(
    cells: tuple[int, int, int, int], rules: dict[str, Any], *, absent: int = 0, **changes: Any
) -> Comparison:
    """Return a comparison with a run that stopped early; ``absent`` scenarios ran in the baseline."""
    old, new = split(*cells)
    names = [f"x{number}" for number in range(absent)]
    old += [line(name) for name in names]
    changes.setdefault("not_run", {f"s::{name}": 1 for name in names})
    return Comparison(
        baseline=ComparedRun(name="old", rows=rows(old)),
        candidate=ComparedRun(name="new", rows=rows(new), sequential=record(**changes)),
        gate_name="release",
        named_gate=gate(**rules),
    )


@pytest.mark.parametrize(
    ("cells", "rules", "decision"),
    [
        ((0, 0, 0, 0), NON_INFERIOR, None),
        ((47, 0, 0, 0), NON_INFERIOR, None),
        ((48, 0, 0, 0), NON_INFERIOR, "pass"),
        ((5, 0, 25, 0), NON_INFERIOR, "fail"),
        ((60, 0, 1, 0), {"min_pass_rate": 0.8}, "pass"),
        ((10, 60, 1, 0), {"min_pass_rate": 0.8}, "fail"),
        ((60, 0, 0, 0), {"min_pass_rate": {"rate": 0.8, "lower_bound": 0.99}}, None),
        ((60, 0, 0, 0), {**NON_INFERIOR, "min_pass_rate": 0.999}, None),
    ],
)
def test_early_decisions(
    cells: tuple[int, int, int, int], rules: dict[str, Any], decision: str | None
) -> None:
    assert sequential(cells, rules).early_decision == decision


def test_one_systematic_regression_decides() -> None:
    old = [line("a", trial=trial) for trial in (1, 2, 3)]
    new = [line("a", "failed", trial=trial) for trial in (1, 2, 3)]
    found = Comparison(
        baseline=ComparedRun(name="old", rows=rows(old)),
        candidate=ComparedRun(name="new", rows=rows(new), sequential=record(largest=3)),
        named_gate=gate(**NON_INFERIOR, max_systematic_regressions=0),
    )
    assert found.early_decision == "fail"


STOPPED = (
    "stopped early after 50 of 60 scenarios: decided (pass); the interval is valid "
    "under optional stopping; saved 10 scenarios, 20 results, about 1,234 tokens, cost 0.5 EUR (by "
    "the results of the baseline)"
)
SAVED = {
    "results": 20,
    "tokens": 1234,
    "cost": 0.5,
    "currency": "EUR",
    "source": "the baseline",
}


def test_what_was_not_run_by_plan_is_neither_missing_nor_silent() -> None:
    found = sequential((50, 0, 0, 0), NON_INFERIOR, absent=10, decision="pass", saved=SAVED)
    verdict = found.verdict
    assert verdict.verdict == "pass"
    assert verdict.reason.endswith(f"the margin is 10.0 points; {STOPPED}")
    rules = {rule.rule: rule.message for rule in verdict.rules}
    assert rules["complete"] == (
        "both runs ended; 10 scenarios not run by plan, because a gate was decided"
    )
    assert (
        rules["max_removed"]
        == "0 of 60 variants of the baseline are not in the candidate, none may"
    )
    assert [title for title, _ in found.unpaired] == ["Not run by plan"]
    assert found.sentences[:2] == [f"S{STOPPED[1:]}.", SIMULATED_ERRORS]
    assert "valid at any time of stopping, 50 scenarios" in found.interval_text
    actual = comparison_json(found)
    assert (actual["interval_method"], actual["stopped"]) == ("confidence sequence", STOPPED)
    assert len(actual["not_run"]) == actual["counts"]["not_run"] == 10
    assert actual["candidate"]["sequential"]["decision"] == "pass"


def test_what_the_plan_does_not_name_is_missing() -> None:
    found = sequential((50, 0, 0, 0), NON_INFERIOR, absent=2, decision="pass", not_run={"s::x0": 1})
    assert found.verdict.verdict == "fail"
    assert "1 of 52 variants of the baseline are not in the candidate" in found.verdict.reason


def test_rules_that_need_every_scenario_do_not_pass_early() -> None:
    rules = {**NON_INFERIOR, "max_regressions": 0, "tokens": {"max_mean": 500}}
    found = sequential((50, 0, 0, 0), rules, absent=10, decision="pass")
    assert found.verdict.verdict == "inconclusive"
    assert (
        "0 of 50 pairs regressed, none may; 10 scenarios not run by plan, and it counts over all "
        "scenarios"
    ) in found.verdict.reason
    assert found.next_step == "Run all scenarios, without --evalkit-until-decided."
    assert sequential((50, 0, 0, 0), rules).verdict.verdict == "pass"


def test_the_interval_is_the_sequential_one_even_if_the_run_did_not_stop() -> None:
    undecided = sequential((30, 0, 2, 1), NON_INFERIOR)
    old, new = split(30, 0, 2, 1)
    fixed = Comparison(
        baseline=ComparedRun(name="old", rows=rows(old)),
        candidate=ComparedRun(name="new", rows=rows(new)),
        named_gate=gate(**NON_INFERIOR),
    )
    wide, narrow = undecided.evidence.interval, fixed.evidence.interval
    assert wide.low < narrow.low < narrow.high < wide.high
    assert undecided.stopped == (
        "not decided when the run ended; the interval is valid under optional stopping"
    )
    assert undecided.verdict.reason.endswith(undecided.stopped)
    assert any("could stop early" in warning for warning in undecided.warnings)
    assert comparison_json(fixed)["interval_method"] == "fixed sample"
    assert fixed.stopped == ""


@pytest.mark.parametrize(("trials", "drop"), [(1, 0.0), (5, 0.0), (1, 0.3), (5, 0.02)])
def test_so_many_scenarios_settle_it(trials: int, drop: float) -> None:
    pilot = draw("noise", 4_000, trials, drop, 1, seed=7)
    clusters = [*zip([trials] * 4_000, pilot.totals[0], strict=True)]
    needed = clusters_to_settle(clusters, trials, -MARGIN, (0.95, 0.8))
    assert needed is not None
    found = simulate(draw("noise", needed, trials, drop, 400, seed=8))
    # Who looks after each scenario decides even more often.
    assert max(found.passed, found.failed) > 0.75
    assert found.scenarios > needed / 4


def test_what_would_settle_it_is_said() -> None:
    text = sequential((30, 0, 0, 0), NON_INFERIOR).verdict.reason
    assert "about 49 scenarios like these would settle it with 80% power (49 results" in text
    assert clusters_to_settle([], 1, -0.1, (0.95, 0.8)) is None
    # At the margin nothing settles it.
    assert clusters_to_settle([(10, -1.0)], 10, -0.1, (0.95, 0.8)) is None
    text = sequential((9, 2, 0, 0), {"min_pass_rate": 0.7}).verdict.reason
    assert "would settle it with 80% power" in text


def test_a_baseline_that_stopped_early() -> None:
    old, new = split(30)
    found = Comparison(
        baseline=ComparedRun(name="old", rows=rows(old), sequential=record(decision="pass")),
        candidate=ComparedRun(name="new", rows=rows([*new, line("more")])),
        named_gate=gate(**NON_INFERIOR),
    )
    assert found.evidence.largest == 1
    assert found.stopped.startswith("baseline: all 60 scenarios ran: decided (pass);")
