"""JSON read and written by orjson, several times faster than by the standard library, for what every variant does.

What orjson refuses (integers of more than 64 bits, lone surrogates, deep nesting) or takes otherwise goes by the standard library: a text
in which an integer is so long that orjson would read a float, and a value whose null may be a NaN. So all give what ``evalkit._lib.json``
gives, and raise what it raises; only floats with an exponent may be spelled otherwise (``1e-7``, ``1e-07``). Kept apart from
``evalkit._lib.json`` because most of what only reads a little JSON need not load it.
"""

from __future__ import annotations

import re
from json import JSONEncoder
from typing import Any

import orjson

from evalkit._lib import json

_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")
# The shortest integer beyond 64 bits has 19 digits. Looking for so many in a row takes a tenth of the time as a search than as a pattern.
_DIGITS = bytes(48 if 48 <= byte < 58 else 32 for byte in range(256))
_LONG = b"0" * 19
_indented = JSONEncoder(indent=2, ensure_ascii=False).encode


def dumps(value: Any) -> str:
    """Return compact JSON text, ASCII only. Raises what :func:`evalkit._lib.json.dumps` raises."""
    data = _written(value, 0)
    if data is None:
        return json.dumps(value)
    return (
        data.decode("ascii")
        if data.isascii()
        else _BEYOND_ASCII.sub(lambda found: json.escape_unicode(found.group()), data.decode())
    )


def indented(value: Any) -> str | None:
    """Return JSON text with one member a line, two spaces deep, letters as they are; None for a value this cannot write."""
    data = _written(value, orjson.OPT_INDENT_2)
    if data is not None:
        return data.decode()
    try:
        text = _indented(value)
        text.encode()
    except (TypeError, ValueError, RecursionError):
        return None
    return text


def _written(value: Any, option: int) -> bytes | None:
    try:
        data = orjson.dumps(value, option=option)
    except TypeError:
        return None
    # orjson has no word for NaN but null.
    return data if b"null" not in data or orjson.loads(data) == value else None


def loads(text: str | bytes) -> Any:
    """Parse JSON text. Raises ValueError, and RecursionError for deep nesting."""
    try:
        data = text.encode() if isinstance(text, str) else text
        if _LONG not in data.translate(_DIGITS):
            return orjson.loads(data)
    except ValueError:
        pass
    return json.loads(text)
