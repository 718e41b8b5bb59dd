"""Aligned transcripts lose nothing, for any texts and steps."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.compare.alignment import (
    MAX_SEGMENTS,
    CitedSource,
    StepRow,
    TextSegment,
    align_steps,
    cited_sources,
    step_content,
    step_text,
    text_segments,
)

texts = st.text(st.sampled_from("ab \n.é漢"), max_size=60)
steps = st.lists(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["thought", "function_call", "model_output"])},
        optional={"id": texts, "name": texts},
    ),
    max_size=8,
)


@given(texts, texts)
def test_segments_contain_both_texts(old: str, new: str) -> None:
    actual = text_segments(old, new)
    assert "".join(one.text for one in actual if one.kind != "gained") == old
    assert "".join(one.text for one in actual if one.kind != "lost") == new
    assert all(one.text for one in actual)


@given(steps, steps)
def test_rows_contain_both_transcripts(
    old: list[dict[str, Any]], new: list[dict[str, Any]]
) -> None:
    rows = align_steps(old, new)
    assert [row.old for row in rows if row.old is not None] == old
    assert [row.new for row in rows if row.new is not None] == new
    assert all(
        (row.kind == "lost") == (row.new is None) and (row.kind == "gained") == (row.old is None)
        for row in rows
    )


@given(steps)
def test_a_transcript_is_the_same_as_itself(old: list[dict[str, Any]]) -> None:
    again = [{**step, "id": "another", "signature": "other"} for step in old]
    assert {row.kind for row in align_steps(old, again)} <= {"same"}


def test_words() -> None:
    assert text_segments("It is 22 degrees.", "It is 23 degrees!") == [
        TextSegment("same", "It is "),
        TextSegment("lost", "22"),
        TextSegment("gained", "23"),
        TextSegment("same", " degrees"),
        TextSegment("lost", "."),
        TextSegment("gained", "!"),
    ]


def test_long_texts_are_aligned_by_lines_and_longer_ones_not_at_all() -> None:
    old = "".join(f"line {number} of many words here\n" for number in range(MAX_SEGMENTS // 2))
    assert [one.kind for one in text_segments(old, old + "more\n")] == ["same", "gained"]
    old *= 3
    assert [one.kind for one in text_segments(old, old + "more\n")] == ["lost", "gained"]


def test_a_call_of_another_function_is_another_step() -> None:
    call, other = (
        {"type": "function_call", "name": "a", "arguments": {}},
        {"type": "function_call", "name": "b", "arguments": {}},
    )
    assert align_steps([call], [other]) == [
        StepRow("lost", call, None),
        StepRow("gained", None, other),
    ]
    changed = {**call, "arguments": {"x": 1}}
    assert align_steps([call], [changed]) == [StepRow("changed", call, changed)]


def test_content() -> None:
    assert step_content(
        {"type": "function_call", "id": "1", "signature": "s", "arguments": {"id": 2}}
    ) == {
        "type": "function_call",
        "arguments": {"id": 2},
    }


def test_texts_and_citations() -> None:
    note = {
        "type": "url_citation",
        "url": "https://a",
        "title": "A",
        "start_index": 0,
        "end_index": 1,
    }
    step = {
        "type": "model_output",
        "content": [
            {
                "type": "text",
                "text": "one",
                "annotations": [
                    note,
                    {**note, "start_index": 5},
                    {"type": "file_citation", "file_name": "f.pdf"},
                    7,
                ],
            },
            {"type": "image"},
            {"type": "text", "text": "two", "annotations": None},
        ],
    }
    assert step_text(step) == "one\ntwo"
    assert cited_sources([step, step]) == [CitedSource("A", "https://a"), CitedSource("f.pdf", "")]


@pytest.mark.parametrize(
    "step", [None, {"type": "thought"}, {"type": "model_output", "content": [1, {"text": 2}]}]
)
def test_steps_without_text(step: dict[str, Any] | None) -> None:
    assert step_text(step) == ""
