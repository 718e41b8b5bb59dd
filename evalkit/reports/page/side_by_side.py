"""Two transcripts for the comparison page: turn by turn, step by step, differences marked. Values only; the template prints them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import NamedTuple

from evalkit._lib.json import JSON, MISSING, differences, loads
from evalkit.compare.alignment import (
    StepRow,
    TextSegment,
    align_steps,
    cited_sources,
    step_content,
    step_text,
    text_segments,
)
from evalkit.reports.formatting import clipped, pretty
from evalkit.reports.page.steps import LABELS

DIFFERENCES = 40
"""Differences of one JSON value that are listed; the rest is counted."""


class Difference(NamedTuple):
    """One place where two JSON values part; a side that lacks it is ``""``."""

    pointer: str
    old: str
    new: str


class StepView(NamedTuple):
    """One row: a step of both sides, or of one. ``old`` and ``new`` are texts in pieces; ``differences`` are of their JSON."""

    kind: str
    label: str
    name: str
    old: list[TextSegment]
    new: list[TextSegment]
    differences: list[Difference]
    more: int


class TurnView(NamedTuple):
    """One turn of both sides. ``user`` is the message in pieces where it differs, citations are those of one side only."""

    number: int
    states: tuple[str, str]
    user: list[TextSegment]
    steps: list[StepView]
    lost: list[str]
    gained: list[str]


def turns(old: Mapping[str, JSON], new: Mapping[str, JSON]) -> list[TurnView]:
    """Return two result lines turn by turn."""
    pairs = zip_longest(old["turns"], new["turns"])
    return [_turn(number, before, after) for number, (before, after) in enumerate(pairs, 1)]


def _turn(
    number: int, before: Mapping[str, JSON] | None, after: Mapping[str, JSON] | None
) -> TurnView:
    left, right = _steps(before), _steps(after)
    cited, cites = cited_sources(left), cited_sources(right)
    return TurnView(
        number,
        (_state(before), _state(after)),
        text_segments(clipped(_user(before)), clipped(_user(after))),
        [_step(row) for row in align_steps(left, right)],
        [_source(one) for one in cited if one not in cites],
        [_source(one) for one in cites if one not in cited],
    )


def _steps(turn: Mapping[str, JSON] | None) -> list[dict[str, JSON]]:
    return [entry["step"] for entry in turn["steps"]] if turn is not None else []


def _state(turn: Mapping[str, JSON] | None) -> str:
    if turn is None:
        return "no such turn"
    return turn["status"] or str(turn["outcome"]).replace("_", " ")


def _user(turn: Mapping[str, JSON] | None) -> str:
    blocks = turn["user"] if turn is not None else []
    return "\n".join(
        str(block.get("text") or f"[{block.get('type')}]")
        if isinstance(block, dict)
        else str(block)
        for block in blocks
    )


def _source(cited: tuple[str, str]) -> str:
    return "  ".join(filter(None, cited))


def _step(row: StepRow) -> StepView:
    step = row.new or row.old or {}
    kind = str(step.get("type"))
    old, new = step_text(row.old), step_text(row.new)
    found: list[Difference] = []
    if row.kind == "changed":
        documents = _document(old), _document(new)
        if None not in documents:
            found = list(_differences(*documents))
            old = new = ""
        else:
            found = list(_differences(_rest(row.old), _rest(row.new)))
    pieces = text_segments(clipped(old), clipped(new))
    if not old and not new and row.kind != "changed":
        pieces = _whole(step, row)
    return StepView(
        row.kind,
        LABELS.get(kind, ("", kind))[1],
        str(step.get("name") or ""),
        [piece for piece in pieces if piece.kind != "gained"] if row.old is not None else [],
        [piece for piece in pieces if piece.kind != "lost"] if row.new is not None else [],
        found[:DIFFERENCES],
        max(0, len(found) - DIFFERENCES),
    )


def _whole(step: Mapping[str, JSON], row: StepRow) -> list[TextSegment]:
    """Return a step that has no text as JSON; a thought that is nothing but its signature has nothing to show."""
    rest = {
        name: value for name, value in step_content(step).items() if name not in ("type", "name")
    }
    kind = {"lost": "lost", "gained": "gained"}.get(row.kind, "same")
    return [TextSegment(kind, clipped(pretty(rest)))] if rest else []  # type: ignore[arg-type]


def _document(text: str) -> JSON:
    """Return the JSON object or list that a text is, else None."""
    if text[:1] not in "{[" or not text:
        return None
    try:
        return loads(text)
    except (ValueError, RecursionError):
        return None


def _rest(step: Mapping[str, JSON] | None) -> JSON:
    """Return a step without its texts and their citations, which are shown in their own way."""
    rest = step_content(step or {})
    if isinstance(rest.get("content"), list):
        rest["content"] = [_bare(block) for block in rest["content"]]
    elif isinstance(rest.get("content"), str):
        del rest["content"]
    return rest


def _bare(block: JSON) -> JSON:
    if not isinstance(block, dict) or not isinstance(block.get("text"), str):
        return block
    return {name: value for name, value in block.items() if name not in ("text", "annotations")}


def _differences(old: JSON, new: JSON) -> Iterator[Difference]:
    for pointer, before, after in differences(old, new):
        yield Difference(pointer or "the whole", _shown(before), _shown(after))


def _shown(value: JSON) -> str:
    return "" if value is MISSING else clipped(pretty(value), 2_000)
