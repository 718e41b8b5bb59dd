"""The JSON Schema of the suite language, for editors.

It follows JSON Schema 2020-12, has no ``$id`` and describes every key. It is built from the types
that ``load`` validates with, and from each check's schema of its argument. It accepts what ``load``
accepts, as far as a JSON Schema can say it: it cannot know files, undefined variables, or names
that must be unique.

Where templates are rendered, a text that contains one is accepted too, whatever type is required
there: what it renders to is validated later.
"""

from collections.abc import Callable, Sequence

from evalkit._lib.json import JSON
from evalkit.suite.model.expectation_parser import CheckCatalog, works_bare
from evalkit.suite.model.key_rules import MANAGED_FIELDS, ONLY_AGENTS, ONLY_MODELS
from evalkit.suite.model.language import SUITE_FILE, fragment_file
from evalkit.suite.model.project_files import KINDS

Schema = dict[str, JSON]
SCHEMA = "https://json-schema.org/draft/2020-12/schema"
_TEMPLATE: Schema = {"$ref": "#/$defs/Template"}
_TEXT_FILE: Schema = {"$ref": "#/$defs/TextFile"}
_CALLABLE = ["model", "agent", "target"]
_SCENARIOS = ("ScenarioEntry", "ScenarioKeys", "ChoiceKeys")
"""The mappings with keys of scenarios; each has the keys of the next one, too."""

_MAPPINGS_OF_SCHEMAS = ("properties", "patternProperties", "$defs", "dependentSchemas")
_LISTS_OF_SCHEMAS = ("anyOf", "oneOf", "allOf", "prefixItems")
_VALUE_SCHEMAS = ("items", "additionalProperties", "then", "else")
_CONDITION_SCHEMAS = ("contains", "if", "not")


def json_schema(checks: CheckCatalog) -> Schema:
    """Return the JSON Schema of a suite file, with the checks of a catalog."""
    suite, fragment = (_tidy(kind.json_schema()) for kind in (SUITE_FILE, fragment_file()))
    definitions = {**fragment.pop("$defs"), **suite.pop("$defs")}
    definitions |= {"Suite": suite, "Fragment": fragment}
    names = list(checks.names())
    definitions |= {
        "Template": {
            "type": "string",
            "pattern": r"\{\{|\{%",
            "description": "A template: rendered before it is used.",
        },
        "CheckName": {
            "enum": [name for name in names if works_bare(name, checks)],
            "description": "A check that needs no argument.",
        },
        "Check": _check(names),
        "Expectation": _expectation(names),
    }
    for name in names:
        _add_argument(definitions, name, checks)
    lists = [definitions[holder]["properties"]["expect"] for holder in (*_SCENARIOS, "TurnEntry")]
    for document in (suite, fragment):
        (named,) = document["properties"]["expectations"]["patternProperties"].values()
        lists.append(named)
    for each in lists:
        each["items"] = {"$ref": "#/$defs/Expectation"}
    _add_rules(suite, definitions)
    return {
        "$schema": SCHEMA,
        "title": "evalkit suite",
        "type": "object",
        "if": {"required": ["fragment"]},
        "then": {"$ref": "#/$defs/Fragment"},
        "else": {"$ref": "#/$defs/Suite"},
        "$defs": dict(sorted(definitions.items())),
    }


def _add_rules(schema: Schema, definitions: Schema) -> None:
    """Add the rules that join several keys (``evalkit.suite.model.key_rules``)."""
    for holder in _SCENARIOS:
        keys = definitions[holder]
        no_model_keys = {"properties": dict.fromkeys(ONLY_MODELS, False)}
        keys["not"] = {"required": ["model", "agent"]}
        keys["allOf"] = [
            {"if": {"required": ["agent"]}, "then": no_model_keys},
            {"if": {"required": ["agent"]}, "then": _simulate({"required": ["model"]})},
            {"if": {"required": ["target"]}, "then": _simulate(False)},
        ]
        keys["properties"]["request"]["propertyNames"] = {"not": {"enum": list(MANAGED_FIELDS)}}
    for base in ("ScenarioKeys", "ChoiceKeys"):
        references = {
            key: {"$ref": f"#/$defs/{base}/properties/{key}"}
            for key in definitions[base]["properties"]
        }
        for holder in _SCENARIOS[: _SCENARIOS.index(base)]:
            definitions[holder]["properties"] |= references
    definitions["TurnEntry"]["anyOf"] = _one_required("user", "attach", "simulate")
    definitions["TurnEntry"]["dependentSchemas"] = {
        "simulate": {"properties": dict.fromkeys(("user", "attach", "stop_after"), False)}
    }
    definitions["AttachEntry"]["oneOf"] = _one_required(*KINDS)
    definitions["ToolEntry"]["oneOf"] = _one_required("result", "results", "python")
    agent_rule = {"if": {"required": list(ONLY_AGENTS)}, "then": {"required": ["agent"]}}
    schema["allOf"] = [
        _unless_in_defaults(["turns"], {"anyOf": _one_required("turns", "matrix")}),
        _unless_in_defaults(_CALLABLE, {"anyOf": _one_required(*_CALLABLE, "matrix")}),
        _unless_in_defaults(["agent"], {"anyOf": [{"required": ["matrix"]}, agent_rule]}),
    ]


def _simulate(rule: JSON) -> Schema:
    """Return a rule for every simulated user of a scenario."""
    return {"properties": {"turns": {"items": {"properties": {"simulate": rule}}}}}


def _one_required(*keys: str) -> list[Schema]:
    return [{"required": [key]} for key in keys]


def _unless_in_defaults(keys: list[str], rule: Schema) -> Schema:
    """Return a rule for the scenarios of a suite whose defaults lack the keys.

    A choice of a matrix may add them.
    """
    in_defaults = {
        "properties": {"defaults": {"anyOf": _one_required(*keys, "matrix")}},
        "required": ["defaults"],
    }
    scenarios = {"properties": {"scenarios": {"items": rule}}}
    return {"if": {"not": in_defaults}, "then": scenarios}


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
        "description": "warn: a failure is reported, and fails nothing.",
    }
    negated = {
        "anyOf": [{"$ref": "#/$defs/CheckName"}, {"$ref": "#/$defs/Check"}],
        "description": "The check must not pass.",
    }
    properties = {
        "use": {"type": "string", "description": "The name of a list in 'expectations'."},
        "severity": severity,
        "not": negated,
        **{name: {"$ref": f"#/$defs/check.{name}"} for name in names},
    }
    return {
        "description": "A check: its name, 'name: argument', or 'name: {option: value}'; or "
        "{use: name} for a named list of checks.",
        "if": {"type": "string"},
        "then": {"$ref": "#/$defs/CheckName"},
        "else": {
            "type": "object",
            "properties": properties,
            "additionalProperties": False,
            "oneOf": _one_required("use", "not", *names),
            "dependentSchemas": {"use": {"maxProperties": 1}},
        },
    }


def _add_argument(definitions: Schema, name: str, checks: CheckCatalog) -> None:
    """Add the schema of a check's argument to the definitions.

    Its ``$defs`` move to the top, under the check's name.
    """

    def move_reference(node: Schema) -> Schema:
        reference = node.get("$ref", "")
        if not reference.startswith("#/$defs/"):
            return node
        return {**node, "$ref": reference.replace("#/$defs/", f"#/$defs/check.{name}.", 1)}

    schema = _map_schemas(checks.schema(name), move_reference)
    for inner, definition in schema.pop("$defs", {}).items():
        definitions[f"check.{name}.{inner}"] = _or_template(definition)
    schema = _or_template(schema)
    options = checks.text_options(name)
    if options:
        schema = _or_file(schema, options)
    definitions[f"check.{name}"] = schema


def _or_file(schema: Schema, options: Sequence[str]) -> Schema:
    """Accept ``{file: path}`` for options of a check, ``""`` for its whole argument."""

    def accept(node: Schema) -> Schema:
        properties = {
            key: {"anyOf": [value, _TEXT_FILE]} if key in options else value
            for key, value in node.get("properties", {}).items()
        }
        return {**node, "properties": properties} if properties else node

    schema = _map_schemas(schema, accept, ("anyOf",))
    return {"anyOf": [schema, _TEXT_FILE]} if "" in options else schema


def _or_template(schema: Schema) -> Schema:
    """Accept a template for every value in a schema, but not in a condition."""
    return _map_schemas(schema, _accept_template, _VALUE_SCHEMAS)  # type: ignore[no-any-return]


def _accept_template(node: Schema) -> Schema:
    if "$ref" in node or _accepts_any_text(node):
        return node
    annotations = {
        key: value
        for key, value in node.items()
        if key in ("description", "default", "title", "$defs")
    }
    constraints = {key: value for key, value in node.items() if key not in annotations}
    if not constraints:
        return node
    # Alternatives accept templates already: they are joined, so that Template is listed once.
    alternatives: list[Schema] = []
    for alternative in constraints["anyOf"] if list(constraints) == ["anyOf"] else [constraints]:
        is_union = list(alternative) == ["anyOf"]
        alternatives += alternative["anyOf"] if is_union else [alternative]
    alternatives = [item for item in alternatives if item != _TEMPLATE]
    if not any(map(_accepts_any_text, alternatives)):
        alternatives.append(_TEMPLATE)
    return {**annotations, "anyOf": alternatives}


def _accepts_any_text(node: Schema) -> bool:
    limits = ("enum", "const", "pattern", "format")
    return node.get("type") == "string" and node.keys().isdisjoint(limits)


def _map_schemas(
    node: JSON,
    change: Callable[[Schema], Schema],
    single: tuple[str, ...] = (*_VALUE_SCHEMAS, *_CONDITION_SCHEMAS),
) -> JSON:
    """Apply ``change`` to a schema and every schema in it, innermost first."""
    if not isinstance(node, dict):
        return node
    copy = dict(node)
    for key, value in node.items():
        if key in _MAPPINGS_OF_SCHEMAS and isinstance(value, dict):
            copy[key] = {name: _map_schemas(item, change, single) for name, item in value.items()}
        elif key in _LISTS_OF_SCHEMAS and isinstance(value, list):
            copy[key] = [_map_schemas(item, change, single) for item in value]
        elif key in single:
            copy[key] = _map_schemas(value, change, single)
    return change(copy)


def _tidy(schema: JSON) -> JSON:
    """Drop titles that repeat key names, and close mappings with patterned keys.

    Some editors show the titles instead of the descriptions.
    """

    def tidied(node: Schema) -> Schema:
        copy = {key: value for key, value in node.items() if key != "title"}
        if "patternProperties" in copy:
            copy["additionalProperties"] = False
        if "description" in copy:
            copy["description"] = copy["description"].replace("``", "'")
        return copy

    return _map_schemas(schema, tidied)
