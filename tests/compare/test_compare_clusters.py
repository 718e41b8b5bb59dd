"""Means and tests over clusters against statsmodels, matrices, enumeration and simulation."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar

from benchmarks.decisions import EFFECTS, Layout, simulate
from evalkit.compare.clusters import (
    ClusterMean,
    ClusterSum,
    cluster_mean,
    cluster_sums,
    rate_interval,
    ratio_of_means,
    sign_flip_test,
    smallest_p,
)
from evalkit.compare.intervals import wilson

sizes_of_clusters = st.lists(st.integers(1, 9), min_size=2, max_size=9)


def near(value: float) -> object:
    return pytest.approx(value, rel=1e-9, abs=1e-9)


def mean_of(clusters: list[ClusterSum]) -> ClusterMean:
    mean = cluster_mean(clusters)
    assert mean is not None
    return mean


@given(st.integers(2, 8), st.integers(1, 5), st.data())
def test_clusters_of_one_size_are_those_of_statsmodels(
    groups: int, size: int, data: st.DataObject
) -> None:
    count = groups * size
    values = data.draw(
        st.lists(st.sampled_from([-1.0, 0.0, 1.0, 0.25]), min_size=count, max_size=count)
    )
    assume(np.ptp(values) > 0)
    labels = np.repeat(np.arange(groups), size)
    mean = mean_of(
        cluster_sums({str(group): [*np.array(values)[labels == group]] for group in range(groups)})
    )
    fit = sm.OLS(values, np.ones(count)).fit(
        cov_type="cluster", cov_kwds={"groups": labels}, use_t=True
    )
    assert mean.error == near(float(fit.bse[0]))
    assert mean.freedom == near(groups - 1)
    assert mean.effective == near(groups)
    low, high = fit.conf_int(0.1)[0]
    assert mean.interval(0.9) == (near(float(low)), near(float(high)))


@given(sizes_of_clusters)
def test_variance_is_unbiased_and_freedom_satterthwaites(sizes: list[int]) -> None:
    """For clusters of observations that are alike, by the matrix of the quadratic form."""
    shares = np.array(sizes) / sum(sizes)
    squares = float(shares @ shares)
    residuals = np.eye(len(sizes)) - np.outer(np.ones(len(sizes)), shares)
    form = sum(
        share**2 / (1 - 2 * share + squares) * np.outer(row, row)
        for share, row in zip(shares, residuals, strict=True)
    )
    mean = mean_of([ClusterSum(size, 0.0) for size in sizes])
    assert np.trace(form) == near(squares)
    assert mean.freedom == near(max(1.0, np.trace(form) ** 2 / np.trace(form @ form)))
    effects = np.random.default_rng(1).normal(size=len(sizes))
    error = mean_of(
        [ClusterSum(size, size * effect) for size, effect in zip(sizes, effects, strict=True)]
    ).error
    assert error == near(math.sqrt(effects @ form @ effects))


@pytest.mark.parametrize(
    ("sizes", "is_dominated"),
    [([5] * 10, False), ([45] + [5] * 9, True), ([9, 1], True), ([2, 1, 1], False), ([3], False)],
)
def test_dominating_cluster(sizes: list[int], is_dominated: bool) -> None:
    mean = mean_of([ClusterSum(size, 0.0) for size in sizes])
    assert mean.is_dominated == is_dominated
    assert mean.effective == near(sum(sizes) ** 2 / sum(size**2 for size in sizes))


def test_too_few_clusters_give_no_interval() -> None:
    one = cluster_sums({"a": [1, 0, 1]})
    assert mean_of(one).error is None
    assert mean_of(one).interval() is None
    assert cluster_mean([]) is None
    assert cluster_sums({"a": []}) == []
    assert rate_interval(one) == rate_interval([]) == (0, 1)


def test_rate_of_single_results_is_wilsons_with_students_quantile() -> None:
    clusters = [ClusterSum(1, float(number > 0)) for number in range(20)]
    assert rate_interval(clusters) == wilson(19, 20, stats.t.ppf(0.975, 19))


@pytest.mark.parametrize("trials", [2, 5, 10])
def test_equal_trials_are_no_more_evidence_of_a_rate(trials: int) -> None:
    one, several = (
        rate_interval([ClusterSum(size, float(size * (number > 1))) for number in range(30)])
        for size in (1, trials)
    )
    assert several.low == pytest.approx(one.low, abs=0.005)


@pytest.mark.parametrize("failures", [1, 2, 3])
def test_failures_do_not_make_a_rate_more_certain(failures: int) -> None:
    best = rate_interval([ClusterSum(10, 10.0)] * 20)
    worse = rate_interval(
        [ClusterSum(10, 9.0)] * failures + [ClusterSum(10, 10.0)] * (20 - failures)
    )
    assert worse.low < best.low < 0.9


@given(
    st.lists(st.tuples(st.integers(1, 5), st.floats(1, 9), st.floats(1, 9)), min_size=2, max_size=8)
)
def test_ratio_of_means(values: list[tuple[int, float, float]]) -> None:
    """The interval is that of the residuals from the ratio, divided by the baseline's mean."""
    new = [ClusterSum(size, size * after) for size, _, after in values]
    old = [ClusterSum(size, size * before) for size, before, _ in values]
    result = ratio_of_means(new, old, 0.95)
    assert result is not None
    assert result.interval is not None
    ratio = mean_of(new).value / mean_of(old).value
    residuals = mean_of(
        [ClusterSum(size, size * (after - ratio * before)) for size, before, after in values]
    ).interval()
    assert residuals is not None
    assert result.value == near(ratio)
    assert result.interval.low == pytest.approx(ratio + residuals.low / mean_of(old).value)
    assert result.interval.high == pytest.approx(ratio + residuals.high / mean_of(old).value)
    assert ratio_of_means(new, [ClusterSum(1, 0.0)], 0.95) is None


@pytest.mark.parametrize("tiny", [1e-300, 5e-324])
def test_a_ratio_to_almost_nothing_is_none(tiny: float) -> None:
    almost_nothing, twice = ([ClusterSum(1, tiny), ClusterSum(1, tiny * n)] for n in (2, 4))
    assert ratio_of_means([ClusterSum(1, 1.0), ClusterSum(1, 2.0)], almost_nothing, 0.95) is None
    result = ratio_of_means(twice, almost_nothing, 0.95)
    assert result is not None
    assert result.value == near(5 / 3)
    assert result.interval is not None
    assert result.interval.low < 5 / 3 < result.interval.high


@given(st.lists(st.integers(-4, 4), max_size=9))
def test_sign_flips_are_enumerated(totals: list[int]) -> None:
    observed = abs(sum(totals))
    flips = list(itertools.product((1, -1), repeat=len(totals)))
    extreme = sum(
        abs(sum(sign * total for sign, total in zip(signs, totals, strict=True))) >= observed
        for signs in flips
    )
    assert sign_flip_test(totals) == near(extreme / len(flips))


@given(st.integers(0, 300), st.integers(0, 300))
def test_single_pairs_have_mcnemars_exact_test(regressed: int, improved: int) -> None:
    p = sign_flip_test([-1] * regressed + [1] * improved + [0] * 5)
    assert p == near(min(1.0, mcnemar([[5, regressed], [improved, 0]], exact=True).pvalue))


def test_sign_flip_test_is_exact() -> None:
    assert sign_flip_test([-3] * 5) == sign_flip_test([-1] * 5) == smallest_p(5) == 0.0625
    assert sign_flip_test([]) == sign_flip_test([1, -1]) == smallest_p(0) == smallest_p(1) == 1
    tail = sum(math.comb(2100, index) for index in range(1001))
    assert sign_flip_test([1] * 1000 + [-1] * 1100) == float(2 * Fraction(tail, 2**2100))


@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize(
    ("clusters", "variants", "trials", "dominated"),
    [
        (2, 2, 5, False), (5, 1, 10, False), (10, 3, 3, False), (10, 1, 10, True),
        (40, 1, 1, False), (40, 2, 5, True), (120, 1, 3, False),
    ],
)  # fmt: skip
def test_coverage(effect: str, clusters: int, variants: int, trials: int, dominated: bool) -> None:
    """The interval covers the truth, equal runs rarely differ, and p agrees with the interval."""
    layout = Layout(clusters=clusters, variants=variants, trials=trials, dominated=dominated)
    samples = 200
    actual = simulate(layout, effect, samples, seed=3)
    slack = 3 * math.sqrt(0.05 * 0.95 / samples)
    assert actual.coverage >= 0.95 - slack
    assert actual.too_high_bounds <= 0.03 + slack
    assert actual.contradictions == 0
    if effect != "drop":
        assert actual.false_positives <= 0.05 + slack
