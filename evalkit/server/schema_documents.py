"""A valid document for a JSON Schema (Draft 2020-12), made without chance: what the plain answers are filled with.

``document(schema, hint)`` walks the schema once. A *hint* is the value somebody would like (a script's recipe, names found in the user's
text); every part of it that its place in the schema allows is taken, the rest is made: first of ``enum``, ``const``, ``default``,
``examples``, else the smallest value the keywords allow. What is made is validated by jsonschema before it is handed out, so an answer is
valid or there is none (``Unsatisfiable``): never nearly right. Recursive schemas end at their first repetition wherever they may.

Not made: values that only ``not``, ``if``, ``dependentSchemas`` or ``contains`` would shape, and remote ``$ref``s.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from referencing import Registry
from referencing.exceptions import Unresolvable

from evalkit._lib.json import JSON, MISSING, equal, resolve_pointer
from evalkit.server.schemas.merge import NoDocument, merged
from evalkit.server.schemas.scalars import number, string

__all__ = ["NoDocument", "check_schema", "sample_document"]

_MAX_DEPTH = 40
_MAX_SIZE = 2_000
_MAX_PARTS = 20_000
_TYPE_OF_KEYWORD = {
    "properties": "object", "required": "object", "additionalProperties": "object", "minProperties": "object",
    "items": "array", "prefixItems": "array", "minItems": "array", "maxItems": "array", "uniqueItems": "array",
    "minimum": "number", "maximum": "number", "exclusiveMinimum": "number", "exclusiveMaximum": "number", "multipleOf": "number",
}  # fmt: skip


def check_schema(schema: JSON) -> None:
    """Raise Unsatisfiable where ``schema`` is no JSON Schema at all."""
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        where = "/".join(map(str, error.absolute_path))
        raise NoDocument(
            f"not a JSON Schema{f' at {where}' if where else ''}: {error.message}"
        ) from error


def sample_document(schema: JSON, hint: JSON = MISSING) -> JSON:
    """Return a document valid against ``schema``, as near to ``hint`` as it goes. Raises Unsatisfiable."""
    check_schema(schema)
    try:
        maker = _Maker(schema)
        made = maker.make(schema, hint, "value", (), 0)
        problem = next(maker.validator.iter_errors(made), None)
    except (Unresolvable, RecursionError) as error:
        raise NoDocument(f"a $ref that does not resolve: {error}") from error
    except _TooLarge as error:
        raise NoDocument(str(error)) from error
    if problem is not None:
        raise NoDocument(f"no document was found: {problem.message}")
    return made


class _TooLarge(Exception):
    """Ends the whole making: no other branch may be tried, or the time would be spent all the same."""


class _Maker:
    def __init__(self, root: JSON) -> None:
        self.root = root
        # An empty registry, or a remote $ref would be fetched from the network.
        self.validator = Draft202012Validator(
            root, registry=Registry(), format_checker=Draft202012Validator.FORMAT_CHECKER
        )
        self._left = _MAX_PARTS

    def make(self, schema: JSON, hint: JSON, name: str, refs: tuple[str, ...], nth: int) -> JSON:
        """Return a value for one place: ``name`` is the property's, ``refs`` the open references, ``nth`` the place in a list."""
        self._left -= 1
        if self._left < 0:
            raise _TooLarge(f"a document of more than {_MAX_PARTS} parts is not made")
        if schema is True:
            return name if hint is MISSING else hint
        if schema is False:
            raise NoDocument(f"{name!r}: the schema is false, nothing is valid")
        if hint is not MISSING and self._valid(hint, schema):
            return hint
        if "$ref" in schema:
            target, refs = self._follow(schema["$ref"], refs)
            return self.make(
                merged({key: value for key, value in schema.items() if key != "$ref"}, target),
                hint,
                name,
                refs,
                nth,
            )
        if "allOf" in schema:
            joined = {key: value for key, value in schema.items() if key != "allOf"}
            for part in schema["allOf"]:
                while isinstance(part, Mapping) and "$ref" in part:
                    target, refs = self._follow(part["$ref"], refs)
                    part = merged(
                        {key: value for key, value in part.items() if key != "$ref"}, target
                    )
                joined = merged(joined, part)
            return self.make(joined, hint, name, refs, nth)
        for keyword in ("oneOf", "anyOf"):
            if keyword in schema:
                return self._choose(schema, keyword, hint, name, refs, nth)
        return self._plain(schema, hint, name, refs, nth)

    def _valid(self, value: JSON, schema: JSON) -> bool:
        return next(self.validator.evolve(schema=schema).iter_errors(value), None) is None

    def _follow(self, reference: str, refs: tuple[str, ...]) -> tuple[JSON, tuple[str, ...]]:
        target = resolve_pointer(self.root, reference[1:]) if reference.startswith("#") else MISSING
        if target is MISSING:
            raise NoDocument(f"a $ref that does not resolve here: {reference!r}")
        if refs.count(reference) > 1 or len(refs) > _MAX_DEPTH:
            raise NoDocument(f"{reference!r} repeats without an end")
        return target, (*refs, reference)

    def _choose(
        self, schema: JSON, keyword: str, hint: JSON, name: str, refs: tuple[str, ...], nth: int
    ) -> JSON:
        rest = {key: value for key, value in schema.items() if key != keyword}
        reason = f"{name!r}: no branch of {keyword} can be met"
        for branch in schema[keyword]:
            try:
                made = self.make(merged(rest, branch), hint, name, refs, nth)
            except NoDocument as error:
                reason = str(error)
                continue
            if self._valid(made, schema):
                return made
        raise NoDocument(reason)

    def _plain(self, schema: JSON, hint: JSON, name: str, refs: tuple[str, ...], nth: int) -> JSON:
        for candidate in self._offered(schema, nth):
            if self._valid(candidate, schema):
                return candidate
        if "enum" in schema or "const" in schema:
            raise NoDocument(f"{name!r}: no value of enum or const meets the other keywords")
        reason = f"{name!r}: no type can be met"
        for kind in self._types(schema, hint):
            try:
                return self._of_type(kind, schema, hint, name, refs, nth)
            except NoDocument as error:
                reason = str(error)
        raise NoDocument(reason)

    @staticmethod
    def _offered(schema: JSON, nth: int) -> Iterator[JSON]:
        if "const" in schema:
            yield schema["const"]
        values = schema.get("enum", [])
        yield from (values[(nth + shift) % len(values)] for shift in range(len(values)))
        if nth == 0:
            if "default" in schema and schema["default"] is not None:
                yield schema["default"]
            examples = schema.get("examples", [])
            yield from examples if isinstance(examples, list) else []

    @staticmethod
    def _types(schema: JSON, hint: JSON) -> list[str]:
        given = schema.get("type")
        if given is None:
            given = next(
                (kind for keyword, kind in _TYPE_OF_KEYWORD.items() if keyword in schema), None
            )
            given = given or (
                "object"
                if isinstance(hint, dict)
                else "array"
                if isinstance(hint, list)
                else "string"
            )
        kinds = list(given) if isinstance(given, list) else [given]
        return sorted(kinds, key=lambda kind: kind == "null")

    def _of_type(
        self, kind: str, schema: JSON, hint: JSON, name: str, refs: tuple[str, ...], nth: int
    ) -> JSON:
        if kind == "object":
            return self._object(schema, hint, refs)
        if kind == "array":
            return self._array(schema, hint, name, refs)
        if kind in ("integer", "number"):
            return number(schema, kind, name, nth)
        if kind == "string":
            return string(schema, name, nth)
        return None if kind == "null" else nth % 2 == 0

    def _object(self, schema: JSON, hint: JSON, refs: tuple[str, ...]) -> dict[str, JSON]:
        wishes = hint if isinstance(hint, Mapping) else {}
        required = list(schema.get("required", []))
        properties = dict(schema.get("properties", {}))
        extra = schema.get("additionalProperties", True)
        for key in required:
            properties.setdefault(key, extra)
        most = schema.get("maxProperties", _MAX_SIZE)
        made: dict[str, JSON] = {}
        for key, part in properties.items():
            if (
                key not in required
                and len(required) + sum(other not in required for other in made) >= most
            ):
                continue
            try:
                made[key] = self.make(
                    part, wishes.get(key, MISSING), key.replace("_", " "), refs, 0
                )
            except NoDocument:
                if key in required:
                    raise
        if extra is not False:
            least = int(schema.get("minProperties", 0))
            if least > _MAX_SIZE:
                raise NoDocument(f"an object of {least} properties is not made")
            for number in range(1, least - len(made) + 1):
                made[f"key{number}"] = self.make(extra, MISSING, f"key {number}", refs, 0)
        return made

    def _array(self, schema: JSON, hint: JSON, name: str, refs: tuple[str, ...]) -> list[JSON]:
        wishes = hint if isinstance(hint, list) else []
        first = schema.get("prefixItems", [])
        items = schema.get("items", True)
        least = int(schema.get("minItems", 0))
        most = int(schema.get("maxItems", _MAX_SIZE))
        if least > _MAX_SIZE:
            raise NoDocument(f"{name!r}: a list of {least} items is not made")
        size = min(
            max(least, len(wishes), len(first), 1 if items is not True or not first else 0), most
        )
        made: list[JSON] = []
        for index in range(size):
            part = first[index] if index < len(first) else items
            wish = wishes[index] if index < len(wishes) else MISSING
            try:
                made.append(
                    self._item(
                        part,
                        wish,
                        name,
                        refs,
                        0 if index < len(first) else index,
                        made if schema.get("uniqueItems") else (),
                    )
                )
            except NoDocument:
                if index < least:
                    raise
                break
        return made

    def _item(
        self, schema: JSON, hint: JSON, name: str, refs: tuple[str, ...], start: int, taken: Any
    ) -> JSON:
        for nth in range(start, start + len(taken) + 2):
            value = self.make(schema, hint if nth == start else MISSING, name, refs, nth)
            if not any(equal(value, other) for other in taken):
                return value
        raise NoDocument(f"{name!r}: no further item that differs from the others")
