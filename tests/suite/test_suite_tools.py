"""Tools of a suite: their declarations, results, and errors for unknown arguments."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit._lib import yaml
from evalkit.suite import Tool, ToolOutcome
from evalkit.suite.model.tools import fits, read_tool
from tests.suite.project import Project


def no_call(target: str, arguments: dict[str, Any]) -> Any:
    raise AssertionError(f"{target} was called")


def tool(text: str) -> Tool:
    return read_tool("look", yaml.load(text))


@pytest.mark.parametrize(
    ("entry", "arguments", "outcome"),
    [
        ("result: sunny", {}, ToolOutcome("sunny")),
        ("result: {deep: [1, null, true]}", {"x": 1}, ToolOutcome({"deep": [1, None, True]})),
        (
            "result: {city: '{{ arguments.city }}', unit: '{{ unit }}'}",
            {"city": "Rome"},
            ToolOutcome({"city": "Rome", "unit": "celsius"}),
        ),
        ("result: '{{ arguments.n + 1 }}'", {"n": 2}, ToolOutcome(3)),
        ("result: '{{ arguments }}'", {"a": [1]}, ToolOutcome({"a": [1]})),
        ("result: '{{ arguments.city }}'", {"city": "{{ unit }}"}, ToolOutcome("{{ unit }}")),
        (
            "results: [{when: {city: Rome}, result: hot}, {result: cold}]",
            {"city": "Rome"},
            ToolOutcome("hot"),
        ),
        (
            "results: [{when: {city: Rome}, result: hot}, {result: cold}]",
            {"city": "Oslo"},
            ToolOutcome("cold"),
        ),
        (
            "results: [{when: {city: Rome}, result: hot}, {when: {city: Rome}, result: never}]",
            {"city": "Rome", "more": 1},
            ToolOutcome("hot"),
        ),
        (
            "results: [{when: {city: Rome}, result: {error: closed}, is_error: true}]",
            {"city": "Rome"},
            ToolOutcome({"error": "closed"}, True),
        ),
        (
            "results: [{when: {at: {lat: 1}}, result: here}]",
            {"at": {"lat": 1.0, "lon": 2}},
            ToolOutcome("here"),
        ),
        (
            "results: [{when: {unit: '{{ unit }}'}, result: ok}]",
            {"unit": "celsius"},
            ToolOutcome("ok"),
        ),
        (
            "results: [{when: {on: true}, result: ok}]",
            {"on": 1},
            ToolOutcome({"error": 'look has no result for {"on": 1}'}, True),
        ),
        (
            "results: [{when: {city: Rome}, result: hot}]",
            {"town": "Rome"},
            ToolOutcome({"error": 'look has no result for {"town": "Rome"}'}, True),
        ),
        (
            "result: '{{ arguments.city }}'",
            {},
            ToolOutcome({"error": "look: the object has no attribute 'city'"}, True),
        ),
        (
            "result: '{{ arguments.n + 1 }}'",
            {"n": "x"},
            ToolOutcome(
                {"error": 'look: TypeError: can only concatenate str (not "int") to str'}, True
            ),
        ),
    ],
)
def test_a_tool_returns_a_result_by_arguments(
    entry: str, arguments: dict[str, Any], outcome: ToolOutcome
) -> None:
    assert tool(entry).run(arguments, {"unit": "celsius"}, no_call) == outcome


def test_a_python_tool_is_run_by_the_caller() -> None:
    called: list[tuple[str, dict[str, Any]]] = []

    def call(target: str, arguments: dict[str, Any]) -> Any:
        called.append((target, arguments))
        return {"sum": 3}

    assert tool("python: my_tools.math:add").run({"a": 1, "b": 2}, {}, call) == ToolOutcome(
        {"sum": 3}
    )
    assert called == [("my_tools.math:add", {"a": 1, "b": 2})]


WORDS = st.text(max_size=5)
VALUES = (
    st.none() | st.booleans() | st.integers(-3, 3) | WORDS | st.lists(st.integers(0, 2), max_size=2)
)
ARGUMENTS = st.dictionaries(
    st.sampled_from(["city", "n", "at"]) | WORDS,
    VALUES | st.dictionaries(WORDS, VALUES, max_size=2),
    max_size=4,
)


@given(ARGUMENTS)
def test_a_tool_returns_a_result_for_any_arguments(arguments: dict[str, Any]) -> None:
    declared = tool(
        "results: [{when: {city: Rome}, result: '{{ arguments.city | upper }}'}, {when: {n: "
        "1}, result: '{{ 1 / arguments.n }}'}]"
    )
    assert isinstance(declared.run(arguments, {}, no_call), ToolOutcome)


@given(ARGUMENTS)
def test_every_value_fits_itself_and_an_empty_object(arguments: dict[str, Any]) -> None:
    assert fits(arguments, arguments)
    assert fits({}, arguments)


def test_the_declaration_has_the_wire_form(project: Project) -> None:
    text = (
        "suite: s\ntools:\n"
        "  look: {description: Looks., short_description: L, defer_loading: true, "
        "parameters: {type: object}, result: 1}\n"
        "  bare: {python: 'a.b:c'}\nscenarios: [{id: a, model: m, tools: [bare, {type: "
        "code_execution}, look], turns: [{user: hi}]}]\n"
    )
    (variant,) = project.expand(text)
    assert variant.fields["tools"] == [
        {"type": "function", "name": "bare"},
        {"type": "code_execution"},
        {
            "type": "function",
            "name": "look",
            "description": "Looks.",
            "short_description": "L",
            "parameters": {"type": "object"},
            "defer_loading": True,
        },
    ]
    assert list(variant.tools) == ["bare", "look"]


def test_a_declaration_can_contain_variables(project: Project) -> None:
    text = (
        "suite: s\ntools: {look: {description: 'In {{ unit }}.', result: 1}}\n"
        "scenarios: [{id: a, model: m, tools: [look], cases: [{unit: c}, {unit: f}], turns: "
        "[{user: hi}]}]\n"
    )
    assert [variant.fields["tools"][0]["description"] for variant in project.expand(text)] == [
        "In c.",
        "In f.",
    ]


def test_a_bad_function_name_is_refused(project: Project) -> None:
    text = (
        "suite: s\ntools: {two words: {result: 1}}\n"
        "scenarios: [{id: a, model: m, turns: [{user: hi}]}]\n"
    )
    assert project.problems(text) == [
        "2:9 tool 'two words': the name 'two words' takes up to 64 letters, digits and '_', "
        "'.', ':', '-', a letter or '_' first"
    ]


def test_undeclared_arguments_are_accepted_with_additional_properties(project: Project) -> None:
    text = (
        "suite: s\ntools:\n"
        "  t: {parameters: {additionalProperties: true, properties: {a: {}}}, result: '{{ "
        "arguments.b }}{{ arguments.items() }}'}\n"
        "scenarios: [{id: a, model: m, tools: [t], turns: [{user: hi}]}]\n"
    )
    assert project.expand(text)
