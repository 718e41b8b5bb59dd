"""What may follow a check's name: three forms, located mistakes, one schema."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import jsonschema
import pytest

from evalkit.plugins import CHECKS, Catalog
from evalkit.suite import BadArguments

CATALOG = Catalog()
# JMESPath expressions that would take all memory.
REPEATED = "@" + "|[@,@]|[]" * 60
MAPPED = "@" + "|map(&{a: @, b: @}, @)" * 40
NESTED = "(" * 3000 + "a" + ")" * 3000
PIPED = "a" + "|a" * 3000

GOOD: list[tuple[str, Any]] = [
    ("status", "completed"),
    ("status", ["completed", "incomplete"]),
    ("status", {"one_of": "paused_by_owner"}),
    ("steps", "thought* (model_output | function_call)+ .?"),
    ("steps", []),
    (
        "steps",
        [
            "thought",
            {"function_call": {"name": "a", "arguments": {}}},
            {"type": "brand_new", "x": 1},
        ],
    ),
    ("steps", {"match": "any_order", "ignore": "thought", "steps": ["model_output"]}),
    ("tool_calls", "get_weather"),
    ("tool_calls", []),
    (
        "tool_calls",
        ["a", {"name": "b", "arguments": {"x": 1}, "match": "subset", "optional": True}],
    ),
    ("tool_calls", {"calls": [{"name": "b", "min": 2}], "order": "in_order", "allow_extra": True}),
    ("tool_calls", [{"name": "a", "match": "schema", "arguments": {"type": "object"}}]),
    ("json_schema", "response_format"),
    ("json_schema", {"type": "object", "$defs": {"a": True}, "x-note": 1}),
    ("json_schema", {"schema": {"type": "array"}}),
    ("json_schema", {"file": "schemas/recipe.json"}),
    ("json_schema", {"python": "package.module:Model"}),
    ("json", {}),
    (
        "json",
        {
            "age": 3,
            "name": "Ada",
            "xs": [1],
            "gone": None,
            "ok": True,
            "deep.a[0]": {"min": 1, "length": 3},
        },
    ),
    ("citations", 2),
    ("citations", {"domains": ["uefa.com"], "coverage": 0.5, "spans": "valid", "searched": True}),
    ("citations", {"coverage": {"max": 0.9}}),
    ("history", "equivalent"),
    ("history", {"level": "exact"}),
    ("text", "22"),
    ("text", ["a", "b"]),
    ("text", {"matches": "^a", "max_chars": 3, "similar_to": "x", "min_ratio": 1}),
    ("stream", {"first_token_ms": 500}),
    ("media", "image"),
    ("media", {"count": {"min": 1}, "width": 3}),
    ("usage", {"total_tokens": {"max": 600}}),
    ("usage", {"a_field_of_next_year": {"min": 1}}),
    ("cost", {"max": 1, "input_per_million": 0.3, "output_per_million": 2.5}),
    ("latency", 200),
    ("latency", {"first_token_ms": 1.5}),
    ("error", 400),
    ("error", "invalid_request"),
    ("error", {"status": [400, 404], "message": "x"}),
    ("same_as", {"history": "stateful"}),
    ("same_as", {"stream": False, "on": "text"}),
    ("python", "package.module:function"),
    ("python", {"target": "package.module:Class.method"}),
]


@pytest.mark.parametrize(("name", "argument"), GOOD)
def test_a_good_argument_is_accepted_by_the_loader_and_the_schema(name: str, argument: Any) -> None:
    assert isinstance(CATALOG.build(name, argument, bare=False), CHECKS.get(name))
    jsonschema.Draft202012Validator(CATALOG.schema(name)).validate(argument)


# The last column: the schema for editors refuses it too. It can express types, not grammars.
BAD: list[tuple[str, Any, tuple[str | int, ...], str, bool]] = [
    (
        "status",
        "complete",
        (),
        "'complete' is not a status (did you mean 'completed'?); valid: queued, in_progress",
        False,
    ),
    ("status", [], (), "must not be empty", False),
    ("status", 3, (), "must be a status or a list of them, got 3", True),
    (
        "status",
        {"oneof": "failed"},
        ("oneof",),
        "unknown option 'oneof' (did you mean 'one_of'?); valid: one_of",
        True,
    ),
    ("status", {}, (), "needs 'one_of'", True),
    (
        "steps",
        "thought model_outputs",
        (),
        "'model_outputs' is not a step type (did you mean 'model_output'?)",
        False,
    ),
    ("steps", ["thought*"], (0,), "a list names one step type per entry", True),
    ("steps", ["thougt"], (0,), "'thougt' is not a step type (did you mean 'thought'?)", True),
    (
        "steps",
        [{"function_cal": {}}],
        (0,),
        "'function_cal' is not a step type (did you mean 'function_call'?)",
        True,
    ),
    (
        "steps",
        [{"function_call": 3}],
        (0,),
        "must be a step type or {step type: {field: value}}",
        True,
    ),
    ("steps", 3, (), "must be a pattern or a list of steps, got 3", True),
    (
        "steps",
        {"steps": "thought", "match": "subset"},
        ("match",),
        "a pattern is always exact",
        False,
    ),
    (
        "steps",
        {"steps": [], "match": "exat"},
        ("match",),
        'must be one of exact, in_order, any_order, subset, superset, got "exat"',
        True,
    ),
    ("tool_calls", [{"nam": "x"}], (0, "nam"), "unknown option 'nam' (did you mean 'name'?)", True),
    ("tool_calls", [{"arguments": {}}], (0,), "needs 'name'", True),
    ("tool_calls", [3], (0,), "must be a name or {name: …, arguments: …}, got 3", True),
    ("tool_calls", 3, (), "must be a list of calls, got 3", True),
    (
        "tool_calls",
        [{"name": "a", "match": "subset"}],
        (0, "match"),
        "match: subset needs 'arguments'",
        False,
    ),
    ("tool_calls", [{"name": "a", "min": 3, "max": 2}], (0, "min"), "min 3 is above max 2", False),
    ("tool_calls", [{"name": "a", "min": None}], (0, "min"), "empty value", True),
    (
        "tool_calls",
        [{"name": "a", "optional": True, "min": 1}],
        (0, "optional"),
        "an optional call cannot have a 'min'",
        False,
    ),
    (
        "tool_calls",
        [{"name": "a", "match": "schema", "arguments": {"type": "strin"}}],
        (0, "arguments", "type"),
        "is not a JSON type",
        False,
    ),
    (
        "json_schema",
        {"type": "strin"},
        ("type",),
        "\"strin\" is not a JSON type (did you mean 'string'?)",
        False,
    ),
    (
        "json_schema",
        {"properties": {"a": {"minimum": "x"}}},
        ("properties", "a", "minimum"),
        "must be of type number",
        False,
    ),
    (
        "json_schema",
        {"schema": {"$ref": "#/$defs/a"}},
        ("schema", "$ref"),
        "leads nowhere in this schema",
        False,
    ),
    (
        "json_schema",
        {"$ref": "https://example.org/a"},
        ("$ref",),
        "leads out of this schema, and nothing is ever fetched",
        False,
    ),
    (
        "json_schema",
        {"$schema": "https://example.org/a"},
        ("$schema",),
        "is not a known draft",
        False,
    ),
    (
        "json_schema",
        {"fil": "a.json"},
        ("fil",),
        "unknown option or keyword 'fil' (did you mean 'file'?)",
        True,
    ),
    (
        "json_schema",
        {"type": "object", "propertys": {}},
        ("propertys",),
        "(did you mean 'properties'?)",
        True,
    ),
    (
        "json_schema",
        {"file": "a", "python": "a:b"},
        (),
        "takes one of use, schema, file, python, got file and python",
        False,
    ),
    ("json_schema", "respons_format", (), "must be 'response_format', a schema, or one of", True),
    (
        "json_schema",
        {"python": "Model"},
        ("python",),
        'must be package.module:name, got "Model"',
        False,
    ),
    ("json", "age", (), "takes its options as a mapping", True),
    ("json", {"a[": 1}, ("a[",), "is not a JMESPath expression: it ends too early", False),
    ("json", {REPEATED: 1}, (REPEATED,), "can repeat its input more than 100,000 times", False),
    ("json", {MAPPED: 1}, (MAPPED,), "can repeat its input more than 100,000 times", False),
    ("json", {PIPED: 1}, (PIPED,), "is not a JMESPath expression: maximum recursion", False),
    ("json", {NESTED: 1}, (NESTED,), "is not a JMESPath expression: maximum recursion", False),
    (
        "json",
        {"a b": 1},
        ("a b",),
        'is not a JMESPath expression: "b" does not fit at column 3',
        False,
    ),
    (
        "json",
        {"lenght(a)": 1},
        ("lenght(a)",),
        "calls lenght(), which JMESPath does not have (did you mean 'length'?)",
        False,
    ),
    ("json", {"a": {"mni": 1}}, ("a", "mni"), "unknown rule 'mni' (did you mean 'min'?)", True),
    ("json", {"a": {}}, ("a",), "has no rule", False),
    (
        "json",
        {"a": {"length": {"mn": 1}}},
        ("a", "length", "mn"),
        "unknown option 'mn' (did you mean 'min'?); valid: min, max",
        True,
    ),
    (
        "citations",
        {"domains": "https://uefa.com/x"},
        ("domains",),
        "is not a domain; write it like 'example.org'",
        False,
    ),
    ("citations", {"coverage": 50}, ("coverage",), "must be at most 1, got 50", True),
    ("citations", {"min": -1}, ("min",), "must be at least 0, got -1", True),
    ("citations", {"spans": "ok"}, ("spans",), 'must be valid, got "ok"', True),
    (
        "history",
        "exakt",
        (),
        "must be one of exact, equivalent, got \"exakt\" (did you mean 'exact'?)",
        True,
    ),
    ("text", 22, (), 'must be text or a list of them, got 22; write it in quotes: "22"', True),
    ("text", {"contains": None}, ("contains",), "empty value", True),
    ("text", {"contains": ""}, ("contains",), "must not be empty", False),
    ("text", {"matches": "("}, ("matches",), '"(" is not a regular expression', False),
    ("text", {"max_chars": "3"}, ("max_chars",), 'must be a whole number, got "3"', True),
    ("text", {"ignore_case": 1}, ("ignore_case",), "must be true or false, got 1", True),
    ("text", {"min_ratio": 2}, ("min_ratio",), "must be at most 1, got 2", True),
    ("stream", {"first": 1}, ("first",), "unknown option 'first'; valid: first_token_ms", True),
    ("media", "picture", (), 'must be one of image, audio, video, got "picture"', True),
    ("media", {"count": "2"}, ("count",), 'must be a number or {min: …, max: …}, got "2"', True),
    ("media", {"count": {"min": 3, "max": 1}}, ("count",), "min 3 is above max 1", False),
    ("usage", {}, (), "must not be empty", True),
    (
        "usage",
        {"total_token": {"max": 3}},
        ("total_token",),
        "unknown usage field 'total_token' (did you mean 'total_tokens'?)",
        False,
    ),
    ("usage", {"total_tokens": 600}, ("total_tokens",), "must be {max: 600}, got 600", True),
    ("usage", {"total_tokens": {}}, ("total_tokens",), "needs 'min' or 'max'", False),
    (
        "usage",
        {"input_tokens_by_modality": {"max": 1}},
        ("input_tokens_by_modality",),
        "a list by modality",
        False,
    ),
    ("cost", {"max": 1}, (), "needs 'input_per_million'", True),
    ("latency", {}, (), "needs 'max_ms' or 'first_token_ms'", False),
    ("error", 4000, (), "must be at most 599, got 4000", True),
    (
        "error",
        {"status": "400"},
        ("status",),
        'must be an HTTP status or a list of them, got "400"',
        True,
    ),
    ("same_as", {"on": "text"}, (), "must not be empty", True),
    (
        "same_as",
        {"history": "stateful", "on": "txt"},
        ("on",),
        "got \"txt\" (did you mean 'text'?)",
        True,
    ),
    ("python", "function", (), 'must be package.module:name, got "function"', False),
    ("nope", 1, (), "unknown check 'nope'", False),
]


@pytest.mark.parametrize(("name", "argument", "path", "message", "shape"), BAD)
def test_a_bad_argument_is_located_and_explained(
    name: str, argument: Any, path: Any, message: str, shape: bool
) -> None:
    with pytest.raises(BadArguments) as raised:
        CATALOG.build(name, argument, bare=False)
    found = [problem for problem in raised.value.problems if problem[0] == path]
    assert found, raised.value.problems
    assert any(message in text for _, text in found), raised.value.problems
    if shape:
        assert not jsonschema.Draft202012Validator(CATALOG.schema(name)).is_valid(argument)


@pytest.mark.parametrize(("name", "argument", "path", "message", "shape"), BAD)
def test_a_message_about_a_key_starts_with_unknown_and_no_other_does(
    name: str, argument: Any, path: Any, message: str, shape: bool
) -> None:
    with pytest.raises(BadArguments) as raised:
        CATALOG.build(name, argument, bare=False)
    for where, text in raised.value.problems:
        value = argument
        for part in where:
            value = value[part]
        if text.startswith("unknown") and name != "nope":
            assert isinstance(where[-1], str)
            assert where[-1] in text


def test_all_problems_are_reported_at_once() -> None:
    with pytest.raises(BadArguments) as raised:
        CATALOG.build(
            "tool_calls", [{"nam": "x"}, {"name": 3}, {"name": "a", "min": -1}], bare=False
        )
    assert [path for path, _ in raised.value.problems] == [
        (0, "nam"),
        (1, "name"),
        (2, "min"),
    ]


BARE = {
    "citations",
    "error",
    "history",
    "json",
    "json_schema",
    "media",
    "simulator",
    "snapshot",
    "stream",
    "text",
    "tool_calls",
}


@pytest.mark.parametrize(
    "name", [name for name in CHECKS if CHECKS.get(name).__module__.startswith("evalkit.")]
)
def test_a_check_without_required_options_may_be_bare(name: str) -> None:
    if name in BARE:
        assert isinstance(CATALOG.build(name, None, bare=True), CHECKS.get(name))
    else:
        with pytest.raises(BadArguments, match="needs"):
            CATALOG.build(name, None, bare=True)


def test_a_value_that_is_not_json_is_refused() -> None:
    for value in (b"bytes", {"contains": {1, 2}}):
        with pytest.raises(BadArguments, match="not a JSON value"):
            CATALOG.build("text", value, bare=False)


def test_the_files_of_an_argument_are_listed() -> None:
    assert CATALOG.files("json_schema", {"file": "a.json"}) == [(("file",), "a.json")]
    assert CATALOG.files("json_schema", {"type": "object"}) == []
    assert CATALOG.files("status", "completed") == []


def test_the_schemas_are_schemas_and_describe_their_options() -> None:
    for name in CATALOG.names():
        schema = CATALOG.schema(name)
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema["description"]
        forms = schema.get("anyOf", [schema])
        options = next(
            form
            for form in reversed(forms)
            if form.get("type") == "object" and "properties" in form
        )
        if CHECKS.get(name).__module__.startswith("evalkit."):
            assert all(option.get("description") for option in options["properties"].values()), name


def test_heavy_libraries_wait_until_they_are_needed() -> None:
    arguments = {
        "status": "completed",
        "steps": "thought* model_output",
        "tool_calls": ["a"],
        "text": "x",
        "usage": {"total_tokens": {"max": 1}},
        "history": "exact",
        "citations": 1,
        "error": 400,
        "media": "image",
        "json_schema": "response_format",
    }
    heavy = (
        "jsonschema",
        "referencing",
        "jmespath",
        "httpx",
        "pytest",
        "asyncio",
    )
    code = f"""
import sys
from evalkit.plugins import Catalog
catalog = Catalog()
for name, argument in {arguments!r}.items():
    catalog.build(name, argument, bare=False)
print([name for name in {heavy!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
