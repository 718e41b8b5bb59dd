"""Bound a mean over clusters so that the bound holds whenever somebody stops. Pure.

An interval for a fixed number of scenarios is wrong for a session that looks at its results and
stops when they are clear: each look is another chance to err. A *confidence sequence* contains the
mean after every scenario at once, with the stated confidence, so it may be looked at continuously.

It is built by betting (Waudby-Smith and Ramdas 2024, "Estimating means of bounded random variables
by betting", JRSS B 86:1). Somebody bets against "the mean is at most m": of a capital that starts
at 1, a share is staked on each cluster, in a game that is fair or unfavorable if the claim is true.
Then the capital ever reaches c with a chance of 1/c at most (Ville 1939), so a claim with a capital
of 40 is rejected with an error of 2.5 %. The interval has the claims that neither side rejects. The
capital is the mean over several stakes (their "diversified Kelly betting"), so it does not depend
on the order of the clusters: who reads the results later needs no more than their sums.

The mean is that of all comparisons, as in :mod:`.clusters`: clusters count by their size. A cluster
of ``size`` observations from -1 to 1 with the sum ``total`` is worth

    stake * (total - m * size) / ((1 + m) * largest)

of the capital, which is at least -stake, and whose mean is 0 if m is the mean.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from statistics import fmean, pstdev

from evalkit.compare.distributions import bisect, z_quantile
from evalkit.compare.intervals import Interval

STAKES = (1.0, 0.5, 0.2, 0.08)
"""The shares of the capital that are staked.

All of it wins most where no cluster is against the claim; the smallest suits hundreds of clusters
that differ a lot.
"""


def confidence_sequence(
    clusters: Iterable[tuple[float, float]], largest: int, confidence: float
) -> Interval:
    """Return the interval of the mean, valid at any time of stopping.

    ``clusters`` are sizes and sums of observations from -1 to 1. ``largest`` is the most
    observations that a cluster may have; it must be known before the first is observed.
    """
    counts, limit = Counter(clusters), math.log(2 / round(1 - confidence, 12))
    mirrored = Counter({(size, -total): count for (size, total), count in counts.items()})

    def low_end(counts: Counter[tuple[float, float]]) -> float:
        return bisect(-1.0, 1.0, lambda mean: log_capital(counts, largest, mean) >= limit)

    return Interval(low_end(counts), -low_end(mirrored))


def anytime_p(clusters: Iterable[tuple[float, float]], largest: int) -> float:
    """Return the two-sided p of a mean of 0, valid at any time of stopping.

    It is below 5 % exactly if the interval with a confidence of 95 % does not contain 0.
    """
    counts = Counter(clusters)
    mirrored = Counter({(size, -total): count for (size, total), count in counts.items()})
    return min(
        1.0, 2 * math.exp(-max(log_capital(one, largest, 0.0) for one in (counts, mirrored)))
    )


def clusters_without_difference(margin: float, confidence: float) -> int:
    """Return how many clusters without any difference show that the mean is above ``-margin``."""
    limit = math.log(2 / round(1 - confidence, 12))
    # The largest stake alone needs so many, and is a part of the capital.
    most = (limit + math.log(len(STAKES))) / math.log1p(margin / (1 - margin))
    return math.ceil(
        bisect(0.0, most, lambda count: log_capital({(1, 0.0): count}, 1, -margin) < limit)
    )


def clusters_to_settle(
    clusters: Sequence[tuple[float, float]], largest: int, bound: float, limits: tuple[float, float]
) -> int | None:
    """Return how many clusters like these show that the mean is above, or below, a bound.

    ``limits`` are the confidence of the interval and the chance to show it. With so many bets of
    one stake, whose logarithms are nearly normal, the capital is large enough at the end; looking
    in between only adds to the chance. None if no stake grows.
    """
    limit, z = math.log(2 * len(STAKES) / round(1 - limits[0], 12)), z_quantile(limits[1])
    needed = []
    for side, stake in product((1, -1), STAKES):
        fair = (1 + side * bound) * largest
        worth = [stake * side * (total - bound * size) / fair for size, total in clusters]
        if min(worth, default=-1) > -1:
            logs = list(map(math.log1p, worth))
            growth, spread = fmean(logs), z * pstdev(logs)
            if growth > 0:
                root = spread + math.sqrt(spread**2 + 4 * growth * limit)
                needed.append(math.ceil((root / (2 * growth)) ** 2))
    return min(needed, default=None)


def log_capital(counts: Mapping[tuple[float, float], float], largest: int, mean: float) -> float:
    """Return the logarithm of the capital of bets that the mean is above ``mean``.

    It decreases with ``mean``, from which follows that the claims not rejected are an interval.
    """
    if mean <= -1:
        return math.inf
    worth = [
        (count, (total - mean * size) / ((1 + mean) * largest))
        for (size, total), count in counts.items()
    ]
    logs = [
        math.fsum(
            count * math.log1p(stake * one) if stake * one > -1 else -math.inf
            for count, one in worth
        )
        for stake in STAKES
    ]
    top = max(logs)
    return top + math.log(math.fsum(math.exp(log - top) for log in logs) / len(STAKES))
