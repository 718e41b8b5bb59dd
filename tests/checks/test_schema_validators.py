"""Schemas with slow patterns and large values: every keyword is bounded."""

from __future__ import annotations

from typing import Any

import pytest

from evalkit._lib.json import loads
from evalkit._lib.limits import Limits
from evalkit._lib.patterns import PatternTimeout
from evalkit.checks.core.json_output import fenced_document
from evalkit.checks.core.schema_validation import problems, violations

BAD = "(a|aa)+$"
TEXT = "a" * 80 + "!"
DRAFTS = [
    "http://json-schema.org/draft-04/schema#",
    "http://json-schema.org/draft-06/schema#",
    "http://json-schema.org/draft-07/schema#",
    "https://json-schema.org/draft/2019-09/schema",
    "https://json-schema.org/draft/2020-12/schema",
]


@pytest.fixture(autouse=True)
def _short_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds: dict[str, Any] = {"pattern": 0.1}  # less than users can set
    monkeypatch.setattr("evalkit._lib.limits._current", Limits(**seconds))


@pytest.mark.parametrize("draft", DRAFTS)
@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"pattern": BAD}, TEXT),
        ({"patternProperties": {BAD: {}}}, {TEXT: 1}),
        ({"patternProperties": {BAD: {}}, "additionalProperties": False}, {TEXT: 1}),
        ({"items": {"properties": {"a": {"pattern": BAD}}}}, [{"a": TEXT}]),
        ({"nullable": True, "pattern": BAD}, TEXT),
    ],
)
def test_patterns_of_every_keyword_end(draft: str, schema: dict[str, Any], value: Any) -> None:
    with pytest.raises(PatternTimeout):
        list(violations({"$schema": draft, **schema}, value))


@pytest.mark.parametrize("draft", DRAFTS[3:])
def test_patterns_of_evaluated_properties_end(draft: str) -> None:
    schema = {
        "$schema": draft,
        "not": {"not": {}},
        "if": {"required": ["missing"]},
        "else": {"patternProperties": {BAD: {}}},
        "unevaluatedProperties": False,
    }
    with pytest.raises(PatternTimeout):
        list(violations(schema, {TEXT: 1}))


def test_names_of_members_may_be_slow_to_match() -> None:
    with pytest.raises(PatternTimeout):
        list(violations({"propertyNames": {"pattern": BAD}}, {TEXT: 1}))


def test_unevaluated_properties_still_follow_patterns() -> None:
    schema = {"allOf": [{"patternProperties": {"^a": {}}}], "unevaluatedProperties": False}
    assert list(violations(schema, {"abc": 1})) == []
    assert len(list(violations(schema, {"xyz": 1}))) == 1


@pytest.mark.parametrize(
    ("value", "is_unique"),
    [
        ([1, True, "1", None], True),
        ([{"a": 1, "b": 2}, {"b": 2, "a": 1.0}], False),
        ([[1, 2], [1.0, 2]], False),
        ([{"a": number} for number in range(50_000)], True),
    ],
)
def test_unique_items(value: Any, is_unique: bool) -> None:
    assert (list(violations({"uniqueItems": True}, value)) == []) is is_unique


def test_many_violations_are_counted_up_to_a_limit() -> None:
    found = list(violations({"items": {"type": "string"}}, [1] * 200_000))
    assert len(found) == 101
    assert found[-1].message == "and at least 9900 more violations"


@pytest.mark.parametrize("pattern", ["(", "((a{1000}){1000}){1000}"])
def test_unusable_patterns_are_problems_of_the_schema(pattern: str) -> None:
    assert [path for path, _ in problems({"pattern": pattern})] == [("pattern",)]


def test_patterns_of_ecma_262_are_accepted() -> None:
    assert list(violations({"pattern": r"^\p{Lu}"}, "Ärger")) == []


@pytest.mark.parametrize(
    ("format_", "value", "is_valid"),
    [
        ("date-time", "2026-11-30T05:00:00Z", True),
        ("date-time", "2026-11-30t05:00:00.123+01:00", True),
        ("date-time", "2026-02-30T05:00:00Z", False),
        ("date-time", "2026-11-30T24:00:00Z", False),
        ("date-time", "2026-11-30 05:00:00Z", False),
        ("date-time", "2026-11-30T05:00:00", False),
        ("date-time", "٢026-11-30T05:00:00Z", False),
        ("date-time", 5, True),
        ("time", "05:00:00Z", True),
        ("time", "05:00", False),
        ("regex", "(", False),
        ("regex", "a+", True),
    ],
)
def test_formats(format_: str, value: Any, is_valid: bool) -> None:
    assert (list(violations({"format": format_}, value)) == []) is is_valid


@pytest.mark.parametrize("draft", DRAFTS)
@pytest.mark.parametrize(
    ("number", "unit", "is_multiple"),
    [
        ("19.99", 0.01, True),
        ("19.995", 0.01, False),
        ("0.10", 0.01, True),
        ("9", 3, True),
        ("10", 3, False),
        ("1e400", 0.1, True),
        ("-1e400", 7, False),
        ("1" + "0" * 400, 0.1, True),
        ("1" + "0" * 400, 3, False),
        ("1e-999999999", 1e-9, True),
        ("1e99999999", 7, True),
        ('"text"', 3, True),
        ("true", 3, True),
    ],
)
def test_multiples_are_calculated_with_decimals(
    draft: str, number: str, unit: float, is_multiple: bool
) -> None:
    found = list(violations({"$schema": draft, "multipleOf": unit}, loads(number)))
    assert (found == []) is is_multiple


@pytest.mark.parametrize(
    ("schema", "value", "is_valid"),
    [
        ({"type": ["STRING", "NULL"]}, None, True),
        ({"type": ["STRING", "NULL"]}, 1, False),
        ({"properties": {"type": {"type": "STRING"}}}, {"type": 1}, False),
        ({"type": "INTEGER"}, loads("1e400"), True),
        ({"type": "INTEGER"}, loads("-0"), True),
        ({"type": "NUMBER", "maximum": 5}, loads("1e400"), False),
        ({"enum": ["STRING"]}, "STRING", True),
    ],
)
def test_types_in_capitals_and_numbers_beyond_a_double(
    schema: dict[str, Any], value: Any, is_valid: bool
) -> None:
    assert problems(schema) == []
    assert (list(violations(schema, value)) == []) is is_valid


@pytest.mark.parametrize("line", ["~~~a", "```a", "```\n~~~a", "`" * 100])
def test_fences_that_are_never_closed_take_linear_time(line: str) -> None:
    text = f"{line}\n" * 50_000
    assert fenced_document(text) in (text, f"{line}") or "fences" in str(fenced_document(text))
