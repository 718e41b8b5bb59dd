"""The distributions against scipy, to 1e-9; exact where scipy is not."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import special, stats

from evalkit.compare.distributions import incomplete_beta, t_cdf, t_quantile, z_quantile

NEAR = pytest.approx
shares = st.floats(0.0005, 0.9995)
freedoms = st.one_of(st.integers(1, 400).map(float), st.floats(0.7, 5000))


def near(value: float) -> object:
    return pytest.approx(value, rel=1e-9, abs=1e-9)


@given(st.floats(0.3, 3000), st.floats(0.3, 3000), st.floats(0, 1))
def test_incomplete_beta(a: float, b: float, x: float) -> None:
    assert incomplete_beta(a, b, x) == near(special.betainc(a, b, x))


@given(st.one_of(st.floats(-50, 50), st.floats(-1e-6, 1e-6)), freedoms)
@example(3.868363614495795e-08, 4.0)
@example(5.19e-09, 1.0)
def test_t_cdf(value: float, freedom: float) -> None:
    # So near the middle the curve is a straight line; scipy 1.17 says 0.5 there, to the last
    # digit, for one degree of freedom.
    middle = 0.5 + value * stats.t.pdf(0, freedom)
    assert t_cdf(value, freedom) == near(
        middle if abs(value) < 1e-6 else stats.t.cdf(value, freedom)
    )


@given(shares, freedoms)
def test_t_quantile(share: float, freedom: float) -> None:
    assert t_quantile(share, freedom) == near(stats.t.ppf(share, freedom))


@pytest.mark.parametrize(("share", "freedom"), [(0, 3), (1, 3), (-0.1, 3), (0.5, 0)])
def test_no_quantile(share: float, freedom: float) -> None:
    with pytest.raises(ValueError, match="no quantile"):
        t_quantile(share, freedom)


@given(shares)
def test_z_quantile(share: float) -> None:
    assert z_quantile(share) == near(stats.norm.ppf(share))
