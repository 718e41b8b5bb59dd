"""The error of a judge, against statsmodels and published formulas, and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.proportion import proportion_confint

from benchmarks.judges import GRID, Judge, simulate
from evalkit.compare.clusters import ClusterSum
from evalkit.compare.intervals import Interval
from evalkit.compare.judge_error import (
    MIN_LABELS,
    Confusion,
    JudgedAnswer,
    JudgeError,
    Rate,
    corrected_difference,
    corrected_rate,
    prediction_powered_rate,
    share_change,
    weighted_confusions,
)

CELLS = [Confusion(1, 0, 0, 0), Confusion(0, 1, 0, 0), Confusion(0, 0, 1, 0), Confusion(0, 0, 0, 1)]


def error(*counts: int) -> JudgeError:
    """Return the error by so many labels in each cell, each a cluster of its own."""
    return JudgeError(cell for cell, count in zip(CELLS, counts, strict=True) for _ in range(count))


def test_rates_of_independent_labels_are_wilsons_with_students_quantile() -> None:
    actual = error(400, 100, 60, 440)
    assert (actual.sensitivity.value, actual.specificity.value) == (0.8, 0.88)
    assert actual.agreement.value == 0.84
    expected = proportion_confint(400, 500, method="wilson")
    assert actual.sensitivity.interval == pytest.approx(expected, abs=1e-4)
    assert actual.sensitivity.effective == 500


def test_kappa_has_the_variance_of_fleiss_cohen_and_everitt() -> None:
    actual = error(40, 9, 6, 20).kappa
    expected = cohens_kappa(np.array([[40, 9], [6, 20]]), wt=None)
    assert actual.value == pytest.approx(expected.kappa)
    assert actual.value is not None
    # statsmodels uses z, this Student's t of 74 degrees and n / (n - 1).
    half = 1.9925 * expected.std_kappa * math.sqrt(75 / 74)
    assert actual.interval.high == pytest.approx(actual.value + half, abs=0.002)
    # The low end is at least as far as agreement alone may be lower.
    assert actual.interval.low <= actual.value - half


def test_labels_of_one_scenario_are_one_unit() -> None:
    alone = error(40, 10, 6, 44)
    copies = JudgeError(Confusion(*(10 * count for count in one)) for one in alone.clusters)
    assert copies.sensitivity.value == alone.sensitivity.value
    assert copies.sensitivity.effective == pytest.approx(alone.sensitivity.effective, rel=0.05)
    assert copies.kappa.interval == pytest.approx(alone.kappa.interval, abs=0.02)


@pytest.mark.parametrize("counts", [(10, 0, 0, 0), (0, 0, 0, 0), (0, 0, 0, 5)])
def test_one_class_alone_has_no_kappa_and_corrects_nothing(counts: tuple[int, ...]) -> None:
    actual = error(*counts)
    assert actual.kappa.value is None
    corrected = corrected_rate([ClusterSum(1, 1)] * 20, actual)
    assert (corrected.value, corrected.interval) == (None, (0, 1))
    assert f"at least {MIN_LABELS} are needed" in corrected.problem
    assert corrected_difference(0.1, Interval(0, 0.2), actual) is None


def test_perfect_agreement_is_not_certain() -> None:
    actual = error(30, 0, 0, 30)
    assert actual.kappa.value == 1
    assert 0.8 < actual.kappa.interval.low < 0.95
    corrected = corrected_rate([ClusterSum(1, 1)] * 80 + [ClusterSum(1, 0)] * 20, actual)
    assert corrected.value == pytest.approx(0.8)
    assert corrected.interval.low < 0.72
    assert corrected.interval.high > 0.9


def test_a_judge_no_better_than_chance_corrects_nothing() -> None:
    corrected = corrected_rate([ClusterSum(1, 1)] * 20, error(30, 30, 30, 30))
    assert corrected.value is None
    assert corrected.problem == "is not better than chance (sensitivity + specificity ≤ 1)"


def test_a_rate_is_corrected_as_rogan_and_gladen_do() -> None:
    corrected = corrected_rate([ClusterSum(1, i < 60) for i in range(100)], error(90, 10, 20, 80))
    assert corrected.judged == 0.6
    assert corrected.value == pytest.approx((0.6 + 0.8 - 1) / (0.9 + 0.8 - 1))
    # Lang and Reiczigel's formula with Student's quantile of 99 degrees of freedom.
    t = 1.98422
    p, n = (60 + t * t / 2) / (100 + t * t), 100 + t * t
    yes, no = 91 / 102, 81 / 102
    value, youden = (p + no - 1) / (yes + no - 1), yes + no - 1
    a, b = yes * (1 - yes) / 102, no * (1 - no) / 102
    center = value + 2 * t * t * (value * a - (1 - value) * b)
    half = t * math.sqrt(p * (1 - p) / n + value**2 * a + (1 - value) ** 2 * b) / youden
    assert corrected.interval == pytest.approx((center - half, center + half), abs=1e-4)


@given(st.lists(st.integers(0, 60), min_size=4, max_size=4), st.integers(0, 40))
def test_corrected_rates_are_shares_inside_their_intervals(counts: list[int], passed: int) -> None:
    actual = corrected_rate([ClusterSum(1, i < passed) for i in range(40)], error(*counts))
    low, high = actual.interval
    assert 0 <= low <= high <= 1
    if actual.value is None:
        assert actual.problem
    else:
        assert low <= actual.value <= high


def answers(seed: int = 1, labelled: int = 80) -> list[JudgedAnswer]:
    """Return 200 answers of which so many are labelled at random."""
    chance = np.random.default_rng(seed)
    truth = chance.random(200) < 0.7
    verdicts = np.where(truth, chance.random(200) < 0.9, chance.random(200) < 0.2)
    return [
        JudgedAnswer(str(number), bool(says), False, bool(right) if number < labelled else None)
        for number, (right, says) in enumerate(zip(truth, verdicts, strict=True))
    ]


def test_the_prediction_powered_rate_is_ppi_with_the_best_power_tuning() -> None:
    data = answers()
    actual = prediction_powered_rate(data)
    known = [one for one in data if one.label is not None]
    y, f = (
        np.array([one.label for one in known], float),
        np.array([one.passed for one in known], float),
    )
    others = np.array([one.passed for one in data if one.label is None], float)
    # Equation 6 of PPI++ for a mean; the slope has the labelled covariance and variance.
    tuning = np.cov(y, f, bias=True)[0, 1] / np.var(f) / (1 + len(known) / len(others))
    expected = y.mean() + tuning * (others.mean() - f.mean())
    assert actual is not None
    assert actual.value == pytest.approx(expected)
    low, high = actual.interval
    assert high - low < 2 * 1.96 * y.std() / math.sqrt(len(known)), "narrower than the labels alone"


def test_answers_that_are_all_labelled_have_the_rate_of_the_labels() -> None:
    data = answers(labelled=200)
    actual = prediction_powered_rate(data)
    assert actual is not None
    assert actual.value == pytest.approx(sum(bool(one.label) for one in data) / 200)


def test_a_kind_of_judgment_without_labels_is_no_sample() -> None:
    data = [one._replace(label=None) if one.passed else one for one in answers()]
    assert prediction_powered_rate(data) is None
    assert prediction_powered_rate([]) is None


def test_labels_of_failures_first_do_not_bias_the_error() -> None:
    """All failures are labelled, as in a review, and a tenth of what passes (Begg and Greenes)."""
    chance = np.random.default_rng(3)
    data = []
    for number in range(20_000):
        right = chance.random() < 0.8
        says = chance.random() < (0.9 if right else 0.3)
        label = bool(right) if not says or chance.random() < 0.1 else None
        data.append(JudgedAnswer(str(number), bool(says), False, label))
    weighted = JudgeError(weighted_confusions(data).values())
    assert weighted.sensitivity.value == pytest.approx(0.9, abs=0.01)
    assert weighted.specificity.value == pytest.approx(0.7, abs=0.02)
    naive = JudgeError(weighted_confusions(one for one in data if one.label is not None).values())
    assert naive.sensitivity.value is not None
    assert naive.sensitivity.value < 0.6


def test_a_difference_is_stretched_and_its_interval_with_it() -> None:
    actual = corrected_difference(-0.1, Interval(-0.15, -0.05), error(90, 10, 20, 80))
    assert actual is not None
    youden = 91 / 102 + 81 / 102 - 1
    assert actual.value == pytest.approx(-0.1 / 0.7)
    assert actual.interval.low < -0.15 / youden
    assert actual.interval.high > -0.05 / youden
    none = corrected_difference(0.0, Interval(-0.05, 0.05), error(90, 10, 20, 80))
    assert none is not None
    assert none.interval == pytest.approx((-0.05 / youden, 0.05 / youden))


def test_newcombes_interval_of_a_change() -> None:
    """Newcombe 1998, table II: 56/70 - 48/80 has the interval 0.0524 to 0.3339 (method 10)."""
    old, new = (
        Rate(
            value=n / size,
            interval=Interval(*proportion_confint(n, size, method="wilson")),
            effective=size,
            freedom=1,
        )
        for n, size in ((48, 80), (56, 70))
    )
    assert share_change(old, new) == pytest.approx((0.0524, 0.3339), abs=5e-4)


@pytest.mark.parametrize("judge", [GRID[0], GRID[3], GRID[20]], ids=str)
def test_corrected_rates_cover_the_truth(judge: Judge) -> None:
    """A small part of ``benchmarks/judges.py``: of 100 samples 93 % is 88 % within two errors."""
    found = simulate(judge, 100, seed=1)
    assert min(found.corrected, found.powered, found.difference, found.kappa) >= 0.88
    assert found.none < 0.1
