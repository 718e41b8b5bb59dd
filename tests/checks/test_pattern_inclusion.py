"""Whether one pattern of steps accepts every sequence that another accepts."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.checks.core.step_pattern import compile_step_pattern, positions_of

WORDS = ("thought", "model_output")
PATTERNS = st.recursive(
    st.sampled_from([*WORDS, "."]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("?*+")).map(lambda pair: f"({pair[0]}){pair[1]}"),
        st.tuples(inner, inner).map(" ".join),
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]} | {pair[1]})"),
    ),
    max_leaves=5,
)
SEQUENCES = [
    list(words)
    for length in range(5)
    for words in itertools.product((*WORDS, "function_call"), repeat=length)
]


def accepts(pattern: str, words: list[str]) -> bool:
    automaton = compile_step_pattern(pattern)
    return automaton.accepts([positions_of(automaton, word) for word in words])


@given(PATTERNS, PATTERNS)
def test_inclusion_is_that_of_the_sequences(one: str, other: str) -> None:
    included = compile_step_pattern(one).includes(compile_step_pattern(other))
    assert included is not None
    missing = [words for words in SEQUENCES if accepts(other, words) and not accepts(one, words)]
    # A counterexample may be longer than these sequences, so only one direction is certain.
    assert not (included and missing)


@pytest.mark.parametrize(
    ("one", "other", "included"),
    [
        (".*", "thought* model_output", True),
        ("thought* model_output", ".*", False),
        ("thought+", "thought thought*", True),
        ("(thought | model_output)*", "(thought model_output)*", True),
        ("(thought model_output)*", "(thought | model_output)*", False),
        (".", "function_call", True),
        ("thought | model_output", ".", False),
        ("thought? model_output", "model_output", True),
    ],
)
def test_examples(one: str, other: str, included: bool) -> None:
    assert compile_step_pattern(one).includes(compile_step_pattern(other)) is included


def test_what_is_too_large_is_unknown() -> None:
    large = "(thought | model_output)* thought" + " ." * 30
    assert compile_step_pattern(large).includes(compile_step_pattern(".*")) in (None, False)
