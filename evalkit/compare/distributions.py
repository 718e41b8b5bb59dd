"""Quantiles that the standard library lacks: of the normal distribution and Student's. Pure.

Student's t uses the regularized incomplete beta function by its continued fraction (DLMF 8.17.22,
evaluated by Lentz's method). Quantiles use bisection, which cannot diverge.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from statistics import NormalDist

_TINY = 1e-300
_TERMS = 10_000
_HALVINGS = 200
_NORMAL = NormalDist()


def z_quantile(probability: float) -> float:
    """Return the normal distribution's quantile."""
    return _NORMAL.inv_cdf(probability)


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


@lru_cache(maxsize=1024)
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
    return bisect(0.0, high, lambda value: t_cdf(value, freedom) < probability)


def bisect(low: float, high: float, is_below: Callable[[float], bool]) -> float:
    """Return the value up to which ``is_below`` is true."""
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if is_below(middle) else (low, middle)
    return (low + high) / 2
