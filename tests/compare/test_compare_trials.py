"""pass@k and pass^k by counting every draw, flakiness, Holm against statsmodels."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from evalkit.compare.evidence import holm
from evalkit.compare.trials import pass_at, pass_hat, trial_statistics
from tests.compare.lines import line, rows


@given(st.lists(st.booleans(), min_size=1, max_size=8), st.integers(1, 8))
def test_pass_at_and_pass_hat_count_every_draw(verdicts: list[bool], k: int) -> None:
    assume(k <= len(verdicts))
    passed = sum(verdicts)
    draws = list(combinations(verdicts, k))
    assert pass_at(len(verdicts), passed, k) == pytest.approx(
        sum(map(any, draws)) / len(draws), abs=1e-9
    )
    assert pass_hat(len(verdicts), passed, k) == pytest.approx(
        sum(map(all, draws)) / len(draws), abs=1e-9
    )


def test_flaky_variants_are_those_whose_trials_disagree() -> None:
    trials = {"one": ["passed"], "same": ["passed"] * 2, "flaky": ["passed", "failed", "passed"]}
    actual = trial_statistics(
        rows(
            line(name, verdict, trial=number)
            for name, verdicts in trials.items()
            for number, verdict in enumerate(verdicts, 1)
        )
    )
    assert [name.partition("[")[0] for name in actual.flaky] == ["s::flaky"]
    assert (actual.variants, actual.most, actual.repeated) == (3, 3, 2)


@given(st.dictionaries(st.text(max_size=3), st.floats(0, 1), min_size=1, max_size=12))
def test_holm(p_values: dict[str, float]) -> None:
    oracle = multipletests(list(p_values.values()), method="holm")[1]
    assert list(holm(p_values)) == list(p_values)
    assert list(holm(p_values).values()) == pytest.approx(list(oracle), abs=1e-9)


def test_holm_of_none() -> None:
    assert holm({}) == {}
