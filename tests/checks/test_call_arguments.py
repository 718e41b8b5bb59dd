"""Arguments of calls against declared parameters, and the words of OpenAPI in schemas."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evalkit.checks.core.call_arguments import _fits_surely, misfit
from evalkit.checks.core.schema_validation import problems, violations
from tests.checks.sample_turns import codes, judge

OBJECT = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


@pytest.mark.parametrize(
    ("parameters", "arguments", "reason"),
    [
        (OBJECT, {"a": 1}, ""),
        (OBJECT, {"a": 1.0}, ""),
        (OBJECT, {"a": 1, "more": "x"}, ""),
        (OBJECT, {}, '"a" is missing'),
        (OBJECT, None, '"a" is missing'),
        (OBJECT, {"a": "1"}, '/a must be of type integer, got "1"'),
        (OBJECT, {"a": True}, "/a must be of type integer, got true"),
        (OBJECT, [1], "must be an object, got array [1]"),
        (OBJECT, "{'a': 1}", "must be an object, got string"),
        (OBJECT | {"additionalProperties": False}, {"a": 1, "b": 2}, "('b' was unexpected)"),
        ({"type": "object"}, {"anything": [{}]}, ""),
        (None, {"a": 1}, ""),
        ({"type": "objekt"}, {"a": 1}, ""),
        ("not a schema", {"a": 1}, ""),
        ({"properties": {"a": {"$ref": "https://example.org/x"}}}, {"a": 1}, ""),
        ({"properties": {"default": {"type": "STRING"}}}, {"default": 1}, "/default must be of type"),
        ({"properties": {c: {"type": "null"} for c in "abcde"}}, dict.fromkeys("abcde", 1), "2 more"),
    ],
)  # fmt: skip
def test_arguments_are_compared_with_the_declared_parameters(
    parameters: Any, arguments: Any, reason: str
) -> None:
    assert (misfit(parameters, arguments) != "") is (reason != "")
    assert reason in misfit(parameters, arguments)


TYPES = st.sampled_from(["object", "array", "string", "integer", "number", "boolean", "null", 1])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.just(1.0) | st.sampled_from("ab"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=5,
)
SCHEMAS = st.recursive(
    st.fixed_dictionaries({}, optional={"type": TYPES, "enum": st.lists(VALUES), "nullable": st.booleans()}),
    lambda inner: st.fixed_dictionaries(
        {"type": TYPES},
        optional={
            "properties": st.dictionaries(st.sampled_from("ab"), inner),
            "required": st.lists(st.sampled_from("ab")),
            "items": inner,
            "minItems": st.integers(0, 2),
        },
    ),
    max_leaves=5,
)  # fmt: skip


@given(SCHEMAS, VALUES)
@example({"type": "integer", "enum": [1]}, True)
@example({"type": "array", "items": {"type": "number", "enum": [True]}}, [1])
def test_the_quick_comparison_accepts_only_what_is_valid(schema: Any, value: Any) -> None:
    if _fits_surely(schema, value) and not problems(schema):
        assert list(violations(schema, value)) == []


@pytest.mark.parametrize(
    ("schema", "value", "count"),
    [
        ({"type": "string", "nullable": True}, None, 0),
        ({"type": "string", "nullable": True}, 1, 1),
        ({"type": "string", "nullable": False}, None, 1),
        ({"enum": ["x"], "nullable": True}, None, 0),
        ({"items": {"$ref": "#/$defs/n"}, "$defs": {"n": {"type": "object", "nullable": True}}}, [None], 0),
        ({"items": {"$ref": "#/$defs/n", "nullable": True}, "$defs": {"n": {"type": "object"}}}, [None, 1], 1),
        ({"anyOf": [{"type": "string"}, {"type": "number", "nullable": True}]}, None, 0),
        ({"type": "OBJECT", "properties": {"type": {"type": "STRING", "enum": ["NULL"]}}}, {"type": "NULL"}, 0),
        ({"type": "ARRAY", "items": {"type": "BOOLEAN"}}, ["x"], 1),
        ({"properties": {"nullable": {"type": "string"}}}, {"nullable": "x"}, 0),
        ({"properties": {"default": {"type": "STRING", "nullable": True}}}, {"default": None}, 0),
        ({"properties": {"enum": {"items": {"type": "STRING"}}}}, {"enum": [1]}, 1),
        ({"$ref": "#/$defs/const", "$defs": {"const": {"type": "STRING"}}}, "x", 0),
        ({"properties": {"type": {"enum": ["STRING"]}}}, {"type": "STRING"}, 0),
        ({"properties": {"properties": {"type": "OBJECT", "default": {"type": "X"}}}}, {"properties": 1}, 1),
        ({"patternProperties": {"^x": {"type": "string", "nullable": True}}}, {"x1": None}, 0),
        ({"prefixItems": [{"type": "STRING", "nullable": True}]}, [None], 0),
        ({"allOf": [{"type": "string"}], "nullable": True}, None, 0),
    ],
)  # fmt: skip
def test_nullable_and_types_in_capitals_mean_what_openapi_says(
    schema: Any, value: Any, count: int
) -> None:
    assert len(list(violations(schema, value))) == count


NULLABLE = {"type": "object", "properties": {"n": {"type": "string", "nullable": True}}}
CALL = {"type": "function_call", "id": "c", "name": "f", "arguments": {"n": None}}
DONE = {"type": "function_result", "call_id": "c", "name": "f", "result": "x"}


@pytest.mark.parametrize("arguments", [{"n": None}, {"n": 1}])
def test_a_schema_means_the_same_wherever_it_is_used(arguments: Any) -> None:
    steps = [CALL | {"arguments": arguments}, DONE]
    tools = [{"type": "function", "name": "f", "parameters": NULLABLE}]
    is_valid = arguments == {"n": None}
    source = {"steps": steps, "request": {"tools": tools}}
    assert codes("tool_calls", source) == ([] if is_valid else ["arguments_invalid"])
    plain = {"steps": steps, "request": {"tools": [{"type": "function", "name": "f"}]}}
    call = {"name": "f", "arguments": NULLABLE, "match": "schema"}
    assert codes({"tool_calls": [call]}, plain) == ([] if is_valid else ["arguments_differ"])


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("tool_calls", ["arguments_invalid"]),
        ({"tool_calls": {"arguments": "schema"}}, ["arguments_invalid"]),
        ({"tool_calls": {"arguments": "ignore"}}, []),
        ({"tool_calls": [{"name": "f", "arguments": "schema"}]}, ["arguments_invalid"]),
        ({"tool_calls": {"calls": ["f"], "arguments": "ignore"}}, []),
        ({"tool_calls": {"calls": [], "arguments": "ignore"}}, ["call_unexpected"]),
    ],
)
@pytest.mark.parametrize("found_by_search", [False, True])
def test_the_check_compares_arguments_unless_it_is_told_not_to(
    entry: Any, expected: list[str], found_by_search: bool
) -> None:
    declaration = [{"type": "function", "name": "f", "parameters": OBJECT}]
    search = {"type": "tool_search_call", "id": "s", "arguments": {"function_names": ["f"]}}
    found = {"type": "tool_search_result", "call_id": "s", "result": declaration}
    steps = [CALL, DONE]
    source: dict[str, Any] = {"steps": steps, "request": {"tools": declaration}}
    if found_by_search:
        if isinstance(entry, dict) and "calls" in entry["tool_calls"]:
            return
        source = {"steps": [search, found, *steps], "request": {"tools": [{"type": "tool_search"}]}}
        entry = (
            "tool_calls"
            if isinstance(entry, dict) and isinstance(entry["tool_calls"], list)
            else entry
        )
    assert codes(entry, source) == expected


def test_the_arguments_of_a_call_are_a_mapping_or_the_word_schema() -> None:
    with pytest.raises(Exception, match="must be a mapping or 'schema', got \"shema\""):
        judge({"tool_calls": [{"name": "f", "arguments": "shema"}]}, {"steps": []})
