"""Sample documents for JSON Schemas, validated with jsonschema."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field

from evalkit.server.pattern_text import text_matching
from evalkit.server.schema_documents import NoDocument, sample_document

NODE = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "next": {"$ref": "#/$defs/node"}},
            "required": ["name"],
        }
    }
}

SAMPLES: list[tuple[str, Any, Any]] = [
    ("anything", True, "value"),
    ("no keyword", {}, "value"),
    ("const", {"const": {"a": [1]}}, {"a": [1]}),
    ("enum", {"enum": ["x", "y"]}, "x"),
    ("enum within a type", {"type": "integer", "enum": ["x", 3]}, 3),
    ("default", {"type": "string", "default": "hello"}, "hello"),
    ("a default that is not valid", {"type": "integer", "default": "hello"}, 1),
    ("an example", {"type": "string", "examples": ["Ada"]}, "Ada"),
    ("null", {"type": "null"}, None),
    ("a type or null", {"type": ["null", "integer"]}, 1),
    ("boolean", {"type": "boolean"}, True),
    ("integer between bounds", {"type": "integer", "minimum": 18, "maximum": 20}, 18),
    (
        "integer above and below",
        {"type": "integer", "exclusiveMinimum": 5, "exclusiveMaximum": 7},
        6,
    ),
    ("integer up to a negative", {"type": "integer", "maximum": -3}, -3),
    ("multiple", {"type": "integer", "multipleOf": 7, "minimum": 8}, 14),
    ("integer multiple of a half", {"type": "integer", "multipleOf": 2.5}, 5),
    ("number in a gap", {"type": "number", "exclusiveMinimum": 0.25, "maximum": 0.5}, 0.375),
    ("number of hundredths", {"type": "number", "multipleOf": 0.25, "minimum": 3.1}, 3.25),
    ("text of a length", {"type": "string", "minLength": 7, "maxLength": 7}, "value.."),
    ("short text", {"type": "string", "maxLength": 2}, "va"),
    ("format", {"type": "string", "format": "date-time"}, "2026-01-01T12:00:00Z"),
    ("pattern", {"type": "string", "pattern": "^[A-Z]{2}[0-9]+$", "minLength": 4}, "AA00"),
    (
        "object",
        {"type": "object", "properties": {"first_name": {"type": "string"}}},
        {"first_name": "first name"},
    ),
    ("required without a property", {"type": "object", "required": ["id"]}, {"id": "id"}),
    (
        "min properties",
        {"type": "object", "minProperties": 2, "additionalProperties": {"type": "integer"}},
        {"key1": 1, "key2": 1},
    ),
    (
        "max properties",
        {
            "type": "object",
            "properties": {"a": True, "b": True, "c": True},
            "required": ["c"],
            "maxProperties": 2,
        },
        {"c": "c"},
    ),
    ("list", {"type": "array", "items": {"type": "integer"}}, [1]),
    (
        "list of a size",
        {"type": "array", "items": {"type": "integer"}, "minItems": 3, "maxItems": 3},
        [1, 2, 3],
    ),
    (
        "list of differing items",
        {"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 2, "uniqueItems": True},
        ["a", "b"],
    ),
    (
        "tuple",
        {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": False},
        ["value", 2],
    ),
    ("empty list", {"type": "array", "maxItems": 0}, []),
    ("anyOf", {"anyOf": [{"type": "integer", "minimum": 5, "maximum": 1}, {"type": "null"}]}, None),
    ("oneOf", {"oneOf": [{"type": "number"}, {"type": "integer"}, {"type": "string"}]}, "value"),
    (
        "allOf",
        {
            "allOf": [
                {"type": "integer", "minimum": 3},
                {"type": "number", "maximum": 9},
                {"minimum": 5},
            ]
        },
        5,
    ),
    ("$ref", {"$ref": "#/$defs/age", "$defs": {"age": {"type": "integer", "minimum": 18}}}, 18),
    (
        "$ref with a neighbour",
        {
            "$ref": "#/$defs/age",
            "minimum": 21,
            "$defs": {"age": {"type": "integer", "minimum": 18}},
        },
        21,
    ),
    (
        "allOf of $refs",
        {
            "allOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}],
            "$defs": {"a": {"required": ["x"]}, "b": {"properties": {"x": {"const": 1}}}},
        },
        {"x": 1},
    ),
    ("recursion", {**NODE, "$ref": "#/$defs/node"}, {"name": "name", "next": {"name": "name"}}),
    (
        "recursion through a list",
        {"type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#"}}}},
        {"children": [{"children": [{"children": []}]}]},
    ),
    (
        "recursion or null",
        {
            "type": "object",
            "required": ["next"],
            "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
        },
        {"next": {"next": {"next": None}}},
    ),
    ("old definitions", {"$ref": "#/definitions/a", "definitions": {"a": {"const": 1}}}, 1),
]


@pytest.mark.parametrize(
    ("schema", "document"), [row[1:] for row in SAMPLES], ids=[row[0] for row in SAMPLES]
)
def test_document_without_a_preferred_value(schema: Any, document: Any) -> None:
    assert sample_document(schema) == document


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        (False, "false"),
        ({"type": "nonsense"}, "not a JSON Schema at type"),
        (
            {"type": "object", "properties": {"age": {"minimum": "x"}}},
            "not a JSON Schema at properties/age/minimum",
        ),
        ({"type": "integer", "minimum": 5, "maximum": 4}, "no number between the bounds"),
        ({"type": "string", "minLength": 3, "maxLength": 2}, "no text"),
        ({"type": "string", "pattern": "(?=a)b"}, "no text was found for the pattern"),
        ({"$ref": "#/$defs/missing"}, "does not resolve"),
        ({"$ref": "https://example.com/remote.json"}, "does not resolve"),
        (
            {"type": "object", "required": ["next"], "properties": {"next": {"$ref": "#"}}},
            "repeats without an end",
        ),
        ({"allOf": [{"type": "string"}, {"type": "integer"}]}, "no document was found"),
        ({"enum": ["a"], "type": "integer"}, "enum"),
        (
            {"type": "array", "minItems": 2, "uniqueItems": True, "items": {"const": 1}},
            "no document",
        ),
        ({"not": {}}, "no document was found"),
        ({"patternProperties": {"(": True}}, "not a JSON Schema at patternProperties"),
        ({"type": "array", "minItems": 6_000}, "more than 5000 values"),
        ({"type": "object", "minProperties": 6_000}, "more than 5000 values"),
        ({"type": "string", "pattern": "(a{4000}){40000}"}, "longer than"),
        ({"type": "string", "minLength": 1e9}, "no text"),
        ({"type": "string", "pattern": "^(a)\\1(?!b)$"}, "no text was found for the pattern"),
        (
            {
                "type": "array",
                "minItems": 1_000,
                "items": {"type": "array", "minItems": 1_000, "items": {"type": "integer"}},
            },
            "more than 5000 values",
        ),
        ({"anyOf": [False, {"type": "integer", "maximum": 1, "minimum": 2}]}, "bounds"),
    ],
)
def test_schema_without_a_document_says_why(schema: Any, reason: str) -> None:
    with pytest.raises(NoDocument, match=reason) as caught:
        sample_document(schema)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("", ""),
        ("abc", "abc"),
        (r"^[A-Z]{3}-\d{4}$", "AAA-0000"),
        (r"^\d{3}-\d{2}-\d{4}$", "000-00-0000"),
        ("^(red|green)$", "red"),
        ("^(?:a|b){2}c+$", "aac"),
        (r"^\+?[0-9]{2,}$", "00"),
        ("^x*$", ""),
        (r"^\w+@\w+\.(com|org)$", "a@a.com"),
        ("^[^a-z]$", "0"),
        (r"^\x41\u0042\.$", "AB."),
        (r"^\D\S\W$", "aa "),
        ("^(?P<year>2[0-9]{3})$", "2000"),
        ("^((a|b)-)+é$", "a-é"),
        ("^a+?b$", "ab"),
    ],
)
def test_text_for_a_pattern_is_short(pattern: str, text: str) -> None:
    assert text_matching(pattern) == text


def test_text_for_a_pattern_grows_to_the_minimum_length() -> None:
    assert text_matching("^[a-c]+$", 5) == "aaaaa"
    assert sample_document({"pattern": "^[a-c]+$", "minLength": 3, "maxLength": 3}) == "aaa"


@pytest.mark.parametrize("preferred", ["a", {"a": "b"}])
def test_a_preferred_value_never_fetches_a_remote_reference(preferred: Any) -> None:
    with pytest.raises(NoDocument, match="does not resolve"):
        sample_document({"$ref": "https://example.com/remote.json"}, preferred)


def test_every_valid_part_of_the_preferred_value_is_used() -> None:
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "age": {"type": "integer", "minimum": 18},
            "tags": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["name", "age"],
        "additionalProperties": False,
    }
    preferred = {"name": "Ada", "age": 3, "tags": ["a", 1, "b"], "more": True}
    assert sample_document(schema, preferred) == {
        "name": "Ada",
        "age": 18,
        "tags": ["a", "tags 2", "b"],
    }


def test_a_valid_preferred_value_is_the_document() -> None:
    preferred = {"b": 1, "a": [None, "é"]}
    assert sample_document({"type": "object"}, preferred) is preferred


class Address(BaseModel):
    street: str = Field(min_length=3)
    country: Literal["DE", "FR"]


class Person(BaseModel):
    name: str
    age: int | None = Field(ge=18, lt=100)
    score: float = Field(gt=0, le=1)
    addresses: list[Address] = Field(min_length=2, max_length=3)
    boss: Person | None = None


def test_a_pydantic_model_accepts_the_document_for_its_schema() -> None:
    person = Person.model_validate(sample_document(Person.model_json_schema()))
    assert len(person.addresses) == 2
    assert person.boss is not None


_scalars = st.one_of(
    st.just({"type": "string"}),
    st.builds(
        lambda low, more: {"type": "string", "minLength": low, "maxLength": low + more},
        st.integers(0, 9),
        st.integers(0, 9),
    ),
    st.builds(
        lambda low, more: {"type": "integer", "minimum": low, "maximum": low + more},
        st.integers(-50, 50),
        st.integers(0, 9),
    ),
    st.builds(
        lambda low, more: {
            "type": "number",
            "exclusiveMinimum": low,
            "exclusiveMaximum": low + more,
        },
        st.integers(-50, 50),
        st.floats(0.01, 9, allow_nan=False),
    ),
    st.builds(
        lambda step, low: {"type": "integer", "multipleOf": step, "minimum": low},
        st.integers(1, 9),
        st.integers(-50, 50),
    ),
    st.builds(
        lambda values: {"enum": values},
        st.lists(
            st.one_of(st.integers(), st.text(max_size=3), st.none()),
            min_size=1,
            max_size=4,
            unique_by=repr,
        ),
    ),
    st.sampled_from(["date", "email", "uuid", "ipv6", "time"]).map(
        lambda name: {"type": "string", "format": name}
    ),
    st.just({"type": "boolean"}),
    st.just({"type": ["null", "number"]}),
)


def _nest(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    properties = st.dictionaries(st.sampled_from(["a", "b", "c_d"]), inner, max_size=3)
    return st.one_of(
        st.builds(
            lambda properties, closed: {
                "type": "object",
                "properties": properties,
                "required": list(properties)[:1],
                "additionalProperties": not closed,
            },
            properties,
            st.booleans(),
        ),
        st.builds(
            lambda item, low, more: {
                "type": "array",
                "items": item,
                "minItems": low,
                "maxItems": low + more,
            },
            inner,
            st.integers(0, 3),
            st.integers(0, 3),
        ),
        st.lists(inner, min_size=1, max_size=3).map(lambda branches: {"anyOf": branches}),
        st.lists(inner, min_size=1, max_size=1).map(lambda branches: {"allOf": branches}),
        inner.map(
            lambda target: (
                {"$ref": "#/$defs/it", "$defs": {"it": target}}
                if "$ref" not in str(target)
                else target
            )
        ),
    )


@given(
    _scalars
    | _nest(_scalars)
    | _nest(_nest(_scalars)).filter(lambda schema: "$defs" not in str(list(schema.values()))),
    st.from_type(dict),
)
def test_every_document_is_valid(schema: dict[str, Any], preferred: dict[str, Any]) -> None:
    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    validator.validate(sample_document(schema))
    validator.validate(
        sample_document(schema, {"a": 1, "b": "text", **{str(key): None for key in preferred}})
    )
