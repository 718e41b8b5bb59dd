"""Compute intervals, tests and power for pass rates and their differences. Pure.

A pair is one variant and trial of both runs, each passed or failed. Only pairs that differ show
which run is better (McNemar 1947); the others determine how precisely the difference is known.
Figures are shares from 0 to 1. A difference is candidate minus baseline, so a drop is negative.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from evalkit.compare.distributions import normal_quantile, sign_test

CONFIDENCE = 0.95
"""The confidence of intervals unless a gate sets another."""


class Interval(NamedTuple):
    """A confidence interval, both ends included."""

    low: float
    high: float


class PairTable(NamedTuple):
    """The paired two-by-two table of two runs.

    ``regressed`` pairs passed in the baseline only, ``improved`` ones in the candidate only.
    """

    both_passed: int
    both_failed: int
    regressed: int
    improved: int

    @property
    def pairs(self) -> int:
        """The number of pairs."""
        return sum(self)

    @property
    def differing(self) -> int:
        """The number of pairs whose verdicts differ."""
        return self.regressed + self.improved

    @property
    def difference(self) -> float:
        """The candidate's pass rate minus the baseline's; 0 without pairs."""
        return (self.improved - self.regressed) / self.pairs if self.pairs else 0.0

    @property
    def mcnemar_p(self) -> float:
        """The exact two-sided p of the runs being equally good; 1 if no pair differs."""
        return sign_test(self.regressed, self.improved)

    @property
    def smallest_p(self) -> float:
        """The smallest p that this many differing pairs can give.

        Five to none give 0.0625, which is above 0.05.
        """
        return sign_test(0, self.differing)


def wilson(passed: int, count: int, confidence: float = CONFIDENCE) -> Interval:
    """Return Wilson's score interval of a pass rate (Wilson 1927).

    0 to 1 if nothing was counted.
    """
    if not count:
        return Interval(0.0, 1.0)
    z = _z(confidence)
    share, weight = passed / count, z * z / count
    center = (share + weight / 2) / (1 + weight)
    half = z / (1 + weight) * math.sqrt(share * (1 - share) / count + weight / count / 4)
    # At the ends the formula gives exactly 0 and 1, apart from rounding.
    return Interval(
        0.0 if passed == 0 else max(0.0, center - half),
        1.0 if passed == count else min(1.0, center + half),
    )


def paired_interval(table: PairTable, confidence: float = CONFIDENCE) -> Interval:
    """Return Tango's score interval of a paired difference; -1 to 1 without pairs.

    Tango 1998, Statistics in Medicine 17:891. Its confidence is right for few pairs and for tables
    with empty cells, unlike that of the usual (Wald) interval. Its ends are the differences that a
    score test at this level just does not reject. They are found by bisection, because the score is
    monotonic in the difference.
    """
    if not table.pairs:
        return Interval(-1.0, 1.0)
    z = _z(confidence)
    low = -1.0 if table.regressed == table.pairs else _solve(table, z, -1.0, table.difference)
    high = 1.0 if table.improved == table.pairs else _solve(table, -z, table.difference, 1.0)
    return Interval(low, high)


def _solve(table: PairTable, target: float, low: float, high: float) -> float:
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _score(table, middle) > target else (low, middle)
    return (low + high) / 2


def _score(table: PairTable, difference: float) -> float:
    """Return Tango's score of a hypothetical difference.

    It decreases with the difference.
    """
    count, gained, lost = table.pairs, table.improved, table.regressed
    # The most likely share of lost pairs under the hypothesis solves 2n x² + b x + c = 0 (Tango's
    # equation 8).
    b = -gained - lost + (2 * count - gained + lost) * difference
    c = -lost * difference * (1 - difference)
    share = (math.sqrt(max(0.0, b * b - 8 * count * c)) - b) / (4 * count)
    variance = count * (2 * share + difference * (1 - difference))
    distance = gained - lost - count * difference
    if variance <= 0:
        return math.copysign(math.inf, distance) if distance else 0.0
    return distance / math.sqrt(variance)


def detectable_drop(
    pairs: int, discordance: float, *, power: float = 0.8, confidence: float = CONFIDENCE
) -> float | None:
    """Return the smallest drop that a McNemar test finds with this power, or None.

    ``discordance`` is the share of pairs that differ; a drop cannot be larger. This is Connor's
    formula (1987, Biometrics 43:207) solved for the difference: 311 pairs of which a tenth differ
    show a drop of 0.05.
    """
    if pairs <= 0 or discordance <= 0:
        return None
    z_level, z_power = _z(confidence), normal_quantile(power)
    low, high = 0.0, min(discordance, 1.0)

    def is_detected(drop: float) -> bool:
        return drop * math.sqrt(pairs) >= z_level * math.sqrt(discordance) + z_power * math.sqrt(
            max(0.0, discordance - drop * drop)
        )

    if not is_detected(high):
        return None
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (low, middle) if is_detected(middle) else (middle, high)
    return high


def _z(confidence: float) -> float:
    return normal_quantile(0.5 + confidence / 2)
