"""Steps of a turn as cards: what the template prints and nothing it would have to think about.

A card is one step, or a call with its result in one block, wherever the result stood. A part is one step of a card; its blocks are what it
holds, in order: text, text with citations, JSON, code, lists, media, notes. What a step has beyond that is shown as JSON, and a step whose
type is not known is shown as JSON whole: nothing that was received is left out without a word, but for what is markup by design (search
suggestions), which is counted. The page's script draws the same cards by the same rules (``js/steps.js``); a test compares them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from evalkit._lib.json import JSON
from evalkit.protocol.step_reader import pair_calls
from evalkit.protocol.step_types import CITATIONS, MEDIA_TYPES
from evalkit.reports.formatting import TEXT_LIMIT, clip, fingerprint, pretty, reindent
from evalkit.reports.page.citations import SEARCHES, Citation, Segment, mark, safe_link, sources
from evalkit.reports.page.media import Media, MediaBook

LABELS: dict[str, tuple[str, str]] = {
    "user_input": ("user", "User"),
    "model_output": ("model", "Model"),
    "thought": ("thought", "Thought"),
    "function_call": ("call", "Function call"),
    "function_result": ("call", "Function result"),
    "code_execution_call": ("call", "Code"),
    "code_execution_result": ("call", "Code output"),
    "google_search_call": ("call", "Google Search"),
    "google_search_result": ("call", "Search result"),
    "url_context_call": ("call", "URL context"),
    "url_context_result": ("call", "URL result"),
    "google_maps_call": ("call", "Google Maps"),
    "google_maps_result": ("call", "Maps result"),
    "file_search_call": ("call", "File search"),
    "file_search_result": ("call", "File result"),
    "retrieval_call": ("call", "Retrieval"),
    "retrieval_result": ("call", "Retrieved"),
    "tool_search_call": ("call", "Tool search"),
    "tool_search_result": ("call", "Tools found"),
    "processing_call": ("call", "Processing"),
    "processing_result": ("call", "Processed"),
    "mcp_server_tool_call": ("call", "MCP call"),
    "mcp_server_tool_result": ("call", "MCP result"),
}
"""Step type to the card's style and its label."""

TOLD = frozenset(
    {
        "type",
        "id",
        "call_id",
        "name",
        "server_name",
        "signature",
        "is_error",
        "content",
        "summary",
        "error",
        "arguments",
        "result",
    }
)
"""Fields that a part shows in a way of their own; a step's other fields are shown as JSON."""

LISTED = {
    "google_search_call": "queries",
    "google_maps_call": "queries",
    "retrieval_call": "queries",
    "url_context_call": "urls",
}
"""Calls whose arguments are one list of strings, and its name."""


_SEARCHING = frozenset(kind for kinds in SEARCHES.values() for kind in kinds)
_NONE: Mapping[str, tuple[str, int]] = {}


class Block(NamedTuple):
    """Something to show. ``kind`` is ``text``, ``marked``, ``json``, ``code``, ``list``, ``media``, ``note`` or ``problem``; a ``note``
    below a text says what is not shown of it."""

    kind: str
    text: str = ""
    note: str = ""
    items: Sequence[str] = ()
    segments: Sequence[Segment] = ()
    citations: Sequence[Citation] = ()
    media: Media | None = None


class Part(NamedTuple):
    """One step. ``number`` counts from 1 over the turn's steps; 0 for the user's message."""

    number: int
    anchor: str
    label: str
    title: str
    aside: str
    failed: bool
    blocks: Sequence[Block]
    findings: Sequence[Any] = ()


class Card(NamedTuple):
    """One step, or a call and its result. ``folded`` cards show their first line until they are opened."""

    style: str
    folded: bool
    parts: Sequence[Part]


def cards(
    steps: Sequence[Mapping[str, JSON]],
    anchor: str,
    book: MediaBook,
    findings: Mapping[int, Sequence[Any]],
) -> list[Card]:
    """Return a turn's timeline (``Turn.to_json()["steps"]``) as cards; ``findings`` are by step number."""
    raws = [entry["step"] for entry in steps]
    results = {
        pair.call_index: pair.result_index
        for pair in pair_calls(raws).pairs
        if pair.result_index is not None
    }
    paired = set(results.values())
    searched = any(isinstance(raw.get("type"), str) and raw["type"] in _SEARCHING for raw in raws)

    def part(index: int) -> Part:
        raw = raws[index]
        via = (
            sources([step.get("type") for step in raws], index, anchor)
            if searched and raw.get("type") == "model_output"
            else _NONE
        )
        return _part(raw, index + 1, steps[index], anchor, book, findings.get(index + 1, ()), via)

    out = []
    for index, raw in enumerate(raws):
        if index in paired:
            continue
        style, _ = _label(raw)
        parts = [part(index), part(results[index])] if index in results else [part(index)]
        out.append(Card(style, style == "thought" and not parts[0].findings, parts))
    return out


def user_card(content: JSON, anchor: str, book: MediaBook) -> Card:
    """Return the user's message (``Turn.to_json()["user"]``: content blocks)."""
    return Card(
        "user", False, [Part(0, f"{anchor}.user", "User", "", "", False, contents(content, book))]
    )


def _label(step: Mapping[str, JSON]) -> tuple[str, str]:
    kind = step.get("type")
    known = LABELS.get(kind) if isinstance(kind, str) else None
    return known or (
        "other",
        f"{kind}" if isinstance(kind, str) and kind else "Step without a type",
    )


def _part(
    step: Mapping[str, JSON],
    number: int,
    entry: Mapping[str, JSON],
    anchor: str,
    book: MediaBook,
    findings: Sequence[Any],
    via: Mapping[str, tuple[str, int]],
) -> Part:
    style, label = _label(step)
    aside = [f"exchange {entry.get('exchange')}"]
    if style == "other":
        blocks = [_json(step)]
    else:
        blocks = _blocks(str(step["type"]), step, book, via)
        if "signature" in step:
            aside.append(fingerprint(step["signature"]))
    title = ".".join(
        str(step[name]) for name in ("server_name", "name") if isinstance(step.get(name), str)
    )
    failed = step.get("is_error") is True or step.get("error") is not None
    return Part(
        number, f"{anchor}.s{number}", label, title, ", ".join(aside), failed, blocks, findings
    )


def _blocks(
    kind: str, step: Mapping[str, JSON], book: MediaBook, via: Mapping[str, tuple[str, int]]
) -> list[Block]:
    blocks: list[Block] = []
    for name in ("summary", "content"):
        if name in step:
            blocks += contents(step[name], book, via)
    if step.get("error") is not None:
        blocks.append(Block("problem", *clip(pretty(step["error"]))))
    if "arguments" in step:
        blocks += _arguments(kind, step["arguments"])
    if "result" in step:
        blocks += RESULTS.get(kind, _result)(step["result"], book)
    rest = {name: value for name, value in step.items() if name not in TOLD}
    if rest:
        blocks.append(_json(rest))
    return blocks


def contents(
    content: JSON, book: MediaBook, via: Mapping[str, tuple[str, int]] = _NONE
) -> list[Block]:
    """Return content blocks (protocol section 5) to show; a string counts as one text, anything else that is no list as JSON.

    ``via`` says which steps citations come from (:func:`evalkit.reports.page.citations.sources`).
    """
    if isinstance(content, str):
        return _text(content, (), 1)
    if not isinstance(content, list):
        return [_json(content)]
    blocks: list[Block] = []
    number = 1
    for item in content:
        kind = item.get("type") if isinstance(item, dict) else None
        if kind == "text" and isinstance(item.get("text"), str):
            annotations = item.get("annotations")
            shown = _text(
                item["text"], annotations if isinstance(annotations, list) else (), number, via
            )
            number += sum(len(block.citations) for block in shown)
            blocks += shown
        elif kind in MEDIA_TYPES:
            blocks.append(_media(item, book))
        else:
            blocks.append(_json(item))
    return blocks


def _media(item: Mapping[str, JSON], book: MediaBook) -> Block:
    media = book.show(item)
    return Block("media", text=safe_link(media.link), note=media.link, media=media)


def _text(
    text: str, annotations: Sequence[JSON], number: int, via: Mapping[str, tuple[str, int]] = _NONE
) -> list[Block]:
    other = [
        item
        for item in annotations
        if not isinstance(item, dict) or item.get("type") not in CITATIONS
    ]
    blocks = []
    if len(other) < len(annotations):
        segments, citations = mark(text, annotations, number, TEXT_LIMIT, via)
        blocks.append(Block("marked", note=clip(text)[1], segments=segments, citations=citations))
    elif (indented := reindent(text)) is not None:
        blocks.append(Block("json", *clip(indented)))
    else:
        blocks.append(Block("text", *clip(text)))
    if other:
        blocks.append(_json({"annotations": other}))
    return blocks


def _json(value: JSON) -> Block:
    return Block("json", *clip(pretty(value)))


def _arguments(kind: str, arguments: JSON) -> list[Block]:
    if kind == "code_execution_call" and _is(str, arguments, "code", "language"):
        return [Block("note", str(arguments["language"])), Block("code", *clip(arguments["code"]))]
    name = LISTED.get(kind, "")
    if _is(list, arguments, name) and all(isinstance(item, str) for item in arguments[name]):
        return [Block("list", items=arguments[name])]
    return [_json(arguments)]


def _is(kind: type, value: JSON, *names: str) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == set(names)
        and all(isinstance(item, kind) for item in value.values())
    )


def _result(result: JSON, book: MediaBook) -> list[Block]:
    if isinstance(result, str):
        return _text(result, (), 1)
    if (
        isinstance(result, list)
        and result
        and all(isinstance(item, dict) and isinstance(item.get("type"), str) for item in result)
    ):
        return contents(result, book)
    return [_json(result)]


def _code_result(result: JSON, book: MediaBook) -> list[Block]:
    return [Block("code", *clip(result))] if isinstance(result, str) else _result(result, book)


def _search_result(result: JSON, book: MediaBook) -> list[Block]:
    if not isinstance(result, list):
        return _result(result, book)
    blocks = []
    for item in result:
        markup = item.get("search_suggestions") if isinstance(item, dict) else None
        if isinstance(markup, str):
            blocks.append(
                Block("note", f"search suggestions: {len(markup):,} characters of HTML, not shown")
            )
            item = {name: value for name, value in item.items() if name != "search_suggestions"}
        if item != {}:
            blocks.append(_json(item))
    return blocks


RESULTS: dict[str, Callable[[JSON, MediaBook], list[Block]]] = {
    "code_execution_result": _code_result,
    "google_search_result": _search_result,
}
"""Result types with a way of their own; the others show text, content blocks or JSON, by what they hold."""
