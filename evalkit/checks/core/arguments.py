"""From what follows ``name:`` in a suite to a check object, and from a check class to the JSON Schema of what may follow.

The one border at which pydantic's errors become sentences: a path inside the argument and what is wrong there, with the nearest valid word.
Arguments are JSON values and are taken strictly: ``"3"`` is no number and ``1`` is not true, so that the schema editors use and the
loader agree. An option with nothing after its colon is a mistake, never a default.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import PydanticCustomError

from evalkit._lib.json import JSON, dumps
from evalkit._lib.text import did_you_mean, show
from evalkit.checks.core.base import Check
from evalkit.checks.core.declaring import Options, spellings

Path = tuple[str | int, ...]
Problem = tuple[Path, str]
_ADAPTERS: dict[type[Check], TypeAdapter[Check]] = {}
_QUOTED = re.compile(r"'([^']*)'")


class BadOptions(ValueError):
    """An argument that a check refuses: ``(path inside the argument, what is wrong)``, all at once."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(message for _, message in problems))
        self.problems = problems


def make(kind: type[Check], argument: JSON, *, bare: bool) -> Check:
    """Build a check of ``name: argument``, or of ``name`` alone. Raises BadOptions."""
    into: str | None = None
    options: Mapping[str, JSON] = {}
    try:
        if not bare:
            options, into = kind.spell(argument)
        text = dumps(options)
    except PydanticCustomError as error:
        context = error.context or {}
        raise BadOptions([(tuple(context.get("path", ())), error.message())]) from None
    except (TypeError, ValueError, RecursionError) as error:
        raise BadOptions([((), f"not a JSON value: {error}")]) from None
    try:
        check = _adapter(kind).validate_json(text, strict=True)
    except ValidationError as error:
        found = [_problem(kind, dict(item), bare) for item in error.errors(include_url=False)]
        raise BadOptions(
            list(dict.fromkeys(_placed(problem, argument, into) for problem in found))
        ) from None
    empty = [_placed((path, "empty value"), argument, into) for path in _empty(check, options, ())]
    if empty:
        raise BadOptions(empty)
    return check


def _adapter(kind: type[Check]) -> TypeAdapter[Check]:
    """Return what pydantic makes of a check's class. Raises BadOptions where its types are none that pydantic knows."""
    held = _ADAPTERS.get(kind)
    if held is not None:
        return held
    try:
        adapter = TypeAdapter(kind)
        adapter.rebuild()  # where a type was not found it says so now, not at the first argument
        return _ADAPTERS.setdefault(kind, adapter)
    except (PydanticUserError, NameError) as error:
        first = str(error).partition("\n")[0]
        raise BadOptions(
            [
                (
                    (),
                    f"the check's class {kind.__module__}.{kind.__qualname__} cannot be read: {first}",
                )
            ]
        ) from None


def _placed(problem: Problem, argument: JSON, into: str | None) -> Problem:
    """Turn a path in the options into one in the argument as it was written, as far as it leads there."""
    path, message = problem
    if into is not None and path[:1] == (into,):
        path = path[1:]
    value, kept = argument, 0
    for part in path:
        held = (
            part in value
            if isinstance(value, Mapping)
            else isinstance(value, list) and isinstance(part, int) and part < len(value)
        )
        if not held:
            break
        value, kept = value[part], kept + 1
    return path[:kept], message


def _empty(made: Any, written: Any, path: Path) -> Iterator[Path]:
    """Find options that are written as null where null means nothing: everywhere but in data."""
    if isinstance(made, Options) and isinstance(written, Mapping):
        types = get_type_hints(type(made))
        for word, attribute in spellings(type(made)).items():
            key = word if word in written else attribute
            if key in written:
                value = getattr(made, attribute)
                if value is not None:
                    yield from _empty(value, written[key], (*path, word))
                elif types[attribute] is not Any:
                    yield (*path, word)
    elif isinstance(made, Mapping) and isinstance(written, Mapping):
        for word, value in made.items():
            yield from _empty(value, written.get(word), (*path, word))
    elif isinstance(made, list) and isinstance(written, list):
        for index, (value, one) in enumerate(zip(made, written, strict=False)):
            yield from _empty(value, one, (*path, index))


_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "dataclass_type": "a mapping",
}
_LIMITS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "greater_than_equal": lambda context: f"must be at least {context['ge']:g}",
    "greater_than": lambda context: f"must be above {context['gt']:g}",
    "less_than_equal": lambda context: f"must be at most {context['le']:g}",
    "less_than": lambda context: f"must be below {context['lt']:g}",
}


def _problem(kind: type[Check], error: Mapping[str, Any], bare: bool) -> Problem:
    path: Path = tuple(error["loc"])
    what, given, context = error["type"], error["input"], error.get("ctx") or {}
    if what == "complaint":
        return (*path, *context["path"]), context["message"]
    if what in ("value_error", "assertion_error"):
        return path, str(context["error"])
    if what == "missing":
        return path[:-1], f"needs {'an argument' if bare else repr(path[-1])}"
    if what == "unexpected_keyword_argument":
        words = _words(kind, path[:-1])
        return (
            path,
            f"unknown option {path[-1]!r}{did_you_mean(str(path[-1]), words)}; valid: {', '.join(words)}",
        )
    if what == "literal_error":
        words = _QUOTED.findall(context["expected"])
        near = did_you_mean(given, words) if isinstance(given, str) else ""
        return (
            path,
            f"must be {'one of ' if len(words) > 1 else ''}{', '.join(words)}, got {show(given)}{near}",
        )
    if given is None:
        return path, "empty value"
    if what in _EXPECTED:
        quote = what == "string_type" and isinstance(given, int | float)
        return (
            path,
            f"must be {_EXPECTED[what]}, got {show(given)}{f'; write it in quotes: {dumps(show(given))}' if quote else ''}",
        )
    if what in _LIMITS:
        return path, f"{_LIMITS[what](context)}, got {show(given)}"
    if what in ("too_short", "string_too_short") and context.get("min_length") == 1:
        return path, "must not be empty"
    return path, error["msg"].replace("Input should", "must").replace(
        "must be a valid", "must be a"
    )


def _words(kind: type[Check], path: Path) -> list[str]:
    """Return the options that may stand at a path."""
    whole = _adapter(kind).json_schema()
    schemas = [whole]
    for part in path:
        schemas = [below for schema in schemas for below in _below(whole, schema, part)]
    words = {word: None for schema in schemas for word in schema.get("properties", {})}
    return [word for word in words if word != kind.rest]


def _below(
    whole: Mapping[str, Any], schema: Mapping[str, Any], part: str | int
) -> Iterator[dict[str, Any]]:
    below = (
        schema.get("items")
        if isinstance(part, int)
        else schema.get("properties", {}).get(part, schema.get("additionalProperties"))
    )
    open_ends = [below]
    while open_ends:
        item = open_ends.pop()
        if isinstance(item, dict):
            if "$ref" in item:
                open_ends.append(whole["$defs"][item["$ref"].rpartition("/")[2]])
            elif "anyOf" in item:
                open_ends += item["anyOf"]
            else:
                yield item


def argument_schema(kind: type[Check]) -> dict[str, JSON]:
    """Return the JSON Schema (2020-12) of what may stand after ``name:``; references point into its own ``$defs``."""
    whole = _tidy(_adapter(kind).json_schema())
    properties: dict[str, Any] = whole.get("properties", {})
    options: dict[str, JSON] = {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
    if "required" in whole:
        options["required"] = whole["required"]
    if kind.rest is not None:
        free = properties.pop(kind.rest)
        options["additionalProperties"] = free.get("additionalProperties", True)
        options.pop("required", None)
        if needed := [word for word in whole.get("required", ()) if word != kind.rest]:
            options["required"] = needed
        if "minProperties" in free:
            # At least one key that is no option of its own.
            options["not"] = {"propertyNames": {"enum": list(properties)}}
    forms = [*kind.also, options]
    if kind.shorthand is not None:
        # It stands alone and among the options, and is spelled out once.
        form = whole.setdefault("$defs", {})[kind.shorthand] = properties[kind.shorthand]
        told = {"description": form["description"]} if "description" in form else {}
        properties[kind.shorthand] = {"$ref": f"#/$defs/{kind.shorthand}", **told}
        forms.insert(len(kind.also), {"$ref": f"#/$defs/{kind.shorthand}"})
    out: dict[str, JSON] = {
        "description": (kind.__doc__ or kind.name)
        .strip()
        .partition("\n\n")[0]
        .replace("\n    ", " ")
    }
    out |= {"anyOf": forms} if len(forms) > 1 else forms[0]
    if "$defs" in whole:
        out["$defs"] = whole["$defs"]
    return out


def _tidy(schema: Any) -> Any:
    """Leave out titles, which say nothing, and the null of options that are merely absent."""
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
        if "anyOf" not in clean:
            return clean
        forms = [form for form in clean.pop("anyOf") if form != {"type": "null"}]
        return {**(forms[0] if len(forms) == 1 else {"anyOf": forms}), **clean}
    return clean
