"""Create requests: each refusal by status, code and message."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from evalkit.protocol.wire_facts import AGENTS
from evalkit.server.requests import create
from evalkit.server.requests.create import (
    KnownNames,
    declared_functions,
    read_create,
    response_formats,
    response_schema,
)
from evalkit.server.requests.error_response import ErrorResponse
from evalkit.server.requests.inputs import last_messages, steps_of_input

MODEL = {"model": "gemini-3.5-flash", "input": "Hello"}
PICTURE = {"type": "image", "data": base64.b64encode(b"x").decode(), "mime_type": "image/png"}


def read(body: dict[str, Any], known: KnownNames = KnownNames()) -> dict[str, Any]:  # noqa: B008 - frozen
    from evalkit._lib.json import dumps

    return read_create(dumps(body).encode(), known)


REFUSED: list[tuple[str, dict[str, Any], int, str, str]] = [
    (
        "no target",
        {"input": "x"},
        400,
        "invalid_request",
        "One of 'model' and 'agent' is required.",
    ),
    (
        "both targets",
        {**MODEL, "agent": AGENTS[0]},
        400,
        "invalid_request",
        "'model' and 'agent' cannot be used together.",
    ),
    (
        "unknown model",
        {**MODEL, "model": "gpt-oss"},
        404,
        "model_not_found",
        "Model 'gpt-oss' was not found.",
    ),
    (
        "hostile model",
        {**MODEL, "model": "gemini-../x"},
        404,
        "model_not_found",
        "Model 'gemini-../x' was not found.",
    ),
    (
        "unknown agent",
        {"agent": "antigravity-preview-05", "input": "x"},
        404,
        "not_found",
        "Agent 'antigravity-preview-05' was not found (did you mean "
        "'antigravity-preview-05-2026'?).",
    ),
    (
        "unknown field",
        {**MODEL, "modle": 1},
        400,
        "parameter_unknown",
        "Unknown parameter 'modle' (did you mean 'model'?).",
    ),
    (
        "unknown field unlike any",
        {**MODEL, "zzz": 1},
        400,
        "parameter_unknown",
        "Unknown parameter 'zzz'.",
    ),
    (
        "unknown nested field",
        {**MODEL, "generation_config": {"max_tokens": 1}},
        400,
        "parameter_unknown",
        "Unknown parameter 'generation_config.max_tokens' (did you mean 'max_output_tokens'?).",
    ),
    (
        "wrong type",
        {**MODEL, "store": "no"},
        400,
        "invalid_request",
        "'store' must be of type boolean, got string.",
    ),
    (
        "no input",
        {"model": "gemini-3.5-flash", "input": None},
        400,
        "invalid_request",
        "'input' is required.",
    ),
    (
        "background that is not kept",
        {**MODEL, "background": True, "store": False},
        400,
        "invalid_request",
        "'background' needs 'store': a run that is not stored cannot be polled.",
    ),
    (
        "generation_config for an agent",
        {"agent": AGENTS[0], "input": "x", "generation_config": {"seed": 1}},
        400,
        "invalid_request",
        "'generation_config' cannot be used with 'agent'.",
    ),
    (
        "agent_config for a model",
        {**MODEL, "agent_config": {}},
        400,
        "invalid_request",
        "'agent_config' cannot be used with 'model'.",
    ),
    (
        "research in the foreground",
        {"agent": AGENTS[2], "input": "x"},
        400,
        "invalid_request",
        f"Agent '{AGENTS[2]}' needs 'background': true.",
    ),
    (
        "tool type",
        {**MODEL, "tools": [{"type": "google_search"}, {"type": "googleSearch"}]},
        400,
        "invalid_request",
        "Unsupported value for 'type' at 'tools[1]': \"googleSearch\". Supported: function, "
        "google_search, code_execution, url_context, google_maps, file_search, mcp_server, "
        "computer_use, retrieval, tool_search.",
    ),
    (
        "tool that is none",
        {**MODEL, "tools": ["google_search"]},
        400,
        "invalid_request",
        "'tools[0]' must be of type object, got string.",
    ),
    (
        "function without a name",
        {**MODEL, "tools": [{"type": "function"}]},
        400,
        "invalid_request",
        "'tools[0].name' is required.",
    ),
    (
        "function declared twice",
        {**MODEL, "tools": [{"type": "function", "name": "f"}, {"type": "function", "name": "f"}]},
        400,
        "invalid_request",
        "'tools[1].name': the function 'f' is declared twice.",
    ),
    (
        "function with a bad schema",
        {**MODEL, "tools": [{"type": "function", "name": "f", "parameters": {"type": "text"}}]},
        400,
        "invalid_request",
        "'tools[0].parameters': not a JSON Schema at type: 'text' is not valid under any of "
        "the given schemas.",
    ),
    (
        "response schema that is none",
        {**MODEL, "response_format": [{"type": "text", "schema": {"properties": []}}]},
        400,
        "invalid_request",
        "'response_format[0].schema': not a JSON Schema at properties: [] is not of type 'object'.",
    ),
    (
        "response format that is none",
        {**MODEL, "response_format": ["json"]},
        400,
        "invalid_request",
        "'response_format[0]' must be of type object, got string.",
    ),
    (
        "enum",
        {**MODEL, "generation_config": {"thinking_level": "deep"}},
        400,
        "invalid_request",
        "Unsupported value for 'generation_config.thinking_level': \"deep\". Supported: minimal, "
        "low, medium, high, xhigh.",
    ),
    (
        "service tier",
        {**MODEL, "service_tier": "gold"},
        400,
        "invalid_request",
        "Unsupported value for 'service_tier': \"gold\". Supported: flex, standard, priority, "
        "deferred.",
    ),
    (
        "no room",
        {**MODEL, "generation_config": {"max_output_tokens": 0}},
        400,
        "invalid_request",
        "'generation_config.max_output_tokens' must be a number of at least 1, got 0.",
    ),
    (
        "label",
        {**MODEL, "labels": {"a": 1}},
        400,
        "invalid_request",
        "'labels.a' must be a string of at most 63 characters, got 1.",
    ),
]


@pytest.mark.parametrize(
    ("body", "status", "code", "message"),
    [row[1:] for row in REFUSED],
    ids=[row[0] for row in REFUSED],
)
def test_request_is_refused(body: dict[str, Any], status: int, code: str, message: str) -> None:
    with pytest.raises(ErrorResponse) as caught:
        read(body)
    assert (caught.value.status, caught.value.code, caught.value.message) == (status, code, message)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "The body is not JSON: Expecting value: line 1 column 1 (char 0)."),
        (
            b'{"model": "x",}',
            "The body is not JSON: Illegal trailing comma before end of object at line 1 column "
            "14.",
        ),
        (b"[]", "The body must be a JSON object."),
        (b'{"a": NaN}', "The body is not JSON: NaN is not a JSON value."),
        (b'{"a": 1e999}', "The body is not JSON: the number 1e999 is too large."),
        (b'{"a": "\xff"}', "The body is not UTF-8 at byte 7."),
        (b'{"a": ' + b"[" * 100_000, "The body is nested too deeply."),
    ],
    ids=["empty", "trailing comma", "list", "NaN", "too large", "not UTF-8", "deep"],
)
def test_a_body_that_is_not_json_is_refused(raw: bytes, message: str) -> None:
    with pytest.raises(ErrorResponse) as caught:
        read_create(raw, KnownNames())
    assert caught.value.status == 400
    got = caught.value.message
    assert got == message or (
        b",}" in raw and got.startswith("The body is not JSON: ")
    )  # messages of json's errors differ by Python version


def test_null_is_absent_in_every_optional_field() -> None:
    nulls = dict.fromkeys(create.REQUEST_SCHEMA["properties"])
    assert read({**nulls, **MODEL}) == MODEL


def test_unknown_gemini_models_are_accepted() -> None:
    assert read({**MODEL, "model": "gemini-9-nova-preview"})["model"] == "gemini-9-nova-preview"
    assert read({**MODEL, "model": "models/gemini-3.5-flash"})


def test_names_of_the_script_are_accepted() -> None:
    known = KnownNames(models=("mine",), agents=("my-agent",))
    assert read({**MODEL, "model": "mine"}, known)
    assert read({"agent": "my-agent", "input": "x"}, known)


def test_an_agent_passed_as_model_is_an_agent() -> None:
    assert read({**MODEL, "model": AGENTS[0]}) == {"agent": AGENTS[0], "input": "Hello"}


SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}


@pytest.mark.parametrize(
    ("fields", "schema"),
    [
        ({}, None),
        ({"response_format": {"type": "text"}}, None),
        ({"response_format": {"type": "text", "mime_type": "text/plain"}}, None),
        (
            {
                "response_format": {
                    "type": "text",
                    "mime_type": "application/json",
                    "schema": SCHEMA,
                }
            },
            SCHEMA,
        ),
        ({"response_format": [{"type": "image"}, {"type": "text", "schema": SCHEMA}]}, SCHEMA),
        ({"response_format": SCHEMA}, SCHEMA),
        ({"response_format": {"type": "text", "mime_type": "application/json"}}, True),
        ({"response_mime_type": "application/json"}, True),
    ],
)
def test_schema_of_the_answer(fields: dict[str, Any], schema: Any) -> None:
    body = read({**MODEL, **fields})
    assert response_schema(body) == schema
    assert len(response_formats(body, "image")) == ("image" in str(fields))


def test_declared_functions_are_the_function_tools() -> None:
    body = read({**MODEL, "tools": [{"type": "google_search"}, {"type": "function", "name": "f"}]})
    assert [tool["name"] for tool in declared_functions(body)] == ["f"]


# --- input

TEXT = {"type": "text", "text": "a"}
STEP = {"type": "user_input", "content": [TEXT]}


@pytest.mark.parametrize(
    ("input_", "steps"),
    [
        ("a", [STEP]),
        ("", [{"type": "user_input", "content": [{"type": "text", "text": ""}]}]),
        (TEXT, [STEP]),
        ([TEXT], [STEP]),
        ([{"text": "a"}], [{"type": "user_input", "content": [{"text": "a", "type": "text"}]}]),
        ([TEXT, PICTURE], [{"type": "user_input", "content": [TEXT, PICTURE]}]),
        (STEP, [STEP]),
        ([{"type": "user_input", "content": "a"}], [STEP]),
        ([{"type": "user_input", "content": TEXT}], [STEP]),
        (
            [{"type": "user_input", "content": ["a", TEXT]}],
            [{"type": "user_input", "content": [TEXT, TEXT]}],
        ),
        (
            [STEP, {"type": "from_the_future", "x": None}],
            [STEP, {"type": "from_the_future", "x": None}],
        ),
        (
            [{"type": "function_result", "call_id": None, "result": {"a": None}, "x": 1}],
            [{"type": "function_result", "call_id": None, "result": {"a": None}, "x": 1}],
        ),
    ],
)
def test_every_form_of_input_is_read_as_a_list_of_steps(input_: Any, steps: list[Any]) -> None:
    assert steps_of_input(input_) == steps


@pytest.mark.parametrize(
    ("input_", "message"),
    [
        (3, "'input' must be a string, an object, or a list with at least one item, got 3."),
        ([], "'input' must be a string, an object, or a list with at least one item, got []."),
        (
            ["a"],
            (
                '\'input[0]\' must be an object {"type": "user_input", "content": […]}, '
                'without role and parts, got "a".'
            ),
        ),
        ([STEP, {"content": []}], "'input[1].type' is required."),
        (
            {"role": "user", "parts": []},
            '\'input\' must be an object {"type": "user_input", "content": […]}, without '
            'role and parts, got {"role": "user", "parts": []}.',
        ),
        (
            [{"type": "user_input"}],
            "'input[0].content' is required.",
        ),
        (
            [{"type": "user_input", "content": [3]}],
            "'input[0].content[0]' must be of type object, got number.",
        ),
        (
            [{"type": "user_input", "content": [{"data": "eA=="}]}],
            "'input[0].content[0].type' is required.",
        ),
        ([{"type": "text", "text": None}], "'input[0].text' must be of type string, got null."),
        (
            [TEXT, {"type": "image"}],
            '\'input[1]\' must be a block with data or uri, got {"type": "image"}.',
        ),
        ([TEXT, {"type": "image", "data": "é"}], "'input[1].data' must be base64, got \"é\"."),
        (
            [{"type": "function_call", "id": "a", "name": "f", "arguments": "{}"}],
            "'input[0].arguments' must be of type object, got string.",
        ),
        (
            [{"type": "function_result", "call_id": "a"}],
            "'input[0].result' is required.",
        ),
        (
            [{"type": "function_result", "call_id": 1, "result": ""}],
            "'input[0].call_id' must be of type string, got number.",
        ),
    ],
)
def test_an_invalid_input_names_its_position(input_: Any, message: str) -> None:
    with pytest.raises(ErrorResponse) as caught:
        steps_of_input(input_)
    assert (caught.value.status, caught.value.message) == (400, message)


def test_the_last_messages_are_those_after_the_last_answer() -> None:
    result = {"type": "function_result", "call_id": "a", "result": ""}
    assert last_messages([STEP, {"type": "thought"}, {"type": "model_output"}, result, STEP]) == [
        STEP
    ]
    assert last_messages([result]) == []
