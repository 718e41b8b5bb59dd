"""Default answers to requests that no rule matches."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.protocol.step_reader import cited_text, output_text
from evalkit.server.answers import default_answers
from evalkit.server.answers.interaction_request import InteractionRequest
from evalkit.server.requests.error_response import ErrorResponse
from evalkit.server.requests.inputs import steps_of_input


def ask(input_: Any, **fields: Any) -> InteractionRequest:
    target = {} if "agent" in fields else {"model": "gemini-3.5-flash"}
    return InteractionRequest(
        body={**target, **fields},
        conversation=steps_of_input(input_),
        seed="ab" * 32,
        environment_id=fields.pop("environment_id", None),
    )


def function(name: str, description: str = "", **properties: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "name": name, "description": description, "parameters": parameters}


def types(prompt: InteractionRequest) -> list[str]:
    return [step["type"] for step in default_answers.default_answer(prompt).steps]


def only(prompt: InteractionRequest) -> dict[str, Any]:
    (step,) = default_answers.default_answer(prompt).steps
    return step


def test_the_question_is_repeated() -> None:
    assert (
        output_text([only(ask("Good morning"))])
        == "You said: “Good morning”. This is a default answer from evalkit serve."
    )


def test_the_message_before_is_repeated_too() -> None:
    history = [
        {"type": "user_input", "content": "one"},
        {"type": "model_output", "content": []},
        {"type": "user_input", "content": "two"},
    ]
    assert "Before that you said: “one”." in output_text([only(ask(history))])


TEXT = {"type": "string"}
WEATHER = function("get_weather", "The weather of a city", city=TEXT)
STOCK = function(
    "stockPrice",
    "The price of a stock",
    symbol={"type": "string", "pattern": "^[A-Z]{3}$"},
    days={"type": "integer", "minimum": 1},
)
ALARM = function(
    "set_alarm",
    "Set an alarm",
    hour={"type": "integer", "minimum": 0, "maximum": 23},
    label={**TEXT, "description": "e.g. Wake up"},
)


@pytest.mark.parametrize(
    ("text", "tools", "name", "arguments"),
    [
        ("How is the weather in Oslo?", [WEATHER, STOCK], "get_weather", {"city": "Oslo"}),
        (
            "What is the price of GOO stock over 5 days?",
            [WEATHER, STOCK],
            "stockPrice",
            {"symbol": "GOO", "days": 5},
        ),
        (
            "What is the price of some stock?",
            [WEATHER, STOCK],
            "stockPrice",
            {"symbol": "AAA", "days": 1},
        ),
        ("Hello", [WEATHER, STOCK], "get_weather", {"city": "city"}),
        ("Set an alarm for 99 or 7", [ALARM], "set_alarm", {"hour": 7, "label": "Wake up"}),
        ("Hello", [{"type": "function", "name": "now"}], "now", {}),
        (
            "Hello",
            [
                {
                    "type": "function",
                    "name": "opt",
                    "parameters": {"type": "object", "properties": {"a": TEXT}},
                }
            ],
            "opt",
            {"a": "a"},
        ),
    ],
)
def test_a_declared_function_is_called_with_arguments_of_its_schema(
    text: str, tools: list[Any], name: str, arguments: dict[str, Any]
) -> None:
    assert only(ask(text, tools=tools)) == {
        "type": "function_call",
        "name": name,
        "arguments": arguments,
    }


@pytest.mark.parametrize(
    ("choice", "called"),
    [
        ("auto", "get_weather"),
        ("any", "get_weather"),
        ("none", None),
        ({"allowed_tools": {"mode": "any", "tools": ["stockPrice"]}}, "stockPrice"),
        ({"allowed_tools": {"mode": "none", "tools": ["stockPrice"]}}, None),
    ],
)
def test_tool_choice_is_followed(choice: Any, called: str | None) -> None:
    step = only(ask("weather", tools=[WEATHER, STOCK], generation_config={"tool_choice": choice}))
    assert step.get("name") == called


def test_a_function_without_valid_arguments_is_refused() -> None:
    tool = function("f", x={"type": "string", "minLength": 3, "maxLength": 1})
    with pytest.raises(
        ErrorResponse, match="no arguments for the function 'f' were found: 'x': no text"
    ):
        default_answers.default_answer(ask("a", tools=[tool]))


def with_result(result: Any, **fields: Any) -> list[Any]:
    call = {
        "type": "function_call",
        "id": "c",
        "name": "get_weather",
        "arguments": {"city": "Oslo"},
    }
    return [
        {"type": "user_input", "content": "q"},
        {"type": "thought"},
        call,
        {"type": "function_result", "call_id": "c", "result": result, **fields},
    ]


@pytest.mark.parametrize(
    ("result", "fields", "text"),
    [
        ({"t": 3, "sky": "grey"}, {}, "get_weather returned: t 3, sky grey."),
        ([{"type": "text", "text": '{"t": 3}'}], {}, "get_weather returned: t 3."),
        ("rain", {}, "get_weather returned: rain."),
        ("", {}, "get_weather returned: nothing."),
        (
            [{"type": "text", "text": "no such city"}],
            {"is_error": True},
            "get_weather failed: no such city.",
        ),
    ],
)
def test_the_answer_contains_the_results(result: Any, fields: dict[str, Any], text: str) -> None:
    prompt = ask(with_result(result, **fields), tools=[WEATHER])
    assert output_text([only(prompt)]) == text


def test_results_fill_the_requested_document() -> None:
    schema = {
        "type": "object",
        "properties": {"t": {"type": "integer"}, "place": TEXT},
        "required": ["t", "place"],
    }
    prompt = ask(with_result({"t": 3}), response_format={"type": "text", "schema": schema})
    assert json.loads(output_text([only(prompt)])) == {"t": 3, "place": "place"}


def test_a_document_contains_names_and_numbers_of_the_question() -> None:
    schema = {
        "type": "object",
        "properties": {
            "name": TEXT,
            "age": {"type": "integer", "maximum": 120},
            "role": {"enum": ["admin", "user"]},
        },
    }
    prompt = ask(
        "Describe Ada Lovelace, who is 36 years old",
        response_format={"type": "text", "schema": schema},
    )
    assert json.loads(output_text([only(prompt)])) == {
        "name": "Ada Lovelace",
        "age": 36,
        "role": "admin",
    }


def test_json_without_a_schema_is_a_document() -> None:
    prompt = ask("a", response_format={"type": "text", "mime_type": "application/json"})
    assert "answer" in json.loads(output_text([only(prompt)]))


def test_every_sentence_of_a_searched_answer_is_cited() -> None:
    steps = default_answers.default_answer(
        ask("Who wrote Faust – “Zueignung”?", tools=[{"type": "google_search"}])
    ).steps
    assert [step["type"] for step in steps] == [
        "model_output",
        "google_search_call",
        "google_search_result",
    ]
    (block,) = steps[0]["content"]
    spans = [
        cited_text(block["text"], note["start_index"], note["end_index"])
        for note in block["annotations"]
    ]
    assert all(span.ok for span in spans)
    assert " ".join(span.text for span in spans) == block["text"]
    assert steps[1]["search_type"] == "web_search"
    assert steps[2]["is_error"] is False


def test_linked_pages_are_read() -> None:
    steps = default_answers.default_answer(
        ask("Read https://example.com/a and http://example.org.", tools=[{"type": "url_context"}])
    ).steps
    assert steps[0]["arguments"] == {"urls": ["https://example.com/a", "http://example.org"]}
    assert [item["status"] for item in steps[1]["result"]] == ["success", "success"]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        (ask("a", model="gemini-3.1-flash-image"), ["model_output"]),
        (
            ask("a", tools=[{"type": "code_execution"}]),
            ["code_execution_call", "code_execution_result", "model_output"],
        ),
        (
            ask("a", agent="antigravity-preview-05-2026"),
            ["code_execution_call", "code_execution_result", "model_output"],
        ),
        (ask("no link", tools=[{"type": "url_context"}]), ["model_output"]),
        (
            ask(
                "a",
                response_format={"type": "text", "schema": {}},
                tools=[{"type": "google_search"}],
            ),
            ["model_output", "google_search_call", "google_search_result"],
        ),
    ],
)
def test_steps_by_request(prompt: InteractionRequest, expected: list[str]) -> None:
    assert types(prompt) == expected


@pytest.mark.parametrize(
    ("fields", "start"),
    [
        ({"response_format": {"type": "image", "aspect_ratio": "1:1"}}, b"\x89PNG"),
        ({"model": "gemini-3.1-flash-image"}, b"\x89PNG"),
        ({"response_format": [{"type": "audio"}]}, b"RIFF"),
    ],
)
def test_media_are_real_files(fields: dict[str, Any], start: bytes) -> None:
    (block,) = only(ask("a", **fields))["content"]
    assert base64.b64decode(block["data"]).startswith(start)


def test_attached_media_are_listed() -> None:
    blocks = [
        {"type": "text", "text": "Look"},
        {"type": "image", "uri": "x"},
        {"type": "image", "uri": "y"},
        {"type": "audio", "uri": "z"},
    ]
    assert output_text([only(ask(blocks))]).startswith(
        "I received 2 image files and 1 audio file. "
    )


def test_an_agent_names_its_environment() -> None:
    prompt = InteractionRequest(
        body={"agent": "antigravity-preview-05-2026"},
        conversation=steps_of_input("a b"),
        seed="00",
        environment_id="env_1",
    )
    assert (
        output_text(default_answers.default_answer(prompt).steps)
        == "Done. The task has 2 words. I worked in the environment env_1."
    )


@given(
    text=st.text(max_size=60),
    tools=st.lists(
        st.sampled_from(
            [
                WEATHER,
                STOCK,
                {"type": "google_search"},
                {"type": "code_execution"},
                {"type": "url_context"},
            ]
        ),
        max_size=3,
        unique_by=str,
    ),
)
def test_every_request_gets_the_same_answer_each_time(text: str, tools: list[Any]) -> None:
    first, second = (default_answers.default_answer(ask(text, tools=tools)).steps for _ in range(2))
    assert first == second
    assert first
