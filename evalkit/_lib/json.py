"""JSON text and values: reading, writing, equality, canonical text, pointers, differences.

Text is read and written by orjson, 2 to 4 times as fast as by the standard library. What orjson
reads is written again: if that is not the same text but for whitespace and the spelling of strings,
something would be lost (the spelling of a number, a repeated key), and ``exact_json`` takes over.
So it does where orjson refuses a value: lone surrogates, deep nesting, integers over 64 bits.
Errors are those of the standard library.

Two JSON values are equal if RFC 8259 gives them the same meaning: key order does not count, nor
does the spelling of a number (``1`` equals ``1.0`` and ``1e0``), but ``true`` does not equal ``1``.
Python's ``==`` differs in the last point.
"""

import json
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import orjson

from evalkit._lib.exact_json import ExactNumber, map_leaves, read_exact, values_in, write_exact

# A JSON value. The type is Any because what the service sends may have any shape, and a recursive
# union would need a cast at every access.
JSON = Any


class _Missing:
    def __repr__(self) -> str:
        return "(absent)"

    def __bool__(self) -> bool:
        return False


MISSING: Any = _Missing()
"""An absent value, where ``None`` would mean JSON null."""

_TYPE_NAMES = {
    dict: "object",
    list: "array",
    str: "string",
    bool: "boolean",
    int: "number",
    float: "number",
    ExactNumber: "number",
    type(None): "null",
}


_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_WHITESPACE = b" \t\n\r"


def loads(text: str | bytes) -> JSON:
    """Parse JSON text exactly; a number that a float cannot hold is an ExactNumber.

    Raises ValueError, also for a key that an object has twice, and RecursionError for deep nesting.
    """
    try:
        data = text.encode() if isinstance(text, str) else text
        value = orjson.loads(data)
        if _is_same(data, orjson.dumps(value)):
            return value
    except (ValueError, TypeError):
        pass
    return read_exact(text)


def loads_or(text: str | bytes, default: JSON) -> JSON:
    """Parse JSON text; return ``default`` for a text that cannot be parsed."""
    try:
        return loads(text)
    except (ValueError, RecursionError):
        return default


def _is_same(text: bytes, again: bytes) -> bool:
    """Return whether two valid texts differ in whitespace and the spelling of strings only."""
    if text == again:
        return True
    short, again = text.translate(None, _WHITESPACE), again.translate(None, _WHITESPACE)
    return short == again or _STRING.sub(b'""', short) == _STRING.sub(b'""', again)


def dumps(value: JSON) -> str:
    """Return compact JSON text. Raises TypeError, ValueError or RecursionError.

    The text is ASCII, so that lone surrogates and U+2028 survive any file and any transport.
    """
    data = _encode(value, 0)
    if data is None:
        return write_exact(value, separators=(",", ":"))
    if data.isascii():
        return data.decode("ascii")
    return _NOT_ASCII.sub(lambda match: escape_unicode(match.group()), data.decode())


def compact(value: JSON) -> str:
    """Return compact JSON text, not escaped. Raises TypeError, ValueError or RecursionError."""
    data = _encode(value, 0)
    if data is None:
        return write_exact(value, ensure_ascii=False, separators=(",", ":"))
    return data.decode()


def indented(value: JSON) -> str | None:
    """Return JSON text with one member per line, not escaped; None if it cannot be written."""
    data = _encode(value, orjson.OPT_INDENT_2)
    if data is not None:
        return data.decode()
    try:
        text = write_exact(value, indent=2, ensure_ascii=False)
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
    return None if b"null" in data and any(map(_is_special_number, values_in(value))) else data


def _is_special_number(value: JSON) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def escape_unicode(text: str) -> str:
    r"""Return every character as JSON's ASCII escape, ``\uXXXX`` per UTF-16 unit (RFC 8259, 7)."""
    units = text.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))


def canonical(value: JSON) -> str:
    """Return the same text for equal values: sorted keys, integral floats as integers."""
    return json.dumps(map_leaves(value, _plain_number), separators=(",", ":"), sort_keys=True)


def _plain_number(value: JSON) -> JSON:
    is_whole = isinstance(value, float) and math.isfinite(value) and value.is_integer()
    return int(value) if is_whole else value


def without_nulls(value: JSON, data: Collection[str] = ()) -> JSON:
    """Return a JSON value without the members that are null, but for those inside ``data``."""
    if isinstance(value, dict):
        return {
            name: item if name in data else without_nulls(item, data)
            for name, item in value.items()
            if item is not None
        }
    return [without_nulls(item, data) for item in value] if isinstance(value, list) else value


def equal(left: JSON, right: JSON) -> bool:
    """Return whether two JSON values are equal, however deep they are."""
    pairs = [(left, right)]
    while pairs:
        one, other = pairs.pop()
        if one is other:
            continue
        if isinstance(one, bool) or isinstance(other, bool):
            return False
        if isinstance(one, Mapping):
            if not isinstance(other, Mapping) or one.keys() != other.keys():
                return False
            pairs += [(value, other[key]) for key, value in one.items()]
        elif isinstance(one, list | tuple):
            if not isinstance(other, list | tuple) or len(one) != len(other):
                return False
            pairs += zip(one, other, strict=True)
        elif one != other:
            return False
    return True


def strings_in(value: JSON) -> Iterator[str]:
    """Yield every string in a JSON value, but for the names of members."""
    return (item for item in values_in(value) if isinstance(item, str))


def pointer(*parts: str | int) -> str:
    """Return a JSON Pointer (RFC 6901); without parts it is ``""``, the whole document."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def resolve_pointer(document: JSON, path: str) -> JSON:
    """Return the value that a JSON Pointer names, or ``MISSING``."""
    value = document
    for part in path.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, Mapping) and key in value:
            value = value[key]
        elif (
            isinstance(value, Sequence)
            and not isinstance(value, str)
            and key.isdigit()
            and int(key) < len(value)
        ):
            value = value[int(key)]
        else:
            return MISSING
    return value


def differences(expected: JSON, got: JSON, at: str = "") -> Iterator[tuple[str, JSON, JSON]]:
    """Yield ``(pointer, expected, got)`` wherever two JSON values differ, in document order.

    A key or item that one side lacks is ``MISSING`` on that side.
    """
    if isinstance(expected, Mapping) and isinstance(got, Mapping):
        for key in expected:
            yield from differences(expected[key], got.get(key, MISSING), at + pointer(key))
        for key in got:
            if key not in expected:
                yield at + pointer(key), MISSING, got[key]
    elif isinstance(expected, list) and isinstance(got, list):
        for index in range(max(len(expected), len(got))):
            left = expected[index] if index < len(expected) else MISSING
            right = got[index] if index < len(got) else MISSING
            yield from differences(left, right, at + pointer(index))
    elif not equal(expected, got):
        yield at, expected, got


def json_type(value: JSON) -> str:
    """Return the JSON type of a value: object, array, string, number, boolean or null."""
    return _TYPE_NAMES.get(type(value), type(value).__name__)
