"""One conversation of two turns, the first with a tool, as each source of traces records it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

MODEL = "gemini-3.5-flash"
SYSTEM = "Be exact."
SCHEMA = {"type": "object", "properties": {"number": {"type": "string"}}}
START = 1_780_000_000_000_000_000
SECOND = 10**9
Message = dict[str, Any]


def calls(marker: str = "", order: str = "A7") -> Iterator[tuple[list[Message], Message]]:
    """Yield each call as OpenAI's messages: the whole history, and the answer."""
    call = {"id": f"c{marker}", "type": "function"}
    call["function"] = {"name": "find_order", "arguments": json.dumps({"number": order})}  # type: ignore[assignment]
    answers: list[list[Message]] = [
        [
            {"role": "user", "content": f"Where is order {order}?{marker}"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
        ],
        [
            {"role": "tool", "tool_call_id": call["id"], "content": '{"state": "sent"}'},
            {"role": "assistant", "content": "It was sent."},
        ],
        [
            {"role": "user", "content": "Thanks!"},
            {"role": "assistant", "content": "You are welcome."},
        ],
    ]
    history: list[Message] = []
    for *sent, answer in answers:
        history += sent
        yield list(history), answer
        history.append(answer)


def parts(message: Message) -> Message:
    """Return a message in the conventions of 2026."""
    items: list[Message] = []
    if message["role"] == "tool":
        items = [
            {
                "type": "tool_call_response",
                "id": message["tool_call_id"],
                "response": json.loads(message["content"]),
            }
        ]
    elif message["content"]:
        items = [{"type": "text", "content": message["content"]}]
    for call in message.get("tool_calls", ()):
        arguments = json.loads(call["function"]["arguments"])
        name = call["function"]["name"]
        items.append({"type": "tool_call", "id": call["id"], "name": name, "arguments": arguments})
    return {"role": message["role"], "parts": items}


def value(item: Any) -> dict[str, Any]:
    match item:
        case bool():
            return {"boolValue": item}
        case int():
            return {"intValue": str(item)}
        case float():
            return {"doubleValue": item}
        case list():
            return {"arrayValue": {"values": [value(one) for one in item]}}
        case dict():
            return {"kvlistValue": {"values": pairs(item)}}
        case _:
            return {"stringValue": item}


def pairs(attributes: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": value(one)} for key, one in attributes.items() if one is not None]


def otlp(attributes: dict[str, Any], number: int, *, trace: str = "", **span: Any) -> Any:
    """Return a request with one span."""
    whole = {
        "traceId": trace or "ab" * 16,
        "spanId": f"{number:016x}",
        "name": f"chat {MODEL}",
        "startTimeUnixNano": str(START + number * SECOND),
        "endTimeUnixNano": str(START + number * SECOND + SECOND // 4),
        "attributes": pairs(attributes),
        **span,
    }
    resource = {"attributes": pairs({"service.name": "shop"})}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [whole]}]}]}


REQUEST = {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": MODEL,
    "gen_ai.request.temperature": 0.5,
}
FUNCTION = {"name": "find_order", "description": "Finds an order.", "parameters": SCHEMA}


def current(number: int, sent: list[Message], answer: Message) -> dict[str, Any]:
    messages = [parts(one) for one in sent]
    return {
        **REQUEST,
        "gen_ai.conversation.id": "conv-1",
        "gen_ai.system_instructions": json.dumps([{"type": "text", "content": SYSTEM}]),
        "gen_ai.input.messages": json.dumps(messages),
        "gen_ai.output.messages": json.dumps([{**parts(answer), "finish_reason": "stop"}]),
        "gen_ai.tool.definitions": json.dumps([{"type": "function", **FUNCTION}]),
        "gen_ai.usage.input_tokens": 10 + number,
        "gen_ai.usage.output_tokens": 3,
        "gen_ai.response.id": f"resp-{number}",
        "gen_ai.response.finish_reasons": ["stop"],
    }


def structured(number: int, sent: list[Message], answer: Message) -> dict[str, Any]:
    """The same with messages as structured attributes."""
    flat = current(number, sent, answer)
    names = ("system_instructions", "input.messages", "output.messages", "tool.definitions")
    return flat | {f"gen_ai.{name}": json.loads(flat[f"gen_ai.{name}"]) for name in names}


def openllmetry(number: int, sent: list[Message], answer: Message) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        "gen_ai.system": "Google",
        "gen_ai.request.model": MODEL,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.usage.prompt_tokens": 10,
        "gen_ai.usage.completion_tokens": 3,
        "llm.request.functions.0.name": "find_order",
        "llm.request.functions.0.description": "Finds an order.",
        "llm.request.functions.0.parameters": json.dumps(SCHEMA),
    }
    for prefix, messages in (
        ("gen_ai.prompt", [{"role": "system", "content": SYSTEM}, *sent]),
        ("gen_ai.completion", [answer]),
    ):
        for index, message in enumerate(messages):
            at = f"{prefix}.{index}"
            for key in ("role", "content", "tool_call_id"):
                attributes[f"{at}.{key}"] = message.get(key)
            for place, call in enumerate(message.get("tool_calls", ())):
                attributes[f"{at}.tool_calls.{place}.id"] = call["id"]
                for key, one in call["function"].items():
                    attributes[f"{at}.tool_calls.{place}.{key}"] = one
    return attributes


def openinference(number: int, sent: list[Message], answer: Message) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        "openinference.span.kind": "LLM",
        "llm.model_name": MODEL,
        "llm.invocation_parameters": json.dumps({"temperature": 0.5}),
        "llm.token_count.prompt": 10,
        "llm.token_count.completion": 3,
        "llm.tools.0.tool.json_schema": json.dumps({"type": "function", "function": FUNCTION}),
    }
    for prefix, messages in (
        ("llm.input_messages", [{"role": "system", "content": SYSTEM}, *sent]),
        ("llm.output_messages", [answer]),
    ):
        for index, message in enumerate(messages):
            at = f"{prefix}.{index}.message"
            for key in ("role", "content", "tool_call_id"):
                attributes[f"{at}.{key}"] = message.get(key)
            for place, call in enumerate(message.get("tool_calls", ())):
                name = f"{at}.tool_calls.{place}.tool_call"
                attributes[f"{name}.id"] = call["id"]
                for key, one in call["function"].items():
                    attributes[f"{name}.function.{key}"] = one
    return attributes


def span_events(number: int, sent: list[Message], answer: Message) -> Any:
    """A span whose messages are events, as the conventions had them in 2024 and 2025."""
    events = [
        {"name": f"gen_ai.{one['role']}.message", "attributes": pairs(_event(one))}
        for one in [{"role": "system", "content": SYSTEM}, *sent]
    ]
    choice = {"index": 0, "finish_reason": "stop", "message": json.dumps(answer)}
    events.append({"name": "gen_ai.choice", "attributes": pairs(choice)})
    tools = {"gen_ai.tool.definitions": json.dumps([{"type": "function", "function": FUNCTION}])}
    return otlp({**REQUEST, **tools}, number, events=events)


def _event(message: Message) -> dict[str, Any]:
    calls = message.get("tool_calls")
    return {
        "role": message["role"],
        "content": message["content"],
        "id": message.get("tool_call_id"),
        "tool_calls": json.dumps(calls) if calls else None,
    }


def log_events(number: int, sent: list[Message], answer: Message) -> list[Any]:
    """A span without messages, and an event in the logs that has them."""
    whole = current(number, sent, answer)
    content = {key: one for key, one in whole.items() if "messages" in key or "system_i" in key}
    bare = {key: one for key, one in whole.items() if key not in content}
    del bare["gen_ai.conversation.id"]
    record = {
        "traceId": "ab" * 16,
        "spanId": f"{number:016x}",
        "timeUnixNano": str(START + number * SECOND),
        "eventName": "gen_ai.client.inference.operation.details",
        "attributes": pairs(content),
    }
    return [
        otlp(bare, number),
        {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]},
    ]


def langfuse(number: int, sent: list[Message], answer: Message) -> dict[str, Any]:
    return {
        "id": f"obs-{number}",
        "traceId": "trace-1",
        "sessionId": "session-1",
        "type": "GENERATION",
        "name": "chat",
        "startTime": f"2026-05-29T13:46:{number:02}.000Z",
        "endTime": f"2026-05-29T13:46:{number:02}.250Z",
        "model": MODEL,
        "modelParameters": {"temperature": 0.5},
        "input": {
            "messages": [{"role": "system", "content": SYSTEM}, *sent],
            "tools": [{"type": "function", "function": FUNCTION}],
        },
        "output": answer,
        "usageDetails": {"input": 10, "output": 3, "total": 13},
        "level": "DEFAULT",
        "metadata": {"team": "support"},
    }


def langfuse_row(number: int, sent: list[Message], answer: Message) -> dict[str, Any]:
    """A row of the export to a blob storage: other names, and texts for objects."""
    row = langfuse(number, sent, answer)
    return {
        "id": row["id"],
        "trace_id": "trace-1",
        "session_id": "session-1",
        "type": "GENERATION",
        "start_time": f"2026-05-29 13:46:{number:02}.000000",
        "end_time": f"2026-05-29 13:46:{number:02}.250000",
        "provided_model_name": MODEL,
        "model_parameters": json.dumps(row["modelParameters"]),
        "input": json.dumps(row["input"]),
        "output": json.dumps(row["output"]),
        "usage_details": row["usageDetails"],
    }


def langsmith(number: int, sent: list[Message], answer: Message) -> dict[str, Any]:
    """A run of LangChain: serialized messages, and generations."""
    return {
        "id": f"run-{number}",
        "trace_id": f"root-{number}",
        "run_type": "llm",
        "name": "ChatModel",
        "start_time": f"2026-05-29T13:46:{number:02}.000000",
        "end_time": f"2026-05-29T13:46:{number:02}.250000",
        "session_id": "the-project",
        "inputs": {
            "messages": [
                [serialized(one) for one in [{"role": "system", "content": SYSTEM}, *sent]]
            ]
        },
        "outputs": {"generations": [[{"text": "", "message": serialized(answer)}]]},
        "prompt_tokens": 10,
        "completion_tokens": 3,
        "extra": {
            "metadata": {"ls_model_name": MODEL, "thread_id": "thread-1"},
            "invocation_params": {
                "temperature": 0.5,
                "tools": [{"type": "function", "function": FUNCTION}],
            },
        },
    }


def serialized(message: Message) -> dict[str, Any]:
    names = {"system": "System", "user": "Human", "assistant": "AI", "tool": "Tool"}
    kwargs: dict[str, Any] = {"content": message["content"] or ""}
    if "tool_call_id" in message:
        kwargs["tool_call_id"] = message["tool_call_id"]
    kwargs["tool_calls"] = [
        {
            "id": call["id"],
            "type": "tool_call",
            "name": call["function"]["name"],
            "args": json.loads(call["function"]["arguments"]),
        }
        for call in message.get("tool_calls", ())
    ]
    name = f"{names[message['role']]}Message"
    return {
        "lc": 1,
        "type": "constructor",
        "id": ["langchain", "schema", "messages", name],
        "kwargs": kwargs,
    }


def logfire(number: int, sent: list[Message], answer: Message) -> dict[str, Any]:
    attributes = current(number, sent, answer)
    del attributes["gen_ai.tool.definitions"]
    schema = {"parameters_json_schema": SCHEMA, "description": "Finds an order."}
    tools = {"function_tools": [{"name": "find_order", **schema}]}
    return {
        "trace_id": "0123",
        "span_id": f"{number:04x}",
        "span_name": "chat",
        "start_timestamp": f"2026-05-29T13:46:{number:02}.000000Z",
        "end_timestamp": f"2026-05-29T13:46:{number:02}.250000Z",
        "attributes": {**attributes, "model_request_parameters": json.dumps(tools)},
        "otel_resource_attributes": {"service.name": "shop"},
        "otel_status_message": None,
    }


def contents(number: int, sent: list[Message], answer: Message) -> dict[str, Any]:
    """A generation of Langfuse with the bodies of Gemini's generateContent."""
    row = langfuse(number, sent, answer)
    row["input"] = {
        "contents": [_gemini(one) for one in sent],
        "systemInstruction": {"parts": [{"text": SYSTEM}]},
        "config": {"tools": [{"functionDeclarations": [FUNCTION]}]},
    }
    row["output"] = {"candidates": [{"content": _gemini(answer), "finishReason": "STOP"}]}
    return row


def _gemini(message: Message) -> dict[str, Any]:
    items: list[Message] = []
    if message["role"] == "tool":
        state = json.loads(message["content"])
        items = [{"functionResponse": {"name": "find_order", "response": state}}]
    elif message["content"]:
        items = [{"text": message["content"]}]
    for call in message.get("tool_calls", ()):
        arguments = json.loads(call["function"]["arguments"])
        items.append({"functionCall": {"name": "find_order", "args": arguments}})
    return {"role": "model" if message["role"] == "assistant" else "user", "parts": items}


def each(record: Callable[[int, list[Message], Message], Any]) -> list[Any]:
    return [record(number, *call) for number, call in enumerate(calls(), 1)]


def spans(attributes: Callable[[int, list[Message], Message], Any]) -> list[Any]:
    return [otlp(attributes(number, *call), number) for number, call in enumerate(calls(), 1)]


def only_new(number: int, sent: list[Message], answer: Message) -> dict[str, Any]:
    """A call that sends only what is new, as with a stored conversation."""
    return current(number, sent[-1:], answer)


def last_only() -> list[Any]:
    """The last call alone, which repeats the whole conversation."""
    return spans(current)[-1:]


def columns(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {"columns": [{"name": name, "values": [r[name] for r in rows]} for name in rows[0]]}


def console(number: int, sent: list[Message], answer: Message) -> dict[str, Any]:
    """What OpenTelemetry's SDK for Python prints."""
    return {
        "name": "chat",
        "context": {"trace_id": "0x01", "span_id": f"0x{number:02}", "trace_state": "[]"},
        "start_time": f"2026-05-29T13:46:{number:02}.000000Z",
        "end_time": f"2026-05-29T13:46:{number:02}.250000Z",
        "status": {"status_code": "UNSET"},
        "attributes": current(number, sent, answer),
        "events": [],
        "resource": {"attributes": {"service.name": "shop"}},
    }


FORMATS: dict[str, list[Any]] = {
    "current": spans(current),
    "structured": spans(structured),
    "only new": spans(only_new),
    "last only": last_only(),
    "OpenLLMetry": spans(openllmetry),
    "OpenInference": spans(openinference),
    "span events": each(span_events),
    "log events": [one for both in each(log_events) for one in both],
    "Langfuse": each(langfuse),
    "Langfuse rows": each(langfuse_row),
    "Langfuse trace": [{"id": "trace-1", "sessionId": "s", "observations": each(langfuse)}],
    "Langfuse page": [{"data": each(langfuse), "meta": {"cursor": None}}],
    "Gemini contents": each(contents),
    "LangSmith": each(langsmith),
    "Logfire": [{"rows": each(logfire)}],
    "Logfire columns": [columns(each(logfire))],
    "console": each(console),
}
"""The same conversation as documents of each format."""
