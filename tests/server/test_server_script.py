"""Scripts: conditions, answers, templates, and located mistakes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evalkit.server import DEFAULT_SCRIPT, load_script
from evalkit.server.answers.interaction_request import InteractionRequest
from evalkit.server.requests.inputs import steps_of_input
from evalkit.server.scripting.script import Script
from evalkit.server.scripting.script_format import CONDITIONS, RULE_KEYS, STEP_KINDS, TEXT_TESTS

WEATHER = {
    "type": "function",
    "name": "weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
IMAGE = {"type": "image", "uri": "x"}


def user(text: str, *media: dict[str, Any]) -> dict[str, Any]:
    return {"type": "user_input", "content": [{"type": "text", "text": text}, *media]}


def output_step(text: str) -> list[dict[str, Any]]:
    return [
        {"type": "thought", "signature": "x"},
        {"type": "model_output", "content": [{"type": "text", "text": text}]},
    ]


def called(result: Any, **fields: Any) -> list[dict[str, Any]]:
    call = {"type": "function_call", "id": "c1", "name": "weather", "arguments": {"city": "Rome"}}
    return [
        {"type": "thought", "signature": "x"},
        call,
        {"type": "function_result", "call_id": "c1", "result": result, **fields},
    ]


def ask(text: Any, **fields: Any) -> InteractionRequest:
    return InteractionRequest(
        body={"model": "gemini-3.5-flash", **fields},
        conversation=steps_of_input(text),
        seed="ab" * 32,
    )


CONDITIONS_BY_EXAMPLE: list[tuple[str, str, InteractionRequest, bool]] = [
    ("text: whole, case and space aside", "{text: what IS it?}", ask(" What is\n it? "), True),
    ("text: not a part", "{text: What is}", ask("What is it?"), False),
    ("text: equals one of", "{text: {equals: [a, b]}}", ask("B"), True),
    ("text: contains all", "{text: {contains: [IS, what]}}", ask("What is it?"), True),
    ("text: contains one only", "{text: {contains: [is, who]}}", ask("What is it?"), False),
    ("text: any of", "{text: {any_of: [who, it]}}", ask("What is it?"), True),
    ("text: matches", "{text: {matches: 'is.it\\?$'}}", ask("What IS\nit?"), True),
    (
        "text: two tests, both",
        "{text: {contains: what, matches: '\\d'}}",
        ask("What is it?"),
        False,
    ),
    (
        "text: of the last message",
        "{text: b}",
        ask([user("a"), *output_step("x"), user("b")]),
        True,
    ),
    (
        "text: of the question, where results come",
        "{text: a}",
        ask([user("a"), *called("22")]),
        True,
    ),
    (
        "earlier",
        "{earlier: {contains: dogs}}",
        ask([user("2 dogs"), *output_step("x"), user("b")]),
        True,
    ),
    ("earlier: not the last", "{earlier: {contains: dogs}}", ask("2 dogs"), False),
    (
        "earlier: not the model's",
        "{earlier: {contains: dogs}}",
        ask([user("a"), *output_step("dogs"), user("b")]),
        False,
    ),
    ("anywhere", "{anywhere: {contains: dogs}}", ask("2 dogs"), True),
    ("turn", "{turn: 2}", ask([user("a"), *output_step("x"), user("b")]), True),
    ("turn: another", "{turn: 1}", ask([user("a"), *output_step("x"), user("b")]), False),
    (
        "turn: bounds",
        "{turn: {min: 2, max: 3}}",
        ask([user("a"), *output_step("x"), user("b")]),
        True,
    ),
    ("turn: below", "{turn: {min: 2}}", ask("a"), False),
    (
        "tools: all",
        "{tools: [weather, google_search]}",
        ask("a", tools=[WEATHER, {"type": "google_search"}]),
        True,
    ),
    ("tools: one missing", "{tools: [weather, google_search]}", ask("a", tools=[WEATHER]), False),
    ("tools: none", "{tools: false}", ask("a"), True),
    ("attached", "{attached: [image]}", ask([user("a", IMAGE)]), True),
    ("attached: not the same", "{attached: [audio]}", ask([user("a", IMAGE)]), False),
    (
        "attached: of the last message",
        "{attached: true}",
        ask([user("a", IMAGE), *output_step("x"), user("b")]),
        False,
    ),
    ("model", "{model: {contains: flash}}", ask("a"), True),
    ("agent", "{agent: true}", ask("a"), False),
    (
        "agent: named",
        "{agent: helper}",
        InteractionRequest(body={"agent": "helper"}, conversation=steps_of_input("a")),
        True,
    ),
    ("stream", "{stream: true}", ask("a", stream=True), True),
    ("stream: by default not", "{stream: false}", ask("a"), True),
    ("store: by default", "{store: true}", ask("a"), True),
    ("background", "{background: true}", ask("a"), False),
    (
        "request: a value",
        "{request: {generation_config.seed: 7}}",
        ask("a", generation_config={"seed": 7.0}),
        True,
    ),
    (
        "request: true is not 1",
        "{request: {generation_config.seed: 1}}",
        ask("a", generation_config={"seed": True}),
        False,
    ),
    (
        "request: in a list",
        "{request: {tools.0.name: {contains: eath}}}",
        ask("a", tools=[WEATHER]),
        True,
    ),
    ("request: present", "{request: {labels: {present: true}}}", ask("a"), False),
    ("request: absent", "{request: {labels: {present: false}}}", ask("a"), True),
    ("results", "{results: true}", ask([user("a"), *called("22")]), True),
    (
        "results: of this turn",
        "{results: true}",
        ask([user("a"), *called("22"), *output_step("x"), user("b")]),
        False,
    ),
    (
        "results: name and value",
        "{results: {name: weather, value: {t: {present: true}}}}",
        ask([user("a"), *called({"t": 1})]),
        True,
    ),
    (
        "results: value of JSON text",
        "{results: {value: {t: 22}}}",
        ask([user("a"), *called([{"type": "text", "text": '{"t": 22}'}])]),
        True,
    ),
    (
        "results: text",
        "{results: {text: {contains: cold}}}",
        ask([user("a"), *called("so cold")]),
        True,
    ),
    (
        "results: error",
        "{results: {is_error: true}}",
        ask([user("a"), *called("no", is_error=True)]),
        True,
    ),
    ("results: none is no result that fits", "{results: {name: weather}}", ask("a"), False),
    ("not", "{not: {text: a}}", ask("a"), False),
    ("nothing", "{}", ask("a"), True),
]


@pytest.mark.parametrize(
    ("when", "prompt", "holds"),
    [row[1:] for row in CONDITIONS_BY_EXAMPLE],
    ids=[row[0] for row in CONDITIONS_BY_EXAMPLE],
)
def test_condition(when: str, prompt: InteractionRequest, holds: bool) -> None:
    script = Script.load(f"script: t\nrules:\n  - when: {when}\n    reply: yes", "t.yaml")
    assert (script.find(prompt, {}) is not None) is holds


def answer(rule: str, prompt: InteractionRequest) -> Any:
    script = Script.load(f"script: t\nvars: {{unit: C}}\nrules:\n  - {rule}", "t.yaml")
    match = script.find(prompt, {})
    assert match is not None
    found, variables = match
    return found.answer(prompt, variables)


def text_of(created: Any) -> str:
    (step,) = created.steps
    return str(step["content"][0]["text"])


@pytest.mark.parametrize(
    ("rule", "prompt", "text"),
    [
        ("reply: plain", ask("a"), "plain"),
        ("reply: '{{ text }}, turn {{ turn }} in {{ unit }}'", ask("hi"), "hi, turn 1 in C"),
        (
            "{when: {text: {matches: '(?P<n>\\d+)'}}, reply: '{{ match.n | int * 4 }}'}",
            ask("2 dogs"),
            "8",
        ),
        (
            "{when: {earlier: {matches: '(?P<n>\\d+)'}}, reply: '{{ earlier.n }}'}",
            ask([user("7"), *output_step("x"), user("8"), *output_step("x"), user("b")]),
            "8",
        ),
        (
            "reply: '{{ result.value.t }}{{ result.arguments.city }}'",
            ask([user("a"), *called({"t": 3})]),
            "3Rome",
        ),
        ("reply: '{{ texts | join }}'", ask([user("a"), *output_step("x"), user("b")]), "ab"),
        ("reply: '{{ request.model }}'", ask("a"), "gemini-3.5-flash"),
        (
            "{when: {text: {matches: 'in (?P<c>.*)'}}, reply: '{{ listed(match.c) | join(\"|\") "
            "}}'}",
            ask("in Rome, Oslo and Bonn"),
            "Rome|Oslo|Bonn",
        ),
        ("reply: '{{ text }}'", ask("{{ 7 * 7 }}"), "{{ 7 * 7 }}"),
    ],
)
def test_reply_is_rendered(rule: str, prompt: InteractionRequest, text: str) -> None:
    assert text_of(answer(rule, prompt)) == text


SEARCH = {"type": "google_search_call", "arguments": {"queries": ["a", "b"]}}


@pytest.mark.parametrize(
    ("steps", "created"),
    [
        ("[{text: hi}]", [{"type": "model_output", "content": [{"type": "text", "text": "hi"}]}]),
        (
            "[{json: {a: 1}}]",
            [{"type": "model_output", "content": [{"type": "text", "text": '{\n  "a": 1\n}'}]}],
        ),
        ("[{thought: mm}]", [{"type": "thought", "summary": [{"type": "text", "text": "mm"}]}]),
        (
            "[{call: weather}]",
            [{"type": "function_call", "name": "weather", "arguments": {"city": "city"}}],
        ),
        (
            "[{call: {name: weather, arguments: {city: Rome, days: 2}}}]",
            [
                {
                    "type": "function_call",
                    "name": "weather",
                    "arguments": {"city": "Rome", "days": 2},
                }
            ],
        ),
        (
            "[{call: {name: undeclared, arguments: {a: 1}}}]",
            [{"type": "function_call", "name": "undeclared", "arguments": {"a": 1}}],
        ),
        (
            "[{search: {queries: [a, b], suggestions: <p>}}]",
            [SEARCH, {"type": "google_search_result", "result": [{"search_suggestions": "<p>"}]}],
        ),
        (
            "[{code: {code: '1/0', result: boom, is_error: true}}]",
            [
                {"type": "code_execution_call", "arguments": {"language": "python", "code": "1/0"}},
                {"type": "code_execution_result", "result": "boom", "is_error": True},
            ],
        ),
        (
            "[{text: '{{ item }}', each: '{{ [1, 2] }}'}]",
            [
                {"type": "model_output", "content": [{"type": "text", "text": str(n)}]}
                for n in (1, 2)
            ],
        ),
        (
            "[{type: from_the_future, data: {n: '{{ turn }}'}}]",
            [{"type": "from_the_future", "data": {"n": 1}}],
        ),
    ],
)
def test_step_kinds_build_steps(steps: str, created: list[Any]) -> None:
    assert answer(f"steps: {steps}", ask("a", tools=[WEATHER])).steps == created


def test_a_search_for_hostile_words_is_escaped_in_the_suggestions() -> None:
    result = answer("steps: [{search: '<script>alert(1)</script>'}]", ask("a")).steps[1]
    assert "<script>" not in result["result"][0]["search_suggestions"]


def test_a_citation_counts_bytes() -> None:
    rule = (
        "steps: [{text: 'Ürümqi ist weit. Ja.', cite: [{url: u, title: t, words: weit}, {url: v}]}]"
    )
    (step,) = answer(rule, ask("a")).steps
    first, second = step["content"][0]["annotations"]
    data = step["content"][0]["text"].encode()
    assert data[first["start_index"] : first["end_index"]] == b"weit"
    assert (second["start_index"], second["end_index"]) == (0, len(data))
    assert first == {
        "type": "url_citation",
        "url": "u",
        "title": "t",
        "start_index": 13,
        "end_index": 17,
    }


def test_a_document_is_adapted_to_the_requested_schema() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "integer", "minimum": 5}, "b": {"type": "string"}},
        "additionalProperties": False,
    }
    created = answer(
        "steps: [{json: {a: 1, b: x, c: 2}}]",
        ask("a", response_format={"type": "text", "schema": schema}),
    )
    assert json.loads(text_of(created)) == {"a": 5, "b": "x"}


def test_the_first_matching_rule_answers_until_its_times_are_used() -> None:
    script = Script.load(
        "script: t\nrules:\n  - {times: 2, reply: a}\n  - {reply: b}\n  - {reply: c}", "t.yaml"
    )
    used: Counter[str] = Counter()
    replies = []
    for _ in range(4):
        match = script.find(ask("x"), used)
        assert match is not None
        used[match[0].location] += 1
        replies.append(match[0].data["reply"])
    assert replies == ["a", "a", "b", "b"]


def test_keys_of_a_rule_set_fields_of_the_answer() -> None:
    created = answer(
        "{steps: [], status: failed, errors: [{code: c, message: 'm {{ turn }}'}], usage: "
        "{total_tokens: 9}, fields: {x: [1]}, polls: 3,"
        " delay: 0.5, event_delay: 0.25, cut_after: 4}",
        ask("a"),
    )
    assert (created.status, created.errors, created.usage, created.fields) == (
        "failed",
        [{"code": "c", "message": "m 1"}],
        {"total_tokens": 9},
        {"x": [1]},
    )
    assert (created.polls, created.delay, created.event_delay, created.cut_after) == (
        3,
        0.5,
        0.25,
        4,
    )


@pytest.mark.parametrize(
    ("rule", "status", "code", "message", "headers", "after"),
    [
        ("error: 503", 503, "service_unavailable", "The service is overloaded.", {}, None),
        (
            "error: {status: 429, retry_after: 2}",
            429,
            "rate_limit_exceeded",
            "Too many requests.",
            {"retry-after": "2"},
            None,
        ),
        (
            "error: {status: 400, code: safety, message: 'no {{ text }}'}",
            400,
            "safety",
            "no a",
            {},
            None,
        ),
        (
            "{reply: x, error: {status: 504, after: 3}}",
            504,
            "deadline_exceeded",
            "The request took too long.",
            {},
            3,
        ),
    ],
)
def test_error(
    rule: str, status: int, code: str, message: str, headers: dict[str, str], after: int | None
) -> None:
    created = answer(rule, ask("a"))
    assert created.error is not None
    assert (
        created.error.status,
        created.error.code,
        created.error.message,
        created.error.headers,
        created.error_after,
    ) == (
        status,
        code,
        message,
        headers,
        after,
    )


def test_a_failing_template_names_its_rule(scripted: Callable[[str], Any]) -> None:
    client = scripted("  - name: tell\n    reply: '{{ result.value.temperature }}'\n")
    body = client.create("a")
    assert client.last.status == 400
    assert body["error"]["code"] == "failed_precondition"
    assert body["error"]["message"].startswith(
        "The script's rule 'tell' (test.yaml:3) cannot answer this request: "
    )


def test_the_included_script_is_valid_and_its_rule_names_are_unique() -> None:
    names = [rule.data.get("name") for rule in load_script(DEFAULT_SCRIPT).rules]
    assert all(names)
    assert len(set(names)) == len(names)


def test_the_example_in_the_module_is_valid() -> None:
    from textwrap import dedent

    from evalkit.server.scripting import script

    assert script.__doc__ is not None
    example = script.__doc__.split("\n\n")[1]
    assert len(Script.load(dedent(example), "example.yaml").rules) == 3


def test_the_docs_example_is_valid_and_every_key_is_documented() -> None:
    docs = (Path(__file__).parents[2] / "docs" / "serve.md").read_text(encoding="utf-8")
    example = next(block.split("```")[0] for block in docs.split("```yaml\n")[1:])
    assert len(Script.load(example, "docs/serve.md").rules) == 4
    for word in (*CONDITIONS, *TEXT_TESTS, *RULE_KEYS, *STEP_KINDS):
        assert f"`{word}" in docs or f"{word}:" in docs, word
