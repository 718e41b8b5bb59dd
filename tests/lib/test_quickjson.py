"""The quick JSON reader and writer, held against the standard library's."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit._lib import fast_json
from evalkit._lib import json as plain

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.text(st.characters(codec="ascii")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
ODD = [
    '"\\ud83d"', '"\ud83d"', '"\\ude00\\ud83d"', '"\\ud83d\\ude00"', "NaN", "-Infinity", "-NaN", "1e400", "-0", "-0.0", "01", "1.", ".5", "+1",
    "1_0", '{"a":1,"a":2}', '{"a":1,}', "[1,]", "[1]x", "", "  ", " 1 ", "\ufeff1", "\u00a01", "'a'", '"\t"', '"\\x"', '"a', "tRue", "1\x00",
    "9007199254740993", "12345678901234567890123", "123456789012345678901234567890.5", "5e-324", "1" * 5000,
    "999999999999999999", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "18446744073709551615",
    "18446744073709551616", "1844674407370955161.6", "0.12345678901234567890123", "1e-1234567890123456789", '"No 12345678901234567890"',
    '{"12345678901234567890": 12345678901234567890}', "[" * 300 + "]" * 300,
    "[" * 100_000,
]  # fmt: skip


def outcome(read: Callable[[str], Any], text: str) -> str:
    """Return what a reader makes of a text, every type and spelling showing, or the exception."""
    try:
        return repr(read(text))
    except (ValueError, RecursionError) as error:
        return f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("text", ODD)
def test_odd_text_is_read_or_refused_as_the_standard_library_does(text: str) -> None:
    assert outcome(fast_json.loads, text) == outcome(json.loads, text)


@given(VALUES, st.booleans(), st.data())
@settings(max_examples=100, deadline=None)
def test_text_is_read_as_the_standard_library_does_whole_or_damaged(
    value: Any, ascii_only: bool, data: st.DataObject
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    at = data.draw(st.integers(0, len(text)))
    damaged = (
        text[:at]
        + data.draw(st.sampled_from(["", '"', ",", "}", "1", "\\", "\n"]))
        + text[at + 1 :]
    )
    for given_text in (text, damaged):
        assert outcome(fast_json.loads, given_text) == outcome(json.loads, given_text)


@given(VALUES)
@settings(max_examples=100, deadline=None)
def test_written_text_is_ascii_and_reads_as_the_value(value: Any) -> None:
    text = fast_json.dumps(value)
    assert text.isascii()
    assert "\n" not in text
    assert repr(json.loads(text)) == repr(json.loads(plain.dumps(value)))


@pytest.mark.parametrize(
    "value",
    [float("nan"), [1, float("inf")], {"a": None, "b": -float("inf")}, 2**70, {"a": [-(2**64)]}],
)
def test_numbers_that_few_writers_have_a_word_for_stay_what_they_are(value: Any) -> None:
    indented = fast_json.indented(value)
    assert indented is not None
    for text in (fast_json.dumps(value), indented):
        assert repr(json.loads(text)) == repr(value)


@given(VALUES)
@settings(max_examples=100, deadline=None)
def test_indented_text_reads_as_the_value(value: Any) -> None:
    text = fast_json.indented(value)
    assert text is not None
    assert repr(json.loads(text)) == repr(json.loads(plain.dumps(value)))


def test_indented_text_is_that_of_a_cassette() -> None:
    value = {"a": [1, {"b": "é"}], "c": {}, "d": [], "e": "ключ"}
    assert fast_json.indented(value) == json.dumps(value, indent=2, ensure_ascii=False)


def nested(depth: int) -> list[Any]:
    """Return lists in lists."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value", ["é", "\ud83d", "a\u2028b", {"ключ": ["é", "\ud83d"]}, nested(400)]
)
def test_letters_beyond_ascii_are_written_as_by_the_standard_library(value: Any) -> None:
    assert fast_json.dumps(value) == plain.dumps(value)


@pytest.mark.parametrize(
    ("value", "error"), [(nested(100_000), RecursionError), ({"a": object()}, TypeError)]
)
def test_what_is_no_json_raises_as_the_standard_library_does(
    value: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        plain.dumps(value)
    with pytest.raises(error):
        fast_json.dumps(value)


@pytest.mark.parametrize("value", ["\ud83d", {"a": object()}, nested(100_000)])
def test_what_none_can_write_is_not_indented(value: Any) -> None:
    assert fast_json.indented(value) is None
