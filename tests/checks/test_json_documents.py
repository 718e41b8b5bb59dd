"""What ``json`` and ``json_schema`` read: the output, a fence in it, interactions, requests."""

from __future__ import annotations

from typing import Any

import pytest

from evalkit.checks.core.formatting import excerpt
from tests.checks.sample_turns import codes, judge, output, says

FENCED = 'Here it is:\n\n```json\n{"a": 1}\n```\nAnything else?'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (FENCED, []),
        ('```\n{"a": 1}\n```', []),
        ('  ~~~JSON\n{"a":\n1}\n  ~~~  ', []),
        ('````json\n{"a": 1, "b": "```"}\n````', []),
        ('{"a": 1}', []),
        ('Look:\r\n```json\r\n{"a": 1}\r\n```\r\nBye', []),
        ('~~~\n{"a": 1}\n~~~\t\nBye', []),
        ('> ```json\n> {"a": 1}\n> ```', ["not_json"]),
        ('```python\na = 1\n```\nand\n```JSON title="x"\n{"a": 1}\n```', []),
        ('```json\n{"a": 1}\n```\n```\nrun it\n```', []),
        ('```\n{"a": 1}\n```\n```\n{"a": 1}\n```', ["not_json"]),
        ('```json\n{"a": NaN}\n```', ["not_json"]),
        ('```json\n{"a": 1, "\\u0061": 1}\n```', ["not_json"]),
        ('```json\n{"a": 1}\n```\n```json\n{"a": 1}\n```', ["not_json"]),
        ("```json\n{'a': 1}\n```", ["not_json"]),
        ('```json\n{"a": 1, "a": 1}\n```', ["not_json"]),
        ("```json\n```", ["not_json"]),
        ('```json\n{"a": 1}', ["not_json"]),
        ("no document", ["not_json"]),
    ],
)
def test_a_fenced_document_is_read_where_that_is_accepted(text: str, expected: list[str]) -> None:
    schema = {"schema": {"type": "object", "required": ["a"]}, "fenced": True}
    assert codes({"json_schema": schema}, output(text)) == expected
    assert codes({"json": {"a": 1, "fenced": True}}, output(text)) == expected
    if not text.startswith("{"):
        assert codes({"json": {"a": 1}}, output(text)) == ["not_json"]


def test_a_problem_in_a_fence_has_its_place_in_the_whole_text() -> None:
    (finding,) = judge(
        {"json": {"fenced": True}}, output("Look:\n```json\n[1,\n 2,,]\n```")
    ).findings
    assert "(line 4, column 4)" in finding.message


TURN: dict[str, Any] = {
    "exchanges": [
        {
            "input": "hi",
            "request": {"model": "m", "generation_config": {"seed": 7}},
            "status": "requires_action",
            "id": "v1_a",
            "steps": [],
        },
        {
            "input": "go on",
            "request": {"model": "m"},
            "id": "v1_b",
            "usage": {"total_tokens": 12},
            "steps": [says("done")],
        },
    ]
}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"of": "interaction", "id": "v1_b", "usage.total_tokens": {"max": 20}}, []),
        ({"of": "interaction", "id": "v1_a"}, ["query_differs"]),
        ({"of": "interaction", "steps[-1].content[0].text": "done"}, []),
        ({"of": "request", "model": "m"}, []),
        ({"of": "request", "generation_config.seed": 7}, ["query_differs"]),
        ({"of": "request", "input": {"matches": "^[hg]"}}, []),
        ({"of": "interaction"}, []),
        ({"of": "output"}, ["not_json"]),
        ({'"of"': None, "of": "request"}, []),
    ],
)
def test_a_query_reads_interactions_and_requests(
    options: dict[str, Any], expected: list[str]
) -> None:
    assert codes({"json": options}, TURN) == expected


def test_a_finding_says_which_request_it_is_about() -> None:
    (finding,) = judge({"json": {"of": "request", "generation_config.seed": 7}}, TURN).findings
    assert str(finding.where) == "turn 1, exchange 2, request (whole)"


@pytest.mark.parametrize("of", ["interaction", "request"])
def test_without_a_document_there_is_a_finding(of: str) -> None:
    source = {
        "exchanges": [{"method": "GET", "error": {"status": 500, "code": "x", "message": "y"}}]
    }
    assert codes({"json": {"of": of}}, source) == [f"{of}_absent"]


@pytest.mark.parametrize("depth", [60, 500, 800])
def test_deep_documents_are_checked_and_shown_in_part(depth: int) -> None:
    text = "[" * depth + "1" + "]" * depth
    assert codes({"json_schema": {"type": "array"}}, output(text)) == []
    assert codes({"json_schema": {"type": "object"}}, output(text)) == ["schema_violation"]
    nested = {
        "$defs": {"n": {"items": {"$ref": "#/$defs/n"}, "type": ["array", "number"]}},
        "$ref": "#/$defs/n",
    }
    assert codes({"json_schema": nested}, output(text)) in ([], ["schema_violation"])
    assert codes({"json": {"[0]": [1]}}, output(text)) == ["query_differs"]
    tools = {
        "tools": [{"type": "function", "name": "f", "parameters": {"properties": {"a": nested}}}]
    }
    arguments: Any = 1
    for _ in range(depth):
        arguments = [arguments]
    call = {"type": "function_call", "id": "c", "name": "f", "arguments": {"a": arguments}}
    done = {"type": "function_result", "call_id": "c", "name": "f", "result": "x"}
    assert codes("tool_calls", {"steps": [call, done], "request": tools}) in (
        [],
        ["arguments_invalid"],
    )


def test_an_excerpt_of_a_deep_value_says_that_there_is_more() -> None:
    value: Any = "bottom"
    for _ in range(100):
        value = {"a": value}
    shown = excerpt(value)
    while isinstance(shown, dict):
        shown = shown["a"]
    assert shown == "… (object, nested deeper)"
