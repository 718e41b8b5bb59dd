"""Two transcripts of the comparison page: turn by turn, step by step, with marked differences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import NamedTuple

from evalkit._lib.json import JSON, MISSING, differences, loads_or
from evalkit.compare.alignment import (
    StepRow,
    TextSegment,
    align_steps,
    cited_sources,
    step_content,
    step_text,
    text_segments,
)
from evalkit.reports.formatting import clip, pretty
from evalkit.reports.page.step_labels import LABELS
from evalkit.results.records import ResultLine, TurnRecord

DIFFERENCES = 40
"""Differences of one JSON value that are listed; the rest is counted."""


class JsonDifference(NamedTuple):
    """A position where two JSON values differ; a side that lacks it is ``""``."""

    pointer: str
    old: str
    new: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedStep:
    """A step of both sides or of one: texts in segments, or the differences of their JSON."""

    kind: str
    label: str
    name: str
    old: list[TextSegment]
    new: list[TextSegment]
    differences: list[JsonDifference]
    more: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedTurn:
    """A turn of both sides; ``lost`` and ``gained`` are citations of one side only."""

    number: int
    states: tuple[str, str]
    user: list[TextSegment]
    steps: list[ComparedStep]
    lost: list[str]
    gained: list[str]


def compare_turns(old: ResultLine, new: ResultLine) -> list[ComparedTurn]:
    """Return two result lines turn by turn."""
    pairs = zip_longest(old["turns"], new["turns"])
    return [_turn((before or after)["number"], before, after) for before, after in pairs]


def _turn(number: int, old: TurnRecord | None, new: TurnRecord | None) -> ComparedTurn:
    old_steps, new_steps = _steps(old), _steps(new)
    old_citations, new_citations = cited_sources(old_steps), cited_sources(new_steps)
    return ComparedTurn(
        number=number,
        states=(_state(old), _state(new)),
        user=text_segments(clip(_user(old)), clip(_user(new))),
        steps=[_step(row) for row in align_steps(old_steps, new_steps)],
        lost=[_source(one) for one in old_citations if one not in new_citations],
        gained=[_source(one) for one in new_citations if one not in old_citations],
    )


def _steps(turn: TurnRecord | None) -> list[dict[str, JSON]]:
    return [entry["step"] for entry in turn["steps"]] if turn is not None else []


def _state(turn: TurnRecord | None) -> str:
    if turn is None:
        return "no such turn"
    return turn["status"] or turn["outcome"].replace("_", " ")


def _user(turn: TurnRecord | None) -> str:
    blocks = turn["user"] if turn is not None else []
    return "\n".join(
        str(block.get("text") or f"[{block.get('type')}]")
        if isinstance(block, dict)
        else str(block)
        for block in blocks
    )


def _source(citation: tuple[str, str]) -> str:
    return "  ".join(filter(None, citation))


def _step(row: StepRow) -> ComparedStep:
    step = row.new or row.old or {}
    kind = str(step.get("type"))
    old, new = step_text(row.old), step_text(row.new)
    changes: list[JsonDifference] = []
    if row.kind == "changed":
        documents = _document(old), _document(new)
        if None not in documents:
            changes = _differences(*documents)
            old = new = ""
        else:
            changes = _differences(_without_text(row.old), _without_text(row.new))
    pieces = text_segments(clip(old), clip(new))
    if not old and not new and row.kind != "changed":
        pieces = _whole(step, row)
    return ComparedStep(
        kind=row.kind,
        label=LABELS.get(kind, ("", kind))[1],
        name=str(step.get("name") or ""),
        old=[piece for piece in pieces if piece.kind != "gained"] if row.old is not None else [],
        new=[piece for piece in pieces if piece.kind != "lost"] if row.new is not None else [],
        differences=changes[:DIFFERENCES],
        more=max(0, len(changes) - DIFFERENCES),
    )


def _whole(step: Mapping[str, JSON], row: StepRow) -> list[TextSegment]:
    """Return a step without text as JSON; nothing for a thought that has only a signature."""
    rest = {
        name: value for name, value in step_content(step).items() if name not in ("type", "name")
    }
    return [TextSegment(row.kind, clip(pretty(rest)))] if rest else []  # type: ignore[arg-type]


def _document(text: str) -> JSON:
    """Return the JSON object or array that a text is, else None."""
    return loads_or(text, None) if text.startswith(("{", "[")) else None


def _without_text(step: Mapping[str, JSON] | None) -> JSON:
    """Return a step without its texts and citations, which are compared by themselves."""
    rest = step_content(step or {})
    blocks = rest.get("content")
    if isinstance(blocks, str):
        del rest["content"]
    elif isinstance(blocks, list):
        rest["content"] = [
            {name: value for name, value in block.items() if name not in ("text", "annotations")}
            if isinstance(block, dict) and isinstance(block.get("text"), str)
            else block
            for block in blocks
        ]
    return rest


def _differences(old: JSON, new: JSON) -> list[JsonDifference]:
    return [
        JsonDifference(pointer or "(whole)", *_sides(before, after))
        for pointer, before, after in differences(old, new)
    ]


def _sides(*values: JSON) -> Sequence[str]:
    return ["" if value is MISSING else clip(pretty(value), 2_000) for value in values]
