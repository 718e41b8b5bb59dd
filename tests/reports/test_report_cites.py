"""Citations marked in place: offsets are bytes, ends are exclusive, wrong spans are told and not marked."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.reports.page.citations import mark, safe_link
from tests.reports.sample import cites

TEXT = "Þrír hundar – drei Hunde 🐕 three dogs."


def url_citation(start: Any, end: Any, **more: Any) -> dict[str, Any]:
    return {
        "type": "url_citation",
        "url": "https://example.org",
        "title": "dogs",
        "start_index": start,
        "end_index": end,
        **more,
    }


def test_the_cited_words_are_marked_and_numbered_where_they_end() -> None:
    segments, citations = mark(
        TEXT, [cites(TEXT, "drei Hunde", "de", "https://example.org/de")], 1, 1000
    )
    assert segments == [
        ("Þrír hundar – ", False, ()),
        ("drei Hunde", True, (1,)),
        (" 🐕 three dogs.", False, ()),
    ]
    assert citations == [
        (1, "de", "https://example.org/de", "https://example.org/de", "drei Hunde", "", ("", 0))
    ]


def test_spans_may_be_shared_nested_and_overlapping() -> None:
    annotations = [url_citation(0, 4), url_citation(0, 4), url_citation(2, 6), url_citation(2, 3)]
    segments, citations = mark("abcdefgh", annotations, 5, 1000)
    assert segments == [
        ("ab", True, ()),
        ("c", True, (8,)),
        ("d", True, (5, 6)),
        ("ef", True, (7,)),
        ("gh", False, ()),
    ]
    assert [citation.words for citation in citations] == ["abcd", "abcd", "cdef", "c"]


@pytest.mark.parametrize(
    ("start", "end", "problem"),
    [
        (5, 5, "the span is empty"),
        (6, 5, "the span ends before it starts"),
        (-2, 5, "the span starts or ends before the text"),
        (0, 999, "the span ends after the text"),
        (1, 5, "the span cuts a character in two"),
        (0, None, "start_index or end_index is not a whole number"),
        (0, [], "start_index or end_index is not a whole number"),
        (True, 5, "start_index or end_index is not a whole number"),
    ],
)
def test_a_wrong_span_is_listed_with_its_fault_and_not_marked(
    start: Any, end: Any, problem: str
) -> None:
    segments, [citation] = mark(TEXT, [url_citation(start, end)], 1, 1000)
    assert citation.problem == problem
    assert segments == [(TEXT, False, ())]


@pytest.mark.parametrize(("start", "end"), [("0", "6"), (0.0, 6.0), (None, 6)])
def test_offsets_are_read_as_the_service_may_spell_them(start: Any, end: Any) -> None:
    segments, [citation] = mark(TEXT, [url_citation(start, end)], 1, 1000)
    assert citation.problem == ""
    assert segments[0] == ("Þrír", True, (1,))


def test_a_span_beyond_the_part_shown_is_told() -> None:
    segments, citations = mark("abcdefgh", [url_citation(0, 2), url_citation(3, 6)], 1, 5)
    assert "".join(segment.text for segment in segments) == "abcde"
    assert [citation.problem for citation in citations] == ["", "beyond the part shown"]


def test_only_citations_count() -> None:
    _, citations = mark(
        "word",
        [
            {"type": "word_info", "start_index": 0, "end_index": 4},
            "loose",
            None,
            url_citation(0, 4),
        ],
        1,
        1000,
    )
    assert [citation.number for citation in citations] == [1]


@pytest.mark.parametrize(
    ("annotation", "title", "url"),
    [
        (
            {
                "type": "file_citation",
                "file_name": "a.pdf",
                "page_number": 3,
                "document_uri": "gs://b/a.pdf",
            },
            "a.pdf, page 3",
            "gs://b/a.pdf",
        ),
        ({"type": "place_citation", "name": "Café", "place_id": "places/1"}, "Café", "places/1"),
        ({"type": "url_citation"}, "(no title)", ""),
        ({"type": "url_citation", "title": 7, "url": 8}, "7", ""),
    ],
)
def test_every_kind_of_citation_has_a_title_and_an_address(
    annotation: dict[str, Any], title: str, url: str
) -> None:
    _, [citation] = mark("word", [{**annotation, "end_index": 4}], 1, 1000)
    assert (citation.title, citation.url, citation.href) == (title, url, "")


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://example.org/a?b#c", True),
        ("HTTP://example.org", True),
        ("javascript:alert(1)", False),
        ("javascript:alert(1)//https://x", False),
        ("\x01javascript:alert(1)", False),
        (" https://example.org", False),
        ("https://exa\nmple.org", False),
        ("https://", False),
        ("data:text/html,<script>", False),
        ("//example.org", False),
        ("file:///etc/passwd", False),
        (None, False),
        (["https://example.org"], False),
    ],
)
def test_only_web_addresses_become_links(url: Any, safe: bool) -> None:
    assert safe_link(url) == (url if safe else "")


@given(
    st.text(alphabet="aé–🐕\u0301 ", max_size=12),
    st.lists(st.tuples(st.integers(-2, 40), st.integers(-2, 40)), max_size=5),
)
@settings(max_examples=100, deadline=None)
def test_segments_are_the_text_and_marks_are_the_spans(
    text: str, spans: list[tuple[int, int]]
) -> None:
    segments, citations = mark(text, [url_citation(start, end) for start, end in spans], 1, 1000)
    assert "".join(segment.text for segment in segments) == text
    marked: set[int] = set()
    place = 0
    for segment in segments:
        if segment.marked:
            marked.update(range(place, place + len(segment.text.encode())))
        place += len(segment.text.encode())
    good = {
        citation.number: span
        for citation, span in zip(citations, spans, strict=True)
        if not citation.problem
    }
    assert marked == {byte for start, end in good.values() for byte in range(start, end)}
    assert sorted(number for segment in segments for number in segment.numbers) == sorted(good)
