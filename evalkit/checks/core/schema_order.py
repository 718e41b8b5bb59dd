"""Which of two JSON Schemas is narrower, keyword by keyword.

A keyword that is not in the tables here is *changed* if it differs: it cannot be ordered.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from evalkit._lib.json import JSON, equal
from evalkit._lib.text import show

_ANNOTATIONS = frozenset(
    {
        "title", "description", "default", "examples", "$comment", "$id", "$schema", "deprecated",
        "readOnly", "writeOnly", "propertyOrdering",
    }
)  # fmt: skip
_HIGHER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "minContains")
_LOWER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties", "maxContains")
_NUMBERS = {**dict.fromkeys(_HIGHER, True), **dict.fromkeys(_LOWER, False)}
_ONE = ("items", "additionalProperties", "contains", "propertyNames", "unevaluatedProperties")
"""Keywords whose value is a schema; absent is ``true``."""
_NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
"""Keywords whose value has schemas by name; absent is ``true``."""


class SchemaChange(NamedTuple):
    """A keyword that differs; ``is_looser`` is None if the values cannot be ordered."""

    path: str
    is_looser: bool | None
    text: str


def schema_changes(old: JSON, new: JSON, path: str = "") -> Iterator[SchemaChange]:
    """Yield how a JSON Schema differs from an earlier one."""
    if equal(old, new):
        return
    before, after = _as_object(old), _as_object(new)
    if before is None or after is None:
        # ``false`` accepts nothing.
        is_looser = True if before is None else False if after is None else None
        yield SchemaChange(path, is_looser, f"{show(old, 40)} → {show(new, 40)}")
        return
    for keyword in dict.fromkeys([*before, *after]):
        if keyword not in _ANNOTATIONS and not (
            keyword in before and keyword in after and equal(before[keyword], after[keyword])
        ):
            yield from _keyword_changes(keyword, before, after, f"{path}/{keyword}")


def _as_object(schema: JSON) -> Mapping[str, JSON] | None:
    """Return a schema as an object; None for ``false``."""
    if schema is False:
        return None
    return schema if isinstance(schema, Mapping) else {}


def _keyword_changes(
    keyword: str, before: Mapping[str, JSON], after: Mapping[str, JSON], path: str
) -> Iterator[SchemaChange]:
    old, new = before.get(keyword), after.get(keyword)
    if keyword in _ONE:
        yield from schema_changes(before.get(keyword, True), after.get(keyword, True), path)
        return
    if keyword in _NAMED:
        names = {**(old or {}), **(new or {})}
        for name in names:
            yield from schema_changes(
                (old or {}).get(name, True), (new or {}).get(name, True), f"{path}/{name}"
            )
        return
    text = f"{_shown(keyword, before)} → {_shown(keyword, after)}"
    yield SchemaChange(path, _is_looser(keyword, before, after), text)


def _is_looser(keyword: str, before: Mapping[str, JSON], after: Mapping[str, JSON]) -> bool | None:
    if keyword not in after or keyword not in before:
        return keyword not in after
    old, new = before[keyword], after[keyword]
    if keyword in _NUMBERS and not any(isinstance(one, bool | str) for one in (old, new)):
        return bool(new < old) if _NUMBERS[keyword] else bool(new > old)
    if keyword == "required":
        return _is_subset(new, old)
    if keyword in ("enum", "type"):
        return _is_subset(_alternatives(old), _alternatives(new))
    return None


def _is_subset(part: JSON, whole: JSON) -> bool | None:
    """Return whether one list is part of the other; None if neither is."""
    if all(any(equal(one, other) for other in whole) for one in part):
        return True
    return False if all(any(equal(one, other) for other in part) for one in whole) else None


def _alternatives(value: JSON) -> list[JSON]:
    values = value if isinstance(value, list) else [value]
    # Every integer is a number.
    return [*values, "integer"] if "number" in values and "integer" not in values else values


def _shown(keyword: str, schema: Mapping[str, JSON]) -> str:
    return show(schema[keyword], 60) if keyword in schema else "absent"
