"""Validate JSON values with JSON Schema: Draft 2020-12 unless ``$schema`` names another.

Two words of OpenAPI 3.0 that schemas for this service contain are understood everywhere: with
``nullable: true`` a schema also accepts null, and types may be in capitals (``STRING``).

Formats are checked. Nothing is ever fetched: a reference that leads out of the document is a
mistake of the schema. Patterns have a time limit, which raises PatternTimeout.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from evalkit._lib.json import JSON, MISSING, dumps, pointer
from evalkit._lib.text import did_you_mean, show
from evalkit.errors import Misconfigured

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

Path = tuple[str | int, ...]
SchemaProblem = tuple[Path, str]
"""Where in a schema something is wrong, and what."""

_MAX_VIOLATIONS = 100
_MAX_COUNTED = 10_000
_MAX_NOTES = 8
_TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")
_DATA_KEYWORDS = frozenset({"const", "enum", "default", "examples"})
NAMED_SCHEMAS = (
    "properties",
    "patternProperties",
    "$defs",
    "definitions",
    "dependentSchemas",
    "dependencies",
)
"""Keywords whose value maps names to schemas; a name may be that of a keyword."""


class Violation(NamedTuple):
    """Where a value breaks a schema: pointer, message, and the keyword with its value.

    The message may have further lines.
    """

    pointer: str
    message: str
    expected: JSON = MISSING
    got: JSON = MISSING


def problems(schema: JSON) -> list[SchemaProblem]:
    """Return what is wrong with a schema: keywords with bad values, references to nothing."""
    return _compile(dumps(schema))[1]


def validator(schema: JSON) -> Validator:
    """Return the validator of a schema. Raises Misconfigured for a broken schema."""
    compiled, found = _compile(dumps(schema))
    if compiled is None:
        lines = [f"the JSON Schema cannot be used: {pointer(*path)} {text}" for path, text in found]
        raise Misconfigured("\n".join(lines))
    return compiled


@lru_cache(maxsize=64)
def _compile(text: str) -> tuple[Validator | None, list[SchemaProblem]]:
    # jsonschema takes long to import, and few suites need it.
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match
    from jsonschema.validators import extend, validator_for
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012, EMPTY_REGISTRY

    from evalkit._lib.schema_validators import bounded

    schema = _plain_types(json.loads(text))
    if not isinstance(schema, bool | Mapping):
        message = f"a JSON Schema must be a mapping, got {show(schema)}"
        return None, [((), message)]
    kind = bounded(validator_for(schema, default=Draft202012Validator))
    draft = schema.get("$schema") if isinstance(schema, Mapping) else None
    if draft is not None and str(kind.META_SCHEMA["$schema"]).rstrip("#") != str(draft).rstrip("#"):
        return None, [(("$schema",), f"{show(draft)} is not a known draft")]
    checker = kind(kind.META_SCHEMA, format_checker=kind.FORMAT_CHECKER)
    found = [_problem(best_match([error]) or error) for error in checker.iter_errors(schema)]
    references = list(_references(schema, ()))
    if not found and not any(path[-1] == "$id" for path, _ in references):
        resource = DRAFT202012.create_resource(schema)
        resolver = EMPTY_REGISTRY.with_resource("", resource).resolver()
        for path, target in references:
            try:
                resolver.lookup(target)
            except Unresolvable:
                outside = "leads out of this schema, and nothing is ever fetched"
                where = "leads nowhere in this schema" if target.startswith("#") else outside
                found.append((path, f"the reference {show(target)} {where}"))
    if found:
        return None, found
    if '"nullable"' in text:
        nullable = {word: _or_null(check) for word, check in kind.VALIDATORS.items()}
        kind = extend(kind, nullable)  # type: ignore[no-untyped-call]
    return kind(schema, registry=EMPTY_REGISTRY, format_checker=kind.FORMAT_CHECKER), []


def _plain_types(schema: JSON, *, has_names: bool = False) -> JSON:
    """Return a schema with its types in lower case; ``has_names`` of a map of named schemas."""
    if isinstance(schema, list):
        return [_plain_types(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _plain_type(value)
        if key == "type" and not has_names
        else value
        if key in _DATA_KEYWORDS and not has_names
        else _plain_types(value, has_names=key in NAMED_SCHEMAS and not has_names)
        for key, value in schema.items()
    }


def _plain_type(kind: JSON) -> JSON:
    if isinstance(kind, list):
        return [_plain_type(item) for item in kind]
    return kind.lower() if isinstance(kind, str) and kind.lower() in _TYPES else kind


def _or_null(check: Callable[..., Any]) -> Callable[..., Any]:
    """Let a keyword accept null where its schema is nullable."""

    def validate(validator: Any, value: Any, instance: Any, schema: Any) -> Any:
        is_null = instance is None and schema.get("nullable") is True
        return () if is_null else check(validator, value, instance, schema)

    return validate


def _problem(error: ValidationError) -> SchemaProblem:
    path, value = tuple(error.absolute_path), error.instance
    if path and path[-1] == "type" and isinstance(value, str):
        hint = did_you_mean(value, _TYPES)
        return path, f"{show(value)} is not a JSON type{hint}; valid: {', '.join(_TYPES)}"
    return path, f"not a JSON Schema: {_message(error)}"


def violations(schema: JSON, value: JSON) -> Iterator[Violation]:
    """Yield violations in document order, at most 100 and then one that counts the rest.

    Raises Misconfigured for a broken schema.
    """
    compiled = validator(schema)
    try:
        errors = sorted(
            # More are not worth the memory: a long array may have one per item.
            islice(compiled.iter_errors(value), _MAX_COUNTED),
            key=lambda error: [str(part).zfill(9) for part in error.absolute_path],
        )
    except RecursionError:
        yield Violation("", "the value is nested too deep to be validated")
        return
    for error in errors[:_MAX_VIOLATIONS]:
        notes = [
            f"{pointer(*each.absolute_path) or '(whole)'}: {_message(each)}"
            for each in (error.context or ())[:_MAX_NOTES]
        ]
        yield Violation(
            pointer(*error.absolute_path),
            "\n".join([_message(error), *notes]),
            {error.validator: error.validator_value},
            error.instance,
        )
    if len(errors) > _MAX_VIOLATIONS:
        least = "at least " if len(errors) == _MAX_COUNTED else ""
        yield Violation("", f"and {least}{len(errors) - _MAX_VIOLATIONS} more violations")


def _message(error: ValidationError) -> str:
    """Describe an error without the whole value, which the library's messages contain."""
    expected: Any = error.validator_value
    got = f", got {show(error.instance, 60)}"
    match error.validator:
        case "type":
            types = [expected] if isinstance(expected, str) else map(str, expected)
            return f"must be of type {' or '.join(types)}{got}"
        case "enum":
            return f"must be one of {show(expected, 120)}{got}"
        case "const":
            return f"must be {show(expected)}{got}"
        case "format":
            return f"must be a {expected}{got}"
        case "pattern":
            return f"must match {show(expected)}{got}"
        case "anyOf" | "oneOf":
            count = "none" if error.context else "more than one"
            return f"fits {count} of the {len(expected)} alternatives{got}"
        case "required":
            name = next((name for name in expected if repr(name) in error.message), "")
            return f"{show(name)} is missing"
        case "additionalProperties" | "unevaluatedProperties" if expected is False:
            return error.message[:1].lower() + error.message[1:]
    return f"breaks {error.validator}: {show(expected, 60)}{got}"


def _references(schema: JSON, path: Path, *, has_names: bool = False) -> Iterator[tuple[Path, str]]:
    items: Any = ()
    if isinstance(schema, Mapping):
        items = schema.items()
    elif isinstance(schema, list):
        items = enumerate(schema)
    for key, value in items:
        if key in ("$ref", "$dynamicRef", "$id") and isinstance(value, str):
            yield (*path, key), value
        elif has_names or key not in _DATA_KEYWORDS:
            names = key in NAMED_SCHEMAS and not has_names
            yield from _references(value, (*path, key), has_names=names)
