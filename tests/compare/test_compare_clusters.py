"""Cluster intervals against statsmodels and numpy; coverage by simulation."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st

from evalkit.compare.intervals import (
    bootstrap_interval,
    cluster_sums,
    mean,
    quantile,
    robust_interval,
    standard_error,
)

values = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=2),
    st.lists(st.sampled_from([-1.0, 0.0, 1.0, 0.25]), min_size=1, max_size=6),
    min_size=2,
)


def near(value: float) -> object:
    return pytest.approx(value, rel=1e-9, abs=1e-9)


@given(values)
def test_robust_interval(given_values: dict[str, list[float]]) -> None:
    flat = [
        (number, value)
        for number, name in enumerate(sorted(given_values))
        for value in given_values[name]
    ]
    groups, observed = (np.array(column) for column in zip(*flat, strict=True))
    clusters = cluster_sums(given_values)
    assert mean(clusters) == near(float(observed.mean()))
    if len(observed) == 1 or np.ptp(observed) == 0:
        return
    fit = sm.OLS(observed, np.ones(len(observed))).fit(
        cov_type="cluster", cov_kwds={"groups": groups}, use_t=True
    )
    assert standard_error(clusters) == near(float(fit.bse[0]))
    low, high = fit.conf_int(0.1)[0]
    assert robust_interval(clusters, 0.9) == (near(float(low)), near(float(high)))


def test_too_few_clusters_give_no_interval() -> None:
    one = cluster_sums({"a": [1, 0, 1]})
    assert standard_error(one) is None
    assert robust_interval(one) is None
    assert bootstrap_interval(one, 1) is None
    assert mean([]) is None
    assert cluster_sums({"a": []}) == []


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=30), st.floats(0, 1))
def test_quantile(numbers: list[float], share: float) -> None:
    assert quantile(sorted(numbers), share) == near(float(np.quantile(numbers, share)))


def test_bootstrap_is_seeded_and_near_the_robust_one() -> None:
    chance = random.Random(3)
    clusters = cluster_sums(
        {f"s{number}": [float(chance.random() < 0.7) for _ in range(4)] for number in range(80)}
    )
    actual = bootstrap_interval(clusters, 1)
    assert actual == bootstrap_interval(clusters, 1) != bootstrap_interval(clusters, 2)
    robust = robust_interval(clusters)
    assert actual is not None
    assert robust is not None
    assert actual.low == pytest.approx(robust.low, abs=0.02)
    assert actual.high == pytest.approx(robust.high, abs=0.02)


@pytest.mark.parametrize("interval", ["robust", "bootstrap"])
def test_coverage_with_clusters(interval: str) -> None:
    """With families that share their fate the nominal 95 % holds within the simulation's error (the bootstrap is known to be a bit short)."""
    chance, samples = random.Random(11), 400
    covered = naive = 0
    for _ in range(samples):
        data = {}
        for number in range(40):
            share = chance.choice((0.1, 0.9))
            data[str(number)] = [float(chance.random() < share) for _ in range(5)]
        clusters = cluster_sums(data)
        actual = (
            robust_interval(clusters)
            if interval == "robust"
            else bootstrap_interval(clusters, 1, draws=400)
        )
        assert actual is not None
        covered += actual.low <= 0.5 <= actual.high
        middle = mean(clusters) or 0.0
        naive += abs(middle - 0.5) <= 1.96 * math.sqrt(middle * (1 - middle) / 200)
    assert covered / samples == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / samples))
    assert naive / samples < 0.85  # what ignoring the families would have covered
