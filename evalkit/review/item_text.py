"""Format what a person reads before deciding. Pure.

That is the difference line by line, and the conversation. The functions return values. The caller
that prints them escapes them and makes invisible characters visible.
"""

from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher
from typing import NamedTuple

from evalkit._lib.exact_json import write_exact
from evalkit._lib.json import JSON, MISSING
from evalkit.checks.snapshot import render
from evalkit.compare.alignment import step_content, step_text
from evalkit.review.queue import ReviewItem

CONTEXT_LINES = 2
"""Lines shown before and after a difference."""
MAX_ALIGNED_LINES = 2_000
"""Up to this many lines, two values are aligned. Longer ones are listed one after the other."""


class DiffLine(NamedTuple):
    """A line of a difference.

    ``sign`` is ``-`` for expected, ``+`` for new, a space for both, ``…`` for omitted lines."""

    sign: str
    text: str


class ConversationLine(NamedTuple):
    """One message or step of a conversation."""

    turn: int
    speaker: str
    text: str


def format_value(item: ReviewItem, value: JSON) -> str:
    """Return a value as text.

    A snapshot's value is as in its file, a string unchanged, anything else indented JSON."""
    if value is MISSING:
        return ""
    if item.form is not None:
        return render(item.form, value).removesuffix("\n")
    return value if isinstance(value, str) else write_exact(value, indent=2, ensure_ascii=False)


def diff_lines(item: ReviewItem) -> list[DiffLine]:
    """Return expected and new value line by line.

    No lines if the finding has no values.
    """
    old, new = (_lines(format_value(item, value)) for value in (item.expected, item.got))
    if (
        item.expected is MISSING
        or item.got is MISSING
        or max(len(old), len(new)) > MAX_ALIGNED_LINES
    ):
        return [*(DiffLine("-", text) for text in old), *(DiffLine("+", text) for text in new)]
    return list(_aligned(old, new))


def _lines(text: str) -> list[str]:
    # Only a newline ends a line here: str.splitlines would hide other control characters.
    return text.split("\n") if text else []


def _aligned(old: list[str], new: list[str]) -> Iterator[DiffLine]:
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    for group in matcher.get_grouped_opcodes(CONTEXT_LINES):
        if group[0][1] > 0:
            yield DiffLine("…", f"line {group[0][1] + 1}")
        for kind, old_start, old_end, new_start, new_end in group:
            if kind == "equal":
                yield from (DiffLine(" ", text) for text in old[old_start:old_end])
            else:
                yield from (DiffLine("-", text) for text in old[old_start:old_end])
                yield from (DiffLine("+", text) for text in new[new_start:new_end])


def conversation_lines(result: Mapping[str, JSON]) -> Iterator[ConversationLine]:
    """Yield the messages and steps of a result in order.

    A step's speaker is its type and name; its text is its content, or its fields as JSON.
    """
    for turn in result["turns"]:
        number = turn["number"]
        for block in turn["user"]:
            yield ConversationLine(number, "user", _block_text(block))
        for entry in turn["steps"]:
            step = entry["step"]
            speaker = str(step.get("type"))
            if isinstance(step.get("name"), str):
                speaker += f" {step['name']}"
            text = step_text(step) if isinstance(step.get("content"), list | str) else ""
            if not text:
                content = step_content(step).items()
                fields = {name: value for name, value in content if name not in ("type", "name")}
                text = write_exact(fields, ensure_ascii=False) if fields else ""
            if text:
                yield ConversationLine(number, speaker, text)


def _block_text(block: JSON) -> str:
    if not isinstance(block, dict):
        return str(block)
    return block["text"] if isinstance(block.get("text"), str) else f"[{block.get('type')}]"
