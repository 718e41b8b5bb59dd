"""Which text the check ``text`` reads, where missing words are, texts that look alike."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit._lib.lookalikes import lookalike_note
from evalkit._lib.text import did_you_mean, show, visible
from tests.checks.sample_turns import CALL, RESULT, codes, judge, output, says

TEXT: list[tuple[Any, str, list[str]]] = [
    ("text", "a", []),
    ("text", "  \n", ["text_absent"]),
    ({"text": "b"}, "abc", []),
    ({"text": ["a", "x"]}, "abc", ["text_missing"]),
    ({"text": {"all_of": ["a", "x", "y"]}}, "abc", ["text_missing", "text_missing"]),
    ({"text": {"any_of": ["x", "b"]}}, "abc", []),
    ({"text": {"any_of": ["x", "y"]}}, "abc", ["text_missing"]),
    ({"text": {"not_contains": "x"}}, "", []),
    ({"text": {"not_contains": ["x", "b"]}}, "abc", ["text_forbidden"]),
    ({"text": {"equals": "abc"}}, "abc", []),
    ({"text": {"equals": "abc"}}, "abd", ["text_differs"]),
    ({"text": {"matches": r"\bb\d"}}, "a b2", []),
    ({"text": {"matches": "^b"}}, "abc", ["text_no_match"]),
    ({"text": {"starts_with": "ab", "ends_with": "bc"}}, "abc", []),
    ({"text": {"starts_with": "b", "ends_with": "b"}}, "abc", ["text_start", "text_end"]),
    ({"text": {"max_chars": 2, "min_chars": 2}}, "é☃", []),
    ({"text": {"max_chars": 2}}, "abc", ["text_too_long"]),
    ({"text": {"min_chars": 4}}, "abc", ["text_too_short"]),
    (
        {
            "text": {
                "contains": "ABC",
                "matches": "B",
                "equals": "aBc",
                "starts_with": "A",
                "ignore_case": True,
            }
        },
        "abC",
        [],
    ),
]

TURN: dict[str, Any] = {
    "steps": [
        {"type": "thought", "summary": [{"type": "text", "text": "They want Paris."}]},
        says("Let me look it up."),
        CALL,
        RESULT | {"result": "21 degrees"},
        says("It is "),
        {"type": "thought", "signature": "sig"},
        says("warm."),
    ],
    "request": {"tools": [{"type": "function", "name": "look"}]},
}


@pytest.mark.parametrize(("entry", "text", "expected"), TEXT)
def test_text(entry: Any, text: str, expected: list[str]) -> None:
    assert codes(entry, output(text)) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"equals": "It is warm."}, []),
        ({"contains": "look it up"}, ["text_missing"]),
        ({"contains": "look it up", "of": "all"}, []),
        ({"equals": "Let me look it up.\nIt is \nwarm.", "of": "all"}, []),
        ({"not_contains": "look it up"}, ["text_forbidden"]),
        ({"not_contains": ["21", "Paris"]}, []),
        ({"max_chars": 12}, []),
        ({"max_chars": 12, "of": "all"}, ["text_too_long"]),
    ],
)
def test_the_check_reads_the_output_text_or_all_text(
    options: dict[str, Any], expected: list[str]
) -> None:
    assert codes({"text": options}, TURN) == expected


def test_over_the_conversation_forbidden_words_are_searched_in_every_turn() -> None:
    source = {"turns": [output("one secret"), output("two")]}
    assert codes({"text": {"not_contains": "secret"}}, source, whole=True) == ["text_forbidden"]
    assert codes({"text": {"contains": "secret"}}, source, whole=True) == ["text_missing"]
    assert codes({"text": {"contains": ["one", "two"], "of": "all"}}, source, whole=True) == []


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"contains": "21 degrees"}, '"21 degrees" is in step 4 of turn 1 (function_result)'),
        ({"all_of": ["warm", "paris"], "ignore_case": True}, "is in step 1 of turn 1 (thought)"),
        ({"any_of": ["sky", "look it"]}, '"sky" is in step 3 of turn 1 (function_call)'),
        ({"any_of": ["sky", "look it"]}, '"look it" is in step 2 of turn 1 (model_output)'),
    ],
)
def test_a_miss_says_where_else_the_words_are(options: dict[str, Any], place: str) -> None:
    (finding,) = judge({"text": options}, TURN).findings
    assert place in finding.detail


LOOKALIKES = [
    ("20 km", "only 20\u00a0km", "character 8 is U+00A0 NO-BREAK SPACE, not ' '"),
    ("na\u00efve", "nai\u0308ve", "'i' with U+0308 COMBINING DIAERESIS"),
    ("don't", "I don\u2019t", "character 6 is U+2019 RIGHT SINGLE QUOTATION MARK, not '''"),
    ("1-2", "1\u20132", "U+2013 EN DASH"),
    ("paypal", "p\u0430ypal", "U+0430 CYRILLIC SMALL LETTER A"),
    ("abc", "ab\u200bc", "U+200B ZERO WIDTH SPACE"),
    ("abc", "a\u202ebc", "U+202E RIGHT-TO-LEFT OVERRIDE"),
    ("fine", "\ufb01ne", "U+FB01 LATIN SMALL LIGATURE FI"),
    ("\u1ed9", "o\u0302\u0323", "'o' with U+0302 COMBINING CIRCUMFLEX ACCENT"),
    ("it's", "it\u02bcs", "U+02BC MODIFIER LETTER APOSTROPHE"),
    ("1~2", "1\u301c2", "U+301C WAVE DASH"),
    ("7:30", "7\u223630", "U+2236 RATIO"),
    ("\ud55c", "\u1112\u1161\u11ab", "U+1112 HANGUL CHOSEONG HIEUH"),
    ("ab", "a\u115fb", "U+115F HANGUL CHOSEONG FILLER"),
    ("\uff21B", "AB", "'A', not U+FF21 FULLWIDTH LATIN CAPITAL LETTER A"),
]


@pytest.mark.parametrize(("expected", "got", "note"), LOOKALIKES)
def test_text_that_only_looks_alike_is_named(expected: str, got: str, note: str) -> None:
    assert note in lookalike_note(expected, got)
    entries: list[tuple[Any, Any]] = [
        ({"text": expected}, output(got)),
        ({"text": {"equals": expected}}, output(got)),
        ({"tool_calls": [{"name": "look", "arguments": {"at": expected}}]}, call_of(got)),
        ({"json_schema": {"enum": [expected]}}, output(json.dumps(got))),
        ({"json": {"@": expected}}, output(json.dumps(got))),
    ]  # fmt: skip
    is_whole = not got.startswith(("only", "I "))
    for entry, source in entries if is_whole else entries[:1]:
        (finding, *_) = judge(entry, source).findings
        named = note.split(", not")[0].split()[-1]
        assert named in f"{finding.message} {finding.detail}", finding


@pytest.mark.parametrize(
    ("expected", "got", "name"),
    [("CAF\u00c9", "cafe\u0301", "ACUTE"), ("20 C", "20\u2009c", "THIN SPACE"), ("A-B", "a\u2011b", "HYPHEN")],
)  # fmt: skip
@pytest.mark.parametrize("rule", ["contains", "any_of", "starts_with", "ends_with", "similar_to"])
def test_upper_case_hides_no_lookalike(expected: str, got: str, name: str, rule: str) -> None:
    options = {
        rule: [expected] if rule == "any_of" else expected,
        "ignore_case": True,
        "min_ratio": 1,
    }
    (finding,) = judge({"text": options}, output(got)).findings
    assert name in finding.detail


def call_of(text: str) -> dict[str, Any]:
    steps = [CALL | {"arguments": {"at": text}}, RESULT]
    return {"steps": steps, "request": {"tools": [{"type": "function", "name": "look"}]}}


@pytest.mark.parametrize(
    ("expected", "got"), [("a", "ab"), ("ab", "a"), ("a", "b"), ("\u00e9", "e"), (" ", "\u00a0x")]
)
def test_text_that_looks_different_or_is_there_needs_no_note(expected: str, got: str) -> None:
    assert lookalike_note(expected, got) == ""


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_note_never_fails_and_is_about_a_difference(expected: str, got: str) -> None:
    assert isinstance(lookalike_note(expected, got), str)
    assert lookalike_note(expected, expected) == ""


def test_spaces_and_decomposed_letters_are_visible_in_every_message() -> None:
    assert visible("20\u202fC, \u00a0, \u2003") == "20<U+202F>C, <U+00A0>, <U+2003>"
    assert show("cafe\u0301") == '"cafe<U+0301>"'
    for text in (
        "caf\u00e9",
        "Vi\u1ec7t",
        "\u0939\u093f\u0928\u094d\u0926\u0940",
        "q\u0308",
        "\u3000",
    ):
        assert visible(text) == text
    assert "U+043E CYRILLIC" in did_you_mean("c\u043entains", ["contains"])
