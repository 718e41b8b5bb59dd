"""Compute tests, intervals and power for pass rates and their differences. Pure.

A pair is one variant and trial of both runs, each passed or failed. Only pairs that differ show
which run is better (McNemar 1947); the others determine how precisely the difference is known.
Figures are shares from 0 to 1. A difference is candidate minus baseline, so a drop is negative.

Variants and trials of one scenario are not independent evidence, so there are two intervals over
clusters. The robust one is the sandwich estimator with the usual small-sample factor and Student's
t with one degree of freedom less than there are clusters (Liang and Zeger 1986; Cameron and Miller
2015): statsmodels' ``cov_type="cluster"``. The bootstrap draws whole clusters with replacement
(percentile interval), from a fixed seed, so that the same runs give the same interval.

The distributions that the standard library lacks are here too. Binomial tails are summed in exact
integers, so they are right for any size. Student's t uses the regularized incomplete beta function
by its continued fraction (DLMF 8.17.22, evaluated by Lentz's method). Quantiles use bisection,
which cannot diverge.
"""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from statistics import NormalDist
from typing import NamedTuple

CONFIDENCE = 0.95
"""The confidence of intervals unless a gate sets another."""
DRAWS = 2000
"""Samples of the bootstrap: the ends of its interval vary by about a twentieth of its length."""
_TINY = 1e-300
_TERMS = 10_000
_HALVINGS = 200
_NORMAL = NormalDist()


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
    low, high = -1.0, 1.0
    if table.regressed < table.pairs:
        low = _bisect(low, table.difference, lambda middle: _score(table, middle) > z)
    if table.improved < table.pairs:
        high = _bisect(table.difference, high, lambda middle: _score(table, middle) > -z)
    return Interval(low, high)


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
    z_level, z_power = _z(confidence), _NORMAL.inv_cdf(power)
    largest = min(discordance, 1.0)

    def is_missed(drop: float) -> bool:
        spread = math.sqrt(max(0.0, discordance - drop * drop))
        return drop * math.sqrt(pairs) < z_level * math.sqrt(discordance) + z_power * spread

    return None if is_missed(largest) else _bisect(0.0, largest, is_missed)


def _z(confidence: float) -> float:
    return _NORMAL.inv_cdf(0.5 + confidence / 2)


class ClusterSum(NamedTuple):
    """The number of observations in a cluster, and their sum."""

    size: int
    total: float


def cluster_sums(values: Mapping[str, Sequence[float]]) -> list[ClusterSum]:
    """Return the sums of clusters, sorted by name; empty clusters are left out."""
    return [
        ClusterSum(len(group), math.fsum(group)) for _, group in sorted(values.items()) if group
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
    samples = (generator.choices(clusters, k=len(clusters)) for _ in range(draws))
    means = sorted(
        sum(cluster.total for cluster in sample) / sum(cluster.size for cluster in sample)
        for sample in samples
    )
    return Interval(quantile(means, 0.5 - confidence / 2), quantile(means, 0.5 + confidence / 2))


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return a quantile of sorted values, interpolated (type 7, as in R and numpy).

    Raises IndexError without values.
    """
    position = share * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def sign_test(one: int, other: int) -> float:
    """Return the two-sided exact binomial p of splitting ``one + other`` fair coins.

    The p of no coins is 1. A fair coin is symmetric, so doubling the smaller tail is the exact
    two-sided test (McNemar 1947).
    """
    count = one + other
    tail = term = 1
    for index in range(1, min(one, other) + 1):
        term = term * (count - index + 1) // index
        tail += term
    return min(1.0, float(Fraction(2 * tail, 2**count)))


def incomplete_beta(a: float, b: float, x: float) -> float:
    """Return the regularized incomplete beta function I_x(a, b).

    ``a`` and ``b`` are positive, ``x`` is from 0 to 1.
    """
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    # The fraction converges fast on one side only.
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(b, a, 1 - x)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    return front * _beta_fraction(a, b, x) / a


def _beta_fraction(a: float, b: float, x: float) -> float:
    c, d = 1.0, 1 / _nonzero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / _nonzero(1 + term * d)
            c = _nonzero(1 + term / c)
            value *= c * d
        if abs(c * d - 1) < 1e-16:
            break
    return value


def _nonzero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def t_cdf(value: float, freedom: float) -> float:
    """Return Student's probability of at most ``value`` (``freedom``: degrees)."""
    square = value * value
    if square < freedom:
        # Computed from the middle: a tail would be lost in rounding.
        half = incomplete_beta(0.5, freedom / 2, square / (freedom + square)) / 2
        return 0.5 - half if value < 0 else 0.5 + half
    tail = incomplete_beta(freedom / 2, 0.5, freedom / (freedom + square)) / 2
    return tail if value < 0 else 1 - tail


def t_quantile(probability: float, freedom: float) -> float:
    """Return Student's quantile.

    Raises ValueError outside the open interval (0, 1) or without a degree of freedom.
    """
    if not 0 < probability < 1 or freedom <= 0:
        raise ValueError(f"no quantile at {probability} with {freedom} degrees of freedom")
    if probability < 0.5:
        return -t_quantile(1 - probability, freedom)
    high = 2.0
    while t_cdf(high, freedom) < probability:
        high *= 2
    return _bisect(0.0, high, lambda value: t_cdf(value, freedom) < probability)


def _bisect(low: float, high: float, is_below: Callable[[float], bool]) -> float:
    """Return the value up to which ``is_below`` is true."""
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if is_below(middle) else (low, middle)
    return (low + high) / 2
