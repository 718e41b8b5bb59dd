"""Evidence: intervals, metrics, trials, denominators."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm

from evalkit.compare.evidence import by_tag, evidence, metric_differences, trial_statistics
from evalkit.compare.intervals import PairTable, paired_interval
from evalkit.compare.pairing import pair_runs
from evalkit.results.result_line import count_verdicts
from tests.compare.lines import line, rows, split


def test_single_pairs_have_the_score_interval() -> None:
    old, new = split(40, 5, 4, 2)
    actual = evidence(pair_runs(rows(old), rows(new)).scored)
    assert actual.table == (40, 5, 4, 2)
    assert actual.scenarios == 51
    assert actual.interval == actual.score == paired_interval(actual.table)
    assert actual.discordance == 6 / 51


def test_clusters_widen_the_interval() -> None:
    old = [
        line(f"c{number}", "passed", trial=trial) for number in range(20) for trial in range(1, 6)
    ]
    new = [
        line(f"c{number}", "failed" if number < 4 else "passed", trial=trial)
        for number in range(20)
        for trial in range(1, 6)
    ]
    actual = evidence(pair_runs(rows(old), rows(new)).scored)
    assert actual.scenarios == 20
    assert actual.robust is not None
    assert actual.interval.low == actual.robust.low < actual.score.low
    assert actual.interval.high == actual.robust.high > actual.score.high
    assert actual.bootstrap is not None
    assert actual.bootstrap.low == pytest.approx(actual.robust.low, abs=0.04)


def test_without_a_difference_the_score_interval_is_used() -> None:
    old = [line(f"c{number}", trial=trial) for number in range(20) for trial in (1, 2)]
    actual = evidence(pair_runs(rows(old), rows(old)).scored)
    assert actual.robust == (0, 0)
    assert actual.interval == actual.score
    assert actual.interval.low < 0 < actual.interval.high
    assert 0 < actual.discordance < 0.1


def test_no_pairs() -> None:
    actual = evidence([])
    assert actual.table == PairTable(0, 0, 0, 0)
    assert actual.interval == (-1, 1)
    assert (actual.detectable, actual.robust, actual.bootstrap) == (None, None, None)
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
    differences = np.array([10 + 2 * number for number in range(8)])
    fit = sm.OLS(differences, np.ones(8)).fit(
        cov_type="cluster", cov_kwds={"groups": np.arange(8) // 2}, use_t=True
    )
    assert tokens.interval is not None
    assert list(tokens.interval) == pytest.approx(list(fit.conf_int()[0]), abs=1e-9)
    assert (tokens.pairs, tokens.baseline, tokens.candidate, tokens.difference) == (
        8,
        103.5,
        120.5,
        17,
    )
    assert tokens.ratio == pytest.approx(120.5 / 103.5)


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
    assert actual.pass_at == {1: pytest.approx((0.5 + 1 + 1) / 3), 2: 1.0, 3: 1.0}
    assert actual.pass_hat == {1: pytest.approx((0.5 + 1 + 1) / 3), 2: 0.5, 3: 1.0}
    counts = count_verdicts(row.verdict for row in stored)
    assert list(counts.values()) == [7, 6, 5, 1, 1, 0]
