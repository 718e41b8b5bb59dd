"""Intervals and power against statsmodels, definitions and simulation."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from evalkit.compare.clusters import sign_flip_test
from evalkit.compare.intervals import (
    Interval,
    PairTable,
    detectable_drop,
    paired_interval,
    unseen_share,
    wilson,
)

cells = st.integers(0, 300)
tables = st.builds(PairTable, cells, cells, cells, cells)
confidences = st.floats(0.5, 0.999)


def near(value: float) -> object:
    return pytest.approx(value, rel=1e-9, abs=1e-9)


@given(st.integers(0, 2000), st.integers(1, 2000), confidences)
def test_wilson(passed: int, count: int, confidence: float) -> None:
    assume(passed <= count)
    low, high = proportion_confint(passed, count, 1 - confidence, "wilson")
    quantile = stats.norm.ppf(0.5 + confidence / 2)
    assert wilson(passed, count, quantile) == (near(low), near(high))


def test_wilson_of_nothing() -> None:
    assert wilson(0, 0, 2) == Interval(0, 1)


def score(table: PairTable, difference: float) -> float:
    """Tango's score by its definition: the constrained maximum of the likelihood, found by search instead of by the closed form."""
    count, gained, lost = table.pairs, table.improved, table.regressed

    def likelihood(share: float) -> float:
        parts = (
            (gained, share + difference),
            (lost, share),
            (count - gained - lost, 1 - 2 * share - difference),
        )
        return math.fsum(number * math.log(part) if number else 0.0 for number, part in parts)

    low, high = max(0.0, -difference) + 1e-12, (1 - difference) / 2 - 1e-12
    for _ in range(200):
        first, second = low + (high - low) / 3, high - (high - low) / 3
        low, high = (first, high) if likelihood(first) < likelihood(second) else (low, second)
    share = (low + high) / 2
    return (gained - lost - count * difference) / math.sqrt(
        count * (2 * share + difference - difference * difference)
    )


@given(
    st.builds(PairTable, cells, cells, st.integers(1, 60), st.integers(1, 60)), st.floats(0.8, 0.99)
)
def test_the_ends_are_the_differences_a_score_test_just_accepts(
    table: PairTable, confidence: float
) -> None:
    z = stats.norm.ppf(0.5 + confidence / 2)
    low, high = paired_interval(table, confidence)
    assert low < table.difference < high
    assert score(table, low) == pytest.approx(z, abs=1e-4)
    assert score(table, high) == pytest.approx(-z, abs=1e-4)


@given(tables, confidences)
def test_interval_is_symmetric_and_inside(table: PairTable, confidence: float) -> None:
    low, high = paired_interval(table, confidence)
    assert -1 <= low <= table.difference + 1e-12
    assert table.difference - 1e-12 <= high <= 1
    turned = paired_interval(
        table._replace(regressed=table.improved, improved=table.regressed), confidence
    )
    assert (-turned.high, -turned.low) == (near(low), near(high))


@pytest.mark.parametrize(
    ("table", "low", "high"),
    [
        (PairTable(0, 0, 0, 0), -1, 1),
        (PairTable(0, 0, 0, 3), None, 1),
        (PairTable(0, 0, 3, 0), -1, None),
        (PairTable(50, 50, 0, 0), None, None),
    ],
)
def test_edges(table: PairTable, low: float | None, high: float | None) -> None:
    actual = paired_interval(table)
    assert low is None or actual.low == low
    assert high is None or actual.high == high
    assert -1 <= actual.low < actual.high <= 1


@pytest.mark.parametrize(
    ("gain", "loss", "pairs"),
    [(0.05, 0.05, 60), (0.02, 0.1, 60), (0.15, 0.05, 30), (0.0, 0.05, 120)],
)
def test_coverage(gain: float, loss: float, pairs: int) -> None:
    """A nominal 95 % interval covers the truth in 95 % of samples, within four standard errors of the simulation and Tango's own slack."""
    chance = random.Random(20)
    samples = 1500
    covered = 0
    for _ in range(samples):
        kinds = chance.choices("gls", (gain, loss, 1 - gain - loss), k=pairs)
        table = PairTable(kinds.count("s"), 0, kinds.count("l"), kinds.count("g"))
        low, high = paired_interval(table)
        covered += low <= gain - loss <= high
    assert covered / samples == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / samples) + 0.01)


@given(st.builds(PairTable, *[st.integers(0, 40)] * 4), st.integers(2, 9))
def test_interval_of_fewer_effective_pairs(table: PairTable, times: int) -> None:
    """Pairs that are each there several times are worth as many as there are different ones."""
    assume(table.pairs)
    several = PairTable(*(times * count for count in table))
    low, high = paired_interval(several, effective=table.pairs)
    assert (low, high) == (near(paired_interval(table).low), near(paired_interval(table).high))


@given(st.integers(1, 2000), st.floats(1, 3))
def test_unseen_share_is_where_intervals_end(count: int, z: float) -> None:
    assert 1 - unseen_share(count, z) == near(wilson(count, count, z).low)
    confidence = 2 * stats.norm.cdf(z) - 1
    unseen = unseen_share(count, z)
    assert paired_interval(PairTable(count, 0, 0, 0), confidence) == (near(-unseen), near(unseen))


def test_detectable() -> None:
    drop = detectable_drop(311, 0.1, 0.95, 310)
    assert drop is not None
    assert f"{drop:.1%}" == "5.0%"
    assert detectable_drop(5, 0.1, 0.95, 4) is detectable_drop(50, 0.1, 0.95, 0) is None


@given(st.integers(20, 5000), st.floats(0.01, 1))
def test_detectable_drop_inverts_connors_formula(pairs: int, discordance: float) -> None:
    drop = detectable_drop(pairs, discordance, 0.95, pairs - 1)
    assume(drop is not None and drop < discordance)
    assert drop is not None
    t, power = stats.t.ppf(0.975, pairs - 1), stats.t.ppf(0.8, pairs - 1)
    needed = ((t * math.sqrt(discordance) + power * math.sqrt(discordance - drop**2)) / drop) ** 2
    assert needed == pytest.approx(pairs, rel=1e-6)


@pytest.mark.parametrize("pairs", [12, 60, 300, 1000])
def test_detectable_drop_where_nothing_differs(pairs: int) -> None:
    """Six regressions and nothing else are significant: their chance is the test's power."""
    drop = detectable_drop(pairs, 0.0, 0.95, pairs - 1)
    assert drop is not None
    assert 0.78 < stats.binom.sf(5, pairs, drop) < 0.9


def test_power_by_simulation() -> None:
    """The drop said to be detectable is found by the exact test about as often as promised."""
    chance, pairs, discordance = random.Random(7), 400, 0.12
    drop = detectable_drop(pairs, discordance, 0.95, pairs - 1)
    assert drop is not None
    lost = (discordance + drop) / 2
    actual = sum(
        sign_flip_test([-1] * kinds.count("l") + [1] * kinds.count("g")) < 0.05
        for kinds in (
            chance.choices("gls", (discordance - lost, lost, 1 - discordance), k=pairs)
            for _ in range(600)
        )
    )
    assert actual / 600 == pytest.approx(0.8, abs=0.08)
