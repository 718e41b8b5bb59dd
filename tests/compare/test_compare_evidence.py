"""Evidence: which interval is told, differences of metrics, trials, denominators."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest
import statsmodels.api as sm

from evalkit.compare.evidence import by_tag, evidence, metric_differences
from evalkit.compare.pairing import pair_runs
from evalkit.compare.proportions import PairTable, paired_interval
from evalkit.compare.rows import count_verdicts
from evalkit.compare.trials import trial_statistics
from tests.compare.lines import line, rows, split


def test_single_pairs_have_the_score_interval() -> None:
    old, new = split(40, 5, 4, 2)
    found = evidence(pair_runs(rows(old), rows(new)).scored)
    assert found.table == (40, 5, 4, 2)
    assert found.scenarios == 51
    assert found.interval == found.score == paired_interval(found.table)
    assert found.discordance == 6 / 51


def test_families_widen_the_interval() -> None:
    old = [
        line(f"c{number}", "passed", trial=trial) for number in range(20) for trial in range(1, 6)
    ]
    new = [
        line(f"c{number}", "failed" if number < 4 else "passed", trial=trial)
        for number in range(20)
        for trial in range(1, 6)
    ]
    found = evidence(pair_runs(rows(old), rows(new)).scored)
    assert found.scenarios == 20
    assert found.robust is not None
    assert found.interval.low == found.robust.low < found.score.low
    assert found.interval.high == found.robust.high > found.score.high
    assert found.bootstrap is not None
    assert found.bootstrap.low == pytest.approx(found.robust.low, abs=0.04)


def test_without_a_difference_the_robust_interval_is_not_believed() -> None:
    old = [line(f"c{number}", trial=trial) for number in range(20) for trial in (1, 2)]
    found = evidence(pair_runs(rows(old), rows(old)).scored)
    assert found.robust == (0, 0)
    assert found.interval == found.score
    assert found.interval.low < 0 < found.interval.high
    assert 0 < found.discordance < 0.1


def test_no_pairs() -> None:
    found = evidence([])
    assert found.table == PairTable(0, 0, 0, 0)
    assert found.interval == (-1, 1)
    assert (found.detectable, found.robust, found.bootstrap) == (None, None, None)
    assert not found.is_significant
    assert found.is_out_of_reach


def test_metrics() -> None:
    old = [
        line(f"c{number // 2}", trial=number % 2 + 1, tokens=100 + number, elapsed_ms=None)
        for number in range(8)
    ]
    new = [
        line(f"c{number // 2}", trial=number % 2 + 1, tokens=110 + 3 * number, elapsed_ms=5)
        for number in range(8)
    ]
    found = metric_differences(pair_runs(rows(old), rows(new)).scored)
    assert list(found) == ["tokens"]
    tokens = found["tokens"]
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


def test_tags_are_a_family_of_tests() -> None:
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
    found = by_tag(pair_runs(rows(old), rows(new)).scored)
    assert list(found) == ["all", "easy", "hard"]
    assert found["hard"].p == found["all"].p == 2 / 256
    assert found["hard"].p_holm == found["all"].p_holm == 3 * 2 / 256
    assert found["easy"].p == found["easy"].p_holm == 1


def test_trials_leave_errors_out_and_say_so() -> None:
    held = rows(
        [
            line("a"), line("a", "failed", trial=2), line("a", "errored", trial=3),
            line("b"), line("b", trial=2), line("b", trial=3),
            line("c"),
        ]
    )  # fmt: skip
    found = trial_statistics(held)
    assert (found.variants, found.most, found.repeated, found.flaky) == (3, 3, 2, ["s::a"])
    assert found.pass_at == {1: pytest.approx((0.5 + 1 + 1) / 3), 2: 1.0, 3: 1.0}
    assert found.pass_hat == {1: pytest.approx((0.5 + 1 + 1) / 3), 2: 0.5, 3: 1.0}
    assert astuple(count_verdicts(held)) == (7, 6, 5, 1, 1, 0)
