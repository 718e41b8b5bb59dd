"""Compute how many clusters of scenarios would settle a question. Pure.

A question is settled with a chance of ``POWER`` unless another chance is asked for: an interval
that ends just at a bound misses it in half of all runs.
"""

import math
from typing import NamedTuple

from evalkit.compare.distributions import t_quantile, z_quantile
from evalkit.compare.intervals import (
    Interval,
    PairTable,
    paired_interval,
    unseen_share,
)

_MOST_CLUSTERS = 1_000_000
_PAIRS = 1_000_000


class Spread(NamedTuple):
    """How the difference of a cluster is distributed: its mean and variance over clusters.

    ``discordance`` is the share of pairs that differ.
    """

    mean: float
    variance: float
    discordance: float


def clusters_needed(margin: float, spread: Spread, power: float, confidence: float) -> int | None:
    """Return how many clusters show with a chance of ``power`` that a mean is above ``-margin``.

    None if a million are too few.
    """
    z, chance = z_quantile(0.5 + confidence / 2), z_quantile(power)

    def is_enough(clusters: int) -> bool:
        error = math.sqrt(spread.variance / clusters)
        # The difference that is reached with this chance.
        difference = max(spread.mean - chance * error, -spread.discordance)
        half = t_quantile(0.5 + confidence / 2, clusters - 1) * error
        low = difference - max(half, unseen_share(clusters, z))
        return low > -margin and _score_low(clusters, spread, difference, confidence) > -margin

    low, high = 1, 2
    while not is_enough(high):
        low, high = high, high * 2
        if low >= _MOST_CLUSTERS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high


def _score_low(clusters: int, spread: Spread, difference: float, confidence: float) -> float:
    """Return the low end of Tango's interval of so many clusters."""
    regressed, improved = (
        round(_PAIRS * max(0.0, spread.discordance + sign * difference) / 2) for sign in (-1, 1)
    )
    table = PairTable(_PAIRS - regressed - improved, 0, regressed, improved)
    # As many independent pairs as have the variance of the clusters' mean.
    independent = spread.discordance - difference**2
    effective = clusters * independent / spread.variance if spread.variance else clusters
    return paired_interval(table, confidence, max(effective, clusters)).low


def clusters_for_bound(
    interval: Interval, value: float, bound: float, clusters: int, power: float
) -> int | None:
    """Return how many clusters would show on which side of a bound a value is.

    ``interval`` is that of so many ``clusters``. None if the value is the bound.
    """
    half = value - interval.low if bound < value else interval.high - value
    if value == bound or not clusters:
        return None
    # The half width is some 2 standard errors at 95 %; the chance needs 0.84 more of them.
    times = (half * (1 + z_quantile(power) / z_quantile(0.975)) / abs(value - bound)) ** 2
    return max(clusters + 1, math.ceil(clusters * times))
