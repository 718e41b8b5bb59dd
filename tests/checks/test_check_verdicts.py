"""What each check reports for small transcripts: codes of findings and their locations."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from PIL import Image

from evalkit.checks.core.base import View
from evalkit.verdict import CheckResult, Verdict
from tests.checks.building import transcript
from tests.checks.examples import check_entry


def judge(entry: Any, source: Any, *, whole: bool = False) -> CheckResult:
    made = transcript(source)
    return check_entry(entry, View(made, None if whole or not made.turns else made.turns[-1]))


def codes(entry: Any, source: Any, *, whole: bool = False) -> list[str]:
    result = judge(entry, source, whole=whole)
    assert result.verdict is not Verdict.ERRORED, result
    return [finding.code for finding in result.findings]


def says(text: str, *annotations: dict[str, Any]) -> dict[str, Any]:
    block: dict[str, Any] = {"type": "text", "text": text}
    if annotations:
        block["annotations"] = list(annotations)
    return {"type": "model_output", "content": [block]}


def output(text: str) -> dict[str, Any]:
    return {"steps": [says(text)]}


CALL: dict[str, Any] = {
    "type": "function_call",
    "id": "c1",
    "name": "look",
    "arguments": {"at": "sky", "deep": {"a": 1, "b": [1, 2]}},
}
RESULT: dict[str, Any] = {
    "type": "function_result",
    "call_id": "c1",
    "name": "look",
    "result": "blue",
}
SEARCH: dict[str, Any] = {
    "type": "google_search_call",
    "id": "s1",
    "arguments": {"queries": ["sky"]},
}
FOUND: dict[str, Any] = {"type": "google_search_result", "call_id": "s1", "result": []}
TOOLS: dict[str, Any] = {"tools": [{"type": "function", "name": "look"}]}

STATUS: list[tuple[Any, Any, list[str]]] = [
    ({"status": "completed"}, {"status": "completed"}, []),
    ({"status": ["failed", "cancelled"]}, {"status": "cancelled"}, []),
    ({"status": "completed"}, {"status": "failed"}, ["status_differs"]),
    (
        {"status": "completed"},
        {"exchanges": [], "outcome": "incomplete", "reason": "no network"},
        ["status_absent"],
    ),
    ({"not": {"status": "completed"}}, {"status": "failed"}, []),
    ({"not": {"status": "completed"}}, {"status": "completed"}, ["holds"]),
]

STEPS: list[tuple[Any, Any, list[str]]] = [
    ({"steps": []}, {"steps": []}, []),
    ({"steps": []}, {"steps": [says("a")]}, ["steps_differ"]),
    ({"steps": "thought*"}, {"steps": []}, []),
    (
        {"steps": {"steps": "function_call function_result", "ignore": "thought"}},
        {"steps": [{"type": "thought"}, CALL, RESULT]},
        [],
    ),
    ({"steps": ["function_call", "function_result"]}, {"steps": [CALL, RESULT]}, []),
    ({"steps": ["function_result", "function_call"]}, {"steps": [CALL, RESULT]}, ["steps_differ"]),
    ({"steps": [{"type": "brand_new"}]}, {"steps": [{"type": "brand_new"}]}, []),
    ({"steps": [{"function_call": {"name": "look"}}]}, {"steps": [CALL]}, []),
    (
        {"steps": [{"function_call": {"name": "look", "arguments": {}}}]},
        {"steps": [CALL]},
        ["steps_differ"],
    ),
    (
        {"steps": {"match": "in_order", "steps": ["thought", "model_output"]}},
        {"steps": [{"type": "thought"}, CALL, RESULT, says("a")]},
        [],
    ),
    (
        {"steps": {"match": "in_order", "steps": ["model_output", "thought"]}},
        {"steps": [{"type": "thought"}, says("a")]},
        ["steps_differ"],
    ),
    ({"steps": {"match": "in_order", "steps": []}}, {"steps": [says("a")]}, []),
    (
        {"steps": {"match": "any_order", "steps": ["model_output", "thought"]}},
        {"steps": [{"type": "thought"}, says("a")]},
        [],
    ),
    (
        {"steps": {"match": "any_order", "steps": ["model_output"]}},
        {"steps": [{"type": "thought"}, says("a")]},
        ["steps_differ"],
    ),
    (
        {"steps": {"match": "any_order", "steps": ["thought", "thought"]}},
        {"steps": [{"type": "thought"}]},
        ["steps_differ"],
    ),
    (
        {"steps": {"match": "superset", "steps": ["model_output"]}},
        {"steps": [{"type": "thought"}, says("a")]},
        [],
    ),
    (
        {"steps": {"match": "superset", "steps": ["function_call"]}},
        {"steps": [{"type": "thought"}, says("a")]},
        ["steps_differ"],
    ),
    (
        {"steps": {"match": "subset", "steps": ["function_call", "model_output"]}},
        {"steps": [says("a")]},
        [],
    ),
    (
        {"steps": {"match": "subset", "steps": ["function_call"]}},
        {"steps": [says("a")]},
        ["steps_differ"],
    ),
    # The plain entry must leave the one with a name to the step that has it.
    (
        {
            "steps": {
                "match": "any_order",
                "steps": ["function_call", {"function_call": {"name": "look"}}],
            }
        },
        {"steps": [CALL, {**CALL, "name": "b"}]},
        [],
    ),
]

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

TEXT: list[tuple[Any, str, list[str]]] = [
    ("text", "a", []),
    ("text", "  \n", ["text_absent"]),
    ({"text": "b"}, "abc", []),
    ({"text": ["a", "x"]}, "abc", ["text_missing"]),
    ({"text": {"all_of": ["a", "x", "y"]}}, "abc", ["text_missing", "text_missing"]),
    ({"text": {"any_of": ["x", "b"]}}, "abc", []),
    ({"text": {"any_of": ["x", "y"]}}, "abc", ["text_missing"]),
    ({"text": {"not_contains": "x"}}, "", []),
    ({"text": {"not_contains": ["x", "b"]}}, "abc", ["text_forbidden"]),
    ({"text": {"equals": "abc"}}, "abc", []),
    ({"text": {"equals": "abc"}}, "abd", ["text_differs"]),
    ({"text": {"matches": r"\bb\d"}}, "a b2", []),
    ({"text": {"matches": "^b"}}, "abc", ["text_no_match"]),
    ({"text": {"starts_with": "ab", "ends_with": "bc"}}, "abc", []),
    ({"text": {"starts_with": "b", "ends_with": "b"}}, "abc", ["text_start", "text_end"]),
    ({"text": {"max_chars": 2, "min_chars": 2}}, "é☃", []),
    ({"text": {"max_chars": 2}}, "abc", ["text_too_long"]),
    ({"text": {"min_chars": 4}}, "abc", ["text_too_short"]),
    (
        {
            "text": {
                "contains": "ABC",
                "matches": "B",
                "equals": "aBc",
                "starts_with": "A",
                "ignore_case": True,
            }
        },
        "abC",
        [],
    ),
]

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


@pytest.mark.parametrize(("entry", "source", "expected"), [*STATUS, *STEPS, *TOOL_CALLS])
def test_of_a_turn(entry: Any, source: Any, expected: list[str]) -> None:
    assert codes(entry, source) == expected


@pytest.mark.parametrize(("match", "arguments", "expected"), ARGUMENTS)
def test_arguments(match: str, arguments: Any, expected: list[str]) -> None:
    entry = {"tool_calls": [{"name": "look", "arguments": arguments, "match": match}]}
    assert codes(entry, {"steps": [CALL, RESULT], "request": TOOLS}) == expected
    in_order = {"tool_calls": {"calls": entry["tool_calls"], "order": "in_order"}}
    assert codes(in_order, {"steps": [CALL, RESULT], "request": TOOLS}) == expected


@pytest.mark.parametrize(("entry", "text", "expected"), TEXT)
def test_text(entry: Any, text: str, expected: list[str]) -> None:
    assert codes(entry, output(text)) == expected


@pytest.mark.parametrize(("text", "expected", "message"), JSON_TEXTS)
def test_one_json_document(text: str, expected: list[str], message: str) -> None:
    for entry in ("json", {"json_schema": {"description": "anything"}}):
        result = judge(entry, output(text))
        assert [finding.code for finding in result.findings] == expected
        assert all(message in finding.message for finding in result.findings), result.findings


@pytest.mark.parametrize(("entry", "text", "expected"), JSON)
def test_json(entry: Any, text: str, expected: list[str]) -> None:
    assert codes(entry, output(text)) == expected


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


CITED = {
    "type": "url_citation",
    "url": "https://www.uefa.com/a",
    "title": "Euro",
    "start_index": 0,
    "end_index": 5,
}
REDIRECT = {
    **CITED,
    "url": "https://vertexaisearch.cloud.google.com/grounding-api-redirect/xyz",
    "title": "uefa.com",
}


@pytest.mark.parametrize(
    ("options", "annotations", "expected"),
    [
        ({}, [CITED], []),
        ({"max": 1}, [CITED, CITED], ["too_many_citations"]),
        ({"max": 0}, [], []),
        ({"max": 0}, [CITED], ["too_many_citations"]),
        ({"min": 2}, [CITED], ["not_searched"]),
        (
            {},
            [{"type": "word_info", "text": "a", "start_index": 0, "end_index": 1}],
            ["not_searched"],
        ),
        ({"domains": "uefa.com"}, [CITED, REDIRECT], []),
        ({"domains": "UEFA.com."}, [{**CITED, "url": "HTTPS://WWW.UEFA.COM:443/"}], []),
        ({"domains": "fa.com"}, [CITED], ["domain_unexpected"]),
        (
            {"domains": "uefa.com"},
            [{**CITED, "url": "https://uefa.com.evil.example/"}],
            ["domain_unexpected"],
        ),
        (
            {"domains": "uefa.com"},
            [{**CITED, "url": "https://evil.example/", "title": "uefa.com"}],
            ["domain_unexpected"],
        ),
        ({"domains": "fifa.com"}, [REDIRECT], ["domain_unexpected"]),
        (
            {"domains": "uefa.com"},
            [{"type": "file_citation", "file_name": "a.pdf", "end_index": 3}],
            [],
        ),
        ({"deny_domains": "uefa.com"}, [REDIRECT], ["domain_denied"]),
        (
            {"deny_domains": "uefa.com"},
            [{**CITED, "url": "https://evil.example/", "title": "uefa.com"}],
            ["domain_denied"],
        ),
        ({"deny_domains": "fifa.com"}, [CITED], []),
        ({"schemes": "https"}, [{**CITED, "url": "http://uefa.com"}], ["scheme_unexpected"]),
        ({"schemes": "https"}, [{**CITED, "url": "javascript:alert(1)"}], ["scheme_unexpected"]),
        ({"domains": "uefa.com"}, [{**CITED, "url": "http://[bad"}], ["domain_unexpected"]),
        ({"titles": ["euro"]}, [CITED], []),
        ({"titles": ["euro", "world"]}, [CITED], ["title_missing"]),
        ({"coverage": 0.4}, [CITED], []),
        ({"coverage": 0.5}, [CITED, CITED], ["coverage"]),
        ({"coverage": {"max": 0.4}}, [CITED], ["coverage"]),
        ({"coverage": 1}, [CITED, {**CITED, "start_index": 3, "end_index": 99}], []),
        ({"spans": "valid"}, [CITED], []),
        ({"spans": "valid"}, [{"type": "url_citation", "end_index": 5}], []),
        ({"spans": "valid"}, [{"type": "url_citation"}], ["span_invalid"]),
        ({"spans": "valid"}, [{**CITED, "end_index": 0}], ["span_invalid"]),
        ({"spans": "valid"}, [{**CITED, "end_index": 13}], ["span_invalid"]),
        ({"spans": "valid"}, [{**CITED, "start_index": 7}], ["span_invalid"]),
        ({"spans": "valid"}, [{**CITED, "start_index": -1}], ["span_invalid"]),
        ({"spans": "valid"}, [{**CITED, "end_index": 11}], ["span_invalid"]),
        ({"spans": "valid"}, [{**CITED, "start_index": "x"}], ["span_invalid"]),
        ({"searched": False}, [CITED], []),
        ({"searched": True}, [CITED], ["not_searched"]),
    ],
)
def test_citations(
    options: dict[str, Any], annotations: list[dict[str, Any]], expected: list[str]
) -> None:
    # Twelve bytes, eleven characters: the last two are one.
    assert codes({"citations": options}, {"steps": [says("Spain won é", *annotations)]}) == expected


def test_citations_report_whether_something_was_searched() -> None:
    assert codes("citations", {"steps": [SEARCH, FOUND, says("a")]}) == ["not_cited"]
    assert (
        codes("citations", {"steps": [says("a", {**CITED, "end_index": 1}), SEARCH, FOUND]}) == []
    )
    assert (
        codes({"citations": {"searched": True}}, {"steps": [says("a", CITED), SEARCH, FOUND]}) == []
    )
    assert codes({"citations": {"searched": True}}, {"steps": [says("a", CITED), SEARCH]}) == [
        "search_unanswered"
    ]
    assert (
        codes(
            {"citations": {"searched": True}},
            {
                "steps": [
                    says("a", CITED),
                    {"type": "google_search_call"},
                    {**FOUND, "call_id": "x"},
                ]
            },
        )
        == []
    )
    assert codes(
        {"citations": {"searched": False}}, {"steps": [says("a", CITED), SEARCH, FOUND]}
    ) == ["searched"]


def test_a_finding_about_a_citation_shows_the_cited_text_and_the_location() -> None:
    (finding,) = judge(
        {"citations": {"domains": "fifa.com"}},
        {"steps": [{"type": "thought"}, says("Spain won.", CITED)]},
    ).findings
    assert finding.message == 'the citation at "Spain" is of www.uefa.com, not of fifa.com'
    assert finding.where.to_json() == {
        "turn": 1,
        "exchange": 1,
        "step": 2,
        "pointer": "/content/0/annotations/0",
        "part": "step",
    }


def usage(**fields: Any) -> dict[str, Any]:
    return {"usage": fields}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ([usage(total_tokens=3), usage(total_tokens=7)], []),
        ([usage(total_tokens=3), usage(total_tokens=8)], ["usage_exceeded"]),
        ([usage(), {}], ["usage_absent"]),
        ([usage(total_tokens=3), {}], ["usage_partial"]),
        ([usage(total_tokens="3"), usage(total_tokens=True)], ["usage_absent"]),
        # A run that is polled tells the same interaction again and again.
        (
            [
                {
                    "exchanges": [
                        {**usage(total_tokens=2), "id": "v1", "status": "in_progress"},
                        {**usage(total_tokens=10), "id": "v1"},
                    ]
                }
            ],
            [],
        ),
        (
            [
                {
                    "exchanges": [
                        {**usage(total_tokens=9), "id": "v1"},
                        {**usage(total_tokens=10), "id": "v1"},
                    ]
                }
            ],
            [],
        ),
        ([{"exchanges": [usage(total_tokens=9), usage(total_tokens=9)]}], ["usage_exceeded"]),
    ],
)
def test_usage(source: list[Any], expected: list[str]) -> None:
    assert (
        codes({"usage": {"total_tokens": {"max": 10}}}, {"turns": source}, whole=True) == expected
    )


def test_usage_of_one_turn() -> None:
    made = transcript({"turns": [usage(total_tokens=30), usage(total_tokens=7)]})
    entry = {"usage": {"total_tokens": {"max": 10}}}
    assert check_entry(entry, View(made, made.turns[1])).verdict is Verdict.PASSED
    assert check_entry(entry, View(made, made.turns[0])).verdict is Verdict.FAILED


def test_cost() -> None:
    prices = {"input_per_million": 1, "output_per_million": 10, "cached_per_million": 0.1}
    source = usage(
        total_input_tokens=1000,
        total_cached_tokens=500,
        total_tool_use_tokens=100,
        total_output_tokens=50,
        total_thought_tokens=50,
    )
    exact = (600 * 1 + 500 * 0.1 + 100 * 10) / 1_000_000
    assert codes({"cost": {"max": exact + 1e-9, **prices}}, source) == []
    assert codes({"cost": {"max": exact - 1e-9, **prices}}, source) == ["cost_exceeded"]
    assert codes({"cost": {"max": 1, **prices}}, usage(total_tokens=3)) == ["usage_absent"]


EVENTS = [
    {"event_type": "interaction.created", "interaction": {"id": "v1_a", "status": "in_progress"}},
    {"event_type": "step.start", "index": 0, "step": {"type": "thought"}},
    {
        "event_type": "step.delta",
        "index": 0,
        "delta": {"type": "thought_signature", "signature": "x"},
    },
    {"event_type": "step.stop", "index": 0},
    {"event_type": "step.start", "index": 1, "step": {"type": "model_output"}},
    {"event_type": "step.delta", "index": 1, "delta": {"type": "text", "text": "Hi"}},
    {"event_type": "step.stop", "index": 1},
    {"event_type": "interaction.completed", "interaction": {"id": "v1_a", "status": "completed"}},
]
STREAMED: dict[str, Any] = {
    "request": {"stream": True},
    "events": EVENTS,
    "event_ms": [1, 2, 3, 4, 5, 60, 70, 80],
    "elapsed_ms": 90,
}


@pytest.mark.parametrize(
    ("entry", "source", "expected"),
    [
        ({"latency": 100}, {"exchanges": [{"elapsed_ms": 60}, {"elapsed_ms": 40}]}, []),
        (
            {"latency": 99},
            {"exchanges": [{"elapsed_ms": 60}, {"elapsed_ms": 40}]},
            ["latency_exceeded"],
        ),
        ({"latency": 99}, {"exchanges": [{"elapsed_ms": 60}, {}]}, ["latency_unmeasured"]),
        ({"latency": {"first_token_ms": 60}}, STREAMED, []),
        ({"latency": {"first_token_ms": 59}}, STREAMED, ["first_token_late"]),
        ({"latency": {"first_token_ms": 59}}, {**STREAMED, "event_ms": []}, ["latency_unmeasured"]),
        ({"stream": {"first_token_ms": 59}}, STREAMED, []),
        ({"stream": {"first_token_ms": 59}}, {**STREAMED, "source": "live"}, ["first_token_late"]),
        (
            {"stream": {"first_token_ms": 59}},
            {**STREAMED, "source": "recorded"},
            ["first_token_late"],
        ),
    ],
)
def test_latency(entry: Any, source: Any, expected: list[str]) -> None:
    assert codes(entry, source) == expected


def test_latency_says_what_is_recorded() -> None:
    assert (
        judge({"latency": 1}, {"elapsed_ms": 60}).findings[0].message.startswith("recorded 60 ms")
    )
    assert (
        judge({"latency": 1}, {"elapsed_ms": 60, "source": "live"})
        .findings[0]
        .message.startswith("measured 60 ms")
    )


STORED: dict[str, Any] = {"method": "GET", "path": "/v1beta/interactions/v1_a", "id": "v1_a"}
CUT: dict[str, Any] = {**STREAMED, "events": EVENTS[:3], "failure": "the stream broke off"}
FAILURE = {"event_type": "error", "error": {"code": "gateway_timeout", "message": "late"}}
ANSWER = [{"type": "thought", "signature": "x"}, says("Hi")]


@pytest.mark.parametrize(
    ("exchanges", "expected"),
    [
        ([STREAMED], []),
        ([], []),
        ([{"steps": []}], ["not_streamed"]),
        ([{"request": {"stream": True}, "steps": []}], ["not_streamed"]),
        ([{**STREAMED, "events": EVENTS[:-1]}], ["completed_missing"]),
        ([{**STREAMED, "events": []}], ["empty_stream"]),
        (
            [{**STREAMED, "events": [EVENTS[0], *EVENTS[4:6], *EVENTS[7:]]}],
            ["index_gap", "step_not_stopped"],
        ),
        ([{**STREAMED, "events": [*EVENTS, {"event_type": "interaction.forecast"}]}], []),
        ([STREAMED, {**STORED, "steps": ANSWER}], []),
        (
            [STREAMED, {**STORED, "steps": [{"type": "user_input", "content": "Hello"}, *ANSWER]}],
            [],
        ),
        ([STREAMED, {**STORED, "steps": [ANSWER[0], {**ANSWER[1], "signature": ""}]}], []),
        ([STREAMED, {**STORED, "steps": [ANSWER[0], says("Ho")]}], ["stored_differs"]),
        ([STREAMED, {**STORED, "steps": ANSWER, "status": "incomplete"}], ["stored_differs"]),
        ([STREAMED, {**STORED, "steps": [], "status": "in_progress"}], []),
        ([STREAMED, {**STORED, "path": "/v1beta/interactions/other", "steps": []}], []),
        ([{**STREAMED, "broken": "connection reset", "problems": []}], ["stream_broken"]),
        ([{**STREAMED, "events": EVENTS[:-1], "resumed": True}], []),
        ([CUT, {**STORED, "steps": ANSWER}], ["stream_cut"]),
        ([CUT, {**STORED, "steps": ANSWER, "status": "in_progress"}], ["completed_missing"]),
        (
            [CUT, {**STORED, "path": "/v1beta/interactions/other", "steps": ANSWER}],
            ["completed_missing"],
        ),
        ([{**CUT, "events": [*CUT["events"], FAILURE]}, {**STORED, "steps": []}], ["stream_cut"]),
        ([{**STREAMED, "events": [EVENTS[0], FAILURE, *EVENTS[1:]]}], ["error_recovered"]),
    ],
)
def test_stream(exchanges: list[Any], expected: list[str]) -> None:
    assert codes("stream", {"exchanges": exchanges}) == expected


def test_stream_points_into_the_first_difference() -> None:
    result = judge(
        "stream", {"exchanges": [STREAMED, {**STORED, "steps": [ANSWER[0], says("Ho")]}]}
    )
    (finding,) = result.findings
    assert finding.where.pointer == "/steps/1/content/0/text"
    assert (finding.expected, finding.got) == ("Ho", "Hi")


@pytest.mark.parametrize(
    ("entry", "source", "expected"),
    [
        ("error", {"error": {"status": 400, "code": "x", "message": "bad model"}}, []),
        ("error", {"status": "completed"}, ["error_absent"]),
        (
            "error",
            {"exchanges": [], "outcome": "incomplete", "reason": "no network"},
            ["error_absent"],
        ),
        (
            {"error": {"status": [400, 404], "code": ["x", "y"], "message": "^bad"}},
            {"error": {"status": 404, "code": "y", "message": "bad"}},
            [],
        ),
        (
            {"error": {"status": 404, "code": "x"}},
            {"error": {"status": 400, "code": "x", "message": ""}},
            ["error_differs"],
        ),
        (
            {"error": {"message": "quota"}},
            {"error": {"status": 400, "code": "x", "message": ""}},
            ["error_differs"],
        ),
        (
            {"error": {"code": "api_error"}},
            {
                "status": "failed",
                "interaction": {"errors": [{"code": "api_error", "message": "a"}]},
            },
            [],
        ),
        (
            {"error": {"code": "api_error"}},
            {"status": "failed", "interaction": {"error": {"code": "api_error", "message": "a"}}},
            [],
        ),
        (
            {"error": {"status": 500}},
            {"status": "failed", "interaction": {"errors": [{"code": "api_error"}]}},
            ["error_differs"],
        ),
        (
            "error",
            {"status": "completed", "interaction": {"errors": [{"code": "warning"}]}},
            ["error_absent"],
        ),
    ],
)
def test_error(entry: Any, source: Any, expected: list[str]) -> None:
    assert codes(entry, source) == expected
    assert codes(entry, {"turns": [source, {"status": "completed"}]}, whole=True) == expected


def picture(kind: str, width: int = 3, height: int = 2) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 30)).save(buffer, kind)
    return buffer.getvalue()


def wave(samples: bytes = b"\0\0" * 8) -> bytes:
    body = (
        b"WAVEfmt \x10\0\0\0\x01\0\x01\0@\x1f\0\0\x80>\0\0\x02\0\x10\0data"
        + len(samples).to_bytes(4, "little")
        + samples
    )
    return b"RIFF" + len(body).to_bytes(4, "little") + body


PNG, JPEG, GIF, WEBP, WAV = picture("PNG"), picture("JPEG"), picture("GIF"), picture("WEBP"), wave()
MP4 = b"\0\0\0\x10ftypisom\0\0\0\0" + b"\0\0\0\x08moov" + b"\0\0\0\x09mdatx"


def media(
    data: bytes | str | None, mime_type: str | None, kind: str = "image", **more: Any
) -> dict[str, Any]:
    text = base64.b64encode(data).decode() if isinstance(data, bytes) else data
    block = {"type": kind, "data": text, "mime_type": mime_type, **more}
    return {
        "steps": [
            {
                "type": "model_output",
                "content": [
                    {"type": "text", "text": "Here."},
                    {k: v for k, v in block.items() if v is not None},
                ],
            }
        ]
    }


@pytest.mark.parametrize(
    ("options", "source", "expected"),
    [
        ({}, media(PNG, "image/png"), []),
        (
            {"type": "image", "count": 1, "width": 3, "height": 2, "mime_type": "image/png"},
            media(PNG, "image/png"),
            [],
        ),
        ({"width": 3, "height": 2}, media(JPEG, "image/jpeg"), []),
        ({"width": 3, "height": 2}, media(GIF, "image/gif"), []),
        ({"width": 3, "height": 2}, media(WEBP, "image/webp"), []),
        ({"width": 3, "height": 2}, media(picture("WEBP", 3, 2), "image/webp"), []),
        ({"mime_type": "image/jpg"}, media(JPEG, "image/jpeg; charset=binary"), []),
        ({"type": "audio"}, media(WAV, "audio/x-wav", "audio"), []),
        ({"type": "video"}, media(MP4, "video/mp4", "video"), []),
        ({}, media(b"ID3\x04" + b"\0" * 20, "audio/mp3", "audio"), []),
        ({}, media(b"\1\2\3\4", "audio/l16", "audio"), []),
        ({}, output("no picture"), ["media_missing"]),
        ({"count": 0}, output("no picture"), []),
        ({"count": 0}, media(PNG, "image/png"), ["media_unexpected"]),
        ({"count": {"min": 2}}, media(PNG, "image/png"), ["media_missing"]),
        ({"type": "video"}, media(PNG, "image/png"), ["media_missing"]),
        (
            {"mime_type": ["image/webp", "image/jpeg"]},
            media(PNG, "image/png"),
            ["mime_type_differs"],
        ),
        ({}, media(PNG, "audio/wav"), ["mime_type_differs", "media_type_wrong"]),
        ({}, media(PNG, "image/jpeg"), ["media_type_wrong"]),
        ({}, media(b"<svg/>", "image/png"), ["media_type_wrong"]),
        ({}, media(PNG, "audio/l16", "audio"), ["media_type_wrong"]),
        ({}, media("not base64!", "image/png"), ["media_undecodable"]),
        ({}, media("iVBORw0KGgo", "image/png"), ["media_undecodable"]),
        ({}, media("", "image/png"), ["media_empty"]),
        ({}, media(None, "image/png"), ["media_empty"]),
        ({}, media(None, "image/png", uri="https://example.org/a.png"), []),
        (
            {"width": 3},
            media(None, "image/png", uri="https://example.org/a.png"),
            ["media_not_inline"],
        ),
        ({"min_bytes": 10}, media(PNG, "image/png"), []),
        ({"min_bytes": 10_000}, media(PNG, "image/png"), ["media_too_small"]),
        ({"width": {"min": 4}}, media(PNG, "image/png"), ["media_size_differs"]),
        ({"width": 3}, media(WAV, "audio/wav", "audio"), ["media_size_unknown"]),
    ],
)
def test_media(options: dict[str, Any], source: Any, expected: list[str]) -> None:
    assert codes({"media": options} if options else "media", source) == expected


@pytest.mark.parametrize(
    ("whole", "mime_type", "kind"),
    [
        (PNG, "image/png", "image"),
        (JPEG, "image/jpeg", "image"),
        (GIF, "image/gif", "image"),
        (WEBP, "image/webp", "image"),
        (WAV, "audio/wav", "audio"),
        (MP4, "video/mp4", "video"),
    ],
)
def test_media_cut_off_anywhere_is_found(whole: bytes, mime_type: str, kind: str) -> None:
    assert codes("media", media(whole, mime_type, kind)) == []
    # Where an MP4 is cut between two boxes, what is left is whole in itself.
    for length in set(range(1, len(whole) - 1)) - ({24} if whole is MP4 else set()):
        found = codes("media", media(whole[:length], mime_type, kind))
        assert found, f"cut after {length} of {len(whole)} bytes"
        assert set(found) <= {"media_damaged", "media_type_wrong"}


def test_media_with_a_flipped_bit_is_found() -> None:
    for place in range(8, len(PNG)):
        spoilt = bytearray(PNG)
        spoilt[place] ^= 1
        assert codes("media", media(bytes(spoilt), "image/png")) != [], place
