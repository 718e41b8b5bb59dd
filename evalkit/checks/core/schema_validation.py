"""JSON Schema: Draft 2020-12 unless ``$schema`` names another, formats checked, references followed inside the schema only.

The one place that knows ``jsonschema`` and ``referencing``, imported when the first schema is used. Nothing is ever fetched: a reference
that leads out of the document is a mistake of the schema. Schemas come from users (checks), from requests and from pydantic models.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from evalkit._lib.json import JSON, MISSING, dumps, pointer
from evalkit._lib.text import did_you_mean, show
from evalkit.errors import Misconfigured

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

_SHOWN = 100
_NOTES = 8
_TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")
_DATA = frozenset({"const", "enum", "default", "examples"})


class Violation(NamedTuple):
    """One place where a value breaks a schema: pointer and message, the keyword's value, the value itself; ``notes`` are further lines."""

    pointer: str
    message: str
    expected: JSON
    got: JSON
    notes: tuple[str, ...] = ()


class SchemaError(NamedTuple):
    """What is wrong with a schema itself, and where in it."""

    path: tuple[str | int, ...]
    message: str


def problems(schema: JSON) -> list[SchemaError]:
    """Return what is wrong with a schema: keywords with values they cannot have, references that lead nowhere."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match
    from jsonschema.validators import validator_for

    if not isinstance(schema, bool | Mapping):
        return [SchemaError((), f"a JSON Schema must be a mapping, got {show(schema)}")]
    kind = validator_for(schema, default=Draft202012Validator)
    named = schema.get("$schema") if isinstance(schema, Mapping) else None
    if named is not None and str(kind.META_SCHEMA["$schema"]).rstrip("#") != str(named).rstrip("#"):
        return [SchemaError(("$schema",), f"{show(named)} is no known draft of JSON Schema")]
    found = []
    for error in kind(kind.META_SCHEMA, format_checker=kind.FORMAT_CHECKER).iter_errors(schema):
        best = best_match([error]) or error
        path, word = tuple(best.absolute_path), best.instance
        if path and path[-1] == "type" and isinstance(word, str):
            message = f"{show(word)} is no JSON type{did_you_mean(word, _TYPES)}; valid: {', '.join(_TYPES)}"
        else:
            message = f"not a JSON Schema: {_told(best)}"
        found.append(SchemaError(path, message))
    return found or list(_lost_references(schema))


@lru_cache(maxsize=64)
def _compile(text: str) -> Validator:
    from jsonschema import Draft202012Validator
    from jsonschema.validators import validator_for
    from referencing.jsonschema import EMPTY_REGISTRY

    schema = json.loads(text)
    found = problems(schema)
    if found:
        raise Misconfigured(
            "\n".join(
                f"the JSON Schema cannot be used: {pointer(*path)} {message}"
                for path, message in found
            )
        )
    kind = validator_for(schema, default=Draft202012Validator)
    return kind(schema, registry=EMPTY_REGISTRY, format_checker=kind.FORMAT_CHECKER)


def validator(schema: JSON) -> Validator:
    """Return the validator of a schema, made once for equal ones. Raises Misconfigured when the schema is broken."""
    return _compile(dumps(schema))


def violations(schema: JSON, value: JSON) -> Iterator[Violation]:
    """Yield every violation in document order, at most a hundred and then one that counts the rest. Raises Misconfigured."""
    compiled = validator(schema)
    try:
        errors = sorted(
            compiled.iter_errors(value),
            key=lambda error: [str(part).zfill(9) for part in error.absolute_path],
        )
    except RecursionError:
        yield Violation("", "the value is nested too deep to be validated", MISSING, MISSING)
        return
    for error in errors[:_SHOWN]:
        notes = tuple(map(_note, (error.context or ())[:_NOTES]))
        yield Violation(
            pointer(*error.absolute_path),
            _told(error),
            {error.validator: error.validator_value},
            error.instance,
            notes,
        )
    if len(errors) > _SHOWN:
        yield Violation("", f"and {len(errors) - _SHOWN} more violations", MISSING, MISSING)


def _told(error: ValidationError) -> str:
    """Say what is wrong in our own words where the library would print the whole value."""
    value = show(error.instance, 60)
    wanted: Any = error.validator_value
    match error.validator:
        case "type":
            return f"must be of type {' or '.join(_words(wanted))}, got {value}"
        case "enum":
            return f"must be one of {show(wanted, 120)}, got {value}"
        case "const":
            return f"must be {show(wanted)}, got {value}"
        case "format":
            return f"must be a {wanted}, got {value}"
        case "pattern":
            return f"must match {show(wanted)}, got {value}"
        case "anyOf" | "oneOf":
            return f"fits {'none' if error.context else 'more than one'} of the {len(wanted)} alternatives, got {value}"
        case "required":
            missing = [
                name
                for name in wanted
                if isinstance(error.instance, Mapping) and name not in error.instance
            ]
            named = next((name for name in missing if repr(name) in error.message), "")
            return f"{show(named)} is missing"
        case "additionalProperties" | "unevaluatedProperties" if wanted is False:
            return error.message[:1].lower() + error.message[1:]
    limit = show(wanted, 60)
    return f"breaks {error.validator}: {limit}, got {value}"


def _note(error: ValidationError) -> str:
    return f"{pointer(*error.absolute_path) or '(whole)'}: {_told(error)}"


def _words(value: Any) -> Iterable[str]:
    return [value] if isinstance(value, str) else [str(item) for item in value]


def _lost_references(schema: JSON) -> Iterator[SchemaError]:
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012, EMPTY_REGISTRY

    references = list(_references(schema, ()))
    if not references or any(key == "$id" for _, key, _ in references):
        return
    resolver = EMPTY_REGISTRY.with_resource("", DRAFT202012.create_resource(schema)).resolver()
    for path, _, target in references:
        try:
            resolver.lookup(target)
        except Unresolvable:
            where = (
                "leads nowhere in this schema"
                if target.startswith("#")
                else "leads out of this schema, and nothing is ever fetched"
            )
            yield SchemaError(path, f"the reference {show(target)} {where}")


def _references(
    schema: JSON, path: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
    if isinstance(schema, Mapping):
        for key, value in schema.items():
            if key in ("$ref", "$dynamicRef", "$id") and isinstance(value, str):
                yield (*path, key), key, value
            elif key not in _DATA:
                yield from _references(value, (*path, key))
    elif isinstance(schema, list):
        for index, value in enumerate(schema):
            yield from _references(value, (*path, index))
