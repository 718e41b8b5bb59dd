"""Align two transcripts: steps by type and name, texts by words. Pure.

An alignment shows where two conversations diverge, not which one is right. Ids, signatures and
times differ between any two recordings and are not compared. Very long texts are aligned by lines
instead of words, because the matcher's work grows with the square of the number of segments.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Literal, NamedTuple

from evalkit._lib.json import JSON, equal
from evalkit.protocol.step_reader import content_blocks, texts_of

RawStep = Mapping[str, JSON]

MAX_SEGMENTS = 2_000
"""Words up to which a text is aligned word by word; then lines; longer texts are not aligned."""

WORDS = re.compile(r"\s+|\w+|[^\w\s]")
_LINES = re.compile(r".*\n|.+")
_RECORDING_FIELDS = frozenset({"id", "call_id", "signature"})
_TARGET_FIELDS = ("url", "document_uri", "place_id")
_TITLE_FIELDS = ("title", "file_name", "name")


class StepRow(NamedTuple):
    """One row of two transcripts: a step of each, or of one only."""

    kind: Literal["same", "changed", "lost", "gained"]
    old: RawStep | None
    new: RawStep | None


class TextSegment(NamedTuple):
    """A part of two texts: of both, or of one of them."""

    kind: Literal["same", "lost", "gained"]
    text: str


class CitedSource(NamedTuple):
    """A cited source, wherever it is cited in the text."""

    title: str
    target: str


def align_steps(old: Sequence[RawStep], new: Sequence[RawStep]) -> list[StepRow]:
    """Return the steps of two turns in rows, in the order of both."""
    rows: list[StepRow] = []
    old_names, new_names = (
        [(str(step.get("type")), str(step.get("name", ""))) for step in steps]
        for steps in (old, new)
    )
    matcher = SequenceMatcher(None, old_names, new_names, autojunk=False)
    for kind, old_start, old_end, new_start, new_end in matcher.get_opcodes():
        if kind == "equal":
            for before, after in zip(old[old_start:old_end], new[new_start:new_end], strict=True):
                same = equal(step_content(before), step_content(after))
                rows.append(StepRow("same" if same else "changed", before, after))
        else:
            rows += [StepRow("lost", step, None) for step in old[old_start:old_end]]
            rows += [StepRow("gained", None, step) for step in new[new_start:new_end]]
    return rows


def step_content(step: RawStep) -> dict[str, JSON]:
    """Return a step without the ids and signatures that differ in every recording."""
    return {name: value for name, value in step.items() if name not in _RECORDING_FIELDS}


def step_text(step: RawStep | None) -> str:
    """Return the text of a step's content blocks, joined by newlines."""
    return "\n".join(texts_of(content_blocks(dict(step)))) if step is not None else ""


def text_segments(old: str, new: str) -> list[TextSegment]:
    """Return two texts as one sequence of segments.

    Those of ``old`` are *same* and *lost*, those of ``new`` *same* and *gained*.
    """
    if old == new:
        return [TextSegment("same", old)] if old else []
    for pattern in (WORDS, _LINES):
        old_parts, new_parts = pattern.findall(old), pattern.findall(new)
        if max(len(old_parts), len(new_parts)) <= MAX_SEGMENTS:
            return list(_aligned(old_parts, new_parts))
    return [TextSegment("lost", old), TextSegment("gained", new)]


def _aligned(old: Sequence[str], new: Sequence[str]) -> Iterator[TextSegment]:
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    for kind, old_start, old_end, new_start, new_end in matcher.get_opcodes():
        if kind == "equal":
            yield TextSegment("same", "".join(old[old_start:old_end]))
            continue
        if old_start < old_end:
            yield TextSegment("lost", "".join(old[old_start:old_end]))
        if new_start < new_end:
            yield TextSegment("gained", "".join(new[new_start:new_end]))


def cited_sources(steps: Sequence[RawStep]) -> list[CitedSource]:
    """Return the sources that the texts of steps cite, each once, in order."""
    sources: dict[CitedSource, None] = {}
    for step in steps:
        for block in content_blocks(dict(step)):
            annotations = block.get("annotations") if isinstance(block, dict) else None
            for note in annotations if isinstance(annotations, list) else ():
                if isinstance(note, dict) and str(note.get("type", "")).endswith("_citation"):
                    title, target = _first(note, _TITLE_FIELDS), _first(note, _TARGET_FIELDS)
                    sources[CitedSource(title, target)] = None
    return list(sources)


def _first(note: Mapping[str, JSON], fields: Sequence[str]) -> str:
    return next((note[field] for field in fields if isinstance(note.get(field), str)), "")
