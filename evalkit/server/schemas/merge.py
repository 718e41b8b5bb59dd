"""Two JSON Schemas as one that asks for both: what ``allOf``, a ``$ref`` with neighbours, and a chosen branch come down to. Pure.

A table of keywords that can be joined; where they cannot be, the result asks for less than both did: whoever makes a document from it
validates the document against the schemas as they were.
"""

from __future__ import annotations

from collections.abc import Callable

from evalkit._lib.json import JSON, MISSING, equal
from evalkit._lib.text import show

_ANNOTATIONS = frozenset(
    {
        "$defs",
        "definitions",
        "$schema",
        "$id",
        "$comment",
        "title",
        "description",
        "examples",
        "default",
        "deprecated",
    }
)


class NoDocument(ValueError):
    """No document was found; the message says where and why, in one line."""


def merged(left: JSON, right: JSON) -> JSON:
    """Return a schema that asks for both. Keywords that cannot be joined take the right one's value; whoever uses it validates."""
    if isinstance(right, bool):
        return left if right else False
    if isinstance(left, bool):
        return right if left else False
    out = dict(left)
    for key, value in right.items():
        held = out.get(key, MISSING)
        out[key] = value if held is MISSING else _joined(key, held, value)
    return out


def _joined(key: str, left: JSON, right: JSON) -> JSON:
    if key in _ANNOTATIONS or equal(left, right):
        return left
    join = _JOINS.get(key)
    return right if join is None else join(left, right)


def _properties(left: JSON, right: JSON) -> JSON:
    both = {name: merged(left[name], right[name]) for name in left if name in right}
    return {**left, **right, **both}


def _union(left: JSON, right: JSON) -> JSON:
    return [*left, *(name for name in right if name not in left)]


def _common_values(left: JSON, right: JSON) -> JSON:
    return [value for value in left if any(equal(value, other) for other in right)]


def _common_types(left: JSON, right: JSON) -> JSON:
    ours, theirs = ([kinds] if isinstance(kinds, str) else kinds for kinds in (left, right))
    common = [kind for kind in ours if kind in theirs or (kind == "integer" and "number" in theirs)]
    common += [
        kind
        for kind in theirs
        if kind == "integer" and "number" in ours and "integer" not in common
    ]
    if not common:
        raise NoDocument(f"types that exclude each other: {show(left)} and {show(right)}")
    return common


_JOINS: dict[str, Callable[[JSON, JSON], JSON]] = {
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"), min),
    **dict.fromkeys(("items", "additionalProperties"), merged),
    "allOf": lambda left, right: [*left, *right],
    "enum": _common_values,
    "properties": _properties,
    "required": _union,
    "type": _common_types,
}
