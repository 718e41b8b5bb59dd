"""Evidence: intervals, metrics, trials, denominators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import assume, given
from hypothesis import strategies as st

from evalkit.compare.clusters import ClusterSum
from evalkit.compare.evidence import Evidence, by_tag, cluster_evidence, evidence
from evalkit.compare.intervals import PairTable, paired_interval
from evalkit.compare.metrics import metric_differences
from evalkit.compare.pairing import pair_runs
from evalkit.compare.trials import trial_statistics
from evalkit.results.result_line import count_verdicts
from tests.compare.lines import line, rows, split


def found(
    old: list[dict[str, Any]], new: list[dict[str, Any]], confidence: float = 0.95
) -> Evidence:
    return evidence(pair_runs(rows(old), rows(new)).scored, confidence)


def trials(
    scenarios: int, each: int, failed: Callable[[int, int], bool], **fields: Any
) -> list[dict[str, Any]]:
    return [
        line(f"c{number}", "failed" if failed(number, trial) else "passed", trial=trial, **fields)
        for number in range(scenarios)
        for trial in range(1, each + 1)
    ]


def test_single_pairs_have_the_score_interval() -> None:
    actual = found(*split(400, 5, 14, 12))
    assert actual.table == (400, 5, 14, 12)
    assert (actual.clusters, actual.effective, actual.differing) == (431, 431, 26)
    assert actual.interval == actual.score == paired_interval(actual.table)


def test_equal_trials_change_nothing() -> None:
    """Trials that never disagree are the same evidence once more."""
    one, ten = (
        found(
            trials(60, each, lambda number, _: number < 4),
            trials(60, each, lambda number, _: 4 <= number < 7),
        )
        for each in (1, 10)
    )
    assert ten.p == one.p
    assert ten.effective == pytest.approx(one.effective, rel=0.02)
    assert ten.interval.low <= one.interval.low + 1e-9
    assert ten.interval.high >= one.interval.high - 1e-9
    assert ten.detectable == pytest.approx(one.detectable, rel=0.02)


def test_independent_trials_are_more_evidence() -> None:
    old = trials(40, 10, lambda number, trial: (number + trial) % 10 == 0)
    new = trials(40, 10, lambda number, trial: (number + trial) % 10 == 5)
    actual = found(old, new)
    assert actual.effective > 300
    # Unseen are whole scenarios, of which there are only forty.
    assert actual.interval.high == pytest.approx(1.96**2 / (40 + 1.96**2), abs=1e-3)


def test_cases_are_clusters_of_their_own() -> None:
    old = [
        line("a", parts=[str(number)], case=str(number), trial=trial)
        for number in range(12)
        for trial in (1, 2)
    ]
    assert found(old, old).clusters == 12
    same = [line("a", parts=[str(number)], case="one") for number in range(12)]
    assert found(same, same).clusters == 1


@pytest.mark.parametrize("flaky", [1, 2, 3])
def test_a_regression_never_makes_the_runs_look_more_equal(flaky: int) -> None:
    same = trials(20, 5, lambda *_: False)
    worse = trials(20, 5, lambda number, trial: number < flaky and trial == 1)
    assert found(same, worse).interval.low < found(same, same).interval.low
    assert (found(same, worse).detectable or 0) >= (found(same, same).detectable or 1)


@pytest.mark.parametrize("confidence", [0.8, 0.9, 0.95, 0.99])
@given(tables=st.lists(st.tuples(*[st.integers(0, 4)] * 4), min_size=1, max_size=25))
def test_p_and_interval_agree(confidence: float, tables: list[tuple[int, ...]]) -> None:
    counts = [table for table in tables if sum(table)]
    assume(counts)
    actual = cluster_evidence(
        PairTable(*map(sum, zip(*counts, strict=True))),
        [ClusterSum(sum(table), float(table[3] - table[2])) for table in counts],
        confidence,
    )
    assert actual.is_significant == (not actual.interval.low <= 0 <= actual.interval.high)
    assert actual.is_significant == (actual.p < 1 - confidence - 1e-12)
    assert -1 <= actual.interval.low <= actual.table.difference <= actual.interval.high <= 1


def test_no_pairs() -> None:
    actual = evidence([])
    assert actual.table == PairTable(0, 0, 0, 0)
    assert actual.interval == (-1, 1)
    assert (actual.detectable, actual.robust, actual.mean, actual.clusters) == (None, None, None, 0)
    assert not actual.is_significant
    assert actual.is_out_of_reach


def test_metrics() -> None:
    old = [
        line(f"c{number // 2}", trial=number % 2 + 1, tokens=100 + number, elapsed_ms=None)
        for number in range(8)
    ]
    new = [
        line(f"c{number // 2}", trial=number % 2 + 1, tokens=110 + 3 * number, elapsed_ms=5)
        for number in range(8)
    ]
    actual = metric_differences(pair_runs(rows(old), rows(new)).scored)
    assert list(actual) == ["tokens"]
    tokens = actual["tokens"]
    groups = {"groups": np.arange(8) // 2}
    for values, interval in (
        ([10 + 2 * number for number in range(8)], tokens.interval),
        ([110 + 3 * number for number in range(8)], tokens.mean_interval),
    ):
        fit = sm.OLS(values, np.ones(8)).fit(cov_type="cluster", cov_kwds=groups, use_t=True)
        assert interval is not None
        assert list(interval) == pytest.approx(list(fit.conf_int()[0]), abs=1e-9)
    assert (tokens.pairs, tokens.total, tokens.difference) == (8, 8, 17)
    assert tokens.baseline[:2] == (103.5, 103.5)
    assert tokens.baseline.p95 == pytest.approx(np.quantile(np.arange(8) + 100, 0.95))
    assert tokens.candidate[:2] == (120.5, 120.5)
    assert tokens.ratio == pytest.approx(120.5 / 103.5)
    assert (tokens.change_text, tokens.between_text[:5]) == ("+16.4%", "+9.1%")


def test_p_values_of_tags_are_corrected() -> None:
    old = [
        line(f"c{number}", tags=["all", "hard" if number < 8 else "easy"]) for number in range(20)
    ]
    new = [
        line(
            f"c{number}",
            "failed" if number < 8 else "passed",
            tags=["all", "hard" if number < 8 else "easy"],
        )
        for number in range(20)
    ]
    actual = by_tag(pair_runs(rows(old), rows(new)).scored)
    assert list(actual) == ["all", "easy", "hard"]
    assert actual["hard"].p == actual["all"].p == 2 / 256
    assert actual["hard"].p_holm == actual["all"].p_holm == 3 * 2 / 256
    assert actual["easy"].p == actual["easy"].p_holm == 1


def test_trials_exclude_errors() -> None:
    stored = rows(
        [
            line("a"), line("a", "failed", trial=2), line("a", "errored", trial=3),
            line("b"), line("b", trial=2), line("b", trial=3),
            line("c"),
        ]
    )  # fmt: skip
    actual = trial_statistics(stored)
    assert (actual.variants, actual.most, actual.repeated, actual.flaky) == (3, 3, 2, ["s::a"])
    # Of the two repeated variants both have two scored trials.
    assert actual.sampled == 2
    assert actual.pass_at == {1: 0.75, 2: 1.0}
    assert actual.pass_hat == {1: 0.75, 2: 0.5}
    counts = count_verdicts(row.verdict for row in stored)
    assert list(counts.values()) == [7, 6, 5, 1, 1, 0]
