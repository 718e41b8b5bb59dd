"""How values read on the page."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.reports.formatting import (
    LINE,
    clip,
    clipped,
    count,
    duration,
    fingerprint,
    found,
    headline,
    place,
    pretty,
    reindent,
    size,
)

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: (
        st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4)
    ),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("milliseconds", "shown"),
    [
        (0, "0 ms"),
        (412.5, "413 ms"),
        (999.4, "999 ms"),
        (999.5, "1.0 s"),
        (1237.5, "1.2 s"),
        (99_949, "99.9 s"),
        (99_950, "1 min 40 s"),
        (3_725_000, "62 min 5 s"),
        (None, ""),
        (True, ""),
        ("412", ""),
    ],
)
def test_a_duration_reads_as_people_say_it(milliseconds: object, shown: str) -> None:
    assert duration(milliseconds) == shown


@pytest.mark.parametrize(
    ("bytes_", "shown"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1 KiB"),
        (12_500, "12 KiB"),
        (1 << 20, "1.0 MiB"),
        (5_872_026, "5.6 MiB"),
    ],
)
def test_a_size_reads_as_people_say_it(bytes_: int, shown: str) -> None:
    assert size(bytes_) == shown


@pytest.mark.parametrize(
    ("signature", "shown"),
    [
        ("", "signature empty"),
        ("c2ln", "signature 4 characters, c2ln"),
        ("A", "signature 1 character, A"),
        ("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "signature 26 characters, ABCDEFGH…UVWXYZ"),
        (None, "signature null"),
    ],
)
def test_a_signature_is_known_by_its_length_and_ends(signature: object, shown: str) -> None:
    assert fingerprint(signature) == shown


def test_a_long_text_is_cut_and_says_so() -> None:
    shown, note = clip("x" * 30, 20)
    assert shown == "x" * 20
    assert note == "20 of 30 characters shown; the whole text is in results.jsonl"
    assert clip("x" * 20, 20) == ("x" * 20, "")
    assert clipped("x" * 30, 20) == f"{shown}\n… {note}"
    assert clipped("x", 20) == "x"


@pytest.mark.parametrize(
    ("number", "shown"), [(0, "0 turns"), (1, "1 turn"), (1234, "1,234 turns")]
)
def test_a_count_agrees_with_its_word(number: int, shown: str) -> None:
    assert count(number, "turn") == shown


@pytest.mark.parametrize(
    ("where", "shown"),
    [
        ({}, ""),
        ({"turn": 1, "step": 3}, "turn 1, step 3"),
        (
            {"turn": 1, "exchange": 2, "pointer": "/input/3", "part": "request"},
            "turn 1, exchange 2, request /input/3",
        ),
        ({"pointer": "", "part": "output"}, "output (whole)"),
        ({"turn": 2, "later_field": 5}, "turn 2"),
    ],
)
def test_a_place_reads_in_words(where: dict[str, object], shown: str) -> None:
    assert place(where) == shown


@pytest.mark.parametrize(
    ("verdict", "severities", "shown"),
    [
        ("passed", [], ""),
        ("passed", ["warn"], "warning, text: finding 1"),
        ("passed", ["warn", "warn", "warn"], "warning, text: finding 1 (and 2 more)"),
        ("failed", ["warn", "error"], "text: finding 2"),
        ("failed", ["error", "error"], "text: finding 1 (and 1 more)"),
        ("errored", [], "what the session said"),
        ("skipped", [], "what the session said"),
    ],
)
def test_a_headline_says_why(verdict: str, severities: list[str], shown: str) -> None:
    findings = [
        {"severity": severity, "message": f"finding {number}"}
        for number, severity in enumerate(severities, 1)
    ]
    head = {
        "verdict": verdict,
        "message": "what the session said",
        "checks": [{"name": "text", "findings": findings}],
    }
    assert headline(head, found(head)) == shown


def test_short_json_stays_on_one_line_and_long_json_does_not() -> None:
    assert (
        pretty({"location": "London", "days": [1, 2], "none": {}})
        == '{"location": "London", "days": [1, 2], "none": {}}'
    )
    value = {"location": "x" * LINE}
    assert pretty(value) == json.dumps(value, indent=2)


def test_a_lone_surrogate_stays_escaped_in_json() -> None:
    assert pretty("a\ud800é") == '"a\\ud800é"'


@pytest.mark.parametrize(
    "text", ["", "  ", "plain", "12", '"a string"', "{", "[1,", "{'a': 1}", "{} {}", "[" * 100_000]
)
def test_text_that_is_no_json_document_is_left_alone(text: str) -> None:
    assert reindent(text) is None


def test_numbers_and_strings_keep_their_spelling_when_indented() -> None:
    text = '{"a":1.0,"b":1e2,"big":12345678901234567890,"caf\\u00e9":"{not, a: [brace}"}'
    assert (
        reindent(text)
        == '{\n  "a": 1.0,\n  "b": 1e2,\n  "big": 12345678901234567890,\n  "caf\\u00e9": "{not, a: [brace}"\n}'
    )


@given(
    JSON_VALUES.filter(lambda value: isinstance(value, list | dict)),
    st.sampled_from([None, 1, 4]),
    st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_indenting_changes_the_white_space_and_nothing_else(
    value: object, indent: int | None, ascii_only: bool
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    shown = reindent(text)
    assert shown is not None
    assert json.loads(shown) == value
    if not ascii_only:
        assert shown == pretty(value)
