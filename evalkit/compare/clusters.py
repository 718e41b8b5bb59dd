"""Compute means and tests over clusters: observations that are not independent evidence. Pure.

Variants and trials of one scenario share what is hard about it, so they are one cluster. A mean
over observations is a weighted mean over clusters, and everything about its precision follows from
the clusters' sums.

* The variance is the sandwich estimator (Liang and Zeger 1986). Its correction for few clusters and
  for clusters of different sizes makes it unbiased if a cluster's observations are all alike, which
  is the worst case. For clusters of one size it is the usual factor G / (G - 1), as in statsmodels'
  ``cov_type="cluster"``.
* Degrees of freedom are Satterthwaite's for that estimator (Bell and McCaffrey 2002): G - 1 for
  clusters of one size, near 1 if one cluster dominates.
* The test flips the signs of whole clusters: if the runs are equally good, each cluster's sum is as
  likely to be positive as negative. It is exact, and McNemar's exact test where each cluster is one
  pair.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from evalkit.compare.confidence_sequence import confidence_sequence
from evalkit.compare.distributions import t_quantile
from evalkit.compare.intervals import CONFIDENCE, Interval, unseen_share, wilson

_LARGEST_RATIO = 1e6


class ClusterSum(NamedTuple):
    """The number of observations in a cluster, and their sum; both may be of weights."""

    size: float
    total: float


def cluster_sums(values: Mapping[str, Sequence[float]]) -> list[ClusterSum]:
    """Return the sums of clusters, sorted by name; empty clusters are left out."""
    return [
        ClusterSum(len(group), math.fsum(group)) for _, group in sorted(values.items()) if group
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterMean:
    """A mean over all observations, equally weighted, and what its precision depends on.

    ``error`` is the standard error, None with fewer than two clusters. ``effective`` is the number
    of clusters of one size that would be as precise, ``largest`` the share of observations in the
    largest cluster.
    """

    clusters: int
    size: float
    value: float
    error: float | None
    freedom: float
    effective: float
    largest: float

    @property
    def is_dominated(self) -> bool:
        """Whether one cluster decides most of the result."""
        return self.largest >= 0.25 and self.effective < 0.7 * self.clusters

    @property
    def has_repeats(self) -> bool:
        """Whether some cluster has several observations."""
        return self.clusters < self.size

    def interval(self, confidence: float = CONFIDENCE) -> Interval | None:
        """Return the cluster-robust interval; None with fewer than two clusters."""
        if self.error is None:
            return None
        half = t_quantile(0.5 + confidence / 2, self.freedom) * self.error
        return Interval(self.value - half, self.value + half)

    def effective_size(self, variance: float) -> float:
        """Return how many independent observations are as precise as these.

        ``variance`` is that of one observation. If it is 0, nothing shows that observations of a
        cluster differ, so each cluster counts as one.
        """
        if not self.has_repeats:
            return self.size
        if variance <= 0 or self.error is None:
            return self.effective
        # One observation is used up by the mean, as in the variance of a sample.
        independent = variance / (self.size - 1)
        if independent >= self.error**2:
            return self.size
        return max(self.effective, self.size * independent / self.error**2)


def cluster_mean(clusters: Sequence[ClusterSum]) -> ClusterMean | None:
    """Return the mean over clusters; None without any."""
    size = sum(cluster.size for cluster in clusters)
    if not size:
        return None
    mean = math.fsum(cluster.total for cluster in clusters) / size
    shares = [cluster.size / size for cluster in clusters]
    squares = math.fsum(share * share for share in shares)
    error, freedom = None, 0.0
    if len(clusters) > 1:
        corrections = [1 - 2 * share + squares for share in shares]
        error = (
            math.sqrt(
                math.fsum(
                    (cluster.total - cluster.size * mean) ** 2 / correction
                    for cluster, correction in zip(clusters, corrections, strict=True)
                )
            )
            / size
        )
        freedom = _degrees_of_freedom(shares, corrections, squares)
    return ClusterMean(
        clusters=len(clusters),
        size=size,
        value=mean,
        error=error,
        freedom=freedom,
        effective=1 / squares,
        largest=max(shares),
    )


def _degrees_of_freedom(
    shares: Sequence[float], corrections: Sequence[float], squares: float
) -> float:
    """Return Satterthwaite's degrees of freedom: tr(Q)² / tr(Q²) of the variance u'Qu.

    ``u`` are the clusters' independent effects. The double sum over pairs of clusters is expanded
    into sums over clusters.
    """
    weights = [share * share / one for share, one in zip(shares, corrections, strict=True)]
    zeroth = math.fsum(weights)
    first = math.fsum(map(math.prod, zip(weights, shares, strict=True)))
    second = math.fsum(
        weight * share * share for weight, share in zip(weights, shares, strict=True)
    )
    pairs = (
        squares * squares * zeroth * zeroth
        + 2 * second * zeroth
        + 2 * first * first
        - 4 * squares * zeroth * first
    )
    own = math.fsum(
        weight * weight * (one * one - (squares - 2 * share) ** 2)
        for weight, share, one in zip(weights, shares, corrections, strict=True)
    )
    return max(1.0, squares * squares / (pairs + own))


def rate_interval(
    clusters: Sequence[ClusterSum], confidence: float = CONFIDENCE, largest: int | None = None
) -> Interval:
    """Return the interval of a pass rate over clusters; 0 to 1 with fewer than two.

    Wilson's interval of as many results as are independent (the number divided by the design
    effect), with Student's quantile. It is at least as wide as if nothing had failed: a failure
    must not make the rate look more certain. With ``largest`` it is valid at any time of stopping.
    """
    if largest is not None:
        # As observations of -1 and 1, whose mean is twice the rate minus 1.
        signed = ((size, 2 * passed - size) for size, passed in clusters)
        low, high = confidence_sequence(signed, largest, confidence)
        return Interval((1 + low) / 2, (1 + high) / 2)
    return interval_of_rate(cluster_mean(clusters), confidence)


def interval_of_rate(mean: ClusterMean | None, confidence: float = CONFIDENCE) -> Interval:
    """Return the interval of a pass rate that is such a mean, as :func:`rate_interval` does."""
    if mean is None or mean.error is None:
        return Interval(0.0, 1.0)
    t = t_quantile(0.5 + confidence / 2, mean.freedom)
    count = mean.effective_size(mean.value * (1 - mean.value))
    low, high = wilson(mean.value * count, count, t)
    unseen = unseen_share(mean.effective, t) if mean.has_repeats else 0.0
    return Interval(
        max(0.0, min(low, mean.value - unseen)), min(1.0, max(high, mean.value + unseen))
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterRatio:
    """The ratio of two means over clusters; ``interval`` is None with fewer than two."""

    value: float
    interval: Interval | None


def ratio_of_means(
    numerator: Sequence[ClusterSum], denominator: Sequence[ClusterSum], confidence: float
) -> ClusterRatio | None:
    """Return a ratio of means of what is not negative, its interval by linearization.

    None if the denominator is 0, or so small that the ratio says nothing.
    """
    above, below = (math.fsum(one.total for one in sums) for sums in (numerator, denominator))
    if above >= _LARGEST_RATIO * below:
        return None
    ratio = above / below
    size = sum(cluster.size for cluster in denominator)
    mean = cluster_mean(
        [
            ClusterSum(one.size, (one.total - ratio * other.total) * size / below)
            for one, other in zip(numerator, denominator, strict=True)
        ]
    )
    deviation = mean.interval(confidence) if mean is not None else None
    interval = deviation and Interval(ratio + deviation.low, ratio + deviation.high)
    return ClusterRatio(value=ratio, interval=interval)


def sign_flip_test(totals: Iterable[int]) -> float:
    """Return the exact two-sided p of clusters' sums being symmetric around 0.

    Counted are the flips of signs whose sum is at least as far from 0 as the observed one. Clusters
    of equal size are flipped together: their number of flips is binomial.
    """
    sums = [total for total in totals if total]
    observed = abs(sum(sums))
    sizes = Counter(map(abs, sums))
    if len(sizes) < 2:
        size, count = next(iter(sizes.items()), (1, 0))
        return _binomial_test((count - observed // size) // 2, count)
    # chances[x]: the chance that the flipped clusters add up to x; their sum is then all - 2 x.
    chances = [1.0]
    for size, count in sorted(sizes.items()):
        longer, flips, ways = [0.0] * (len(chances) + size * count), 1 << count, 1
        for number in range(count + 1):
            chance = ways / flips
            for index, earlier in enumerate(chances, size * number):
                longer[index] += chance * earlier
            ways = ways * (count - number) // (number + 1)
        chances = longer
    everything = len(chances) - 1
    tail = math.fsum(chances[: (everything - observed) // 2 + 1])
    return min(1.0, 2 * tail) if observed else 1.0


def _binomial_test(fewer: int, count: int) -> float:
    """Return the two-sided p of splitting fair coins (McNemar 1947); 1 without coins.

    The sum is of exact integers, so it is right for any size.
    """
    tail = term = 1
    for index in range(1, fewer + 1):
        term = term * (count - index + 1) // index
        tail += term
    return min(1.0, 2 * tail / (1 << count))


def smallest_p(count: int) -> float:
    """Return the smallest p that so many differing clusters can give: five give 0.0625."""
    return min(1.0, math.pow(0.5, count - 1))
