"""How findings look: aligned tables, the place where two texts part, values short enough to keep.

Everything here makes text for people, on the failing path only. Lines have no trailing spaces. What comes from a model passes through
``visible``, so that no control or bidirectional character reaches a terminal.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from typing import Any

from evalkit._lib.text import show, visible

_KEEP = 2000
_CONTEXT = 40


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of cells as lines with aligned columns; hostile characters made visible."""
    clean = [[visible(cell) for cell in row] for row in rows]
    columns = max((len(row) for row in clean), default=0)
    widths = [
        max((len(row[column]) for row in clean if column < len(row)), default=0)
        for column in range(columns)
    ]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip()
        for row in clean
    )


def against(expected: Any, got: Any, limit: int = 200) -> str:
    """Return two lines, ``expected`` above ``got``."""
    return table([["expected", show(expected, limit)], ["got", show(got, limit)]])


def first_difference(expected: str, got: str) -> str:
    """Return two texts around the first character in which they differ, one above the other, and that character's name in both."""
    at = next(
        (
            place
            for place, (left, right) in enumerate(zip(expected, got, strict=False))
            if left != right
        ),
        min(len(expected), len(got)),
    )
    start = max(0, at - _CONTEXT)
    lead = "…" if start else ""
    before = _quoted(expected[start:at])
    lines = [
        f"{word:<8}  {lead}{_window(text, start, at)}"
        for word, text in (("expected", expected), ("got", got))
    ]
    caret = " " * (10 + len(lead) + 1 + len(before)) + "^"
    return "\n".join(
        [
            *lines,
            f"{caret} character {at + 1}: expected {_char(expected, at)}, got {_char(got, at)}",
        ]
    )


def _window(text: str, start: int, at: int) -> str:
    end = at + _CONTEXT
    return f'"{_quoted(text[start:end])}"{"…" if end < len(text) else ""}'


def _quoted(text: str) -> str:
    return visible(json.dumps(text, ensure_ascii=False)[1:-1])


def _char(text: str, at: int) -> str:
    if at >= len(text):
        return "the end"
    char = text[at]
    if char.isascii() and char.isprintable():
        return f"'{char}'"
    code = f"U+{ord(char):04X}"
    name = unicodedata.name(char, code)
    return code if name == code else f"{code} {name}"


def excerpt(value: Any) -> Any:
    """Return a value as a finding may hold it: a copy in which long strings (media, pages) are cut and their length is said."""
    if isinstance(value, str):
        return (
            value if len(value) <= _KEEP else f"{value[: _KEEP // 2]}… ({len(value):,} characters)"
        )
    if isinstance(value, dict):
        return {key: excerpt(item) for key, item in value.items()}
    return [excerpt(item) for item in value] if isinstance(value, list) else value
