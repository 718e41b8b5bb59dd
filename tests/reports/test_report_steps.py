"""Steps as cards: calls stand with their results, every field is shown or counted, unknown things are shown as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from evalkit.protocol.step_types import STEP_TYPES
from evalkit.reports.page.media import MediaBook
from evalkit.reports.page.steps import LABELS, Card, cards, contents
from tests.reports.sample import answer, call, says, text, thought
from tests.reports.sample_cases import euro, every_step


@pytest.fixture
def book() -> Iterator[MediaBook]:
    made = MediaBook()
    yield made
    made.close()


def drawn(
    book: MediaBook, *steps: dict[str, Any], findings: dict[int, list[Any]] | None = None
) -> list[Card]:
    entries = [{"origin": "model", "exchange": 1, "step": step} for step in steps]
    return cards(entries, "v.t1", book, findings or {})


def numbers(found: list[Card]) -> list[list[int]]:
    return [[part.number for part in card.parts] for card in found]


def test_every_known_type_has_a_label_of_its_own() -> None:
    assert set(LABELS) == set(STEP_TYPES)
    assert len({label for _, label in LABELS.values()}) == len(LABELS)


def test_a_result_stands_with_its_call_wherever_it_came(book: MediaBook) -> None:
    steps = [call("a"), call("b"), thought(), answer("b"), answer("a"), answer("nobody")]
    assert numbers(drawn(book, *steps)) == [[1, 5], [2, 4], [3], [6]]


def test_no_step_is_lost(book: MediaBook) -> None:
    steps = [step.raw for step in every_step().steps]
    found = drawn(book, *steps)
    assert sorted(number for card in numbers(found) for number in card) == list(
        range(1, len(steps) + 1)
    )
    assert all(part.anchor == f"v.t1.s{part.number}" for card in found for part in card.parts)


@pytest.mark.parametrize(
    ("step", "label", "json"),
    [
        (
            {"type": "hologram_call", "id": "h", "edges": 12},
            "hologram_call",
            '{"type": "hologram_call", "id": "h", "edges": 12}',
        ),
        ({"no": "type"}, "Step without a type", '{"no": "type"}'),
        ({"type": ["list"]}, "Step without a type", '{"type": ["list"]}'),
    ],
)
def test_an_unknown_step_is_shown_as_json(
    book: MediaBook, step: dict[str, Any], label: str, json: str
) -> None:
    [card] = drawn(book, step)
    [part] = card.parts
    assert (card.style, part.label, [(block.kind, block.text) for block in part.blocks]) == (
        "other",
        label,
        [("json", json)],
    )


@pytest.mark.parametrize(
    ("step", "blocks"),
    [
        (call("a", location="Oslo"), [("json", '{"location": "Oslo"}')]),
        (call("a") | {"arguments": "text"}, [("json", '"text"')]),
        (call("a") | {"extra": 1}, [("json", "{}"), ("json", '{"extra": 1}')]),
        (answer("a", ok=True), [("json", '{"ok": true}')]),
        (
            {"type": "function_result", "call_id": "a", "result": "plain words"},
            [("text", "plain words")],
        ),
        (
            {"type": "function_result", "call_id": "a", "result": {"a": [1]}},
            [("json", '{"a": [1]}')],
        ),
        ({"type": "function_result", "call_id": "a", "result": [1]}, [("json", "[1]")]),
        ({"type": "function_result", "call_id": "a", "result": None}, [("json", "null")]),
        (
            {
                "type": "code_execution_call",
                "id": "c",
                "arguments": {"language": "python", "code": "a\nb"},
            },
            [("note", "python"), ("code", "a\nb")],
        ),
        (
            {"type": "code_execution_call", "id": "c", "arguments": {"code": 5, "language": "x"}},
            [("json", '{"code": 5, "language": "x"}')],
        ),
        ({"type": "code_execution_result", "call_id": "c", "result": "{}"}, [("code", "{}")]),
        (
            {"type": "google_search_call", "id": "s", "arguments": {"queries": ["a", 1]}},
            [("json", '{"queries": ["a", 1]}')],
        ),
        (
            {
                "type": "google_search_result",
                "call_id": "s",
                "result": [{"search_suggestions": "<b>", "rank": 1}, {}, "odd"],
            },
            [
                ("note", "search suggestions: 3 characters of HTML, not shown"),
                ("json", '{"rank": 1}'),
                ("json", '"odd"'),
            ],
        ),
        ({"type": "model_output", "content": [text("[1,2]")]}, [("json", "[1, 2]")]),
        ({"type": "model_output", "error": {"code": 13}}, [("problem", '{"code": 13}')]),
        ({"type": "model_output", "error": None}, []),
        ({"type": "thought", "signature": "abc"}, []),
        ({"type": "processing_result", "call_id": "p", "note": "n"}, [("json", '{"note": "n"}')]),
    ],
)
def test_a_step_shows_what_it_holds(
    book: MediaBook, step: dict[str, Any], blocks: list[tuple[str, str]]
) -> None:
    [card] = drawn(book, step)
    assert [(block.kind, block.text) for block in card.parts[0].blocks] == blocks


def test_queries_are_a_list(book: MediaBook) -> None:
    [card] = drawn(
        book, {"type": "google_search_call", "id": "s", "arguments": {"queries": ["a", "b"]}}
    )
    assert [(block.kind, block.items) for block in card.parts[0].blocks] == [("list", ["a", "b"])]


@pytest.mark.parametrize(
    ("step", "failed"),
    [
        ({"type": "function_result", "call_id": "a", "result": "x", "is_error": True}, True),
        ({"type": "function_result", "call_id": "a", "result": "x", "is_error": False}, False),
        ({"type": "model_output", "content": [], "error": {"code": 13}}, True),
        ({"type": "model_output", "content": [], "error": None}, False),
    ],
)
def test_an_error_is_seen(book: MediaBook, step: dict[str, Any], failed: bool) -> None:
    [card] = drawn(book, step)
    assert card.parts[0].failed is failed


def test_thoughts_are_folded_unless_a_finding_speaks_of_them(book: MediaBook) -> None:
    assert drawn(book, thought())[0].folded
    assert not drawn(book, thought(), findings={1: ["a finding"]})[0].folded


def test_citation_numbers_go_on_over_the_blocks_of_a_step(book: MediaBook) -> None:
    cite = {"type": "url_citation", "title": "t", "start_index": 0, "end_index": 3}
    blocks = contents([text("one two", cite, cite), text("two", cite)], book)
    assert [[citation.number for citation in block.citations] for block in blocks] == [[1, 2], [3]]


def test_annotations_that_cite_nothing_are_shown_as_json(book: MediaBook) -> None:
    word = {"type": "word_info", "text": "w"}
    assert [block.kind for block in contents([text("w", word)], book)] == ["text", "json"]


def test_the_search_stands_after_the_text_as_the_service_sends_it(book: MediaBook) -> None:
    found = drawn(book, *[step.raw for step in euro().steps])
    assert numbers(found) == [[1], [2], [3, 4]]
    marked = found[1].parts[0].blocks[0]
    assert [citation.problem for citation in marked.citations] == [
        "",
        "",
        "",
        "",
        "the span ends after the text",
        "the span cuts a character in two",
        "",
    ]
    assert marked.citations[3].href == ""


def test_a_text_of_five_million_characters_is_cut(book: MediaBook) -> None:
    [card] = drawn(book, says("x" * 5_000_000))
    [block] = card.parts[0].blocks
    assert len(block.text) == 20_000
    assert block.note == "20,000 of 5,000,000 characters shown; the whole text is in results.jsonl"
