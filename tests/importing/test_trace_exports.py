"""What real exports have besides the usual: facts from the sources of those that write them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evalkit.importing.traces.losses import Lack
from evalkit.importing.traces.messages import MessageReader
from evalkit.importing.traces.reader import TraceImport, is_trace_file, read_traces
from evalkit.importing.traces.selection import Selection
from tests.importing.trace_files import (
    SCHEMA,
    calls,
    current,
    langfuse,
    langsmith,
    otlp,
    pairs,
    value,
)

Json = dict[str, Any]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read(*documents: Any) -> TraceImport:
    path = Path("traces.jsonl")
    path.write_text("".join(json.dumps(one) + "\n" for one in documents))
    assert is_trace_file(path)
    found = read_traces([path], Selection())
    assert found.problems.messages == []
    return found


def only(*documents: Any) -> tuple[Json, Json]:
    """Return the request and the response of the only call in documents."""
    (recording,) = read(*documents).recordings["traces.jsonl"]
    return json.loads(str(recording.request_body)), json.loads(str(recording.body))


def said(*documents: Any) -> tuple[list[Any], list[Any]]:
    """Return the steps that were sent and received, without the wrapping of their texts."""
    request, response = only(*documents)
    return plain(request["input"]), plain(response["steps"])


def plain(steps: list[Json]) -> list[Any]:
    return [_plain(step) for step in steps]


def _plain(step: Json) -> Any:
    match step["type"]:
        case "user_input" | "model_output":
            texts = [block.get("text", block) for block in step["content"]]
            return (step["type"].split("_")[0], *texts)
        case "thought":
            return ("thought", step["summary"][0]["text"], step.get("signature"))
        case "function_call":
            return ("call", step["id"], step["name"], step["arguments"])
        case "function_result":
            return ("result", step["call_id"], step["result"])
        case kind:
            return (kind, step.get("id") or step.get("call_id"))


Q, A = ("user", "Hi"), ("model", "Hello")
ASK, ANSWER = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}


def generation(**members: Any) -> Json:
    return langfuse(1, [ASK], ANSWER) | {"modelParameters": {}} | members


def run(**members: Any) -> Json:
    return langsmith(1, [ASK], ANSWER) | members


def row(**attributes: Any) -> Json:
    """Return a row of Logfire."""
    return {
        "trace_id": "t",
        "span_id": attributes.pop("span", "s"),
        "span_name": "chat",
        "start_timestamp": "2026-05-29T13:46:01Z",
        "end_timestamp": "2026-05-29T13:46:02Z",
        "attributes": {"gen_ai.request.model": "m", **attributes},
    }


def log(name: str, body: Any = None, attributes: Json | None = None) -> Json:
    record = {
        "traceId": "ab" * 16,
        "spanId": f"{1:016x}",
        "timeUnixNano": "1780000001000000000",
        "eventName": name,
        "attributes": pairs(attributes or {"gen_ai.system": "gemini"}),
        **({"body": value(body)} if body is not None else {}),
    }
    return {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}


# OpenAI's Responses, as Langfuse, LangSmith and others store their items.

CALL = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "c1",
    "name": "f",
    "arguments": '{"a": 1}',
}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": "sent"}
THOUGHT: Json = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [{"type": "summary_text", "text": "Hm"}],
    "encrypted_content": None,
}
MESSAGE = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "Hello", "annotations": []}],
}


@pytest.mark.parametrize(
    "document",
    [
        generation(input=[ASK, THOUGHT, CALL, RESULT], output=MESSAGE),
        generation(input={"input": [ASK, THOUGHT, CALL, RESULT]}, output=[MESSAGE]),
        run(
            inputs={"model": "m", "input": [ASK, THOUGHT, CALL, RESULT]},
            outputs={"id": "resp_1", "object": "response", "output": [MESSAGE]},
        ),
    ],
)
def test_items_of_responses(document: Json) -> None:
    found = read(document)
    last = found.recordings["traces.jsonl"][-1]
    sent = plain(json.loads(str(last.request_body))["input"])
    assert sent == [
        Q,
        ("thought", "Hm", None),
        ("call", "c1", "f", {"a": 1}),
        ("result", "c1", "sent"),
    ]
    assert plain(json.loads(str(last.body))["steps"]) == [A]
    assert Lack.PARTS not in found.lacks


def test_a_response_of_one_item() -> None:
    assert said(generation(input="Hi", output=CALL)) == ([Q], [("call", "c1", "f", {"a": 1})])


# Langfuse.


def test_tools_that_langchain_appends_to_the_messages() -> None:
    function = {"name": "f", "description": "Finds.", "parameters": SCHEMA}
    tool = {"role": "tool", "content": {"type": "function", "function": function}}
    request, _ = only(generation(input=[ASK, tool], output=ANSWER))
    assert plain(request["input"]) == [Q]
    assert request["tools"] == [{"type": "function", **function}]


@pytest.mark.parametrize(
    "members",
    [
        {
            "toolDefinitions": {
                "f": json.dumps({"description": "Finds.", "parameters": json.dumps(SCHEMA)})
            }
        },
        {
            "tool_definitions": {
                "f": json.dumps({"description": "Finds.", "parameters": json.dumps(SCHEMA)})
            }
        },
        {
            "input": {
                "messages": [ASK],
                "functions": [{"name": "f", "description": "Finds.", "parameters": SCHEMA}],
            }
        },
    ],
)
def test_tools_of_langfuse(members: Json) -> None:
    request, _ = only(generation(**{"input": [ASK], **members}))
    assert request["tools"] == [
        {"type": "function", "name": "f", "description": "Finds.", "parameters": SCHEMA}
    ]


def test_settings_of_langfuse() -> None:
    # Its wrapper of OpenAI stores the defaults of Python, and ingestion makes texts of numbers.
    parameters = {"temperature": "0.5", "max_tokens": "Infinity", "top_p": 1, "seed": None}
    request, _ = only(generation(modelParameters=parameters))
    assert request["generation_config"] == {"temperature": 0.5, "top_p": 1}
    newer = {"max_completion_tokens": 9, "stop": "END"}
    request, _ = only(generation(modelParameters=newer))
    assert request["generation_config"] == {"max_output_tokens": 9, "stop_sequences": ["END"]}


def test_counts_of_clickhouse_are_texts() -> None:
    usage = {"input": "10", "output": "3", "input_cached_tokens": "4"}
    _, response = only(generation(usageDetails=usage))
    assert response["usage"] == {
        "total_input_tokens": 10,
        "total_output_tokens": 3,
        "total_cached_tokens": 4,
    }


def test_media_that_langfuse_stores_elsewhere() -> None:
    reference = "@@@langfuseMedia:type=image/png|id=m1|source=base64_data_uri@@@"
    part = {"type": "image_url", "image_url": {"url": reference}}
    found = read(generation(input=[{"role": "user", "content": [part]}]))
    assert Lack.MEDIA in found.lacks
    audio = {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}}
    request, _ = only(generation(input=[{"role": "user", "content": [audio]}]))
    assert request["input"][0]["content"] == [
        {"type": "audio", "mime_type": "audio/wav", "data": "aGk="}
    ]


def test_the_download_of_a_trace() -> None:
    assert said({"observations": [generation(input=[ASK])], "scores": []}) == ([Q], [A])


def test_spans_of_the_sdk_of_langfuse() -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    attributes = {
        "langfuse.observation.type": "generation",
        "langfuse.observation.model.name": "m",
        "langfuse.observation.model.parameters": json.dumps({"temperature": 0.5}),
        "langfuse.observation.input": json.dumps({"messages": [ASK], "tools": tools}),
        "langfuse.observation.output": json.dumps(ANSWER),
        "langfuse.observation.usage_details": json.dumps({"input": 7, "output": 2}),
        "session.id": "s",
    }
    request, response = only(otlp(attributes, 1))
    assert (plain(request["input"]), plain(response["steps"])) == ([Q], [A])
    assert request["tools"] == [{"type": "function", "name": "f"}]
    assert request["generation_config"] == {"temperature": 0.5}
    assert response["usage"] == {"total_input_tokens": 7, "total_output_tokens": 2}
    assert read(otlp(attributes | {"langfuse.observation.type": "span"}, 1)).conversations == 0


# Google's SDK for Python: empty members are null, names have underscores, the system is in config.


def part(**members: Any) -> Json:
    names = ("text", "thought", "thought_signature", "function_call", "function_response")
    return dict.fromkeys((*names, "inline_data", "file_data", "executable_code")) | members


FUNCTION = {
    "name": "f",
    "parameters": {
        "type": "OBJECT",
        "properties": {"type": {"type": "STRING", "enum": ["A"]}},
    },
}
CONTENTS = {
    "model": "m",
    "contents": [
        {"role": "user", "parts": [part(text="Hi")]},
        {
            "role": "model",
            "parts": [
                part(text="Hm", thought=True, thought_signature="c2ln"),
                part(function_call={"id": None, "name": "f", "args": {"a": 1}}),
            ],
        },
        {
            "role": "user",
            "parts": [part(function_response={"id": None, "name": "f", "response": {"b": 2}})],
        },
    ],
    "config": {
        "system_instruction": "Be exact.",
        "max_output_tokens": 9,
        "top_k": 4,
        "temperature": None,
        "tools": [
            {"function_declarations": [FUNCTION], "google_search": None},
            {"function_declarations": None, "google_search": {"time_range_filter": None}},
        ],
    },
}
RESPONSE = {
    "candidates": [
        {"content": {"role": "model", "parts": [part(text="Hello")]}, "finish_reason": "STOP"}
    ],
    "response_id": "r1",
    "usage_metadata": {
        "prompt_token_count": 7,
        "candidates_token_count": 2,
        "thoughts_token_count": 5,
        "cached_content_token_count": None,
    },
}


@pytest.mark.parametrize(
    "document",
    [
        generation(input=CONTENTS, output=RESPONSE, usageDetails={}),
        run(
            inputs=CONTENTS, outputs=RESPONSE, extra={}, prompt_tokens=None, completion_tokens=None
        ),
    ],
)
def test_models_of_google_genai(document: Json) -> None:
    last = read(document).recordings["traces.jsonl"][-1]
    request, response = json.loads(str(last.request_body)), json.loads(str(last.body))
    assert plain(request["input"]) == [
        Q,
        ("thought", "Hm", "c2ln"),
        ("call", "call_1", "f", {"a": 1}),
        ("result", "call_1", {"b": 2}),
    ]
    assert plain(response["steps"]) == [A]
    assert request["system_instruction"] == "Be exact."
    assert request["generation_config"] == {"max_output_tokens": 9, "top_k": 4}
    # Gemini's schemas have types in capitals.
    schema = {"type": "object", "properties": {"type": {"type": "string", "enum": ["A"]}}}
    function = {"type": "function", "name": "f", "parameters": schema}
    assert request["tools"] == [function, {"type": "google_search"}]
    assert (response["id"], response["usage"]) == (
        "r1",
        {"total_input_tokens": 7, "total_output_tokens": 2, "total_thought_tokens": 5},
    )


# LangSmith.


@pytest.mark.parametrize(
    ("document", "output"),
    [
        # OpenTelemetry counts thoughts in output tokens, as OpenAI does.
        (
            row(
                **{
                    "gen_ai.input.messages": [ASK],
                    "gen_ai.output.messages": [ANSWER],
                    "gen_ai.usage.output_tokens": 7,
                    "gen_ai.usage.reasoning.output_tokens": 5,
                }
            ),
            2,
        ),
        # More thoughts than output: this source counts them apart.
        (
            row(
                **{
                    "gen_ai.input.messages": [ASK],
                    "gen_ai.output.messages": [ANSWER],
                    "gen_ai.usage.output_tokens": 4,
                    "gen_ai.usage.reasoning.output_tokens": 5,
                }
            ),
            4,
        ),
        # Langfuse and Gemini count them apart.
        (generation(usageDetails={"input": 1, "output": 7, "output_reasoning_tokens": 5}), 7),
        (
            row(
                request_data={"contents": [ASK]},
                response_data={
                    "candidates": [{"content": {"role": "model", "parts": [{"text": "Hello"}]}}],
                    "usageMetadata": {"candidatesTokenCount": 7, "thoughtsTokenCount": 5},
                },
            ),
            7,
        ),
    ],
)
def test_output_tokens_are_those_without_thoughts(document: Json, output: int) -> None:
    _, response = only(document)
    assert response["usage"]["total_output_tokens"] == output
    assert response["usage"]["total_thought_tokens"] == 5


def test_settings_and_usage_of_langsmith() -> None:
    metadata = {
        "ls_model_name": "m",
        "ls_temperature": 0.5,
        "ls_max_tokens": 9,
        "ls_stop": ["END"],
        "ls_invocation_params": {"top_p": 0.9},
        "usage_metadata": {
            "input_tokens": 7,
            "output_tokens": 2,
            "input_token_details": {"cache_read": 4},
        },
    }
    document = run(extra={"metadata": metadata})
    del document["prompt_tokens"], document["completion_tokens"]
    request, response = only(document)
    assert request["generation_config"] == {
        "temperature": 0.5,
        "top_p": 0.9,
        "max_output_tokens": 9,
        "stop_sequences": ["END"],
    }
    assert response["usage"] == {
        "total_input_tokens": 7,
        "total_output_tokens": 2,
        "total_cached_tokens": 4,
    }


def test_spans_of_langsmith_have_bodies() -> None:
    attributes = {
        "langsmith.span.kind": "llm",
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "m",
        "gen_ai.prompt": json.dumps({"messages": [ASK], "model": "m", "temperature": 0.5}),
        "gen_ai.completion": json.dumps({"id": "r1", "choices": [{"index": 0, "message": ANSWER}]}),
    }
    request, response = only(otlp(attributes, 1))
    assert (plain(request["input"]), plain(response["steps"])) == ([Q], [A])
    assert (request["generation_config"], response["id"]) == ({"temperature": 0.5}, "r1")
    # Runs of chains have no kind that the conventions know.
    chain = attributes | {"langsmith.span.kind": "chain", "gen_ai.operation.name": "chain"}
    assert read(otlp(chain, 1)).conversations == 0


# Logfire.

REQUEST_DATA = {"messages": [ASK], "model": "m", "stream": True}


def exported(**attributes: Any) -> Json:
    """Return a span of Logfire's SDK as OTLP, which has objects as JSON."""
    texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in attributes.items()}
    return dict(otlp({"gen_ai.request.model": "m", **texts}, 1))


def test_a_stream_of_logfire_is_one_call() -> None:
    started = row(request_data=REQUEST_DATA)
    finished = row(
        span="s2",
        duration=0.5,
        request_data=REQUEST_DATA,
        response_data={"combined_chunk_content": "Hello", "chunk_count": 2},
    )
    # Without a span around them, the records are traces of their own.
    finished["trace_id"] = "u"
    found = read(started, finished)
    assert Lack.CONTENT not in found.lacks
    assert said(started, finished) == ([Q], [A])
    assert Lack.CONTENT in read(started).lacks


def test_the_stream_of_the_query_api() -> None:
    data = {
        "type": "data",
        "rows": [row(request_data={"messages": [ASK]}, response_data={"message": ANSWER})],
    }
    fields = [{"name": "trace_id", "data_type": "Utf8", "nullable": False}]
    schema = {"type": "schema", "schema": {"fields": fields}}
    assert said(schema, data, {"type": "end", "row_count": 1}) == ([Q], [A])


@pytest.mark.parametrize("record", [row, exported])
def test_responses_of_openai_in_logfire(record: Callable[..., Json]) -> None:
    def event(role: str, content: str) -> Json:
        return {"event.name": f"gen_ai.{role}.message", "role": role, "content": content}

    # The answer has no event of its own kind: it is the last message.
    events = [event("system", "Be exact."), event("user", "Hi"), event("assistant", "Hello")]
    assert said(record(events=events, request_data={"model": "m", "stream": False})) == ([Q], [A])


@pytest.mark.parametrize("record", [row, exported])
def test_calls_of_anthropic_in_logfire(record: Callable[..., Json]) -> None:
    # The arguments are the dumped block, of which only the input is included.
    function = {"name": "f", "arguments": '{"input":{"a":1}}'}
    answer = {"role": "assistant", "tool_calls": [{"id": "c1", "function": function}]}
    attributes = {"request_data": {"messages": [ASK]}, "response_data": {"message": answer}}
    found = said(record(**attributes, **{"gen_ai.system": "anthropic"}))
    assert found == ([Q], [("call", "c1", "f", {"a": 1})])
    other = said(record(**attributes, **{"gen_ai.system": "openai"}))
    assert other == ([Q], [("call", "c1", "f", {"input": {"a": 1}})])


def test_events_of_google_genai_in_logfire() -> None:
    bodies = [
        ("gen_ai.user.message", {"content": "Hi", "role": "user"}),
        (
            "gen_ai.choice",
            {
                "index": 0,
                "finish_reason": "STOP",
                "message": {
                    "role": "assistant",
                    "content": ["Hello", {"function_call": {"name": "f", "args": {}}}],
                },
            },
        ),
    ]
    events = [
        {"event_name": name, "attributes": {"event_body": json.dumps(body)}}
        for name, body in bodies
    ]
    document = row() | {"otel_events": events}
    assert said(document) == ([Q], [A, ("call", "call_1", "f", {})])


def test_media_and_tools_of_pydantic_ai() -> None:
    reader = MessageReader()
    reader.add(
        [
            {
                "role": "user",
                "parts": [
                    {"type": "image-url", "url": "https://example.org/a.png"},
                    {"type": "binary", "media_type": "audio/wav", "content": "aGk="},
                    {"type": "tool_call_response", "id": "c", "name": "f", "result": {"b": 2}},
                ],
            }
        ],
        "user",
    )
    assert reader.steps == [
        {
            "type": "user_input",
            "content": [
                {"type": "image", "uri": "https://example.org/a.png"},
                {"type": "audio", "mime_type": "audio/wav", "data": "aGk="},
            ],
        },
        {"type": "function_result", "call_id": "c", "result": {"b": 2}, "name": "f"},
    ]


# OpenTelemetry's instrumentation of google-genai.

BARE = {"gen_ai.operation.name": "generate_content", "gen_ai.request.model": "m"}


def test_events_of_google_genai() -> None:
    content = {"role": "model", "parts": [part(text="Hello")]}
    documents = [
        otlp(BARE, 1),
        log("gen_ai.system.message", {"content": "Be exact."}),
        log("gen_ai.user.message", {"content": {"role": "user", "parts": [part(text="Hi")]}}),
        log("gen_ai.user.message", {"content": content}),
        log("gen_ai.user.message", {"content": "More"}),
        log("gen_ai.choice", {"index": 0, "content": content, "finish_reason": "STOP"}),
    ]
    found = read(*documents)
    last = found.recordings["traces.jsonl"][-1]
    assert plain(json.loads(str(last.request_body))["input"]) == [Q, A, ("user", "More")]
    assert plain(json.loads(str(last.body))["steps"]) == [A]


def test_content_that_was_not_captured() -> None:
    documents = [
        otlp(BARE, 1),
        log("gen_ai.user.message", {"content": "<elided>"}),
        log("gen_ai.choice", {"index": 0, "content": "<elided>", "finish_reason": "STOP"}),
    ]
    found = read(*documents)
    assert (found.conversations, Lack.CONTENT in found.lacks) == (0, True)


@pytest.mark.parametrize("is_event", [True, False])
def test_chunks_of_a_stream_are_one_answer(is_event: bool) -> None:
    if is_event:
        chunks = [
            log(
                "gen_ai.choice",
                {"index": n, "content": {"role": "model", "parts": [{"text": text}]}},
            )
            for n, text in enumerate(("Hel", "lo"))
        ]
        documents = [otlp(BARE, 1), log("gen_ai.user.message", {"content": "Hi"}), *chunks]
    else:
        parts = [
            {
                "role": "assistant",
                "parts": [{"type": "text", "content": text}],
                "finish_reason": end,
            }
            for text, end in (("Hel", ""), ("lo", "stop"))
        ]
        asked = [{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}]
        messages = {"gen_ai.input.messages": asked, "gen_ai.output.messages": parts}
        documents = [otlp(BARE | {key: json.dumps(one) for key, one in messages.items()}, 1)]
    assert said(*documents) == ([Q], [A])


@pytest.mark.parametrize("is_event", [True, False])
def test_the_first_of_several_choices_is_the_answer(is_event: bool) -> None:
    choices = [
        {**ANSWER, "finish_reason": "stop"},
        {**ANSWER, "content": "No", "finish_reason": "stop"},
    ]
    if is_event:
        events: list[tuple[str, Json]] = [("gen_ai.user.message", ASK)]
        events += [
            ("gen_ai.choice", {"index": n, "message": json.dumps(one), "finish_reason": "stop"})
            for n, one in enumerate(choices)
        ]
        document = otlp(BARE, 1, events=[{"name": n, "attributes": pairs(b)} for n, b in events])
    else:
        messages = {"gen_ai.input.messages": [ASK], "gen_ai.output.messages": choices}
        document = otlp(BARE | {key: json.dumps(one) for key, one in messages.items()}, 1)
    assert said(document) == ([Q], [A])


def test_items_of_an_answer_are_not_choices() -> None:
    # As OpenTelemetry's instrumentation of OpenAI has the items of Responses.
    parts = [
        ({"type": "reasoning", "content": "Hm"}, "stop"),
        ({"type": "text", "content": "Hello"}, "stop"),
        ({"type": "tool_call", "id": "c1", "name": "f", "arguments": {}}, "tool_calls"),
        ({"type": "tool_call", "id": "c2", "name": "f", "arguments": {}}, "tool_calls"),
    ]
    output = [{"role": "assistant", "parts": [one], "finish_reason": end} for one, end in parts]
    messages = {"gen_ai.input.messages": [ASK], "gen_ai.output.messages": output}
    sent, received = said(otlp(BARE | {key: json.dumps(one) for key, one in messages.items()}, 1))
    both: list[Any] = [("call", "c1", "f", {}), ("call", "c2", "f", {})]
    assert (sent, received) == ([Q], [("thought", "Hm", None), A, *both])


def test_a_call_without_a_name() -> None:
    call, result = {"type": "function_call", "id": "c"}, {"type": "function_result", "call_id": "c"}
    last = read(generation(input=[ASK, call, result])).recordings["traces.jsonl"][-1]
    sent = json.loads(str(last.request_body))["input"]
    assert sent[1:] == [call, {**result, "name": None}]


def test_thoughts_without_a_text() -> None:
    reader = MessageReader()
    signed = {"type": "reasoning", "signature": "c2ln"}
    empty = {"type": "reasoning", "id": "rs_1", "summary": []}
    reader.add([{"role": "assistant", "content": [signed]}, empty], "user")
    assert reader.steps == [{"type": "thought", "signature": "c2ln"}]


def test_results_in_a_trace_of_their_own_continue_the_conversation() -> None:
    # OpenInference traces each call of the Interactions API; answers have no ids in its spans.
    def call(number: int, sent: Json, answer: Json) -> Any:
        messages = {"gen_ai.input.messages": [sent], "gen_ai.output.messages": [answer]}
        attributes = BARE | {name: json.dumps(one) for name, one in messages.items()}
        return otlp(attributes, number, trace=f"{number:032x}")

    function = {"name": "f", "arguments": "{}"}
    asks = {"role": "assistant", "tool_calls": [{"id": "c1", "function": function}]}
    result = {"role": "tool", "tool_call_id": "c1", "content": "sent"}
    documents = [call(1, ASK, asks), call(2, result, ANSWER), call(3, ASK, ANSWER)]
    found = read(*documents)
    assert found.conversations == 2
    assert Lack.RESULTS not in found.lacks
    bodies = [json.loads(str(one.request_body)) for one in found.recordings["traces.jsonl"]]
    assert [plain(body["input"]) for body in bodies] == [[Q], [("result", "c1", "sent")], [Q]]
    assert ["previous_interaction_id" in body for body in bodies] == [False, True, False]
    # Two calls with this id: whose the result is cannot be known.
    assert read(*documents, call(0, {**ASK, "content": "Hm"}, asks)).conversations == 4


def test_a_thought_in_json() -> None:
    # OpenLLMetry has the summary of a reasoning item so.
    reader = MessageReader()
    thought = {"type": "reasoning", "content": json.dumps(THOUGHT["summary"])}
    reader.add([{"role": "assistant", "parts": [thought]}], "user")
    assert plain(reader.steps) == [("thought", "Hm", None)]


def test_calls_of_traces_of_their_own_keep_their_tokens() -> None:
    documents = []
    for number, (sent, answer) in enumerate(calls(), 1):
        attributes = current(number, sent, answer)
        del attributes["gen_ai.conversation.id"]
        documents.append(otlp(attributes, number, trace=f"{number:032x}"))
    found = read(*documents)
    bodies = [json.loads(str(one.body)) for one in found.recordings["traces.jsonl"]]
    assert [body["usage"]["total_input_tokens"] for body in bodies] == [11, 12, 13]
    assert [body["id"] for body in bodies] == ["resp-1", "resp-2", "resp-3"]
    assert (found.repeated, Lack.REPEATED in found.lacks) == (2, False)


def test_an_event_names_the_conversation_of_its_span() -> None:
    named = {**BARE, "gen_ai.conversation.id": "conv-1"}
    details = {
        **named,
        "gen_ai.input.messages": [ASK],
        "gen_ai.output.messages": [ANSWER],
        "gen_ai.usage.input_tokens": 7,
    }
    found = read(otlp(named, 1), log("gen_ai.client.inference.operation.details", None, details))
    assert found.conversations == 1
    assert not {Lack.CONTENT, Lack.CONVERSATIONS, Lack.USAGE} & found.lacks


def test_ids_of_calls_that_are_repeated() -> None:
    # The instrumentation invents them of the name and the position in a message.
    messages: list[Json] = []
    for number in (1, 2):
        call = {"type": "tool_call", "id": "f_0", "name": "f", "arguments": {"n": number}}
        messages += [
            {"role": "user", "parts": [{"type": "text", "content": f"Ask {number}"}]},
            {"role": "assistant", "parts": [call]},
            {
                "role": "user",
                "parts": [{"type": "tool_call_response", "id": "f_0", "response": number}],
            },
        ]
    attributes = {
        "gen_ai.input.messages": json.dumps(messages),
        "gen_ai.output.messages": json.dumps([ANSWER]),
    }
    last = read(otlp(BARE | attributes, 1)).recordings["traces.jsonl"][-1]
    sent = json.loads(str(last.request_body))["input"]
    asked: list[Any] = [
        (step["id"], step["arguments"]["n"]) for step in sent if step["type"] == "function_call"
    ]
    results = [
        (step["call_id"], step["result"]) for step in sent if step["type"] == "function_result"
    ]
    assert asked == results
    assert [number for _, number in asked] == [1, 2]
    assert len(dict(asked)) == 2


def test_results_of_tools_that_the_service_ran() -> None:
    reader = MessageReader()
    call = {
        "type": "server_tool_call",
        "id": "s",
        "name": "code_execution",
        "server_tool_call": {"input": {}},
    }
    result = {
        "type": "server_tool_call_response",
        "id": "s",
        "server_tool_call_response": {"out": 1},
    }
    reader.add([{"role": "assistant", "parts": [call, result]}], "user")
    assert reader.steps[-1] == {
        "type": "code_execution_result",
        "call_id": "s",
        "result": {"out": 1},
    }


# OpenLLMetry.


def test_content_in_json_of_openllmetry() -> None:
    content = [{"type": "text", "text": "Hi"}]
    attributes = {
        "gen_ai.request.model": "m",
        "gen_ai.prompt.0.role": "user",
        "gen_ai.prompt.0.content": json.dumps(content),
        "gen_ai.completion.0.role": "assistant",
        "gen_ai.completion.0.content": "Hello",
    }
    assert said(otlp(attributes, 1)) == ([Q], [A])
    # What a user wrote as JSON stays as written.
    attributes["gen_ai.prompt.0.content"] = '[{"a": 1}]'
    assert said(otlp(attributes, 1))[0] == [("user", '[{"a": 1}]')]


def test_calls_beside_the_message_of_a_choice() -> None:
    function = {"name": "f", "arguments": '{"a": 1}'}
    choice = {
        "index": 0,
        "finish_reason": "tool_calls",
        "message": {"content": None},
        "tool_calls": [{"id": "c1", "type": "function", "function": function}],
    }
    documents = [
        otlp(BARE, 1),
        log("gen_ai.user.message", {"content": "Hi"}),
        log("gen_ai.choice", choice),
    ]
    assert said(*documents) == ([Q], [("call", "c1", "f", {"a": 1})])


def test_counts_under_their_other_names() -> None:
    attributes = {
        "openinference.span.kind": "LLM",
        "llm.model_name": "m",
        "llm.input_messages.0.message.role": "user",
        "llm.input_messages.0.message.content": "Hi",
        "llm.output_messages.0.message.role": "model",
        "llm.output_messages.0.message.contents.0.message_content.type": "reasoning",
        "llm.output_messages.0.message.contents.0.message_content.text": "Hm",
        "llm.output_messages.0.message.contents.0.message_content.signature": "c2ln",
        "llm.output_messages.0.message.contents.1.message_content.type": "text",
        "llm.output_messages.0.message.contents.1.message_content.text": "Hello",
        "llm.token_count.prompt": 7,
        "llm.token_count.completion": 2,
        "llm.token_count.prompt_details.cache_read": 4,
        "llm.token_count.completion_details.reasoning": 5,
        "llm.invocation_parameters": json.dumps({"max_output_tokens": 9}),
        "llm.finish_reason": "MAX_TOKENS",
    }
    request, response = only(otlp(attributes, 1))
    assert plain(response["steps"]) == [("thought", "Hm", "c2ln"), A]
    assert response["status"] == "incomplete"
    assert request["generation_config"] == {"max_output_tokens": 9}
    assert response["usage"] == {
        "total_input_tokens": 7,
        "total_output_tokens": 2,
        "total_cached_tokens": 4,
        "total_thought_tokens": 5,
    }


def test_otlp_with_the_names_of_the_fields() -> None:
    # As protobuf's JSON has them where the names of fields are preserved.
    document = otlp(
        {**BARE, "gen_ai.prompt": json.dumps([ASK]), "gen_ai.completion": "Hello", "n": [1]}, 1
    )
    text = json.dumps(document)
    for name in ("resource_spans", "scope_spans", "trace_id", "span_id", "start_time_unix_nano"):
        text = text.replace(camel(name), name)
    for name in ("end_time_unix_nano", "string_value", "array_value", "int_value"):
        text = text.replace(camel(name), name)
    (recording,) = read(json.loads(text)).recordings["traces.jsonl"]
    assert recording.elapsed_ms == 250
    assert json.loads(str(recording.request_body))["model"] == "m"


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))


# Vercel's AI SDK: attributes of its own, and the same parts in an export of Langfuse.

VERCEL: list[Json] = [
    {"role": "system", "content": "Be exact."},
    {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
    {
        "role": "assistant",
        "content": [
            {"type": "reasoning", "text": "Hm"},
            {"type": "tool-call", "toolCallId": "c1", "toolName": "f", "input": {"a": 1}},
        ],
    },
    {
        "role": "tool",
        "content": [
            {
                "type": "tool-result",
                "toolCallId": "c1",
                "toolName": "f",
                "output": {"type": "json", "value": {"b": 2}},
            }
        ],
    },
]
NEXT = [{"toolCallId": "c2", "toolName": "f", "input": '{"a": 2}'}]


@pytest.mark.parametrize(
    "document",
    [
        otlp(
            {
                "gen_ai.request.model": "m",
                "ai.prompt.messages": json.dumps(VERCEL),
                "ai.prompt.tools": [json.dumps({"type": "function", "name": "f"})],
                "ai.response.text": "Hello",
                "ai.response.toolCalls": json.dumps(NEXT),
            },
            1,
        ),
        generation(
            input=json.dumps(VERCEL),
            output=json.dumps({**ANSWER, "tool_calls": json.dumps(NEXT)}),
            toolDefinitions={"f": "{}"},
        ),
    ],
)
def test_parts_of_vercel(document: Json) -> None:
    last = read(document).recordings["traces.jsonl"][-1]
    request = json.loads(str(last.request_body))
    assert plain(request["input"]) == [
        Q,
        ("thought", "Hm", None),
        ("call", "c1", "f", {"a": 1}),
        ("result", "c1", {"b": 2}),
    ]
    assert plain(json.loads(str(last.body))["steps"]) == [A, ("call", "c2", "f", {"a": 2})]
    assert request["tools"] == [{"type": "function", "name": "f"}]
    assert request["system_instruction"] == "Be exact."


@pytest.mark.parametrize(
    "message",
    ["NotFoundError: Error code: 404 - {'error': {}}", "404 NOT_FOUND. {'error': {}}"],
)
def test_the_status_in_the_message_of_an_error(message: str) -> None:
    attributes = BARE | {"gen_ai.input.messages": json.dumps([ASK])}
    failed = otlp(attributes, 1, status={"code": "STATUS_CODE_ERROR", "message": message})
    (recording,) = read(failed).recordings["traces.jsonl"]
    assert recording.status == 404
