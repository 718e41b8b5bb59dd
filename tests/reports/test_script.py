"""Functions of the page's script: formatting, citations, media, steps."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from typing import Any

import pytest

from evalkit._lib.text import visible
from evalkit.protocol.step_types import STEP_TYPES
from evalkit.reports import formatting
from evalkit.reports.page.step_labels import LABELS
from evalkit.reports.page.templating import resource
from tests.reports.browsing import SKIP
from tests.reports.sample import answer, call, cites, says, text, thought
from tests.reports.sample_cases import euro, every_step
from tests.reports.test_formatting import DURATIONS, PLACES

pytestmark = pytest.mark.browser

if SKIP:
    pytest.skip(SKIP, allow_module_level=True)

Script = Callable[..., Any]
JSON = Any


# Formatting


def test_script_formats_as_python_does(call_script: Script) -> None:
    for milliseconds, text_ in DURATIONS:
        assert call_script("return duration(argument)", milliseconds) == text_
    for where, text_ in PLACES:
        assert call_script("return placeText(argument)", where) == text_
    for number in (0, 1, 1234):
        counted = call_script("return count(argument, 'turn')", number)
        assert counted == formatting.count(number, "turn")
    values = [
        {"location": "London", "days": [1, 2], "none": {}},
        {"location": "x" * formatting.LINE},
        [],
        "é\u202e",
    ]
    for value in values:
        assert call_script("return pretty(argument)", value) == formatting.pretty(value)
    for length in (20, 30):
        text_ = "🐕" * length
        assert call_script("return clip(argument, 20)", text_) == formatting.clip(text_, 20)


@pytest.mark.parametrize("value", [None, True, "412"])
def test_duration_of_something_else_is_empty(call_script: Script, value: object) -> None:
    assert call_script("return duration(argument)", value) == ""


@pytest.mark.parametrize(
    ("bytes_", "text_"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1 KiB"),
        (12_500, "12 KiB"),
        (1 << 20, "1.0 MiB"),
        (5_872_026, "5.6 MiB"),
    ],
)
def test_size_has_a_readable_unit(call_script: Script, bytes_: int, text_: str) -> None:
    assert call_script("return byteSize(argument)", bytes_) == text_


@pytest.mark.parametrize(
    ("signature", "text_"),
    [
        ("", "signature empty"),
        ("c2ln", "signature 4 characters, c2ln"),
        ("A", "signature 1 character, A"),
        ("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "signature 26 characters, ABCDEFGH…UVWXYZ"),
        (None, "signature null"),
    ],
)
def test_signature_is_shown_by_length_and_ends(
    call_script: Script, signature: object, text_: str
) -> None:
    assert call_script("return fingerprint(argument)", signature) == text_


@pytest.mark.parametrize(
    "text_", ["", "  ", "plain", "12", '"a string"', "{", "[1,", "{'a': 1}", "{} {}"]
)
def test_text_that_is_not_a_json_document_is_not_indented(call_script: Script, text_: str) -> None:
    assert call_script("return reindent(argument)", text_) is None


def test_numbers_and_strings_keep_their_spelling_when_indented(call_script: Script) -> None:
    document = '{"a":1.0,"b":1e2,"big":12345678901234567890,"caf\\u00e9":"{not, a: [brace}"}'
    assert call_script("return reindent(argument)", document) == (
        '{\n  "a": 1.0,\n  "b": 1e2,\n  "big": 12345678901234567890,\n'
        '  "caf\\u00e9": "{not, a: [brace}"\n}'
    )


def random_json(rng: random.Random, depth: int = 3) -> JSON:
    kind = rng.randrange(6 if depth else 4)
    if kind == 4:
        return [random_json(rng, depth - 1) for _ in range(rng.randrange(4))]
    if kind == 5:
        return {random_text(rng): random_json(rng, depth - 1) for _ in range(rng.randrange(4))}
    return [None, rng.random() * 10**9, rng.randrange(-9, 10**6), random_text(rng)][kind]


def random_text(rng: random.Random) -> str:
    return "".join(rng.choice('ab {}[],:"\\\n\té🐕\u2028') for _ in range(rng.randrange(8)))


def test_indenting_changes_only_white_space(call_script: Script) -> None:
    rng = random.Random(1)
    values = [[random_json(rng)] for _ in range(300)]
    texts = [
        json.dumps(value, indent=rng.choice([None, 1, 4]), ensure_ascii=rng.random() < 0.5)
        for value in values
    ]
    indented = call_script("return argument.map((one) => reindent(one))", texts)
    assert [json.loads(one) for one in indented] == values
    plain = [json.dumps(value, ensure_ascii=False) for value in values]
    indented = call_script("return argument.map((one) => reindent(one))", plain)
    assert indented == [formatting.pretty(value) for value in values]


# Citations

CITED = """
  const [text, annotations, first, limit, via] = argument;
  const before = tables.limit;
  tables.limit = limit;
  const { elements: [paragraph, list] } = citedText(text, annotations, first, "a", via);
  tables.limit = before;
  const piece = (node) => node.localName === "sup"
    ? ["number", node.textContent]
    : [node.localName === "mark" ? "mark" : "text", node.textContent];
  const part = (item, selector) => item.querySelector(selector)?.textContent ?? "";
  return [
    [...paragraph.childNodes].map(piece),
    [...list.children].map((item) => ({
      number: item.value,
      title: item.firstChild.textContent,
      href: item.firstChild.getAttribute?.("href") ?? "",
      url: part(item, ".url"),
      cited: part(item, "q"),
      problem: part(item, "em"),
    })),
  ];
"""
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


def mark(
    call_script: Script, text_: str, annotations: list[Any], first: int = 1, limit: int = 1000
) -> tuple[list[Any], list[dict[str, Any]]]:
    pieces, items = call_script(CITED, [text_, annotations, first, limit, {}])
    return [tuple(piece) for piece in pieces], items


def test_cited_text_is_marked_and_numbered_at_its_end(call_script: Script) -> None:
    citation = cites(TEXT, "drei Hunde", "de", "https://example.org/de")
    pieces, items = mark(call_script, TEXT, [citation])
    assert pieces == [
        ("text", "Þrír hundar – "),
        ("mark", "drei Hunde"),
        ("number", "1"),
        ("text", " 🐕 three dogs."),
    ]
    url = "https://example.org/de"
    assert items == [
        {"number": 1, "title": "de", "href": url, "url": url, "cited": "drei Hunde", "problem": ""}
    ]


def test_spans_may_be_shared_nested_and_overlapping(call_script: Script) -> None:
    spans = [url_citation(0, 4), url_citation(0, 4), url_citation(2, 6), url_citation(2, 3)]
    pieces, items = mark(call_script, "abcdefgh", spans, 5)
    assert pieces == [
        ("mark", "ab"),
        ("mark", "c"),
        ("number", "8"),
        ("mark", "d"),
        ("number", "5"),
        ("number", "6"),
        ("mark", "ef"),
        ("number", "7"),
        ("text", "gh"),
    ]
    assert [item["cited"] for item in items] == ["abcd", "abcd", "cdef", "c"]


@pytest.mark.parametrize(
    ("start", "end", "problem"),
    [
        (5, 5, "the span is empty"),
        (6, 5, "the span ends before it starts"),
        (-2, 5, "the span starts or ends before the text"),
        (0, 999, "the span ends after the text"),
        (1, 5, "the span splits a character"),
        (0, None, "start_index or end_index is not a whole number"),
        (0, [], "start_index or end_index is not a whole number"),
        (True, 5, "start_index or end_index is not a whole number"),
    ],
)
def test_wrong_span_is_listed_with_its_problem_and_not_marked(
    call_script: Script, start: Any, end: Any, problem: str
) -> None:
    pieces, [item] = mark(call_script, TEXT, [url_citation(start, end)])
    assert item["problem"] == problem
    assert pieces == [("text", TEXT)]


@pytest.mark.parametrize(("start", "end"), [("0", "6"), (0.0, 6.0), (None, 6)])
def test_offsets_may_be_spelled_in_several_ways(call_script: Script, start: Any, end: Any) -> None:
    pieces, [item] = mark(call_script, TEXT, [url_citation(start, end)])
    assert item["problem"] == ""
    assert pieces[:2] == [("mark", "Þrír"), ("number", "1")]


def test_span_beyond_the_part_shown_is_reported(call_script: Script) -> None:
    spans = [url_citation(0, 2), url_citation(3, 6)]
    pieces, items = mark(call_script, "abcdefgh", spans, limit=5)
    assert "".join(piece[1] for piece in pieces if piece[0] != "number") == "abcde"
    assert [item["problem"] for item in items] == ["", "beyond the part shown"]


def test_other_annotations_are_not_citations(call_script: Script) -> None:
    word = {"type": "word_info", "start_index": 0, "end_index": 4}
    _, items = mark(call_script, "word", [word, "loose", None, url_citation(0, 4)])
    assert [item["number"] for item in items] == [1]


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
    call_script: Script, annotation: dict[str, Any], title: str, url: str
) -> None:
    _, [item] = mark(call_script, "word", [{**annotation, "end_index": 4}])
    assert (item["title"], item["url"], item["href"]) == (title, url, "")


@pytest.mark.parametrize(
    ("url", "is_safe"),
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
def test_only_web_addresses_become_links(call_script: Script, url: Any, is_safe: bool) -> None:
    assert call_script("return webAddress(argument)", url) == (url if is_safe else "")


def test_pieces_are_the_text_and_marks_are_the_spans(call_script: Script) -> None:
    rng = random.Random(2)
    for _ in range(100):
        # Pieces are made visible one by one, so a letter must not be apart from its accent.
        text_ = "".join(rng.choice("aé–🐕ж ") for _ in range(rng.randrange(13)))
        spans = [(rng.randint(-2, 40), rng.randint(-2, 40)) for _ in range(rng.randint(1, 5))]
        pieces, items = mark(call_script, text_, [url_citation(*span) for span in spans])
        assert "".join(piece[1] for piece in pieces if piece[0] != "number") == text_
        marked: set[int] = set()
        numbers = []
        position = 0
        for kind, piece in pieces:
            if kind == "number":
                numbers.append(int(piece))
                continue
            if kind == "mark":
                marked.update(range(position, position + len(piece.encode())))
            position += len(piece.encode())
        good = {
            item["number"]: span
            for item, span in zip(items, spans, strict=True)
            if not item["problem"]
        }
        assert marked == {byte for start, end in good.values() for byte in range(start, end)}
        assert sorted(numbers) == sorted(good)


# Media

MEDIA = """
  const figure = mediaFigure(argument);
  const shown = figure.querySelector("img, audio, video");
  const caption = figure.querySelector("figcaption").textContent;
  return [shown?.localName ?? "", shown?.getAttribute("src") ?? "", caption];
"""


def block(data: str, mime: str = "image/png") -> dict[str, str]:
    return {"type": "image", "data": data, "mime_type": mime}


@pytest.mark.parametrize(
    ("mime", "element"),
    [("image/png", "img"), ("IMAGE/JPEG", "img"), ("audio/wav", "audio"), ("video/mp4", "video")],
)
def test_safe_type_is_shown_as_a_data_uri(call_script: Script, mime: str, element: str) -> None:
    shown = call_script(MEDIA, block("AAAA", mime))
    assert shown == [
        element,
        f"data:{mime.lower()};base64,AAAA",
        f"{mime.lower()}, 3 bytes",
    ]


@pytest.mark.parametrize(
    ("content", "caption"),
    [
        (
            block("PHN2Zz4=", "image/svg+xml"),
            "image/svg+xml, 5 bytes, not shown; the data is in the run directory",
        ),
        (
            block("PGI+", "text/html"),
            "text/html, 3 bytes, not shown; the data is in the run directory",
        ),
        (
            block("AAAA", "constructor"),
            "constructor, 3 bytes, not shown; the data is in the run directory",
        ),
        (
            {"type": "image", "data": "AAAA"},
            "image without a type, 3 bytes, not shown; the data is in the run directory",
        ),
        (block('"><script>'), "image/png, 10 characters that are not base64, not shown"),
        (block(""), "image/png, 0 characters that are not base64, not shown"),
        (block("AAAA\n"), "image/png, 5 characters that are not base64, not shown"),
        (block("evalkit-media:none"), "image/png, not shown; the data is in the run directory"),
        ({"type": "image", "mime_type": "image/png"}, "image/png, without data"),
        ({"type": "image", "data": 5, "mime_type": "image/png"}, "image/png, without data"),
        (
            {"type": "video", "uri": "https://example.org/a", "mime_type": "video/mp4"},
            "video/mp4, by reference https://example.org/a",
        ),
    ],
)
def test_other_media_are_described(
    call_script: Script, content: dict[str, object], caption: str
) -> None:
    assert call_script(MEDIA, content) == ["", "", caption]


def test_no_safe_type_can_run_code() -> None:
    table = resource("js/media.js").partition("SAFE_MEDIA")[2].partition("});")[0]
    types = re.findall(r'"([a-z]+/[a-z0-9-]+)":', table)
    assert len(types) > 10
    assert all(mime.startswith(("image/", "audio/", "video/")) for mime in types)
    assert not [mime for mime in types if re.search("svg|html|xml", mime)]


# Steps

CARDS = """
  const findingsAt = (anchor) => anchor === argument.finding ? [document.createElement("p")] : [];
  const entries = argument.steps.map((step) => ({ origin: "model", exchange: 1, step }));
  const kinds = (element) => element.localName === "ul"
    ? ["list", [...element.children].map((item) => item.textContent)]
    : [element.classList.item(0), element.textContent];
  return stepCards(entries, "v.t1", findingsAt).map((card) => ({
    style: card.classList.item(1),
    parts: [...card.querySelectorAll(".part")].map((part) => ({
      number: Number(part.querySelector(".n").textContent),
      anchor: part.id,
      label: part.querySelector("b").textContent,
      isFolded: part.localName === "details",
      hasFailed: part.classList.contains("failed"),
      blocks: [...(part.querySelector(".blocks")?.children ?? [])].map(kinds),
      citations: [...part.querySelectorAll(".citations")].map((list) =>
        [...list.children].map((item) => item.value)),
      problems: [...part.querySelectorAll(".citations li")].map((item) =>
        item.querySelector("em")?.textContent ?? ""),
    })),
  }));
"""


def cards(call_script: Script, *steps: JSON, finding: str = "") -> list[dict[str, Any]]:
    result: list[dict[str, Any]] = call_script(CARDS, {"steps": list(steps), "finding": finding})
    return result


def numbers(found: list[dict[str, Any]]) -> list[list[int]]:
    return [[part["number"] for part in card["parts"]] for card in found]


def only_part(call_script: Script, step: JSON) -> dict[str, Any]:
    [card] = cards(call_script, step)
    [part] = card["parts"]
    return {**part, "style": card["style"]}


def test_every_known_type_has_its_own_label() -> None:
    assert set(LABELS) == set(STEP_TYPES)
    assert len({label for _, label in LABELS.values()}) == len(LABELS)


def test_result_is_shown_with_its_call_wherever_it_is(call_script: Script) -> None:
    steps = [call("a"), call("b"), thought(), answer("b"), answer("a"), answer("nobody")]
    assert numbers(cards(call_script, *steps)) == [[1, 5], [2, 4], [3], [6]]


def test_no_step_is_lost(call_script: Script) -> None:
    steps = [step.raw for step in every_step().steps]
    found = cards(call_script, *steps)
    shown = sorted(number for card in numbers(found) for number in card)
    assert shown == list(range(1, len(steps) + 1))
    assert all(
        part["anchor"] == f"v.t1.s{part['number']}" for card in found for part in card["parts"]
    )


@pytest.mark.parametrize(
    ("step", "label", "json_text"),
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
def test_unknown_step_is_shown_as_json(
    call_script: Script, step: dict[str, Any], label: str, json_text: str
) -> None:
    part = only_part(call_script, step)
    assert (part["style"], part["label"]) == ("other", label)
    assert part["blocks"] == [["json", json_text]]


FUNCTION_RESULT = {"type": "function_result", "call_id": "a"}
CODE = {"type": "code_execution_call", "id": "c"}


@pytest.mark.parametrize(
    ("step", "blocks"),
    [
        (call("a", location="Oslo"), [("json", '{"location": "Oslo"}')]),
        (call("a") | {"arguments": "text"}, [("json", '"text"')]),
        (call("a") | {"extra": 1}, [("json", "{}"), ("json", '{"extra": 1}')]),
        (answer("a", ok=True), [("json", '{"ok": true}')]),
        ({**FUNCTION_RESULT, "result": "plain words"}, [("text", "plain words")]),
        ({**FUNCTION_RESULT, "result": {"a": [1]}}, [("json", '{"a": [1]}')]),
        ({**FUNCTION_RESULT, "result": [1]}, [("json", "[1]")]),
        ({**FUNCTION_RESULT, "result": None}, [("json", "null")]),
        ({**FUNCTION_RESULT, "result": ""}, [("note", "empty")]),
        (
            {**CODE, "arguments": {"language": "python", "code": "a\nb"}},
            [("note", "python"), ("code", "a\nb")],
        ),
        (
            {**CODE, "arguments": {"code": 5, "language": "x"}},
            [("json", '{"code": 5, "language": "x"}')],
        ),
        ({"type": "code_execution_result", "call_id": "c", "result": "{}"}, [("code", "{}")]),
        (
            {"type": "google_search_call", "id": "s", "arguments": {"queries": ["a", 1]}},
            [("json", '{"queries": ["a", 1]}')],
        ),
        (
            {"type": "google_search_call", "id": "s", "arguments": {"queries": ["a", "b"]}},
            [("list", ["a", "b"])],
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
def test_step_shows_its_content(
    call_script: Script, step: dict[str, Any], blocks: list[tuple[str, JSON]]
) -> None:
    assert only_part(call_script, step)["blocks"] == [list(one) for one in blocks]


@pytest.mark.parametrize(
    ("step", "has_failed"),
    [
        ({**FUNCTION_RESULT, "result": "x", "is_error": True}, True),
        ({**FUNCTION_RESULT, "result": "x", "is_error": False}, False),
        ({"type": "model_output", "content": [], "error": {"code": 13}}, True),
        ({"type": "model_output", "content": [], "error": None}, False),
    ],
)
def test_error_is_marked(call_script: Script, step: dict[str, Any], has_failed: bool) -> None:
    assert only_part(call_script, step)["hasFailed"] is has_failed


def test_thought_is_folded_unless_it_has_a_finding(call_script: Script) -> None:
    step = thought(summary=[text("why")])
    assert cards(call_script, step)[0]["parts"][0]["isFolded"]
    assert not cards(call_script, step, finding="v.t1.s1")[0]["parts"][0]["isFolded"]


def test_citation_numbers_continue_over_the_blocks_of_a_step(call_script: Script) -> None:
    cite = {"type": "url_citation", "title": "t", "start_index": 0, "end_index": 3}
    step = {"type": "model_output", "content": [text("one two", cite, cite), text("two", cite)]}
    assert only_part(call_script, step)["citations"] == [[1, 2], [3]]


def test_other_annotations_are_shown_as_json(call_script: Script) -> None:
    step = says("w", {"type": "word_info", "text": "w"})
    kinds = [kind for kind, _ in only_part(call_script, step)["blocks"]]
    assert kinds == ["text", "json"]


def test_search_may_follow_the_text_that_cites_it(call_script: Script) -> None:
    found = cards(call_script, *[step.raw for step in euro().steps])
    assert numbers(found) == [[1], [2], [3, 4]]
    assert found[1]["parts"][0]["problems"] == [
        "",
        "",
        "",
        "",
        "the span ends after the text",
        "the span splits a character",
        "",
    ]


def test_text_of_five_million_characters_is_cut(call_script: Script) -> None:
    paragraph, note = only_part(call_script, says("x" * 5_000_000))["blocks"]
    assert len(paragraph[1]) == 20_000
    rest = "20,000 of 5,000,000 characters shown; the whole text is in results.jsonl"
    assert note == ["note", rest]


def test_invisible_characters_are_shown_as_everywhere_else(call_script: Script) -> None:
    """The page and every message show the same characters by their code points."""
    characters = [chr(code) for code in (*range(0x3300), *range(0xD7FF, 0x11000))]
    characters += [chr(code) for code in range(0x1BC00, 0x20000)]
    characters += [chr(code) for code in range(0xDFF00, 0xE1100)]
    texts = [f"a{char}b" for char in characters]
    texts += [
        "\u2764\ufe0f",
        "1\ufe0f\u20e3",
        "\u2764\ufe0f\ufe0f",
        "e\u0301",
        "x\u0301",
        "1\u0301",
    ]
    # A lone surrogate does not survive the way into the browser.
    texts = [text for text in texts if not any(0xD800 <= ord(char) < 0xE000 for char in text)]
    shown = call_script("return argument.map(visible)", texts)
    differences = [
        (text, one, visible(text))
        for text, one in zip(texts, shown, strict=True)
        if one != visible(text)
    ]
    assert differences == []
