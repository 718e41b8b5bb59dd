"""JSON read and written by pydantic's core, several times faster than by the standard library, for the path that every variant takes.

What one of them refuses (lone surrogates, deep nesting) or would write otherwise (letters beyond ASCII) goes the standard library's way, so
both give what ``evalkit._lib.json`` gives, and raise what it raises; only floats with an exponent may be spelled otherwise (``1e-7``, ``1e-07``).
Kept apart from ``evalkit._lib.json`` because most of what only reads a little JSON need not load pydantic.
"""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json, to_json

from evalkit._lib import json


def dumps(value: Any) -> str:
    """Return compact JSON text, ASCII only. Raises what :func:`evalkit._lib.json.dumps` raises."""
    try:
        data = to_json(value)
    except ValueError:
        return json.dumps(value)
    return data.decode("ascii") if data.isascii() else json.dumps(value)


def indented(value: Any) -> str | None:
    """Return JSON text with one member a line, two spaces deep, letters as they are; None for a value this cannot write."""
    try:
        return to_json(value, indent=2).decode()
    except ValueError:
        return None


def loads(text: str | bytes) -> Any:
    """Parse JSON text. Raises ValueError, and RecursionError for deep nesting."""
    try:
        return from_json(text)
    except (ValueError, TypeError):  # TypeError: a lone surrogate in the text
        return json.loads(text)
