"""The verdict of a test over its trials: a table, and laws over every split."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.session.trials import verdict_of_trials
from evalkit.suite.model.policies import TrialPolicy
from evalkit.verdict import Verdict

LETTERS = {
    "p": Verdict.PASSED,
    "f": Verdict.FAILED,
    "e": Verdict.ERRORED,
    "s": Verdict.SKIPPED,
}


@pytest.mark.parametrize(
    ("trials", "require", "verdict"),
    [
        ("ppppp", 4, "passed"),
        ("ppppf", 4, "passed"),
        ("pppff", 4, "failed"),
        ("fffff", 1, "failed"),
        ("ppppe", 4, "passed"),  # what errored cannot change it
        ("pppfe", 4, "errored"),  # it could have passed
        ("ppffe", 4, "failed"),  # it could not
        ("eeeee", 1, "errored"),
        ("sss", 1, "skipped"),
        ("pss", 2, "errored"),
        ("p", 1, "passed"),
    ],
)
def test_verdict_of_a_test(trials: str, require: int, verdict: str) -> None:
    assert verdict_of_trials([LETTERS[letter] for letter in trials], require) == verdict


@given(trials=st.text("pfe", min_size=1, max_size=9), data=st.data())
def test_errors_count_neither_way(trials: str, data: st.DataObject) -> None:
    """A test passes or fails exactly if it would whatever the trials that errored had said."""
    require = data.draw(st.integers(1, len(trials)))
    verdict = verdict_of_trials([LETTERS[letter] for letter in trials], require)
    outcomes = {
        verdict_of_trials([LETTERS[one] for one in trials.replace("e", other)], require)
        for other in "pf"
    }
    expected = outcomes.pop() if len(outcomes) == 1 else Verdict.ERRORED
    assert verdict == expected


@pytest.mark.parametrize(
    ("policy", "trials", "require"),
    [((5, 4), 10, 8), ((5, 4), 1, 1), ((5, 4), 3, 3), ((3, 1), 2, 1)],
)
def test_other_numbers_of_trials_require_the_same_share(
    policy: tuple[int, int], trials: int, require: int
) -> None:
    assert TrialPolicy(*policy).with_trials(trials) == (trials, require)
