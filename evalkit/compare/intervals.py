"""Compute intervals and power for pass rates and their differences. Pure.

A pair is one variant and trial of both runs, each passed or failed. Only pairs that differ show
which run is better (McNemar 1947); the others determine how precisely the difference is known.
Figures are shares from 0 to 1. A difference is candidate minus baseline, so a drop is negative.

Pairs of one cluster are not independent evidence. Each function here therefore also takes the
number of independent observations that the pairs are worth (``effective``; :mod:`.clusters`
computes it).
"""

import math
from typing import NamedTuple

from evalkit.compare.distributions import bisect, t_quantile, z_quantile

CONFIDENCE = 0.95
"""The confidence of intervals unless a gate sets another."""
POWER = 0.8
"""The chance with which a detectable drop is found."""


class Interval(NamedTuple):
    """A confidence interval, both ends included."""

    low: float
    high: float

    @property
    def points(self) -> str:
        """Both ends in percentage points, such as ``-4.5 and +0.5``."""
        return f"{points(self.low)} and {points(self.high)}"


def points(share: float) -> str:
    """Return a difference of shares in percentage points, such as ``+2.5``."""
    text = f"{share * 100:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text


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


def wilson(passed: float, count: float, quantile: float) -> Interval:
    """Return Wilson's score interval of a pass rate (Wilson 1927).

    ``quantile`` is the normal or Student's one. 0 to 1 if nothing was counted.
    """
    if not count:
        return Interval(0.0, 1.0)
    share, weight = passed / count, quantile * quantile / count
    center = (share + weight / 2) / (1 + weight)
    half = quantile / (1 + weight) * math.sqrt(share * (1 - share) / count + weight / count / 4)
    # At the ends the formula gives exactly 0 and 1, apart from rounding.
    return Interval(
        0.0 if passed == 0 else max(0.0, center - half),
        1.0 if passed == count else min(1.0, center + half),
    )


def paired_interval(
    table: PairTable, confidence: float = CONFIDENCE, effective: float | None = None
) -> Interval:
    """Return Tango's score interval of a paired difference; -1 to 1 without pairs.

    Tango 1998, Statistics in Medicine 17:891. Its confidence is right for few pairs and for tables
    with empty cells, unlike that of the usual (Wald) interval. Its ends are the differences that a
    score test at this level just does not reject. They are found by bisection, because the score is
    monotonic in the difference.
    """
    if not table.pairs:
        return Interval(-1.0, 1.0)
    z = z_quantile(0.5 + confidence / 2)
    count = table.pairs if effective is None else effective
    gained, lost = (number * count / table.pairs for number in (table.improved, table.regressed))
    low, high = -1.0, 1.0
    if table.regressed < table.pairs:
        low = bisect(low, table.difference, lambda middle: _score(count, gained, lost, middle) > z)
    if table.improved < table.pairs:
        high = bisect(
            table.difference, high, lambda middle: _score(count, gained, lost, middle) > -z
        )
    return Interval(low, high)


def _score(count: float, gained: float, lost: float, difference: float) -> float:
    """Return Tango's score of a hypothetical difference.

    It decreases with the difference.
    """
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


def unseen_share(effective: float, quantile: float) -> float:
    """Return the largest share of observations that may differ although none of them does.

    It is where Wilson's and Tango's intervals end then; for 60 observations 0.06.
    """
    return quantile * quantile / (effective + quantile * quantile)


def detectable_drop(
    effective: float, discordance: float, confidence: float, freedom: float
) -> float | None:
    """Return the smallest drop that is found with a chance of ``POWER``, or None.

    ``discordance`` is the share of pairs that differ; a larger drop makes as many differ as it
    needs. This is Connor's formula (1987, Biometrics 43:207) solved for the difference, with
    Student's quantiles: 311 pairs of which a tenth differ show a drop of 0.05.
    """
    if freedom <= 0:
        return None
    level, power = (t_quantile(share, freedom) for share in (0.5 + confidence / 2, POWER))

    def is_missed(drop: float) -> bool:
        differing = max(discordance, drop)
        spread = math.sqrt(differing - drop * drop)
        return drop * math.sqrt(effective) < level * math.sqrt(differing) + power * spread

    return None if is_missed(1.0) else bisect(0.0, 1.0, is_missed)
