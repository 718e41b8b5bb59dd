"""What ``tool_calls`` reports for small conversations."""

from __future__ import annotations

from typing import Any

import pytest

from tests.checks.sample_turns import CALL, FOUND, RESULT, SEARCH, TOOLS, codes, judge, says

TOOL_CALLS: list[tuple[Any, Any, list[str]]] = [
    ("tool_calls", {"steps": [CALL, RESULT], "request": TOOLS}, []),
    ("tool_calls", {"steps": [says("a")]}, ["call_missing"]),
    ({"tool_calls": []}, {"steps": [says("a")]}, []),
    ({"tool_calls": []}, {"steps": [CALL, RESULT], "request": TOOLS}, ["call_unexpected"]),
    ({"tool_calls": "look"}, {"steps": [CALL, RESULT], "request": TOOLS}, []),
    ({"tool_calls": "look"}, {"steps": [CALL], "request": TOOLS}, ["call_unanswered"]),
    ({"tool_calls": []}, {"steps": [RESULT]}, ["result_unpaired"]),
    (
        {"tool_calls": "look"},
        {"steps": [CALL, RESULT], "request": {"tools": []}},
        ["undeclared_tool"],
    ),
    ({"tool_calls": "look"}, {"steps": [CALL, RESULT], "request": {"agent": "antigravity"}}, []),
    (
        {"tool_calls": ["google_search", "look"]},
        {"steps": [CALL, RESULT, SEARCH, FOUND], "request": TOOLS},
        [],
    ),
    (
        {"tool_calls": "look"},
        {"steps": [CALL, RESULT, SEARCH, FOUND], "request": TOOLS},
        ["call_unexpected"],
    ),
    (
        {"tool_calls": {"calls": "look", "allow_extra": True}},
        {"steps": [CALL, RESULT, SEARCH, FOUND], "request": TOOLS},
        [],
    ),
    (
        {"tool_calls": "weather"},
        {
            "steps": [
                {
                    "type": "mcp_server_tool_call",
                    "id": "m",
                    "name": "weather",
                    "server_name": "s",
                    "arguments": {},
                },
                {"type": "mcp_server_tool_result", "call_id": "m", "result": ""},
            ]
        },
        [],
    ),
    ({"tool_calls": [{"name": "look", "optional": True}]}, {"steps": []}, []),
    ({"tool_calls": [{"name": "look", "max": 0}]}, {"steps": []}, []),
    (
        {"tool_calls": [{"name": "look", "min": 2}]},
        {"steps": [CALL, RESULT], "request": TOOLS},
        ["call_missing"],
    ),
    (
        {"tool_calls": [{"name": "look", "min": 1}]},
        {
            "steps": [CALL, {**CALL, "id": "c2"}, RESULT, {**RESULT, "call_id": "c2"}],
            "request": TOOLS,
        },
        [],
    ),
    (
        {"tool_calls": ["look"]},
        {
            "steps": [CALL, {**CALL, "id": "c2"}, RESULT, {**RESULT, "call_id": "c2"}],
            "request": TOOLS,
        },
        ["call_unexpected"],
    ),
]


ARGUMENTS: list[tuple[str, Any, list[str]]] = [
    ("exact", {"at": "sky", "deep": {"a": 1, "b": [1, 2]}}, []),
    ("exact", {"deep": {"b": [1, 2], "a": 1.0}, "at": "sky"}, []),
    ("exact", {"at": "sky"}, ["arguments_differ"]),
    ("superset", {"at": "sky"}, []),
    ("superset", {"deep": {"a": 1}}, []),
    ("superset", {"deep": {"b": [1]}}, ["arguments_differ"]),
    ("superset", {"at": "sky", "more": 1}, ["arguments_differ"]),
    ("subset", {"at": "sky", "deep": {"a": 1, "b": [1, 2], "c": 3}, "more": 1}, []),
    ("subset", {"at": "sky"}, ["arguments_differ"]),
    ("schema", {"type": "object", "required": ["at"]}, []),
    ("schema", {"type": "object", "properties": {"at": {"enum": ["sea"]}}}, ["arguments_differ"]),
    ("ignore", {"whatever": True}, []),
]


@pytest.mark.parametrize(("entry", "source", "expected"), TOOL_CALLS)
def test_calls_of_a_turn(entry: Any, source: Any, expected: list[str]) -> None:
    assert codes(entry, source) == expected


@pytest.mark.parametrize(("match", "arguments", "expected"), ARGUMENTS)
def test_arguments(match: str, arguments: Any, expected: list[str]) -> None:
    entry = {"tool_calls": [{"name": "look", "arguments": arguments, "match": match}]}
    assert codes(entry, {"steps": [CALL, RESULT], "request": TOOLS}) == expected
    in_order = {"tool_calls": {"calls": entry["tool_calls"], "order": "in_order"}}
    assert codes(in_order, {"steps": [CALL, RESULT], "request": TOOLS}) == expected


@pytest.mark.parametrize(
    ("match", "arguments", "reason"),
    [
        ("superset", {"at": "sea"}, '/at is "sky", not "sea"'),
        ("superset", {"deep": {"a": 2}}, "/deep/a is 1, not 2"),
        ("subset", {"at": "sea", "deep": {"a": 1, "b": [1, 2]}, "m": 1}, '/at is "sky", not "sea"'),
        ("superset", {"at": "sky", "deep": {"a": 1, "b": [1]}}, "/deep/b/1 is 2, not (absent)"),
        ("exact", {"at": "sky"}, '/deep is {"a": 1, "b": [1, 2]}, not (absent)'),
    ],
)
def test_only_arguments_that_make_a_call_unfit_are_named(
    match: str, arguments: Any, reason: str
) -> None:
    entry = {"tool_calls": [{"name": "look", "arguments": arguments, "match": match}]}
    [finding] = judge(entry, {"steps": [CALL, RESULT], "request": TOOLS}).findings
    assert finding.message == f"look was called with other arguments: {reason}"


def calls(*names: str) -> dict[str, Any]:
    steps = []
    for number, name in enumerate(names):
        steps += [{**CALL, "id": f"c{number}", "name": name}, {**RESULT, "call_id": f"c{number}"}]
    return {
        "steps": steps,
        "request": {"tools": [{"type": "function", "name": name} for name in names]},
    }


@pytest.mark.parametrize(
    ("names", "options", "expected"),
    [
        ("a b", {"calls": ["a", "b"]}, []),
        ("b a", {"calls": ["a", "b"]}, ["calls_out_of_order"]),
        ("a", {"calls": ["a", "b"]}, ["call_missing"]),
        ("a c b", {"calls": ["a", "b"]}, ["call_unexpected"]),
        ("a c b", {"calls": ["a", "b"], "allow_extra": True}, []),
        ("b c a", {"calls": ["a", "b"], "allow_extra": True}, ["calls_out_of_order"]),
        ("a b b", {"calls": ["a", {"name": "b", "min": 1}]}, []),
        ("a b b b", {"calls": ["a", {"name": "b", "max": 2}]}, ["call_unexpected"]),
        ("b", {"calls": [{"name": "a", "optional": True}, "b"]}, []),
        ("", {"calls": [{"name": "a", "optional": True}]}, []),
        ("", {"calls": []}, []),
    ],
)
def test_calls_in_order(names: str, options: dict[str, Any], expected: list[str]) -> None:
    assert (
        codes({"tool_calls": {**options, "order": "in_order"}}, calls(*names.split())) == expected
    )


def test_calls_are_paired_in_any_written_order() -> None:
    source = {
        "steps": [
            {**CALL, "arguments": {"x": 1}},
            RESULT,
            {**CALL, "id": "c2", "arguments": {"x": 2}},
            {**RESULT, "call_id": "c2"},
        ],
        "request": TOOLS,
    }
    anything, one = {"name": "look"}, {"name": "look", "arguments": {"x": 1}}
    assert codes({"tool_calls": [anything, one]}, source) == []
    assert codes({"tool_calls": [one, anything]}, source) == []
