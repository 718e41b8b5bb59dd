"""The fast JSON reader and writer agree with the standard library."""

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit._lib import json as evalkit_json
from evalkit._lib.exact_json import EXACT, ExactNumber, RepeatedKeyError, write_exact

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.text(st.characters(codec="ascii")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
UNUSUAL = [
    '"\\ud83d"',
    '"\ud83d"',
    '"\\ude00\\ud83d"',
    '"\\ud83d\\ude00"',
    "-0.0",
    "01",
    "1.",
    ".5",
    "+1",
    "1_0",
    '{"a":1,}',
    "[1,]",
    "[1]x",
    "",
    "  ",
    " 1 ",
    "\ufeff1",
    "\u00a01",
    "'a'",
    '"\t"',
    '"\\x"',
    '"a',
    "tRue",
    "1\x00",
    "9007199254740993",
    "12345678901234567890123",
    "5e-324",
    "999999999999999999",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "18446744073709551615",
    "18446744073709551616",
    '"No 12345678901234567890"',
    '{"12345678901234567890": 12345678901234567890}',
    "[" * 300 + "]" * 300,
    "[" * 100_000,
]


def outcome(read: Callable[[str], Any], text: str) -> str:
    """Return the repr of the value that a reader returns for a text, or the exception."""
    try:
        return repr(read(text))
    except (ValueError, RecursionError) as error:
        return f"{type(error).__name__}: {error}"


def exact_loads(text: str) -> Any:
    """Read with the standard library, exactly or not at all."""
    return json.loads(text, **EXACT)


@pytest.mark.parametrize("text", UNUSUAL)
def test_unusual_text_is_read_or_refused_as_by_the_standard_library(text: str) -> None:
    assert outcome(evalkit_json.loads, text) == outcome(json.loads, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("NaN", "NaN is not a JSON value"),
        ('{"a": [-Infinity]}', "-Infinity is not a JSON value"),
        ("1" * 5000, "a number of 5,000 digits is too long"),
        ('{"a":1,"a":2}', 'the key "a" occurs more than once in an object'),
        ('{"a":1,"b":[{"a":1, "c": 2 ,"a" : 1}]}', 'the key "a" occurs more'),
        ('{"\\u0022:": 1, "x": {"k": "", "k": ""}}', 'the key "k" occurs more'),
        ('{"\\u0061": 1, "a": 1}', 'the key "a" occurs more'),
        ('{"": 1, "": 1}', 'the key "" occurs more'),
    ],
)
def test_what_readers_disagree_on_is_refused(text: str, message: str) -> None:
    for source in (text, text.encode()):
        with pytest.raises(ValueError, match=message):
            evalkit_json.loads(source)


SPELLINGS = [
    "1E5", "1e5", "1e+5", "100000.0", "1.0", "1.50", "-0", "-0.0", "0.0", "0e0", "1e16", "1e+16",
    "1e-7", "1e-07", "0.1234567890123456789012", "123456789012345678901234567890.5", "1e400",
    "-1.5E999", "1e-1234567890123456789", "1844674407370955161.6", "18446744073709551616",
    "5e-324", "9007199254740993", "9" * 25, "1" * 4300, "1.7976931348623157e308",
]  # fmt: skip


@pytest.mark.parametrize("text", SPELLINGS, ids=lambda text: text[:30])
@pytest.mark.parametrize(
    "frame", ["%s", '{"a":%s}', '{"é\\u00e9": "\\ud800", "b": [%s]}', "[%s,%s]"]
)
def test_numbers_keep_the_spelling_in_which_they_were_received(text: str, frame: str) -> None:
    source = frame.replace("%s", text)
    value = evalkit_json.loads(source)
    copies = [value, copy.deepcopy(value), pickle.loads(pickle.dumps(value))]
    for again in copies:
        assert text in evalkit_json.dumps(again)
        assert text in write_exact(again)
        assert text in evalkit_json.compact(again)
        assert "ud800" in frame or text in (evalkit_json.indented(again) or "")
        assert evalkit_json.loads(evalkit_json.dumps(again)) == value


@given(
    st.lists(
        st.from_regex(r"\A-?(0|[1-9][0-9]{0,22})(\.[0-9]{1,22})?([eE][-+]?[0-9]{1,3})?\Z"),
        max_size=5,
    ),
    st.sampled_from(["[%s]", ' { "a" : [ %s ]\n}', '{"\\u0041":[%s], "b": "1.50"}']),
)
def test_any_spelling_is_exact(numbers: list[str], frame: str) -> None:
    text = evalkit_json.dumps(evalkit_json.loads(frame % ",".join(numbers)))
    assert f"[{','.join(numbers)}]" in text


@pytest.mark.parametrize(
    ("text", "other"),
    [("1E5", 100_000), ("-0", 0), ("0.50", 0.5), ("0.1234567890123456789012", 0.12345678901234568)],
)
def test_an_exact_number_equals_what_it_is_to_most_readers(text: str, other: float) -> None:
    value = evalkit_json.loads(text)
    assert isinstance(value, ExactNumber)
    assert evalkit_json.equal(value, other)
    assert evalkit_json.canonical(value) == evalkit_json.canonical(other)
    assert evalkit_json.json_type(value) == "number"


def test_a_repeated_key_is_an_error_of_its_own() -> None:
    with pytest.raises(RepeatedKeyError):
        evalkit_json.loads('{"a":{"b":1,"b":1}}')


@given(VALUES, st.booleans(), st.data())
def test_valid_and_damaged_text_is_read_as_by_the_standard_library(
    value: Any, ascii_only: bool, data: st.DataObject
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    at = data.draw(st.integers(0, len(text)))
    damaged = (
        text[:at]
        + data.draw(st.sampled_from(["", '"', ",", "}", "1", "\\", "\n"]))
        + text[at + 1 :]
    )
    for candidate in (text, damaged):
        assert outcome(evalkit_json.loads, candidate) == outcome(exact_loads, candidate)


@given(VALUES)
def test_written_text_is_ascii_and_reads_as_the_value(value: Any) -> None:
    text = evalkit_json.dumps(value)
    assert text.isascii()
    assert "\n" not in text
    assert repr(json.loads(text)) == repr(json.loads(json.dumps(value)))


@pytest.mark.parametrize(
    "value",
    [float("nan"), [1, float("inf")], {"a": None, "b": -float("inf")}, 2**70, {"a": [-(2**64)]}],
)
def test_numbers_beyond_json_and_64_bits_are_preserved(value: Any) -> None:
    indented = evalkit_json.indented(value)
    assert indented is not None
    for text in (evalkit_json.dumps(value), indented):
        assert repr(json.loads(text)) == repr(value)


@given(VALUES)
def test_indented_text_reads_as_the_value(value: Any) -> None:
    text = evalkit_json.indented(value)
    assert text is not None
    assert repr(json.loads(text)) == repr(json.loads(json.dumps(value)))


def test_indented_text_is_that_of_json_dumps() -> None:
    value = {"a": [1, {"b": "é"}], "c": {}, "d": [], "e": "ключ"}
    assert evalkit_json.indented(value) == json.dumps(value, indent=2, ensure_ascii=False)


def nested(depth: int) -> list[Any]:
    """Return lists in lists."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value", ["é", "\ud83d", "a\u2028b", {"ключ": ["é", "\ud83d"]}, nested(400)]
)
def test_characters_beyond_ascii_are_escaped_as_by_the_standard_library(value: Any) -> None:
    assert evalkit_json.dumps(value) == json.dumps(value, separators=(",", ":"))


@pytest.mark.parametrize(
    ("value", "error"), [(nested(100_000), RecursionError), ({"a": object()}, TypeError)]
)
def test_values_that_are_not_json_raise_as_in_the_standard_library(
    value: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        json.dumps(value)
    with pytest.raises(error):
        evalkit_json.dumps(value)


@pytest.mark.parametrize("value", ["\ud83d", {"a": object()}, nested(100_000)])
def test_indented_returns_none_for_values_that_cannot_be_written(value: Any) -> None:
    assert evalkit_json.indented(value) is None
