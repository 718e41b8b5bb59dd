"""JSON read by pydantic's core and written by orjson, several times faster than by the standard library, for what every variant does.

What orjson refuses (integers of more than 64 bits) or would write otherwise (NaN) goes by pydantic's core, what that refuses (lone surrogates,
deep nesting) by the standard library. So all give what ``evalkit._lib.json`` gives, and raise what it raises; only floats with an exponent
may be spelled otherwise (``1e-7``, ``1e-07``). Not read by orjson, which takes a long integer for a float. Kept apart from
``evalkit._lib.json`` because most of what only reads a little JSON need not load either.
"""

from __future__ import annotations

import re
from typing import Any

import orjson
from pydantic_core import from_json, to_json

from evalkit._lib import json

_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")


def dumps(value: Any) -> str:
    """Return compact JSON text, ASCII only. Raises what :func:`evalkit._lib.json.dumps` raises."""
    data = _written(value, 0, None)
    if data is None:
        return json.dumps(value)
    return data.decode("ascii") if data.isascii() else _BEYOND_ASCII.sub(lambda found: json.escape(found.group()), data.decode())


def indented(value: Any) -> str | None:
    """Return JSON text with one member a line, two spaces deep, letters as they are; None for a value this cannot write."""
    data = _written(value, orjson.OPT_INDENT_2, 2)
    return None if data is None else data.decode()


def _written(value: Any, option: int, indent: int | None) -> bytes | None:
    try:
        data = orjson.dumps(value, option=option)
        if b"null" not in data:  # which may be a NaN: orjson has no other word for it
            return data
    except TypeError:
        pass
    try:
        return to_json(value, indent=indent)
    except ValueError:
        return None


def loads(text: str | bytes) -> Any:
    """Parse JSON text. Raises ValueError, and RecursionError for deep nesting."""
    try:
        return from_json(text)
    except (ValueError, TypeError):  # TypeError: a lone surrogate in the text
        return json.loads(text)
