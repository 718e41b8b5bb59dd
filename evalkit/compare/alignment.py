"""Two transcripts side by side: steps aligned by what they are, texts by words, JSON by pointer, citations by what they cite. Pure.

Alignment says where two conversations part, not which is right. Steps are the same step when type and name are; ids, signatures and times,
which differ between any two recordings, are left out of what is compared. Very long texts are aligned by lines instead of words: the
matcher's work grows with the square of the pieces.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Literal, NamedTuple

from evalkit._lib.json import JSON, equal
from evalkit.protocol.step_reader import content_blocks

RawStep = Mapping[str, JSON]
Kind = Literal["same", "changed", "lost", "gained"]

PIECES = 2_000
"""Words of a text up to which it is aligned word by word; above, line by line; and lines above this not at all."""

_WORDS = re.compile(r"\s+|\w+|[^\w\s]")
_LINES = re.compile(r".*\n|.+")
_RECORDING = frozenset({"id", "call_id", "signature"})


class Row(NamedTuple):
    """One row of two transcripts: a step of each, or of one only."""

    kind: Kind
    old: RawStep | None
    new: RawStep | None


class Segment(NamedTuple):
    """A piece of two texts: in both, or in one of them."""

    kind: Literal["same", "lost", "gained"]
    text: str


def align(old: Sequence[RawStep], new: Sequence[RawStep]) -> list[Row]:
    """Return the steps of two turns in rows, in the order of both."""
    rows: list[Row] = []
    matcher = SequenceMatcher(
        None, [_name(step) for step in old], [_name(step) for step in new], autojunk=False
    )
    for kind, first, last, start, end in matcher.get_opcodes():
        if kind == "equal":
            for before, after in zip(old[first:last], new[start:end], strict=True):
                rows.append(
                    Row(
                        "same" if equal(content(before), content(after)) else "changed",
                        before,
                        after,
                    )
                )
        else:
            rows += [Row("lost", step, None) for step in old[first:last]]
            rows += [Row("gained", None, step) for step in new[start:end]]
    return rows


def content(step: RawStep) -> dict[str, JSON]:
    """Return what a step says: without the ids and signatures that every recording has of its own."""
    return {name: value for name, value in step.items() if name not in _RECORDING}


def segments(old: str, new: str) -> list[Segment]:
    """Return two texts as one row of pieces: those of ``old`` are *same* and *lost*, those of ``new`` *same* and *gained*."""
    if old == new:
        return [Segment("same", old)] if old else []
    for pattern in (_WORDS, _LINES):
        left, right = pattern.findall(old), pattern.findall(new)
        if max(len(left), len(right)) <= PIECES:
            return list(_merged(left, right))
    return [Segment("lost", old), Segment("gained", new)]


def _merged(left: Sequence[str], right: Sequence[str]) -> Iterator[Segment]:
    for kind, first, last, start, end in SequenceMatcher(
        None, left, right, autojunk=False
    ).get_opcodes():
        if kind == "equal":
            yield Segment("same", "".join(left[first:last]))
            continue
        if first < last:
            yield Segment("lost", "".join(left[first:last]))
        if start < end:
            yield Segment("gained", "".join(right[start:end]))


def text_of(step: RawStep | None) -> str:
    """Return the text of a step's content blocks, one after the other; ``""`` where there is none."""
    blocks = content_blocks(dict(step)) if step is not None else []
    return "\n".join(
        block["text"]
        for block in blocks
        if isinstance(block, dict) and isinstance(block.get("text"), str)
    )


class Cited(NamedTuple):
    """A citation by what it cites, wherever it stands in the text."""

    title: str
    target: str


def citations(steps: Sequence[RawStep]) -> list[Cited]:
    """Return what the texts of steps cite, each once, in order."""
    found: dict[Cited, None] = {}
    for step in steps:
        for block in content_blocks(dict(step)):
            annotations = block.get("annotations") if isinstance(block, dict) else None
            for note in annotations if isinstance(annotations, list) else ():
                if isinstance(note, dict) and str(note.get("type", "")).endswith("_citation"):
                    target = next(
                        (
                            note[key]
                            for key in ("url", "document_uri", "place_id")
                            if isinstance(note.get(key), str)
                        ),
                        "",
                    )
                    title = next(
                        (
                            note[key]
                            for key in ("title", "file_name", "name")
                            if isinstance(note.get(key), str)
                        ),
                        "",
                    )
                    found[Cited(title, target)] = None
    return list(found)


def _name(step: RawStep) -> tuple[str, str]:
    return str(step.get("type")), str(step.get("name", ""))
