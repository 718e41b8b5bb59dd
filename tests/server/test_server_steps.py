"""Every step type in a script, with and without stream: both give the same steps."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from evalkit.protocol.sse import read_events
from evalkit.protocol.step_types import (
    CALL_OF,
    CONTENT_TYPES,
    REQUIRED_FIELDS,
    RESULT_OF,
    STEP_TYPES,
)
from evalkit.protocol.stream_assembler import assemble

DATA = base64.b64encode(b"data").decode()
CITED = [
    {
        "type": "url_citation",
        "url": "https://example.com",
        "title": "t",
        "start_index": 0,
        "end_index": 3,
    }
]
STEPS: list[tuple[str, dict[str, Any], list[str]]] = [
    ("user_input", {"content": [{"type": "text", "text": "hi"}]}, []),
    (
        "model_output",
        {"content": [{"type": "text", "text": "one two", "annotations": CITED}]},
        ["text", "text", "text_annotation_delta"],
    ),
    (
        "thought",
        {"summary": [{"type": "text", "text": "hm"}]},
        ["thought_summary", "thought_signature"],
    ),
    ("function_call", {"name": "f", "arguments": {"a": 1, "b": [None]}}, ["arguments_delta"]),
    (
        "function_result",
        {"result": {"a": None}, "name": "f", "is_error": False},
        ["function_result"],
    ),
    (
        "code_execution_call",
        {"arguments": {"language": "python", "code": "1"}, "signature": "c2ln"},
        ["code_execution_call"],
    ),
    ("code_execution_result", {"result": "1\n", "is_error": True}, ["code_execution_result"]),
    (
        "google_search_call",
        {"arguments": {"queries": ["q"]}, "search_type": "web_search"},
        ["google_search_call"],
    ),
    (
        "google_search_result",
        {"result": [{"search_suggestions": "<b>"}], "is_error": False},
        ["google_search_result"],
    ),
    ("url_context_call", {"arguments": {"urls": ["https://example.com"]}}, ["url_context_call"]),
    (
        "url_context_result",
        {"result": [{"url": "https://example.com", "status": "paywall"}]},
        ["url_context_result"],
    ),
    ("google_maps_call", {"arguments": {"queries": ["q"]}}, ["google_maps_call"]),
    (
        "google_maps_result",
        {"result": [{"places": [{"name": "n", "place_id": "places/1"}]}]},
        ["google_maps_result"],
    ),
    ("file_search_call", {"signature": "c2ln"}, ["file_search_call"]),
    ("file_search_result", {"result": [{"text": "found"}]}, ["file_search_result"]),
    (
        "retrieval_call",
        {"arguments": {"queries": ["q"]}, "retrieval_type": "rag_store"},
        ["retrieval_call"],
    ),
    ("retrieval_result", {"is_error": False, "signature": "c2ln"}, ["retrieval_result"]),
    ("tool_search_call", {"arguments": {"function_names": ["f"]}}, ["tool_search_call"]),
    ("tool_search_result", {"result": [{"type": "function", "name": "f"}]}, ["tool_search_result"]),
    ("processing_call", {"signature": "c2ln"}, ["processing_call"]),
    ("processing_result", {"signature": "c2ln"}, ["processing_result"]),
    (
        "mcp_server_tool_call",
        {"name": "t", "server_name": "s", "arguments": {"x": {"y": 1}}},
        ["mcp_server_tool_call"],
    ),
    (
        "mcp_server_tool_result",
        {"result": {"ok": True}, "name": "t", "server_name": "s"},
        ["mcp_server_tool_result"],
    ),
]
MEDIA: list[tuple[str, dict[str, Any]]] = [
    ("image", {"data": DATA, "mime_type": "image/png"}),
    ("audio", {"data": DATA, "mime_type": "audio/wav", "sample_rate": 8000}),
    ("video", {"uri": "https://example.com/v.mp4", "mime_type": "video/mp4"}),
    ("document", {"data": DATA, "mime_type": "application/pdf"}),
]


def script_of(*steps: dict[str, Any]) -> str:
    return f"script: t\nrules: [{{steps: {json.dumps(list(steps))}}}]"


def both(client: Any, **fields: Any) -> tuple[list[Any], list[Any], list[Any]]:
    """Return the steps of an answer, those of its stream, and the events.

    Every request gets new ids, except with ``store``.
    """
    plain = client.create("go", **fields)["steps"]
    read = read_events("".join(client.create("go", stream=True, **fields)))
    created = assemble(read.events)
    assert (read.done, read.garbage, created.problems, created.complete) == (True, [], [], True)
    assert created.interaction is not None
    return plain, created.interaction["steps"], read.events


def bare(steps: list[Any]) -> list[Any]:
    """Return the steps without what differs by request: ids, and the signatures of thoughts."""
    return [
        {
            name: value
            for name, value in step.items()
            if name not in ("id", "call_id") and (name != "signature" or step["type"] != "thought")
        }
        for step in steps
    ]


def test_the_table_has_every_type() -> None:
    assert [row[0] for row in STEPS] == list(STEP_TYPES)
    assert [row[0] for row in MEDIA] == [kind for kind in CONTENT_TYPES if kind != "text"]


@pytest.mark.parametrize("store", [True, False], ids=["stored", "not stored"])
@pytest.mark.parametrize(("kind", "fields", "deltas"), STEPS, ids=[row[0] for row in STEPS])
def test_a_streamed_step_equals_the_unstreamed_one(
    scripted: Callable[[str], Any],
    kind: str,
    fields: dict[str, Any],
    deltas: list[str],
    store: bool,
) -> None:
    client = scripted(script_of({"type": kind, **fields}))
    plain, streamed, events = both(client, store=store)
    index = 0 if kind == "thought" else 1
    assert {name: value for name, value in plain[index].items() if name in fields} == fields
    assert bare(plain) == bare(streamed)
    assert ("signature" in plain[index]) is ("signature" in fields or kind == "thought")
    for name in REQUIRED_FIELDS[kind]:
        assert type(plain[index][name]) is type(streamed[index][name])
    if kind in RESULT_OF:
        assert plain[index]["id"]
        assert streamed[index]["id"]
    if kind in CALL_OF:
        assert plain[index]["call_id"]
    got = [
        event["delta"]["type"]
        for event in events
        if event["event_type"] == "step.delta" and event["index"] == index
    ]
    assert got == deltas
    starts = [event["step"]["type"] for event in events if event["event_type"] == "step.start"]
    assert starts[index] == kind


@pytest.mark.parametrize(("kind", "fields", "deltas"), STEPS, ids=[row[0] for row in STEPS])
def test_a_stored_step_equals_the_streamed_one(
    scripted: Callable[[str], Any], kind: str, fields: dict[str, Any], deltas: list[str]
) -> None:
    client = scripted(script_of({"type": kind, **fields}))
    frames = client.create("go", stream=True)
    created = assemble(read_events("".join(frames)).events).interaction
    assert created is not None
    listed = client.get(created["id"])
    assert listed["steps"][1:] == created["steps"]
    assert client.get(created["id"], stream="true") == frames


@pytest.mark.parametrize(("kind", "fields"), MEDIA, ids=[row[0] for row in MEDIA])
def test_streamed_media_equal_unstreamed_media(
    scripted: Callable[[str], Any], kind: str, fields: dict[str, Any]
) -> None:
    block = {"type": kind, **fields}
    plain, streamed, events = both(
        scripted(
            script_of({"type": "model_output", "content": [{"type": "text", "text": "see"}, block]})
        )
    )
    assert plain[1] == streamed[1]
    assert plain[1]["content"][1] == block
    assert [
        event["delta"]["type"]
        for event in events
        if event["event_type"] == "step.delta" and event["index"] == 1
    ] == ["text", kind]


def test_all_types_in_one_answer(scripted: Callable[[str], Any]) -> None:
    client = scripted(
        script_of(
            *(
                {"type": kind, **fields}
                for kind, fields, _ in STEPS
                if kind not in ("user_input", "thought")
            )
        )
    )
    _, _, events = both(client)
    assert all(event.get("event_type") and event.get("event_id") for event in events)
    assert all(event["delta"]["type"] for event in events if event["event_type"] == "step.delta")
    assert all(event["step"]["type"] for event in events if event["event_type"] == "step.start")
    order = [event["event_type"] for event in events]
    assert (order[0], order[1], order[-1]) == (
        "interaction.created",
        "interaction.status_update",
        "interaction.completed",
    )
    steps = client.create("go")["steps"]
    calls = {step["id"]: step["type"] for step in steps if step["type"] in RESULT_OF}
    assert len(calls) == len(RESULT_OF)
    for step in steps:
        if step["type"] in CALL_OF:
            assert calls[step["call_id"]] == CALL_OF[step["type"]]


def test_arguments_are_streamed_as_their_json(scripted: Callable[[str], Any]) -> None:
    _, _, events = both(
        scripted(script_of({"type": "function_call", "name": "f", "arguments": {"é": [1, None]}}))
    )
    (start,) = (
        event["step"]
        for event in events
        if event["event_type"] == "step.start" and event["index"] == 1
    )
    (delta,) = (
        event["delta"]
        for event in events
        if event["event_type"] == "step.delta" and event["index"] == 1
    )
    assert (start["arguments"], start["name"], start["signature"]) == ({}, "f", "")
    assert json.loads(delta["arguments"]) == {"é": [1, None]}


@pytest.mark.parametrize("kind", [kind for kind in STEP_TYPES if REQUIRED_FIELDS[kind]])
def test_required_fields_that_a_script_omits_are_added(
    scripted: Callable[[str], Any], kind: str
) -> None:
    step = scripted(script_of({"type": kind})).create("go")["steps"][1]
    for name in REQUIRED_FIELDS[kind]:
        assert step[name] is not None
        assert isinstance(step[name], dict if name == "arguments" else list | str)


def test_content_that_is_a_text_becomes_a_list(scripted: Callable[[str], Any]) -> None:
    step = scripted(script_of({"type": "model_output", "content": "hi"})).create("go")["steps"][1]
    assert step["content"] == [{"type": "text", "text": "hi"}]


@pytest.mark.parametrize(
    ("kind", "fields"), [row[:2] for row in STEPS if row[0] not in ("user_input", "function_call")]
)
def test_every_step_can_be_sent_back_to_any_server(
    kind: str, fields: dict[str, Any], scripted: Callable[..., Any]
) -> None:
    text = script_of({"type": kind, **fields}, {"text": "done"})
    history: list[Any] = [{"type": "user_input", "content": "go"}]
    history += scripted(text).create(history, store=False)["steps"]
    history += [{"type": "user_input", "content": "on"}]
    if kind == "function_result":
        assert (
            "which is not in the conversation"
            in scripted(text).create(history, store=False)["error"]["message"]
        )
        return
    assert scripted(text).create(history, store=False)["status"] == "completed"
    history[2 if kind != "thought" else 1]["mine"] = 1
    body = scripted(text, strict=True).create(history, store=False)
    assert body["error"]["message"].startswith(
        f"input[{2 if kind != 'thought' else 1}]: this {kind} "
    )
