"""From what follows ``name:`` in a suite to a check, and from a check class to a JSON Schema.

The types of options that several checks share are pydantic types. So a bad argument is refused
where the suite is loaded, and the JSON Schema for editors says the same. pydantic's errors become
messages for the suite's author, each with a path inside the argument. Arguments are JSON values and
are validated strictly: ``"3"`` is not a number and ``1`` is not true, so that the loader agrees
with the schema that editors use.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    WrapValidator,
    model_validator,
)
from pydantic.errors import PydanticUserError
from pydantic_core import PydanticCustomError

from evalkit._lib.json import JSON, MISSING, dumps, pointer, resolve_pointer
from evalkit._lib.patterns import PatternError, compile_pattern
from evalkit._lib.text import did_you_mean, nearest, show
from evalkit.checks.core.base import Check, Options, ParsedArgument, option_error
from evalkit.checks.core.strictness import Strictness
from evalkit.suite import BadArguments

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
}
_LIMITS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "above"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "below"),
}


def or_bare(
    bare: Any, wrap: Callable[[Any], JSON], form: type, expected: str, schema: Any
) -> BeforeValidator:
    """Return a validator that wraps a value of the type ``bare`` into ``form``.

    Any other value must be a ``form``. ``expected`` says so in messages, ``schema`` is the type of
    both for editors.
    """

    def validate(value: Any) -> Any:
        if isinstance(value, bare) and not isinstance(value, bool):
            return wrap(value)
        if not isinstance(value, form):
            hint = quotes_hint(value) if bare is str else ""
            raise option_error(f"must be {expected}, got {show(value)}{hint}")
        return value

    return BeforeValidator(validate, json_schema_input_type=schema)


def one_or_many(one: type, name: str, schema: Any = None) -> BeforeValidator:
    """Return a validator that accepts a single ``one`` where a list of them is expected.

    ``name`` is for messages, ``schema`` is the type of an item for editors.
    """
    item: Any = schema if schema is not None else one
    expected = f"{name} or a list of them"
    return or_bare(one, lambda value: [value], list, expected, item | list[item])


Words = Annotated[
    list[Annotated[str, Field(min_length=1)]], one_or_many(str, "text"), Field(min_length=1)
]
"""A string, or a list of at least one string."""


def _regex(text: str) -> str:
    try:
        compile_pattern(text)
    except PatternError as error:
        raise option_error(f"{show(text)} is not a regular expression: {error}") from None
    return text


Regex = Annotated[str, AfterValidator(_regex)]
"""A regular expression (docs/limits.md). It is searched for, not matched as a whole."""


def _target(text: str) -> str:
    module, colon, name = text.partition(":")
    if not colon or not all(part.isidentifier() for part in [*module.split("."), *name.split(".")]):
        raise option_error(f"must be package.module:name, got {show(text)}")
    return text


Target = Annotated[str, AfterValidator(_target)]
"""A Python object by module and name. The view imports it when the check runs."""


def open_words(valid: Iterable[str], name: str) -> Callable[[str], str]:
    """Return a validator for words of a list that the service may extend.

    A word of the list is accepted, and so is an entirely different one; a near miss is a typo.
    """
    known = tuple(valid)

    def validate(word: str) -> str:
        if word not in known and (meant := nearest(word, known)):
            raise option_error(
                f"{word!r} is not a {name} (did you mean {meant!r}?); valid: {', '.join(known)}"
            )
        return word

    return validate


def _exact(value: Any, parse: Callable[[Any], float]) -> float:
    number = parse(value)
    return value if type(value) is int else number


Number = Annotated[float, WrapValidator(_exact)]
"""A number; an integer of any length keeps its value."""


class Bounds(Options):
    """Limits of a number, both inclusive; at least one is required."""

    strictness: ClassVar[Mapping[str, Strictness]] = {"min": "higher", "max": "lower"}
    min: Number | None = Field(None, description="Smallest value allowed.")
    max: Number | None = Field(None, description="Largest value allowed.")

    @model_validator(mode="after")
    def _refuse_empty_range(self) -> Self:
        if self.min is None and self.max is None:
            raise option_error("needs 'min' or 'max'")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise option_error(
                f"min {format_number(self.min)} is above max {format_number(self.max)}"
            )
        return self

    def contains(self, value: float) -> bool:
        """Return whether the value is within the limits."""
        return (self.min is None or value >= self.min) and (self.max is None or value <= self.max)

    def __str__(self) -> str:
        if self.min is not None and self.min == self.max:
            return format_number(self.min)
        limits = (("at least", self.min), ("at most", self.max))
        return " and ".join(
            f"{word} {format_number(limit)}" for word, limit in limits if limit is not None
        )

    def to_json(self) -> dict[str, float]:
        """Return the limits that are set, for a finding's ``expected``."""
        limits = {"min": self.min, "max": self.max}
        return {name: plain(limit) for name, limit in limits.items() if limit is not None}


def _mapping(value: Any) -> Any:
    if not isinstance(value, dict):
        is_number = isinstance(value, int | float)
        form = f"{{max: {show(value)}}}" if is_number else "a mapping with min or max"
        raise option_error(f"must be {form}, got {show(value)}")
    return value


Amount = Annotated[
    Bounds,
    or_bare(
        int | float,
        lambda number: {"min": number, "max": number},
        dict,
        "a number or {min: …, max: …}",
        float | Bounds,
    ),
]
"""A number, which means exactly that many, or bounds."""

Limits = Annotated[Bounds, BeforeValidator(_mapping)]
"""Bounds as a mapping: a bare number could mean the least or the most."""


def format_number(value: float) -> str:
    """Format a number with thousands separators and without ``.0``."""
    exact = plain(value)
    return f"{exact:,}" if isinstance(exact, int) else f"{exact:,.10g}"


def plain(value: float) -> float:
    """Return an integral float as an integer."""
    return int(value) if isinstance(value, int) or value.is_integer() else value


Path = tuple[str | int, ...]
ArgumentProblem = tuple[Path, str]


def build_check(kind: type[Check], argument: JSON, *, bare: bool) -> Check:
    """Build the check of ``name: argument``, or of ``name`` alone. Raises BadArguments."""
    _complete(kind)
    parsed = ParsedArgument({}, None)
    try:
        if not bare:
            parsed = kind.parse_argument(argument)
        return kind.model_validate_json(dumps(parsed.options), strict=True)
    except PydanticCustomError as error:
        path = (error.context or {}).get("path", ())
        raise BadArguments([(path, error.message())]) from None
    except ValidationError as error:
        problems = [_problem(dict(item), bare) for item in error.errors(include_url=False)]
        located = [(_located(path, argument, parsed.into), text) for path, text in problems]
        raise BadArguments(list(dict.fromkeys(located))) from None


def _complete(kind: type[Check]) -> None:
    """Resolve the annotations of a check class. Raises BadArguments where that fails."""
    try:
        kind.model_rebuild()
    except (PydanticUserError, NameError) as error:
        name = f"{kind.__module__}.{kind.__qualname__}"
        reason = str(error).partition("\n")[0]
        raise BadArguments([((), f"the check's class {name} cannot be read: {reason}")]) from None


def _located(path: Path, argument: JSON, into: str | None) -> Path:
    """Turn a path in the options into one in the argument as written, as far as it leads there."""
    if into is not None and path[:1] == (into,):
        path = path[1:]
    value = argument
    for depth, part in enumerate(path):
        value = resolve_pointer(value, pointer(part))
        if value is MISSING:
            return path[:depth]
    return path


def _problem(error: Mapping[str, Any], bare: bool) -> ArgumentProblem:
    """Return the path and the message of one of pydantic's errors."""
    path: Path = tuple(error["loc"])
    kind, got, context = error["type"], error["input"], error.get("ctx") or {}
    if kind == "option_error":
        return (*path, *context["path"]), context["message"]
    if kind in ("value_error", "assertion_error"):
        return path, str(context["error"])
    if kind == "missing":
        return path[:-1], f"needs {'an argument' if bare else repr(path[-1])}"
    if kind == "literal_error":
        valid = re.findall(r"'([^']*)'", context["expected"])
        one_of = "one of " if len(valid) > 1 else ""
        hint = did_you_mean(got, valid) if isinstance(got, str) else ""
        return path, f"must be {one_of}{', '.join(valid)}, got {show(got)}{hint}"
    if got is None:
        return path, "empty value"
    if kind in _EXPECTED:
        hint = quotes_hint(got) if kind == "string_type" else ""
        return path, f"must be {_EXPECTED[kind]}, got {show(got)}{hint}"
    if kind in _LIMITS:
        key, limit = _LIMITS[kind]
        return path, f"must be {limit} {context[key]:g}, got {show(got)}"
    if kind in ("too_short", "string_too_short") and context.get("min_length") == 1:
        return path, "must not be empty"
    message = error["msg"].replace("Input should", "must")
    return path, message.replace("must be a valid", "must be a")


def quotes_hint(value: JSON) -> str:
    """Return the hint for a number or boolean where text is expected, else ``""``."""
    return f"; write it in quotes: {dumps(show(value))}" if isinstance(value, int | float) else ""


def argument_schema(kind: type[Check]) -> dict[str, JSON]:
    """Return the JSON Schema (2020-12) of what may follow ``name:``, with ``$defs`` of its own."""
    _complete(kind)
    whole = _tidy(kind.model_json_schema())
    properties: dict[str, Any] = whole.get("properties", {})
    required = whole.get("required", [])
    options: dict[str, JSON] = {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
    if kind.rest is not None:
        free = properties.pop(kind.rest)
        options["additionalProperties"] = free.get("additionalProperties", True)
        required = [name for name in required if name != kind.rest]
        if "minProperties" in free:
            # At least one key that is not an option.
            options["not"] = {"propertyNames": {"enum": list(properties)}}
    if required:
        options["required"] = required
    forms = [*kind.extra_forms, options]
    if kind.shorthand is not None:
        # The same schema is used for the bare argument and among the options.
        form = whole.setdefault("$defs", {})[kind.shorthand] = properties[kind.shorthand]
        reference = {"$ref": f"#/$defs/{kind.shorthand}"}
        description = {"description": form["description"]} if "description" in form else {}
        properties[kind.shorthand] = reference | description
        forms.insert(len(kind.extra_forms), reference)
    summary = (kind.__doc__ or kind.name).strip().partition("\n\n")[0].replace("\n    ", " ")
    out: dict[str, JSON] = {"description": summary}
    out |= {"anyOf": forms} if len(forms) > 1 else forms[0]
    if "$defs" in whole:
        out["$defs"] = whole["$defs"]
    return out


def _tidy(schema: Any) -> Any:
    """Remove titles, and the null of options that may only be absent."""
    if isinstance(schema, list):
        return [_tidy(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    clean = {
        key: _tidy(value)
        for key, value in schema.items()
        if not (key == "title" and isinstance(value, str))
    }
    if "default" in clean and clean["default"] is None:
        del clean["default"]
        forms = [form for form in clean.pop("anyOf", ()) if form != {"type": "null"}]
        if len(forms) == 1:
            return forms[0] | clean
        if forms:
            return {"anyOf": forms} | clean
    return clean
