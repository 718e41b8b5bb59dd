"""Streams of a service, each with the steps of the same response without a stream.

Texts and signatures are invented.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field

from evalkit._lib.json import JSON


def created(id_: str = "v1_one", **more: JSON) -> dict[str, JSON]:
    partial = {"id": id_, "status": "in_progress", "object": "interaction", "model": "m-1", **more}
    return {"interaction": partial, "event_type": "interaction.created"}


def running(id_: str = "v1_one", status: str = "in_progress") -> dict[str, JSON]:
    return {"interaction_id": id_, "status": status, "event_type": "interaction.status_update"}


def start(index: int, type_: str, **fields: JSON) -> dict[str, JSON]:
    return {"index": index, "step": {"type": type_, **fields}, "event_type": "step.start"}


def delta(index: int, type_: str, **fields: JSON) -> dict[str, JSON]:
    return {"index": index, "delta": {**fields, "type": type_}, "event_type": "step.delta"}


def stop(index: int, **fields: JSON) -> dict[str, JSON]:
    return {"index": index, "event_type": "step.stop", **fields}


def completed(id_: str = "v1_one", status: str = "completed", **fields: JSON) -> dict[str, JSON]:
    whole = {
        "id": id_,
        "status": status,
        "object": "interaction",
        "model": "m-1",
        "usage": {"total_tokens": 9},
        **fields,
    }
    return {"interaction": whole, "event_type": "interaction.completed"}


def failed(code: JSON = "gateway_timeout", message: str = "too slow") -> dict[str, JSON]:
    return {"event_type": "error", "error": {"code": code, "message": message}}


def frame(event: JSON, eol: str = "\n") -> str:
    return (
        f"event: {event['event_type']}{eol}data: {json.dumps(event, ensure_ascii=False)}{eol}{eol}"
    )


def body(events: list[JSON], done: bool = True, eol: str = "\n") -> str:
    return "".join(frame(event, eol) for event in events) + (
        f"event: done{eol}data: [DONE]{eol}{eol}" if done else ""
    )


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


@dataclass
class Stream:
    """A body, its steps, the codes of its problems, and whether it is complete."""

    name: str
    text: str
    steps: list[JSON]
    codes: list[str] = field(default_factory=list)
    complete: bool = True

    def __str__(self) -> str:
        return self.name


THOUGHT: list[JSON] = [
    start(0, "thought"),
    delta(0, "thought_signature", signature="U2lnbmVk"),
    stop(0),
]
THOUGHT_STEP: dict[str, JSON] = {"type": "thought", "signature": "U2lnbmVk"}

PLAIN: list[JSON] = [
    created(),
    running(),
    *THOUGHT,
    start(1, "model_output"),
    delta(1, "text", text="Two "),
    delta(1, "text", text="dogs."),
    stop(1),
]
PLAIN_STEPS: list[JSON] = [
    THOUGHT_STEP,
    {"type": "model_output", "content": [{"type": "text", "text": "Two dogs."}]},
]

ANNOTATIONS: list[JSON] = [
    {
        "type": "url_citation",
        "url": "https://go.example/r?1",
        "title": "a.example",
        "start_index": 0,
        "end_index": 9,
    },
    {
        "type": "url_citation",
        "url": "https://go.example/r?2",
        "title": "b.example",
        "start_index": 0,
        "end_index": 9,
    },
]
SEARCH: list[JSON] = [
    created(""),
    running(""),
    *THOUGHT,
    start(1, "model_output"),
    delta(1, "text", text="Spain wo"),
    delta(1, "text", text="n. Yes."),
    delta(1, "text_annotation_delta", annotations=ANNOTATIONS),
    stop(1),
    start(2, "google_search_call", id="s1", arguments={}, signature="", search_type="web_search"),
    delta(2, "google_search_call", arguments={"queries": ["who won"]}, signature=""),
    stop(2),
    start(3, "google_search_result", call_id="s1", signature=""),
    delta(
        3,
        "google_search_result",
        result=[{"search_suggestions": "<style>a{}</style><b>who</b>"}],
        is_error=False,
        signature="c2Vhcg==",
    ),
    stop(3),
    completed("", service_tier="standard"),
]
SEARCH_STEPS: list[JSON] = [
    THOUGHT_STEP,
    {
        "type": "model_output",
        "content": [{"type": "text", "text": "Spain won. Yes.", "annotations": ANNOTATIONS}],
    },
    {
        "type": "google_search_call",
        "id": "s1",
        "arguments": {"queries": ["who won"]},
        "signature": "",
        "search_type": "web_search",
    },
    {
        "type": "google_search_result",
        "call_id": "s1",
        "result": [{"search_suggestions": "<style>a{}</style><b>who</b>"}],
        "is_error": False,
        "signature": "c2Vhcg==",
    },
]

CALLS: list[JSON] = [
    created(),
    running(),
    *THOUGHT,
    start(1, "function_call", id="c1", name="get_weather", arguments={}, signature=""),
    start(2, "function_call", id="c2", name="get_time", arguments={}, signature=""),
    delta(1, "arguments_delta", arguments='{"city": "Orlé'),
    delta(1, "arguments_delta", arguments='ans", "days": 1.0}'),
    stop(1),
    stop(2, usage={"total_tokens": 5}),
    completed(status="requires_action"),
]
CALL_STEPS: list[JSON] = [
    THOUGHT_STEP,
    {
        "type": "function_call",
        "id": "c1",
        "name": "get_weather",
        "arguments": {"city": "Orléans", "days": 1.0},
    },
    {"type": "function_call", "id": "c2", "name": "get_time", "arguments": {}},
]

MEDIA: list[JSON] = [
    created(),
    start(0, "thought", summary=[{"type": "text", "text": "Draw."}]),
    delta(0, "thought_summary", content={"type": "text", "text": "Then sing."}),
    stop(0),
    start(1, "model_output", content=[{"type": "text", "text": "Look"}]),
    delta(1, "text", text=": "),
    delta(1, "image", data=base64_of(b"\x89PNG"), mime_type="image/png"),
    delta(1, "audio", data=base64_of(b"ab"), mime_type="audio/l16", sample_rate=24000),
    delta(1, "audio", data=base64_of(b"cde"), mime_type="audio/l16", sample_rate=24000),
    delta(1, "audio", data=base64_of(b"f"), mime_type="audio/l16"),
    delta(1, "audio", data=base64_of(b"other"), mime_type="audio/wav"),
    delta(1, "document", uri="https://files.example/a.pdf", mime_type="application/pdf"),
    delta(1, "text", text="end"),
    stop(1),
    completed(),
]
MEDIA_STEPS: list[JSON] = [
    {
        "type": "thought",
        "summary": [{"type": "text", "text": "Draw."}, {"type": "text", "text": "Then sing."}],
    },
    {
        "type": "model_output",
        "content": [
            {"type": "text", "text": "Look: "},
            {"type": "image", "data": base64_of(b"\x89PNG"), "mime_type": "image/png"},
            {
                "type": "audio",
                "data": base64_of(b"abcdef"),
                "mime_type": "audio/l16",
                "sample_rate": 24000,
            },
            {"type": "audio", "data": base64_of(b"other"), "mime_type": "audio/wav"},
            {
                "type": "document",
                "uri": "https://files.example/a.pdf",
                "mime_type": "application/pdf",
            },
            {"type": "text", "text": "end"},
        ],
    },
]

FUTURE: list[JSON] = [
    created(),
    {"event_type": "interaction.weighed", "grams": 4},
    start(0, "daydream", mood="blue", signature=""),
    delta(0, "daydream", depth=3, arguments={"a": 1}),
    delta(0, "sparkle", colour="red"),
    delta(0, "text", text="clouds"),
    stop(0),
    completed(),
    {"event_type": "interaction.archived"},
]
FUTURE_STEPS: list[JSON] = [
    {
        "type": "daydream",
        "mood": "blue",
        "signature": "",
        "depth": 3,
        "arguments": {"a": 1},
        "content": [{"type": "text", "text": "clouds"}],
    }
]

WHOLE: list[JSON] = [*PLAIN, completed()]

STREAMS = [
    Stream("plain", body(WHOLE), PLAIN_STEPS),
    Stream("without done", body(WHOLE, done=False), PLAIN_STEPS),
    Stream("CRLF", body(WHOLE, eol="\r\n"), PLAIN_STEPS),
    Stream("CR", body(WHOLE, eol="\r"), PLAIN_STEPS),
    Stream(
        "BOM and comments",
        "\ufeff: hi\n\n" + body(WHOLE).replace("data: ", ": ping\nid: 7\nretry: 5\ndata:"),
        PLAIN_STEPS,
    ),
    Stream("last blank line missing", body(WHOLE, done=False).rstrip("\n"), PLAIN_STEPS),
    Stream("text after done", body(WHOLE) + "data: {\n\n" + frame(failed()), PLAIN_STEPS),
    Stream(
        "data over several lines",
        body(WHOLE).replace(', "event_type"', ',\ndata: "event_type"'),
        PLAIN_STEPS,
    ),
    Stream("search after the text, no id", body(SEARCH), SEARCH_STEPS),
    Stream("overlapping function calls", body(CALLS), CALL_STEPS),
    Stream("media", body(MEDIA), MEDIA_STEPS),
    Stream("unknown types", body(FUTURE), FUTURE_STEPS),
    Stream("error event", body([*PLAIN, failed()]), PLAIN_STEPS, ["error_event"], complete=False),
    Stream(
        "bare error line",
        body(PLAIN, done=False)
        + '{"error":{"message":"Request has an invalid argument.","code":"invalid_request"}}\n',
        PLAIN_STEPS,
        ["error_event"],
        complete=False,
    ),
    Stream(
        "bare error over several lines",
        body(PLAIN, done=False)
        + '{\n  "error": {\n    "code": 400,\n    "status": "INVALID_ARGUMENT"\n  }\n}\n\n',
        PLAIN_STEPS,
        ["error_event"],
        complete=False,
    ),
    Stream(
        "no completed", body(PLAIN, done=False), PLAIN_STEPS, ["completed_missing"], complete=False
    ),
]
