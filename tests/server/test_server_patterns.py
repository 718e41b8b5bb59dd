"""Texts made for regular expressions: whatever is made is found by the expression."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.server.schemas.patterns import NotMade, text_matching


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("", ""),
        ("abc", "abc"),
        (r"^[A-Z]{3}-\d{4}$", "AAA-0000"),
        (r"^\d{3}-\d{2}-\d{4}$", "000-00-0000"),
        ("^(red|green)$", "red"),
        ("^(?:a|b){2}c+$", "aac"),
        (r"^\+?[0-9]{2,}$", "00"),
        ("^x*$", ""),
        (r"^\w+@\w+\.(com|org)$", "a@a.com"),
        ("^[^a-z]$", "0"),
        (r"^[\d_]+$", "0"),
        (r"^\x41\u0042\.$", "AB."),
        (r"^\D\S\W$", "aa "),
        ("^(?P<year>2[0-9]{3})$", "2000"),
        ("a{,}b", "a{,}b"),
        ("^[]x]$", "]"),
        ("^a+?b$", "ab"),
    ],
)
def test_text_is_the_shortest_of_the_first_branches(pattern: str, text: str) -> None:
    assert text_matching(pattern) == text


def test_text_grows_to_the_asked_length_where_the_pattern_lets_it() -> None:
    assert text_matching("^[a-c]+$", at_least=5) == "aaaaa"
    assert text_matching("^[a-c]{2,3}$", at_least=5) == "aaa"


@pytest.mark.parametrize(
    "pattern",
    ["(", "a)", "[a", "^(?=a)b$", r"(a)\1", r"\p{L}", "a{5000}", "^[^\\W\\w]$", "*", "^a^b$", "b^"],
    ids=lambda text: repr(text),
)
def test_what_is_not_made_says_so(pattern: str) -> None:
    with pytest.raises(NotMade):
        text_matching(pattern)


_literal = st.sampled_from(
    [
        "a",
        "Z",
        "7",
        "-",
        "_",
        " ",
        "\\.",
        "\\d",
        "\\w",
        "\\s",
        "[a-f]",
        "[0-9x]",
        "[^a]",
        "\\\\",
        "\\/",
        "[\\d-]",
    ]
)


def _grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    quantifier = st.sampled_from(["", "?", "*", "+", "{2}", "{1,3}", "{0,}", "+?"])
    return st.one_of(
        st.lists(inner, min_size=1, max_size=4).map("".join),
        st.builds(lambda parts: f"({'|'.join(parts)})", st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda part, times: f"(?:{part}){times}", inner, quantifier),
    )


@settings(max_examples=100, deadline=None)
@given(st.recursive(_literal, _grow, max_leaves=8), st.integers(0, 12))
def test_every_text_made_matches_the_whole_pattern(pattern: str, at_least: int) -> None:
    assert re.fullmatch(pattern, text_matching(f"^{pattern}$", at_least=at_least))
