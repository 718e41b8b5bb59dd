"""Simulate judges of known error: how often corrected pass rates cover the truth.

    python benchmarks/judges.py [samples]

Every row of the table is a judge (sensitivity, specificity), a true pass rate, a number of labels
and a layout: how many scenarios a run has, and how many answers each. Answers of one scenario are
alike: its own pass rate has a Beta distribution. Labels are drawn as by ``evalkit calibrate
--sheet``: as many of each verdict as possible. Columns are the share of simulations in which a
95 % interval contains the truth:

* corrected: the rate by Rogan and Gladen, from labels of other answers (Lang and Reiczigel);
* powered: the prediction-powered rate, from labels of some of the same answers;
* difference: the corrected difference of two runs, the second of which is 8 points worse;
* kappa: of the labels.

``none`` is the share of calibrations by which nothing may be corrected: fewer than ten labels of
one class, or a judge no better than chance. They are in no other column.

Wanted: at least 93 %. A row misses it if a figure is worse by more than two standard errors.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from evalkit.compare.clusters import ClusterSum
from evalkit.compare.evidence import cluster_evidence
from evalkit.compare.intervals import Interval, PairTable
from evalkit.compare.judge_error import (
    JudgedAnswer,
    JudgeError,
    corrected_difference,
    corrected_rate,
    prediction_powered_rate,
    weighted_confusions,
)

Flags = NDArray[np.bool_]
DROP = 0.08
SPREAD = 3.0
"""Sum of the parameters of the Beta distribution of scenarios' pass rates."""


@dataclass(frozen=True, kw_only=True)
class Judge:
    """A row of the table."""

    sensitivity: float
    specificity: float
    rate: float
    labels: int
    scenarios: int
    answers: int

    def __str__(self) -> str:
        return (
            f"{self.sensitivity} {self.specificity} {self.rate} {self.labels} "
            f"{self.scenarios}x{self.answers}"
        )

    def truth(self, chance: np.random.Generator, scenarios: int) -> Flags:
        """Return which answers are right, by scenario."""
        rates = np.full((scenarios, 1), self.rate)
        if self.answers > 1:
            rates = chance.beta(SPREAD * self.rate, SPREAD * (1 - self.rate), (scenarios, 1))
        right: Flags = chance.random((scenarios, self.answers)) < rates
        return right

    def verdicts(self, chance: np.random.Generator, truth: Flags) -> Flags:
        """Return what the judge says of answers."""
        draws = chance.random(truth.shape)
        says: Flags = np.where(truth, draws < self.sensitivity, draws < 1 - self.specificity)
        return says

    @property
    def kappa(self) -> float:
        """The true agreement beyond chance."""
        passes = self.rate * self.sensitivity + (1 - self.rate) * (1 - self.specificity)
        agreement = self.rate * self.sensitivity + (1 - self.rate) * self.specificity
        chance = passes * self.rate + (1 - passes) * (1 - self.rate)
        return (agreement - chance) / (1 - chance)


GRID = [
    Judge(
        sensitivity=sensitivity,
        specificity=specificity,
        rate=rate,
        labels=labels,
        scenarios=scenarios,
        answers=answers,
    )
    for (scenarios, answers), labels, rate, (sensitivity, specificity) in product(
        ((200, 1), (100, 3)),
        (100, 300),
        (0.5, 0.8, 0.95),
        ((0.95, 0.9), (0.8, 0.7)),
    )
]


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """The shares of simulations in which the intervals contain the truth."""

    corrected: float
    powered: float
    difference: float
    kappa: float
    none: float


def simulate(judge: Judge, samples: int, seed: int) -> Coverage:
    """Return the coverage of a row."""
    chance = np.random.default_rng(seed)
    covered = {name: list[bool]() for name in ("corrected", "powered", "difference", "kappa")}
    none = 0
    for _ in range(samples):
        other = judge.truth(chance, judge.scenarios)
        known = labelled_answers(judge, chance, other, judge.verdicts(chance, other))
        error = JudgeError(weighted_confusions(known).values())
        covered["kappa"].append(contains(error.kappa.interval, judge.kappa))
        truth = judge.truth(chance, judge.scenarios)
        verdicts = judge.verdicts(chance, truth)
        corrected = corrected_rate(sums(verdicts), error)
        none += corrected.value is None
        if corrected.value is not None:
            covered["corrected"].append(contains(corrected.interval, judge.rate))
            worse = truth & (chance.random(truth.shape) > DROP / judge.rate)
            interval = difference_interval(verdicts, judge.verdicts(chance, worse), error)
            covered["difference"].append(contains(interval, -DROP))
        powered = prediction_powered_rate(labelled_answers(judge, chance, truth, verdicts))
        if powered is not None:
            covered["powered"].append(contains(powered.interval, judge.rate))
    shares = {name: sum(one) / len(one) if one else math.nan for name, one in covered.items()}
    return Coverage(**shares, none=none / samples)


def sums(verdicts: Flags) -> list[ClusterSum]:
    """Return what the judge passes, by scenario."""
    return [ClusterSum(len(row), int(row.sum())) for row in verdicts]


def difference_interval(old: Flags, new: Flags, error: JudgeError) -> Interval | None:
    """Return the interval of the corrected difference of two runs."""
    cells = (old & new, ~old & ~new, old & ~new, ~old & new)
    table = PairTable(*(int(cell.sum()) for cell in cells))
    changes = new.astype(int) - old.astype(int)
    clusters = [ClusterSum(len(row), int(row.sum())) for row in changes]
    interval = cluster_evidence(table, clusters).interval
    corrected = corrected_difference(table.difference, interval, error)
    return corrected and corrected.interval


def labelled_answers(
    judge: Judge, chance: np.random.Generator, truth: Flags, verdicts: Flags
) -> list[JudgedAnswer]:
    """Return the answers of a run, labelled as by a sheet: as many of each verdict as possible."""
    passed = verdicts.ravel()
    order = chance.permutation(passed.size)
    ranks = np.empty(passed.size, int)
    for verdict in (False, True):
        members = order[passed[order] == verdict]
        ranks[members] = np.arange(len(members))
    labelled = np.zeros(passed.size, bool)
    labelled[np.argsort(ranks, kind="stable")[: judge.labels]] = True
    return [
        JudgedAnswer(str(number // judge.answers), bool(says), False, bool(right) if has else None)
        for number, (right, says, has) in enumerate(
            zip(truth.ravel(), passed, labelled, strict=True)
        )
    ]


def contains(interval: Interval | None, value: float) -> bool:
    """Return whether an interval contains a value; one that is not known does."""
    return interval is None or interval.low - 1e-9 <= value <= interval.high + 1e-9


def main() -> int:
    """Print the table; return 1 where a figure is worse than wanted."""
    samples = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    head = "sensitivity specificity rate labels scenarios answers corrected powered difference kappa none"
    print(f"| {' | '.join(head.split())} |\n|{'---:|' * 11}")
    missed = 0
    for judge in GRID:
        found = simulate(judge, samples, seed=1)
        figures = (found.corrected, found.powered, found.difference, found.kappa)
        counted = samples * (1 - found.none)
        is_missed = any(
            figure + 2 * math.sqrt(figure * (1 - figure) / max(counted, 1)) < 0.93
            for figure in figures
        )
        missed += is_missed
        shares = " | ".join(
            "-" if math.isnan(one) else f"{one:.1%}" for one in (*figures, found.none)
        )
        print(
            f"| {judge.sensitivity:.0%} | {judge.specificity:.0%} | {judge.rate:.0%} | {judge.labels} "
            f"| {judge.scenarios} | {judge.answers} | {shares} |{'  MISSED' if is_missed else ''}",
            flush=True,
        )
    print(f"\n{samples} simulations each; {missed} rows miss what is wanted")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
