"""JSON as values: equality, canonical text, pointers, differences.

JSON equality here is that of RFC 8259 values: object key order is no difference, number spelling is none (``1`` is ``1.0``
is ``1e0``), but ``true`` is not ``1``. Python's ``==`` gets the first two right and the last one wrong.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# A JSON value. The type is Any because what the service sends may have any shape, and a recursive
# union would need a cast at every access.
JSON = Any

type_names = {
    dict: "object",
    list: "array",
    str: "string",
    bool: "boolean",
    int: "number",
    float: "number",
    type(None): "null",
}

MISSING: Any = type(
    "Missing", (), {"__repr__": lambda self: "(absent)", "__bool__": lambda self: False}
)()
"""Stands for a value that is not there, where ``None`` would mean JSON null."""

_OBJECTS = (dict, Mapping)  # dict first: asking the abstract class takes much longer

# json.dumps makes an encoder for every call that has arguments of its own; these are made once.
_compact = json.JSONEncoder(separators=(",", ":")).encode
_sorted = json.JSONEncoder(separators=(",", ":"), sort_keys=True).encode


def dumps(value: Any) -> str:
    """Return compact JSON text, ASCII only, so that lone surrogates and U+2028 survive any file and any transport."""
    return _compact(value)


def escape_unicode(text: str) -> str:
    """Return characters as a JSON string spells them in ASCII: each UTF-16 unit as an escape of four hexadecimal digits (RFC 8259, section 7)."""
    units = text.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))


def loads(text: str | bytes) -> Any:
    """Parse JSON text. Raises ValueError."""
    return json.loads(text)


def canonical(value: Any) -> str:
    """Return one text for all spellings of a JSON value: sorted keys, integral floats as integers."""
    return _sorted(_plain_numbers(value))


def _plain_numbers(value: Any) -> Any:
    kind = type(value)
    if kind is dict:
        return {key: _plain_numbers(item) for key, item in value.items()}
    if kind is list:
        return [_plain_numbers(item) for item in value]
    if kind is float and value.is_integer():
        return int(value)
    return value


def equal(left: Any, right: Any) -> bool:
    """Say whether two JSON values are equal (key order and number spelling aside, booleans are not numbers)."""
    if left is right:
        return True
    if type(left) is type(right) and type(left) is str:
        return bool(left == right)
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, _OBJECTS):
        return (
            isinstance(right, _OBJECTS)
            and left.keys() == right.keys()
            and all(equal(left[key], right[key]) for key in left)
        )
    if isinstance(left, list | tuple):
        return (
            isinstance(right, list | tuple)
            and len(left) == len(right)
            and all(map(equal, left, right))
        )
    return bool(left == right)


def pointer(*parts: str | int) -> str:
    """Join parts into a JSON Pointer (RFC 6901); no parts give the whole document, ``""``."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def resolve_pointer(document: Any, path: str) -> Any:
    """Return the value a JSON Pointer names, or ``MISSING``."""
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


def differences(expected: Any, got: Any, at: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield ``(pointer, expected, got)`` for every place where two JSON values part, in document order.

    A key or item that one side lacks is reported with ``MISSING`` on that side.
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


def json_type(value: Any) -> str:
    """Name the JSON type of a value: object, array, string, number, boolean or null."""
    return type_names.get(type(value), type(value).__name__)
