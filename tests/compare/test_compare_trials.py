"""pass@k and pass^k by counting every draw, flakiness, Holm against statsmodels."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from evalkit.compare.trials import flaky, holm, pass_at, pass_hat


@given(st.lists(st.booleans(), min_size=1, max_size=8), st.integers(1, 8))
def test_pass_at_and_pass_hat_count_every_draw(verdicts: list[bool], k: int) -> None:
    passed = sum(verdicts)
    if k > len(verdicts):
        assert pass_at(len(verdicts), passed, k) is pass_hat(len(verdicts), passed, k) is None
        return
    draws = list(combinations(verdicts, k))
    assert pass_at(len(verdicts), passed, k) == pytest.approx(
        sum(map(any, draws)) / len(draws), abs=1e-9
    )
    assert pass_hat(len(verdicts), passed, k) == pytest.approx(
        sum(map(all, draws)) / len(draws), abs=1e-9
    )


def test_one_trial_says_nothing_of_flakiness() -> None:
    assert flaky([]) is flaky([True]) is None
    assert flaky([True, True]) is False
    assert flaky([True, False, True]) is True


@given(st.dictionaries(st.text(max_size=3), st.floats(0, 1), min_size=1, max_size=12))
def test_holm(p_values: dict[str, float]) -> None:
    oracle = multipletests(list(p_values.values()), method="holm")[1]
    assert list(holm(p_values)) == list(p_values)
    assert list(holm(p_values).values()) == pytest.approx(list(oracle), abs=1e-9)


def test_holm_of_none() -> None:
    assert holm({}) == {}
