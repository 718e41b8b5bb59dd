"""The head of a result line: its own members, in whatever order, whatever its strings contain."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit._lib.json import dumps
from evalkit.results.result_line import parse_head
from tests.reports.sample_cases import every_line

NAMES = st.sampled_from(["turns", "settings", "title", '"turns":', "digest"])
VALUES = st.recursive(
    st.integers(0, 9) | st.sampled_from(['","turns":[', '}],"turns":', "\\"]),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(NAMES, children, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("line", every_line(long_line=100))
def test_head_is_the_result_without_settings_and_turns(line: str) -> None:
    whole = json.loads(line)
    assert parse_head(line) == {
        name: value for name, value in whole.items() if name not in ("settings", "turns", "digest")
    }


@given(st.lists(st.tuples(NAMES, VALUES), max_size=5).map(dict))
def test_head_has_the_values_of_the_line_in_any_order_of_members(result: dict[str, Any]) -> None:
    head: Any = parse_head(dumps(result))
    assert all(result[name] == value for name, value in head.items())
    if result.keys().isdisjoint(("settings", "turns")):
        assert head == result


@pytest.mark.parametrize("line", ["", "{", "null", "[]", '{"id":1,"turns":[', "not json"])
def test_invalid_line_is_refused(line: str) -> None:
    with pytest.raises(ValueError):
        parse_head(line)
