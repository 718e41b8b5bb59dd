"""What ``json`` and ``json_schema`` report for small documents."""

from __future__ import annotations

from typing import Any

import pytest

from tests.checks.sample_turns import codes, judge, output

JSON_TEXTS: list[tuple[str, list[str], str]] = [
    ('{"a": 1}', [], ""),
    (" [1]\n", [], ""),
    ("", ["not_json"], "there is no output text"),
    (
        '```json\n{"a": 1}\n```',
        ["not_json"],
        "Markdown code fence, expected only a JSON document (line 1, column 1)",
    ),
    (
        'Sure:\n{"a": 1}',
        ["not_json"],
        'the JSON object comes after other text: "Sure:" (line 2, column 1)',
    ),
    (
        '{"a": 1} Anything else?',
        ["not_json"],
        'followed by other text: "Anything else?" (line 1, column 10)',
    ),
    ('{"a": 1', ["not_json"], "the text may be cut off"),
    ("{'a': 1}", ["not_json"], "not JSON: Expecting property name"),
    ('{"a": NaN}', ["not_json"], "NaN is not a JSON value"),
    ("[" * 100_000, ["not_json"], "nested too deep"),
    ("9" * 5000, ["not_json"], "cannot be read exactly: a number of 5,000 digits is too long"),
    ('{"a": 1, "b": {"c": 1e400}}', ["not_json"], "the number 1e400 is too large"),
    ('[{"a": 1, "a": 1}]', ["not_json"], 'the key "a" occurs more than once'),
    ("1" * 4000, [], ""),
    ("[" * 500 + "]" * 500, [], ""),
]


JSON: list[tuple[Any, Any, list[str]]] = [
    ({"json": {"a": 1}}, '{"a": 1.0}', []),
    ({"json": {"a": 1}}, '{"a": true}', ["query_differs"]),
    ({"json": {"a": None}}, "{}", []),
    ({"json": {"a": {"equals": {"b": 1}}}}, '{"a": {"b": 1}}', []),
    ({"json": {"a.b[0]": "x", "length(a.b)": 1}}, '{"a": {"b": ["x"]}}', []),
    ({"json": {"a": {"matches": "^x"}}}, '{"a": 3}', ["query_differs"]),
    ({"json": {"a": {"min": 1, "max": 2}}}, '{"a": 3}', ["query_differs"]),
    ({"json": {"a": {"min": 1}}}, '{"a": true}', ["query_differs"]),
    ({"json": {"a": {"min": 1}}}, "{}", ["query_differs"]),
    ({"json": {"a": {"min": 10**29 + 1}}}, f'{{"a": {10**29}}}', ["query_differs"]),
    ({"json": {"a": {"max": 10**29 + 1}}}, f'{{"a": {10**29 + 1}}}', []),
    ({"json": {"a": {"max": 2**53}}}, f'{{"a": {2**53 + 1}}}', ["query_differs"]),
    ({"json": {"a": {"length": 2}}}, '{"a": "é☃"}', []),
    ({"json": {"a": {"length": {"min": 1}}}}, '{"a": []}', ["query_differs"]),
    ({"json": {"a": {"length": 1}}}, '{"a": 1}', ["query_differs"]),
    ({"json": {"length(a)": 1}}, '{"a": null}', ["query_failed"]),
    (
        {"json": {"a": {"matches": "x", "length": 3}}},
        '{"a": "yy"}',
        ["query_differs", "query_differs"],
    ),
]


@pytest.mark.parametrize(("text", "expected", "message"), JSON_TEXTS)
def test_one_json_document(text: str, expected: list[str], message: str) -> None:
    for entry in ("json", {"json_schema": {"description": "anything"}}):
        result = judge(entry, output(text))
        assert [finding.code for finding in result.findings] == expected
        assert all(message in finding.message for finding in result.findings), result.findings


@pytest.mark.parametrize(("entry", "text", "expected"), JSON)
def test_json(entry: Any, text: str, expected: list[str]) -> None:
    assert codes(entry, output(text)) == expected
