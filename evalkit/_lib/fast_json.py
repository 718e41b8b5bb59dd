"""JSON read and written by orjson, 2 to 4 times as fast as by the standard library.

The results are those of ``evalkit._lib.json``, and so are the exceptions; only the exponent of a
float may be spelled differently (``1e-7``, ``1e-07``). The standard library takes over where orjson
refuses a value or would change it: integers over 64 bits, NaN, lone surrogates, deep nesting.
"""

import re
from json import JSONEncoder

import orjson

from evalkit._lib import json
from evalkit._lib.json import JSON

_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
# The shortest integer over 64 bits has 19 digits. Searching a text in which every digit is a "0"
# for 19 of them takes a tenth of the time of a regular expression.
_DIGITS_AS_ZEROS = bytes(48 if 48 <= byte < 58 else 32 for byte in range(256))
_LONG_NUMBER = b"0" * 19
_indented_by_json = JSONEncoder(indent=2, ensure_ascii=False).encode


def loads(text: str | bytes) -> JSON:
    """Parse JSON text. Raises ValueError, and RecursionError for deep nesting."""
    try:
        data = text.encode() if isinstance(text, str) else text
        if _LONG_NUMBER not in data.translate(_DIGITS_AS_ZEROS):
            return orjson.loads(data)
    except ValueError:
        pass
    return json.loads(text)


def dumps(value: JSON) -> str:
    """Return compact ASCII JSON text. Raises what :func:`evalkit._lib.json.dumps` raises."""
    data = _encode(value, 0)
    if data is None:
        return json.dumps(value)
    if data.isascii():
        return data.decode("ascii")
    return _NOT_ASCII.sub(lambda match: json.escape_unicode(match.group()), data.decode())


def indented(value: JSON) -> str | None:
    """Return JSON text with one member per line, not escaped; None if it cannot be written."""
    data = _encode(value, orjson.OPT_INDENT_2)
    if data is not None:
        return data.decode()
    try:
        text = _indented_by_json(value)
        text.encode()
    except (TypeError, ValueError, RecursionError):
        return None
    return text


def is_plain(value: JSON) -> bool:
    """Return whether a value is JSON without any null. False also for what orjson cannot write."""
    try:
        return b"null" not in orjson.dumps(value)
    except TypeError:
        return False


def _encode(value: JSON, option: int) -> bytes | None:
    try:
        data = orjson.dumps(value, option=option)
    except TypeError:
        return None
    # orjson writes NaN and infinities as null.
    return data if b"null" not in data or orjson.loads(data) == value else None
