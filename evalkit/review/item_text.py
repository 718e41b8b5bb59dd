"""What a person reads of an item before deciding: the difference line by line, and the conversation it is about. Pure.

Values only. Whoever prints them escapes them and makes hostile characters visible; nothing here is cut but what is too long to align.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher
from itertools import chain
from typing import NamedTuple

from evalkit._lib.json import JSON, MISSING
from evalkit.checks.snapshot.files import render
from evalkit.compare.alignment import content, text_of
from evalkit.review.queue import Item

CONTEXT = 2
"""Lines shown before and after a difference."""
ALIGNED = 2_000
"""Lines up to which two values are aligned; above, all of one is shown and then all of the other."""


class Line(NamedTuple):
    """A line of a difference: ``-`` was expected, ``+`` is new, a space is in both, ``…`` stands for lines left out."""

    sign: str
    text: str


class Said(NamedTuple):
    """One thing said or done in a conversation."""

    turn: int
    who: str
    text: str


def spelled(item: Item, value: JSON) -> str:
    """Return a value as it is read: a snapshot as its file has it, a string as it is, anything else as indented JSON."""
    if value is MISSING:
        return ""
    if item.form is not None:
        return render(item.form, value).removesuffix("\n")
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


def difference(item: Item) -> list[Line]:
    """Return what was expected and what came, line by line; of a new snapshot all of it. Empty where the finding has no values."""
    old, new = (_lines(spelled(item, value)) for value in (item.expected, item.got))
    if item.expected is MISSING or item.got is MISSING or max(len(old), len(new)) > ALIGNED:
        return [*(Line("-", text) for text in old), *(Line("+", text) for text in new)]
    return list(_aligned(old, new))


def _lines(text: str) -> list[str]:
    """Return the lines of a text. Only a newline ends one: other characters that Python takes for ends are to be seen."""
    return text.split("\n") if text else []


def _aligned(old: list[str], new: list[str]) -> Iterator[Line]:
    for group in SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(CONTEXT):
        if group[0][1] > 0:
            yield Line("…", f"line {group[0][1] + 1}")
        for kind, first, last, start, end in group:
            if kind == "equal":
                yield from (Line(" ", text) for text in old[first:last])
            else:
                yield from chain(
                    (Line("-", text) for text in old[first:last]),
                    (Line("+", text) for text in new[start:end]),
                )


def conversation(line: Mapping[str, JSON]) -> Iterator[Said]:
    """Yield what was said in a result, in order: the user's messages, then each step by its type, with its text or its JSON."""
    for turn in line["turns"]:
        number = turn["number"]
        for block in turn["user"]:
            yield Said(number, "user", _block(block))
        for entry in turn["steps"]:
            step = entry["step"]
            kind = str(step.get("type"))
            text = text_of(step) if isinstance(step.get("content"), list | str) else ""
            rest = {
                name: value for name, value in content(step).items() if name not in ("type", "name")
            }
            name = f" {step['name']}" if isinstance(step.get("name"), str) else ""
            if text or rest:
                yield Said(number, kind + name, text or json.dumps(rest, ensure_ascii=False))


def _block(block: JSON) -> str:
    if isinstance(block, dict):
        return block["text"] if isinstance(block.get("text"), str) else f"[{block.get('type')}]"
    return str(block)
