"""The JSON Schema for editors: valid, fully described, and in agreement with ``load``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from evalkit._lib import yaml
from evalkit._lib.json import resolve_pointer
from evalkit.errors import SuiteErrors
from evalkit.suite.model import entries, language
from evalkit.suite.model.json_schema import json_schema
from tests.suite.fake_catalog import FakeCatalog
from tests.suite.project import Project
from tests.suite.test_suite_errors import PLACES, mistakes
from tests.suite.test_suite_loading import REQUEST_FIELDS, WEATHER

SCHEMA = json_schema(FakeCatalog())
VALIDATOR = Draft202012Validator(SCHEMA)


def accepted(text: str) -> bool:
    return VALIDATOR.is_valid(yaml.load(text))


def minimal(keys: str) -> str:
    return "suite: s\nscenarios:\n  - id: a\n    turns: [{user: hi}]\n" + "".join(
        f"    {line}\n" for line in keys.splitlines()
    )


GOOD = [
    WEATHER,
    minimal(REQUEST_FIELDS),
    minimal(
        "model: [a, b]\nhistory: [stateful, stateless]\nstream: [true, false]\n"
        "background: false\nservice_tier: [flex]"
    ),
    minimal(
        "model: m\ncases: [{id: 1, city: Paris}]\ntools: [{type: google_search}]\n"
        "expect: [history, status: completed]"
    ),
    minimal(
        "model: m\nexpect: [not: {text: a}, {not: history, severity: warn}, {text: "
        "{contains: a}, severity: error}]"
    ),
    minimal("model: m\ntitle: '{{ max }}'") + "vars: {max: 3}\n",
    minimal(
        "model: m\nexpect: [text: {max_chars: '{{ n }}'}, status: '{{ s }}', usage: '{{ u "
        "}}']\ncases: [{n: 3, s: failed, u: {}}]"
    ),
    minimal(
        "model: m\nexpect: [tool_calls: [{name: look, arguments: {city: '{{ city }}'}}], "
        "steps: [a, {b: {c: 1}}]]\ncases: [{city: x}]"
    ),
    "suite: s\ndefaults: {agent: x, agent_config: {type: t}, turns: [{user: [{type: text, "
    "text: a}]}]}\n"
    "scenarios: [{id: a}, {id: b, model: m}]\n",
    "suite: s\ntools: {a: {results: [{when: {x: 1}, result: 2, is_error: true}, {result: "
    "3}]}, b: {python: 'p.q:r'}}\n"
    "scenarios: [{id: a, model: m, tools: [a, b], turns: [{attach: {image: "
    "'https://example.org/a.png'}}]}]\n",
    "suite: s\nvars: {n: 3}\nscenarios: [{id: a, agent: x, turns: [{user: a}, {simulate: {goal: "
    "'{{ previous.text }}', persona: p, until: u, max_turns: 50, model: m, generation_config: "
    "{temperature: 0}}, expect: [status: completed]}, {user: '{{ turns[50].text }}'}]}]\n",
]


@pytest.mark.parametrize("text", GOOD, ids=range(len(GOOD)))
def test_the_schema_accepts_what_loads(project: Project, text: str) -> None:
    assert project.expand(text)
    assert [error.message for error in VALIDATOR.iter_errors(yaml.load(text))] == []


# A JSON Schema cannot know the content of a file or template, what must be unique, or how a value
# is spelled.
BEYOND = re.compile(
    r"such file|outside the|absolute path|twice|taken by|duplicate|have the name|undefined"
    r"|template|'previous'|turns\[|arguments'"
    r"|unknown tool|without quotes|nothing after|JSON value"
    r"|regular expression|never used|no parameter|background run|exclude each other|row's 'id'"
    r"|cannot pass|'if': |takes a day"
)
MISTAKES = [row for name in ("top", "scenario", "tools") for row in mistakes(name)]
MISTAKES += [
    pytest.param(PLACES[place].format(row.values[0]), row.values[1], id=f"{row.id}-{number}")
    for number, place in enumerate(PLACES)
    for row in mistakes("expect")
]


@pytest.mark.parametrize(
    ("text", "expected"), [row for row in MISTAKES if not any(map(BEYOND.search, row.values[1]))]
)
def test_the_schema_refuses_what_does_not_load_if_it_can(
    project: Project, text: str, expected: list[str]
) -> None:
    try:
        assert not accepted(text)
    except yaml.YamlError:
        assert project.problems(text)


def test_the_schema_has_the_keys_of_the_language() -> None:
    for mapping in (
        language.ChoiceKeys,
        language.ScenarioKeys,
        language.ScenarioEntry,
        entries.TurnEntry,
        entries.AttachEntry,
        entries.ToolEntry,
        entries.ToolResultEntry,
        entries.CaseFile,
    ):
        properties = SCHEMA["$defs"][mapping.__name__]["properties"]
        assert list(properties) == list(mapping.__annotations__)
    for name, document in (
        ("Suite", language.SuiteDocument),
        ("Fragment", language.FragmentDocument),
    ):
        assert list(SCHEMA["$defs"][name]["properties"]) == list(document.__annotations__)


def schemas(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from schemas(value)
    elif isinstance(node, list):
        for value in node:
            yield from schemas(value)


def test_every_key_of_the_language_is_described() -> None:
    bare = [
        f"{name}.{key}"
        for name, definition in {"suite": SCHEMA, **SCHEMA["$defs"]}.items()
        if not name.startswith("check.") and name not in ("Check", "Expectation")
        for key, property_ in definition.get("properties", {}).items()
        if not (
            resolve_pointer(SCHEMA, property_["$ref"].removeprefix("#"))
            if "$ref" in property_
            else property_
        ).get("description")
    ]
    assert bare == []


def test_the_schema_is_valid_and_self_contained() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert not any("$id" in node for node in schemas(SCHEMA))
    references = {node["$ref"] for node in schemas(SCHEMA) if isinstance(node.get("$ref"), str)}
    assert [
        reference
        for reference in references
        if not resolve_pointer(SCHEMA, reference.removeprefix("#"))
    ] == []


def test_the_schema_is_the_same_each_time() -> None:
    assert json_schema(FakeCatalog()) == SCHEMA


def test_the_schema_has_every_check_of_the_catalog() -> None:
    assert {
        name for name in SCHEMA["$defs"] if name.startswith("check.") and name.count(".") == 1
    } == {f"check.{name}" for name in FakeCatalog.checks}
    assert SCHEMA["$defs"]["CheckName"]["enum"] == ["history", "json_schema", "text", "usage"]


def test_the_schema_accepts_the_shipped_suites() -> None:
    """The suites use checks of the real catalog, so their expectations are not validated here."""
    shape = {**SCHEMA, "$defs": {**SCHEMA["$defs"], "Expectation": {}}}
    for path in sorted((Path(__file__).parents[2] / "suites").glob("**/*.yaml")):
        text = path.read_text(encoding="utf-8")
        assert [
            error.message for error in Draft202012Validator(shape).iter_errors(yaml.load(text))
        ] == [], path.name


def test_every_mistake_of_the_tables_is_refused_by_load(project: Project) -> None:
    with pytest.raises(SuiteErrors):
        project.load(minimal(""))
    assert not accepted(minimal(""))
