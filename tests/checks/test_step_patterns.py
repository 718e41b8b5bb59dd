"""Patterns over step types match what a regular expression matches; mistakes are located."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from evalkit.checks.core.sequences import Automaton
from evalkit.checks.core.step_pattern import compile_step_pattern, positions_of

LETTERS = {"thought": "t", "function_call": "c", "function_result": "r", "model_output": "m"}


def spell(children: st.SearchStrategy[tuple[str, str]]) -> st.SearchStrategy[tuple[str, str]]:
    """Write a pattern and the regular expression with the same meaning."""

    def join(parts: list[tuple[str, str]], separator: str, operator: str) -> tuple[str, str]:
        return (
            f"({separator.join(part[0] for part in parts)})",
            f"(?:{operator.join(part[1] for part in parts)})",
        )

    parts = st.lists(children, min_size=1, max_size=3)
    sequence = parts.map(lambda drawn: join(drawn, " ", ""))
    either = parts.map(lambda drawn: join(drawn, " | ", "|"))
    repeat = st.tuples(children, st.sampled_from("?*+")).map(
        lambda drawn: (f"({drawn[0][0]}){drawn[1]}", f"(?:{drawn[0][1]}){drawn[1]}")
    )
    return sequence | either | repeat


WORD = st.sampled_from([*LETTERS.items(), (".", ".")])
PATTERNS = st.recursive(WORD, spell, max_leaves=8)
TYPES = st.lists(st.sampled_from(list(LETTERS)), max_size=7)


@given(PATTERNS, TYPES)
def test_a_pattern_matches_what_a_regular_expression_matches(
    pattern: tuple[str, str], types: list[str]
) -> None:
    automaton = compile_step_pattern(pattern[0])
    expected = re.fullmatch(pattern[1], "".join(LETTERS[kind] for kind in types)) is not None
    fits = [positions_of(automaton, kind) for kind in types]
    assert automaton.accepts(fits) == expected
    rows = automaton.align(fits)
    assert rows is not None
    assert (sum(row.cost for row in rows) == 0) == expected


@given(PATTERNS, TYPES)
def test_an_alignment_has_every_step_once_and_expects_a_match(
    pattern: tuple[str, str], types: list[str]
) -> None:
    automaton = compile_step_pattern(pattern[0])
    fits = [positions_of(automaton, kind) for kind in types]
    rows = automaton.align(fits)
    assert rows is not None
    assert [row.step for row in rows if row.step is not None] == list(range(len(types)))
    positions = [row.position for row in rows if row.position is not None]
    assert automaton.accepts([{position} for position in positions])
    assert all(
        row.position in fits[row.step] for row in rows if row.step is not None and not row.cost
    )


def test_unexpected_steps_cost_nothing_where_they_are_allowed() -> None:
    automaton = compile_step_pattern("thought model_output")
    types = ("thought", "function_call", "model_output")
    fits = [positions_of(automaton, kind) for kind in types]
    rows = automaton.align(fits, allow_extra=True)
    assert rows is not None
    assert sum(row.cost for row in rows) == 0
    assert automaton.accepts(fits, allow_extra=True)
    assert not automaton.accepts(fits)


def test_a_pattern_with_exponential_backtracking_is_linear_here() -> None:
    # (a*)*b against a…a takes 2**n tries by backtracking.
    automaton = compile_step_pattern("((thought*)*)* model_output")
    thoughts = [positions_of(automaton, "thought")] * 5000
    assert not automaton.accepts(thoughts)
    assert automaton.accepts([*thoughts, positions_of(automaton, "model_output")])


def test_an_alignment_that_is_too_large_to_show_is_refused() -> None:
    automaton = compile_step_pattern("thought " * 300)
    assert automaton.align([positions_of(automaton, "thought")] * 3000) is None


@pytest.mark.parametrize(
    ("pattern", "message", "column"),
    [
        ("", "the pattern is empty", 1),
        ("   ", "the pattern is empty", 1),
        ("thougt", "'thougt' is not a step type (did you mean 'thought'?)", 1),
        ("thought zebra", "'zebra' is not a step type; write a type that is not among the 23", 9),
        ("user_input", "user_input is not a step of a turn", 1),
        ("thought (model_output", "this parenthesis is not closed", 9),
        ("thought) model_output", "')' does not close a parenthesis", 8),
        ("thought ()", "expected a step type or '(', got ')'", 10),
        ("thought |", "expected a step type or '(', the pattern ends", 10),
        ("* thought", "expected a step type or '(', got '*'", 1),
        ("thought**", "two repeat signs in a row", 9),
        ("thought, model_output", "got ','; write a space between step types", 8),
        ("thought -> model_output", "got '-'", 9),
        ("(" * 60 + "thought" + ")" * 60, "nested more than 50 deep", 51),
        ("thought " * 401, "more than 400 words", 3201),
    ],
)
def test_a_bad_pattern_is_refused_with_its_column(pattern: str, message: str, column: int) -> None:
    with pytest.raises(PydanticCustomError) as raised:
        compile_step_pattern(pattern)
    assert message in str(raised.value)
    assert f"(column {column} of the pattern)" in str(raised.value)


def test_a_label_includes_the_repeat_sign() -> None:
    labels = compile_step_pattern("thought* (model_output)+ .?").labels
    assert labels[1:] == ["thought*", "model_output", ".?"]


def test_an_automaton_of_nothing_accepts_no_step() -> None:
    automaton = Automaton.of_sequence([])
    assert automaton.accepts([])
    assert not automaton.accepts([{0}])
