"""The YAML loader: accepted and refused text, positions, and agreement with PyYAML."""

from __future__ import annotations

from typing import Any

import pytest
import yaml as pyyaml
from hypothesis import given
from hypothesis import strategies as st

from evalkit._lib.yaml import Position, YamlError, load, load_lines, locate, resolve_scalar

VALUES: list[tuple[str, Any]] = [
    ("", None),
    ("# only a comment\n", None),
    ("a: no\nb: on\nc: Yes", {"a": "no", "b": "on", "c": "Yes"}),
    ("a: true\nb: False\nc: ~\nd:", {"a": True, "b": False, "c": None, "d": None}),
    ("[0o17, 0x1F, 017, 1_000, 1:30]", [15, 31, 17, "1_000", "1:30"]),
    ("[1.5, 1e3, .5, -.inf, 1., '1']", [1.5, 1000.0, 0.5, float("-inf"), 1.0, "1"]),
    ("2026-05-20", "2026-05-20"),
    ("a: &x {b: 1}\nc: *x", {"a": {"b": 1}, "c": {"b": 1}}),
    ("a: !!binary aGk=", {"a": b"hi"}),
    ("a: !!str 1", {"a": "1"}),
    ("a: |\n  one\n  two\n", {"a": "one\ntwo\n"}),
    ("1: x\ntrue: y", {"1": "x", "true": "y"}),
]


@pytest.mark.parametrize(("text", "value"), VALUES)
def test_scalars_follow_the_core_schema(text: str, value: Any) -> None:
    assert load(text) == value


REFUSED = [
    ("a: 1\nb: 2\na: 3", 3, 1, "duplicate key 'a'"),
    ("\ta: 1", 1, 1, "found character that cannot start any token"),
    ("a: !!python/object/apply:os.system [x]", 1, 4, "is not allowed"),
    ("a: &x [*x]", 1, 8, "unknown alias"),
    ("a: 1\n---\nb: 2", 2, 1, "second document"),
    ("a: 1\n b: 2", 2, 3, "mapping values are not allowed"),
    ("[a]: 1", 1, 1, "a key that is not a plain word"),
    ("a: \x07", 1, 4, "does not allow"),
    ("a: !!int x", 1, 4, "not a value of type !!int"),
]


@pytest.mark.parametrize(("text", "line", "column", "message"), REFUSED)
def test_refusals_are_located(text: str, line: int, column: int, message: str) -> None:
    with pytest.raises(YamlError, match=message) as caught:
        load(text)
    assert (caught.value.line, caught.value.column) == (line, column)


def test_an_alias_bomb_is_refused() -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 8)]
    with pytest.raises(YamlError, match="too many aliases"):
        load("\n".join(levels))


def test_deep_nesting_is_refused_not_a_recursion_error() -> None:
    with pytest.raises(YamlError, match="nested more than"):
        load("[" * 500 + "]" * 500)


def test_locate_returns_positions_of_keys_and_values() -> None:
    assert locate("a: 1\nb:\n  - x: 2\n") == {
        (): Position(1, 1),
        ("a",): Position(1, 4, 1, 1),
        ("b",): Position(3, 3, 2, 1),
        ("b", 0): Position(3, 5),
        ("b", 0, "x"): Position(3, 8, 3, 5),
    }


# YAML 1.1 and 1.2 differ on purpose in text such as 0E0: a number in 1.2 only.
TEXT = st.text(st.characters(blacklist_categories=["Cs", "Cc"])).filter(
    lambda text: isinstance(resolve_scalar(text or "x"), str)
)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text("abcxyz", min_size=1), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(PLAIN)
def test_text_written_by_pyyaml_loads_as_the_same_value(value: Any) -> None:
    assert load(pyyaml.safe_dump(value, allow_unicode=True)) == value


@given(st.text(max_size=60))
def test_any_text_loads_or_is_refused_with_a_position(text: str) -> None:
    position = (1, 1)
    try:
        load(text)
    except YamlError as error:
        position = (error.line, error.column)
    assert min(position) >= 1


def test_lines_of_list_items_are_those_of_the_document() -> None:
    document, lines = load_lines("a:\n  - 1\n\n  - [2,\n     3]\n")
    assert lines.of(document["a"]) == [2, 4]
    assert lines.of(document["a"][1]) == [4, 5]
    assert lines.of([1]) == []
