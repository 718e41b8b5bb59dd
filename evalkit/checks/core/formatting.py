"""Format findings for people: aligned tables, the first difference of two texts, excerpts.

Used on the failing path only. Lines have no trailing spaces. Text of a model passes through
``visible``, so that no control or bidirectional character reaches a terminal.
"""

import json
from collections.abc import Sequence
from itertools import islice, zip_longest
from typing import Any

from evalkit._lib.json import json_type, strings_in
from evalkit._lib.lookalikes import char_name, lookalike_note
from evalkit._lib.text import show, visible

_EXCERPT = 2000
_CONTEXT = 40
_MAX_DEPTH = 60
_MAX_NOTES = 20


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of cells as lines with aligned columns, hostile characters made visible."""
    clean = [[visible(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip_longest(*clean, fillvalue="")]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip()
        for row in clean
    )


def against(expected: Any, got: Any) -> str:
    """Return two lines, ``expected`` above ``got``."""
    return table([["expected", show(expected, 200)], ["got", show(got, 200)]])


def first_difference(expected: str, got: str) -> str:
    """Return two texts around the first character that differs, one above the other.

    A third line points to the character and names it in both texts.
    """
    pairs = enumerate(zip_longest(expected, got))
    at = next((index for index, (left, right) in pairs if left != right), len(got))
    start = max(0, at - _CONTEXT)
    lead = "…" if start else ""
    caret = " " * (10 + len(lead) + 1 + len(_escaped(expected[start:at]))) + "^"
    names = f"expected {char_name(expected, at)}, got {char_name(got, at)}"
    return "\n".join(
        [
            f"expected  {lead}{_window(expected, start, at)}",
            f"got       {lead}{_window(got, start, at)}",
            f"{caret} character {at + 1}: {names}",
        ]
    )


def _window(text: str, start: int, at: int) -> str:
    end = at + _CONTEXT
    return f'"{_escaped(text[start:end])}"{"…" if end < len(text) else ""}'


def _escaped(text: str) -> str:
    return visible(json.dumps(text, ensure_ascii=False)[1:-1])


def shows_difference(detail: str) -> bool:
    """Return whether a detail names the character in which two texts differ."""
    return "^ character" in detail or "looks alike" in detail


def lookalike_notes(expected: Any, got: Any) -> list[str]:
    """Return a line for each string of a value that only looks like an expected one."""
    texts, wanted = dict.fromkeys(strings_in(got)), dict.fromkeys(strings_in(expected))
    notes = [
        f"{show(text, 40)} {note}"
        for text in islice(texts, _MAX_NOTES)
        for want in islice(wanted, _MAX_NOTES)
        if text not in wanted and want not in texts and (note := lookalike_note(want, text))
    ]
    return notes[:_MAX_NOTES]


def excerpt(value: Any, depth: int = 0) -> Any:
    """Return a copy of a value in which long strings and deep nesting are cut."""
    if isinstance(value, str) and len(value) > _EXCERPT:
        return f"{value[: _EXCERPT // 2]}… ({len(value):,} characters)"
    if depth == _MAX_DEPTH and isinstance(value, dict | list):
        return f"… ({json_type(value)}, nested deeper)"
    if isinstance(value, dict):
        return {key: excerpt(item, depth + 1) for key, item in value.items()}
    return [excerpt(item, depth + 1) for item in value] if isinstance(value, list) else value
