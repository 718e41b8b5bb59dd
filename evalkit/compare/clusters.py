"""Differences whose observations come in families: variants and trials of one scenario share its fate, so they are no independent evidence.

Two intervals of a mean over clusters. The robust one is the sandwich estimator with the usual small-sample factor and Student's t with one
degree of freedom less than there are clusters (Liang and Zeger 1986; Cameron and Miller 2015): what statsmodels calls ``cov_type="cluster"``.
The bootstrap draws whole clusters with replacement (percentile interval), from a seed, so that the same runs give the same interval.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from evalkit.compare.distributions import t_quantile
from evalkit.compare.proportions import CONFIDENCE, Interval

DRAWS = 2000
"""How many samples the bootstrap draws: the ends of its interval then vary by about a twentieth of its length."""


class Family(NamedTuple):
    """One cluster in short: how many observations it has, and their sum."""

    size: int
    total: float


def families(values: Mapping[str, Sequence[float]]) -> list[Family]:
    """Return clusters in short, by name; empty ones are left out."""
    return [
        Family(len(values[name]), math.fsum(values[name]))
        for name in sorted(values)
        if values[name]
    ]


def mean(clusters: Sequence[Family]) -> float | None:
    """Return the mean over all observations, each counting the same; None where there is none."""
    count = sum(cluster.size for cluster in clusters)
    return math.fsum(cluster.total for cluster in clusters) / count if count else None


def standard_error(clusters: Sequence[Family]) -> float | None:
    """Return the cluster-robust standard error of the mean; None with fewer than two clusters, which tell nothing of how they differ."""
    middle, groups = mean(clusters), len(clusters)
    if middle is None or groups < 2:
        return None
    count = sum(cluster.size for cluster in clusters)
    squares = math.fsum((cluster.total - cluster.size * middle) ** 2 for cluster in clusters)
    # n observations and one parameter: (n - 1) / (n - 1) of the usual factor is 1, what stays is G / (G - 1).
    return math.sqrt(groups / (groups - 1) * squares) / count


def robust_interval(clusters: Sequence[Family], confidence: float = CONFIDENCE) -> Interval | None:
    """Return the cluster-robust interval of the mean; None with fewer than two clusters."""
    middle, error = mean(clusters), standard_error(clusters)
    if middle is None or error is None:
        return None
    half = t_quantile(0.5 + confidence / 2, len(clusters) - 1) * error
    return Interval(middle - half, middle + half)


def bootstrap_interval(
    clusters: Sequence[Family], seed: int, confidence: float = CONFIDENCE, draws: int = DRAWS
) -> Interval | None:
    """Return the cluster bootstrap's percentile interval of the mean; None with fewer than two clusters."""
    if len(clusters) < 2:
        return None
    chance = random.Random(seed)  # noqa: S311 - a repeatable sample, nothing secret
    means = sorted(_drawn(chance.choices(clusters, k=len(clusters))) for _ in range(draws))
    return Interval(quantile(means, 0.5 - confidence / 2), quantile(means, 0.5 + confidence / 2))


def _drawn(sample: Sequence[Family]) -> float:
    return sum(cluster.total for cluster in sample) / sum(cluster.size for cluster in sample)


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return a quantile of sorted values, linear between neighbours (the default of R and numpy: type 7). Raises IndexError for no values."""
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
