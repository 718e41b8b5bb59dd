"""JSON as values: equality, canonical text, pointers, differences.

Two JSON values are equal if RFC 8259 gives them the same meaning: key order does not count, nor
does the spelling of a number (``1`` equals ``1.0`` and ``1e0``), but ``true`` does not equal ``1``.
Python's ``==`` differs in the last point.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

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
    type(None): "null",
}


def dumps(value: JSON, *, sort_keys: bool = False) -> str:
    """Return compact JSON text.

    The text is ASCII, so that lone surrogates and U+2028 survive any file and any transport.
    """
    return json.dumps(value, separators=(",", ":"), sort_keys=sort_keys)


def loads(text: str | bytes) -> JSON:
    """Parse JSON text. Raises ValueError."""
    return json.loads(text)


def escape_unicode(text: str) -> str:
    r"""Return every character as JSON's ASCII escape, ``\uXXXX`` per UTF-16 unit (RFC 8259, 7)."""
    units = text.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))


def canonical(value: JSON) -> str:
    """Return the same text for equal values: sorted keys, integral floats as integers."""
    return dumps(_with_plain_numbers(value), sort_keys=True)


def _with_plain_numbers(value: JSON) -> JSON:
    if isinstance(value, dict):
        return {key: _with_plain_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_plain_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def equal(left: JSON, right: JSON) -> bool:
    """Return whether two JSON values are equal."""
    if left is right:
        return True
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, Mapping):
        return (
            isinstance(right, Mapping)
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
