"""Patterns over step types: what they match is what a regular expression matches, and what they refuse is said where it stands."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.checks.core.automaton import Automaton, align
from evalkit.checks.steps.patterns import PatternError, compile_pattern

LETTERS = {"thought": "t", "function_call": "c", "function_result": "r", "model_output": "m"}
RULES = settings(max_examples=100, deadline=None)


def spelt(children: st.SearchStrategy[tuple[str, str]]) -> st.SearchStrategy[tuple[str, str]]:
    """Spell a pattern and the regular expression that means the same."""

    def joined(parts: list[tuple[str, str]], mine: str, theirs: str) -> tuple[str, str]:
        return (
            f"({mine.join(part[0] for part in parts)})",
            f"(?:{theirs.join(part[1] for part in parts)})",
        )

    parts = st.lists(children, min_size=1, max_size=3)
    sequence = parts.map(lambda found: joined(found, " ", ""))
    either = parts.map(lambda found: joined(found, " | ", "|"))
    repeat = st.tuples(children, st.sampled_from("?*+")).map(
        lambda found: (f"({found[0][0]}){found[1]}", f"(?:{found[0][1]}){found[1]}")
    )
    return sequence | either | repeat


WORD = st.sampled_from([*LETTERS.items(), (".", ".")])
PATTERNS = st.recursive(WORD, spelt, max_leaves=8)
TYPES = st.lists(st.sampled_from(list(LETTERS)), max_size=7)


@given(PATTERNS, TYPES)
@RULES
def test_a_pattern_matches_what_a_regular_expression_matches(
    pattern: tuple[str, str], types: list[str]
) -> None:
    automaton = compile_pattern(pattern[0])
    expected = re.fullmatch(pattern[1], "".join(LETTERS[kind] for kind in types)) is not None
    masks = [automaton.mask(kind) for kind in types]
    assert automaton.matches(types) == expected
    assert automaton.accepts(masks) == expected
    rows = align(automaton, masks)
    assert rows is not None
    assert (sum(row.cost for row in rows) == 0) == expected


@given(PATTERNS, TYPES)
@RULES
def test_an_alignment_shows_every_step_once_and_what_it_asks_for_matches(
    pattern: tuple[str, str], types: list[str]
) -> None:
    automaton = compile_pattern(pattern[0])
    rows = align(automaton, [automaton.mask(kind) for kind in types])
    assert rows is not None
    assert [row.step for row in rows if row.step is not None] == list(range(len(types)))
    positions = [row.position for row in rows if row.position is not None]
    assert automaton.accepts([1 << position for position in positions]), (
        "the expected side is itself a match"
    )
    assert all(
        row.position is not None and automaton.words[row.position] in (types[row.step], ".")
        for row in rows
        if row.step is not None and not row.cost
    )


def test_unexpected_steps_are_free_where_they_are_allowed() -> None:
    automaton = compile_pattern("thought model_output")
    rows = align(
        automaton,
        [automaton.mask(kind) for kind in ("thought", "function_call", "model_output")],
        extra=0,
    )
    assert rows is not None
    assert sum(row.cost for row in rows) == 0


def test_a_pattern_that_ruins_backtracking_is_linear_here() -> None:
    # (a*)*b against a…a takes 2**n tries by backtracking.
    automaton = compile_pattern("((thought*)*)* model_output")
    assert not automaton.matches(["thought"] * 5000)
    assert automaton.matches(["thought"] * 5000 + ["model_output"])


def test_an_alignment_too_large_to_show_is_not_made() -> None:
    automaton = compile_pattern("thought " * 300)
    assert align(automaton, [automaton.mask("thought")] * 3000) is None


@pytest.mark.parametrize(
    ("pattern", "message", "column"),
    [
        ("", "the pattern is empty", 1),
        ("   ", "the pattern is empty", 1),
        ("thougt", "'thougt' is no step type (did you mean 'thought'?)", 1),
        ("thought zebra", "'zebra' is no step type; a type that is not among the 23", 9),
        ("user_input", "user_input is never among the steps", 1),
        ("thought (model_output", "this parenthesis is not closed", 9),
        ("thought) model_output", "')' closes no parenthesis", 8),
        ("thought ()", "a step type or '(' must stand here, got ')'", 10),
        ("thought |", "a step type or '(' must stand here, the pattern ends", 10),
        ("* thought", "a step type or '(' must stand here, got '*'", 1),
        ("thought**", "two repeat signs in a row", 9),
        ("thought, model_output", "got ','; write a space between step types", 8),
        ("thought -> model_output", "got '-'", 9),
        ("(" * 60 + "thought" + ")" * 60, "nested more than 50 deep", 51),
        ("thought " * 401, "more than 400 words", 3201),
    ],
)
def test_a_bad_pattern_is_refused_where_it_is_bad(pattern: str, message: str, column: int) -> None:
    with pytest.raises(PatternError) as raised:
        compile_pattern(pattern)
    assert message in str(raised.value)
    assert raised.value.column == column


def test_a_label_keeps_its_repeat_sign() -> None:
    assert compile_pattern("thought* (model_output)+ .?").labels[1:] == [
        "thought*",
        "model_output",
        ".?",
    ]


def test_an_automaton_of_nothing_accepts_nothing_else() -> None:
    automaton = Automaton()
    automaton.accepting = 1
    assert automaton.accepts([])
    assert not automaton.accepts([1])
