"""Compute intervals of a mean of clustered observations. Pure.

Variants and trials of one scenario are not independent evidence, so there are two intervals over
clusters. The robust one is the sandwich estimator with the usual small-sample factor and Student's
t with one degree of freedom less than there are clusters (Liang and Zeger 1986; Cameron and Miller
2015): statsmodels' ``cov_type="cluster"``. The bootstrap draws whole clusters with replacement
(percentile interval), from a fixed seed, so that the same runs give the same interval.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from evalkit.compare.distributions import t_quantile
from evalkit.compare.proportions import CONFIDENCE, Interval

DRAWS = 2000
"""Samples of the bootstrap: the ends of its interval vary by about a twentieth of its length."""


class ClusterSum(NamedTuple):
    """The number of observations in a cluster, and their sum."""

    size: int
    total: float


def cluster_sums(values: Mapping[str, Sequence[float]]) -> list[ClusterSum]:
    """Return the sums of clusters, sorted by name; empty clusters are left out."""
    return [
        ClusterSum(len(values[name]), math.fsum(values[name]))
        for name in sorted(values)
        if values[name]
    ]


def mean(clusters: Sequence[ClusterSum]) -> float | None:
    """Return the mean over all observations, equally weighted; None without any."""
    count = sum(cluster.size for cluster in clusters)
    return math.fsum(cluster.total for cluster in clusters) / count if count else None


def standard_error(clusters: Sequence[ClusterSum]) -> float | None:
    """Return the cluster-robust standard error of the mean.

    None with fewer than two clusters.
    """
    center, groups = mean(clusters), len(clusters)
    if center is None or groups < 2:
        return None
    count = sum(cluster.size for cluster in clusters)
    squares = math.fsum((cluster.total - cluster.size * center) ** 2 for cluster in clusters)
    # n observations and one parameter: of the usual factor, (n - 1) / (n - 1) is 1 and G / (G - 1)
    # remains.
    return math.sqrt(groups / (groups - 1) * squares) / count


def robust_interval(
    clusters: Sequence[ClusterSum], confidence: float = CONFIDENCE
) -> Interval | None:
    """Return the cluster-robust interval of the mean.

    None with fewer than two clusters.
    """
    center, error = mean(clusters), standard_error(clusters)
    if center is None or error is None:
        return None
    half = t_quantile(0.5 + confidence / 2, len(clusters) - 1) * error
    return Interval(center - half, center + half)


def bootstrap_interval(
    clusters: Sequence[ClusterSum], seed: int, confidence: float = CONFIDENCE, draws: int = DRAWS
) -> Interval | None:
    """Return the cluster bootstrap's percentile interval of the mean.

    None below two clusters.
    """
    if len(clusters) < 2:
        return None
    generator = random.Random(seed)  # noqa: S311 - a repeatable sample, not a secret
    means = sorted(_sample_mean(generator.choices(clusters, k=len(clusters))) for _ in range(draws))
    return Interval(quantile(means, 0.5 - confidence / 2), quantile(means, 0.5 + confidence / 2))


def _sample_mean(sample: Sequence[ClusterSum]) -> float:
    return sum(cluster.total for cluster in sample) / sum(cluster.size for cluster in sample)


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return a quantile of sorted values, interpolated (type 7, as in R and numpy).

    Raises IndexError without values.
    """
    position = share * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)
