"""The JSON Schema of the suite language, for editors (2020-12; no ``$id``, every key described).

It is made from the very models that ``load`` validates with, and from what each check says of its own argument. What it accepts and what
``load`` accepts agree as far as a JSON Schema can say it: it cannot know files, undefined variables, or names that must be unique.

Wherever templates are rendered, a text that holds one is accepted too, whatever type is wanted there: what it renders to is judged later.
"""

from __future__ import annotations

from collections.abc import Callable

from evalkit._lib.json import JSON
from evalkit.suite.catalog import BadArguments, CheckCatalog
from evalkit.suite.models import SUITE_FILE
from evalkit.suite.rules import MANAGED, ONLY_AGENTS, ONLY_MODELS

Schema = dict[str, JSON]
_TEMPLATE: Schema = {"$ref": "#/$defs/Template"}
_BELOW = ("properties", "patternProperties", "$defs", "dependentSchemas")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_ONE = ("items", "additionalProperties", "then", "else", "contains", "if", "not")
_ONE_VALUE = _ONE[:4]
"""Keywords that hold one schema; the first few of them are about what a value is, the others about a condition."""


_CALLED = ["model", "agent", "target"]


def json_schema(checks: CheckCatalog) -> Schema:
    """Return the JSON Schema of a suite file, with the checks of a catalog."""
    schema = _tidy(SUITE_FILE.json_schema())
    definitions = schema["$defs"]
    names = list(checks.names())
    definitions |= {
        "Template": {
            "type": "string",
            "pattern": r"\{\{|\{%",
            "description": "A template: rendered before it is used.",
        },
        "CheckName": {
            "enum": [name for name in names if _works_bare(checks, name)],
            "description": "A check that needs no argument.",
        },
        "Check": _check(names),
        "Expectation": _expectation(names),
    }
    for name in names:
        definitions[f"check.{name}"] = _argument(checks, name, definitions)
    for holder in ("ScenarioKeys", "ScenarioEntry", "TurnEntry"):
        definitions[holder]["properties"]["expect"]["items"] = {"$ref": "#/$defs/Expectation"}
    _join(schema, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "evalkit suite",
        **{key: value for key, value in schema.items() if key not in ("$defs", "title")},
        "$defs": dict(sorted(definitions.items())),
    }


def _join(schema: Schema, definitions: Schema) -> None:
    """Add the rules that join several keys (``evalkit.suite.rules``)."""
    for holder in ("ScenarioKeys", "ScenarioEntry"):
        keys = definitions[holder]
        keys["not"] = {"required": ["model", "agent"]}
        keys["allOf"] = [
            {
                "if": {"required": ["agent"]},
                "then": {"properties": dict.fromkeys(ONLY_MODELS, False)},
            }
        ]
        keys["properties"]["request"]["propertyNames"] = {"not": {"enum": list(MANAGED)}}
    shared = definitions["ScenarioKeys"]["properties"]
    definitions["ScenarioEntry"]["properties"] |= {
        key: {"$ref": f"#/$defs/ScenarioKeys/properties/{key}"} for key in shared
    }
    definitions["TurnEntry"]["anyOf"] = [{"required": ["user"]}, {"required": ["attach"]}]
    definitions["AttachEntry"]["oneOf"] = [
        {"required": [kind]} for kind in ("image", "audio", "video", "document")
    ]
    definitions["ToolEntry"]["oneOf"] = [
        {"required": [answer]} for answer in ("result", "results", "python")
    ]
    schema["allOf"] = [
        _unless_in_defaults(["turns"], {"required": ["turns"]}),
        _unless_in_defaults(_CALLED, {"anyOf": [{"required": [key]} for key in _CALLED]}),
        _unless_in_defaults(
            ["agent"], {"if": {"required": list(ONLY_AGENTS)}, "then": {"required": ["agent"]}}
        ),
    ]


def _unless_in_defaults(keys: list[str], rule: Schema) -> Schema:
    held = {
        "properties": {"defaults": {"anyOf": [{"required": [key]} for key in keys]}},
        "required": ["defaults"],
    }
    return {"if": {"not": held}, "then": {"properties": {"scenarios": {"items": rule}}}}


def _check(names: list[str]) -> Schema:
    return {
        "type": "object",
        "description": "One check by name, its argument after the colon.",
        "properties": {name: {"$ref": f"#/$defs/check.{name}"} for name in names},
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }


def _expectation(names: list[str]) -> Schema:
    severity = {
        "enum": ["error", "warn"],
        "description": "warn: a failure is told and counted, and fails nothing.",
    }
    negated = {
        "anyOf": [{"$ref": "#/$defs/CheckName"}, {"$ref": "#/$defs/Check"}],
        "description": "The check must not pass.",
    }
    properties = {
        "severity": severity,
        "not": negated,
        **{name: {"$ref": f"#/$defs/check.{name}"} for name in names},
    }
    return {
        "description": "A check: its name, 'name: argument', or 'name: {option: value}'.",
        "if": {"type": "string"},
        "then": {"$ref": "#/$defs/CheckName"},
        "else": {
            "type": "object",
            "properties": properties,
            "additionalProperties": False,
            "oneOf": [{"required": [name]} for name in ("not", *names)],
        },
    }


def _works_bare(checks: CheckCatalog, name: str) -> bool:
    try:
        checks.build(name, None, bare=True)
    except BadArguments:
        return False
    return True


def _argument(checks: CheckCatalog, name: str, definitions: Schema) -> Schema:
    """Return the schema of a check's argument; its own definitions move to the top, under the check's name."""
    schema = _map(checks.schema(name), _move_references(name))
    for inner, held in schema.pop("$defs", {}).items():
        definitions[f"check.{name}.{inner}"] = _or_template(held)
    return _or_template(schema)


def _move_references(name: str) -> Callable[[Schema], Schema]:
    def move(node: Schema) -> Schema:
        held = node.get("$ref", "")
        return (
            {**node, "$ref": held.replace("#/$defs/", f"#/$defs/check.{name}.", 1)}
            if held.startswith("#/$defs/")
            else node
        )

    return move


def _or_template(schema: Schema) -> Schema:
    made: Schema = _map(schema, _accept_template, _ONE_VALUE)
    return made


def _accept_template(node: Schema) -> Schema:
    if not node or "$ref" in node or _any_text(node):
        return node
    outside = {
        key: value
        for key, value in node.items()
        if key in ("description", "default", "title", "$defs")
    }
    inside = {key: value for key, value in node.items() if key not in outside}
    if not inside:
        return node
    if inside.keys() != {"anyOf"}:
        return {**outside, "anyOf": [inside, _TEMPLATE]}
    # Alternatives take templates already: theirs are joined into one.
    flat = [
        one
        for held in inside["anyOf"]
        for one in (held["anyOf"] if held.keys() == {"anyOf"} else [held])
    ]
    kept = [one for one in flat if one != _TEMPLATE]
    return {**outside, "anyOf": kept if any(map(_any_text, kept)) else [*kept, _TEMPLATE]}


def _any_text(node: Schema) -> bool:
    return node.get("type") == "string" and node.keys().isdisjoint(
        ("enum", "const", "pattern", "format")
    )


def _map(node: JSON, change: Callable[[Schema], Schema], one: tuple[str, ...] = _ONE) -> JSON:
    """Apply ``change`` to a schema and every schema in it, innermost first."""
    if not isinstance(node, dict):
        return node
    made = dict(node)
    for key in _BELOW:
        if isinstance(made.get(key), dict):
            made[key] = {name: _map(held, change, one) for name, held in made[key].items()}
    for key in _LISTS:
        if isinstance(made.get(key), list):
            made[key] = [_map(held, change, one) for held in made[key]]
    for key in one:
        if key in made:
            made[key] = _map(made[key], change, one)
    return change(made)


def _tidy(schema: JSON) -> JSON:
    """Drop the titles that pydantic makes of key names, which hide the descriptions in some editors; close mappings with patterned keys."""

    def tidied(node: Schema) -> Schema:
        made = {key: value for key, value in node.items() if key != "title"}
        if "patternProperties" in made:
            made["additionalProperties"] = False
        if "description" in made:
            made["description"] = made["description"].replace("``", "'")
        return made

    return _map(schema, tidied)
