"""Estimated pass rates of variants: cases that can be checked by hand, and laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.compare.trials import trial_correlation, variant_rates
from tests.compare.lines import line, rows

COUNTS = st.lists(
    st.integers(1, 9).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), max_size=9
)


def estimates(*scenarios: str) -> list[float]:
    """Return the estimates of scenarios, each given as its trials: ``ppf``."""
    words = {"p": "passed", "f": "failed", "e": "errored"}
    stored = rows(
        [
            line(f"s{number}", words[letter], trial=trial)
            for number, trials in enumerate(scenarios)
            for trial, letter in enumerate(trials, 1)
        ]
    )
    return [rate.estimate for rate in variant_rates(stored).values()]


def test_variants_that_differ_by_chance_have_the_common_rate() -> None:
    assert estimates("pf", "fp", "pf", "pf") == [0.5] * 4


def test_variants_whose_trials_agree_keep_their_rate() -> None:
    assert estimates("ppp", "fff", "ppp") == pytest.approx([1, 0, 1])


def test_few_trials_move_further() -> None:
    few, many, _, _ = estimates("pp", "pppppppp", "ffpfffff", "pfpfpf")
    assert 0.7 < few < many < 1


@pytest.mark.parametrize("scenarios", [("pp",), ("p", "f"), ("pp", "ppp"), ("pe",)])
def test_what_cannot_be_estimated_stays(scenarios: tuple[str, ...]) -> None:
    expected = [one.count("p") / (one.count("p") + one.count("f")) for one in scenarios]
    assert estimates(*scenarios) == pytest.approx(expected)


@given(COUNTS)
def test_correlation_is_a_share(counts: list[tuple[int, int]]) -> None:
    assert 0 <= trial_correlation(counts) <= 1


def test_correlation_of_simulated_variants() -> None:
    random = np.random.default_rng(7)
    for correlation in (0.1, 0.4, 0.7):
        strength = 1 / correlation - 1
        shares = random.beta(0.7 * strength, 0.3 * strength, size=4000)
        trials = random.integers(2, 8, size=4000)
        passed = random.binomial(trials, shares)
        found = trial_correlation(zip(trials.tolist(), passed.tolist(), strict=True))
        assert found == pytest.approx(correlation, abs=0.03)
