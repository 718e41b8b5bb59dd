"""The strings of a document are replaced in place; readings are what adds up."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.cassette.text_document import Edit, TextDocument, apply, joined_readings

NAMES = st.sampled_from(["text", "type", "index", "content", "arguments", "data", "ä", "x y"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 99) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)


@given(VALUES, st.booleans(), st.sampled_from([None, 2]))
def test_the_fast_readings_are_those_of_the_document(
    value: object, ascii_only: bool, indent: int | None
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    document = TextDocument(text)
    assert set(joined_readings(text)) == {document.join(reading) for reading in document.readings()}


@given(VALUES, st.sampled_from(["{}", "data: {}\n\n", "{}\n{}\n", "id: 1\ndata:{}\r\n\r\nx"]))
def test_a_document_without_edits_keeps_every_byte(value: object, form: str) -> None:
    text = form.replace("{}", json.dumps({"a": value}))
    document = TextDocument(text)
    assert document.rendered() is document
    for number, leaf in enumerate(document.leaves):
        if leaf.kind == "string":
            document.edit([number], [Edit(0, len(leaf.text), leaf.text)])
    assert document.rendered().source == text


EVENTS = [
    {"index": 0, "delta": {"type": "text", "text": "ab"}},
    {"index": 1, "delta": {"type": "text", "text": "xy"}},
    {"index": 0, "delta": {"type": "text", "text": "cd"}},
]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(EVENTS),
        json.dumps({"events": EVENTS}, indent=1),
        "\n".join(map(json.dumps, EVENTS)),
        "".join(f"data: {json.dumps(event)}\n\n" for event in EVENTS) + "data: [DONE]\n\n",
    ],
)
def test_readings_join_pieces_by_arrival_and_by_step(text: str) -> None:
    document = TextDocument(text)
    readings = [document.join(reading) for reading in document.readings()]
    assert "abxycd" in readings
    assert "abcdxy" in readings
    assert "typetypetype" not in readings
    assert [document.join(pieces) for pieces in document.streams()] == ["abcd", "xy"]


def test_an_edit_over_pieces_is_in_the_first_and_keeps_the_rest() -> None:
    text = '[{"text": "a\\u0041"} , {"text":"\\u0042b", "n": 1.0}]'
    document = TextDocument(text)
    (reading, *_) = document.readings()
    document.edit(reading, [Edit(1, 3, "-")])
    assert document.rendered().source == '[{"text": "a-"} , {"text":"b", "n": 1.0}]'


def test_apply_replaces_parts_in_order() -> None:
    assert apply("0123456789", [Edit(1, 3, "x"), Edit(3, 3, "y"), Edit(8, 10, "")]) == "0xy34567"
