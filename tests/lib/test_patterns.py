"""Patterns of users: the dialect of ``re``, and a time limit."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit._lib.limits import Limits, limits, set_limits
from evalkit._lib.patterns import PatternError, PatternTimeout, compile_pattern
from evalkit.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]
# Each needs far more than any time limit on the text after it.
SLOW = [
    ("search", r"(a|aa)+$", "a" * 80 + "!"),
    ("finditer", r"(a|a)*$", "a" * 80 + "!"),
    ("search", r"^(?:[a-z]|[a-m]|[n-z])+$", "n" * 80 + "!"),
    ("fullmatch", r"(a|aa)+b?", "a" * 80 + "!"),
]


@pytest.fixture(autouse=True)
def _short_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds: dict[str, Any] = {"pattern": 0.1}  # less than users can set
    monkeypatch.setattr("evalkit._lib.limits._current", Limits(**seconds))


@pytest.mark.parametrize(("method", "pattern", "text"), SLOW)
def test_a_slow_pattern_ends_with_a_message(method: str, pattern: str, text: str) -> None:
    with pytest.raises(PatternTimeout) as caught:
        getattr(compile_pattern(pattern), method)(text)
    message = str(caught.value)
    assert repr(pattern) in message
    assert "limit: 0.1 s" in message
    assert "evalkit_limits" in message


@pytest.mark.parametrize(
    "pattern",
    [
        "((a{1000}){1000}){1000}",
        "(?:ab?){5000000}",
        "a{1000}{1000}{10}",
        "(" * 5000 + ")" * 5000,
        "(",
        "[",
        "*",
    ],
)
def test_what_is_not_a_usable_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        compile_pattern(pattern)


def test_a_brace_alone_is_text() -> None:
    assert compile_pattern("x{3}{").search("xxx{")


def _documented_patterns() -> list[str]:
    """Return the patterns of the documentation, examples and scripts of this project."""
    files = [
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("suites/**/*.yaml"),
        *ROOT.glob("examples/**/*.yaml"),
        *ROOT.glob("evalkit/server/scripts/*.yaml"),
        ROOT / "README.md",
    ]
    found = []
    for file in files:
        for match in re.finditer(
            r"""\b(?:matches|pattern|message): *(?:"((?:\\.|[^"\\\n])*)"|'([^'\n]*)'|([^\n,}"'#]+))""",
            file.read_text("utf-8"),
        ):
            quoted, single, plain = match.groups()
            text = quoted.replace("\\\\", "\\") if quoted else single or (plain or "").strip()
            if text and "{{" not in text:
                found.append(text)
    return sorted(set(found))


PATTERNS = _documented_patterns()


def test_documented_patterns_are_found() -> None:
    assert len(PATTERNS) > 10


@given(
    st.sampled_from(PATTERNS),
    st.text(max_size=40) | st.sampled_from([*PATTERNS, "42 °C", "refund within 14 days", "INV-7"]),
)
def test_documented_patterns_match_as_in_re(pattern: str, text: str) -> None:
    try:
        expected = re.search(pattern, text)
    except re.error:
        with pytest.raises(PatternError):
            compile_pattern(pattern)
        return
    got = compile_pattern(pattern).search(text)
    assert (got and got.span()) == (expected and expected.span())


def test_groups_and_flags_are_those_of_re() -> None:
    match = compile_pattern(r"in (?P<city>\w+).*now", ignore_case=True, dot_all=True).search(
        "IN Paris\nnow"
    )
    assert match.groupdict() == {"city": "Paris"}
    assert compile_pattern("a.c").search("a\nc") is None


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ([], Limits()),
        (["response=1GB", "pattern = 20"], Limits(response=1 << 30, pattern=20)),
        (["cassette=300 mb"], Limits(cassette=300 << 20)),
        (["template=4096"], Limits(template=4096)),
    ],
)
def test_limits_are_set(settings: list[str], expected: Limits) -> None:
    set_limits(settings)
    assert limits() == expected


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("respons=1MB", "did you mean 'response'"),
        ("response", "write e.g. response=512MB"),
        ("response=-1", "not a positive number"),
        ("response=0", "not a positive number"),
        ("events=3MB", "'events' has no unit"),
        ("events=١", "not a positive number"),
        ("=", "unknown name"),
    ],
)
def test_limits_that_cannot_be_set(setting: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        set_limits([setting])
