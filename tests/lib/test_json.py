"""JSON as values."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit._lib.json import MISSING, canonical, differences, equal, pointer, resolve_pointer

JSONS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        (1, 1.0, True),
        (1e21, 10**21, True),
        (True, 1, False),
        (False, 0, False),
        (None, False, False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ([1, 2], [2, 1], False),
        ({"a": None}, {}, False),
        ("1", 1, False),
        ([True], [1], False),
    ],
)
def test_equality(left: Any, right: Any, same: bool) -> None:
    assert equal(left, right) is same
    assert (canonical(left) == canonical(right)) is same
    assert (not list(differences(left, right))) is same


@given(JSONS, JSONS)
def test_equality_canonical_text_and_differences_agree(left: Any, right: Any) -> None:
    assert (
        equal(left, right)
        == (canonical(left) == canonical(right))
        == (not list(differences(left, right)))
    )


@given(JSONS)
def test_a_value_equals_its_reparsed_self(value: Any) -> None:
    assert equal(value, json.loads(json.dumps(value, sort_keys=True)))


@given(JSONS, JSONS)
def test_differences_point_at_what_differs(left: Any, right: Any) -> None:
    for at, expected, got in differences(left, right):
        assert resolve_pointer(left, at) is expected or equal(resolve_pointer(left, at), expected)
        assert resolve_pointer(right, at) is got or equal(resolve_pointer(right, at), got)


def test_pointer_escapes() -> None:
    assert pointer("a/b", "m~n", 0) == "/a~1b/m~0n/0"
    assert pointer() == ""
    assert resolve_pointer({"a/b": {"m~n": ["x"]}}, "/a~1b/m~0n/0") == "x"
    assert resolve_pointer({"a": 1}, "/b") is MISSING
    assert resolve_pointer([1], "/1") is MISSING


def nested(depth: int, bottom: Any) -> Any:
    value = bottom
    for _ in range(depth):
        value = [{"a": value}]
    return value


def test_deep_values_are_compared_and_written() -> None:
    assert equal(nested(5000, 1), nested(5000, 1.0))
    assert not equal(nested(5000, 1), nested(5000, True))
    assert canonical(nested(200, 1.0)) == canonical(nested(200, 1))
    assert [path.count("/") for path, _, _ in differences(nested(200, 1), nested(200, 2))] == [400]
