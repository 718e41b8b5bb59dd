"""Small cassettes for the tests of lint: valid ones, and parts that make one invalid."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from evalkit._lib.json import JSON
from evalkit.cassette.format import render
from evalkit.cassette.recording import Cassette, Recording
from evalkit.lint import LintFinding, LintOptions, lint
from evalkit.protocol.stream_writer import sse_text

MODEL = "gemini-3.5-flash"
URI = "https://generativelanguage.googleapis.com/v1beta/interactions"
KEY = "AIza" + "Sy0123456789abcdefghijklmnopqrstuvw"


def create_request(**fields: JSON) -> dict[str, JSON]:
    """A create request."""
    return {"model": MODEL, "input": "Hi", **fields}


def interaction(
    *steps: JSON,
    id: str | None = "v1_a",  # noqa: A002
    status: str = "completed",
    **fields: JSON,
) -> dict[str, JSON]:
    """An interaction; without steps, a greeting of the model."""
    all_steps = list(steps) or [model_output("Hello")]
    return {
        **({"id": id} if id else {}),
        "object": "interaction",
        "status": status,
        "model": MODEL,
        "steps": all_steps,
        **fields,
    }


def model_output(content: str, **fields: JSON) -> dict[str, JSON]:
    """A model's text."""
    return {"type": "model_output", "content": [{"type": "text", "text": content, **fields}]}


def function_call(id: str | None = "c1", name: str = "weather", **fields: JSON) -> dict[str, JSON]:  # noqa: A002
    """A function call."""
    return {
        "type": "function_call",
        "id": id,
        "name": name,
        "arguments": {"city": "Oslo"},
        **fields,
    }


def function_result(call_id: str = "c1") -> dict[str, JSON]:
    """A function's result."""
    return {"type": "function_result", "call_id": call_id, "name": "weather", "result": "22"}


def thought(signature: str = "EvEF") -> dict[str, JSON]:
    """A thought."""
    return {"type": "thought", "signature": signature}


def user_input(content: str = "Hi") -> dict[str, JSON]:
    """A user's message."""
    return {"type": "user_input", "content": [{"type": "text", "text": content}]}


def recording(
    request: JSON,
    response: JSON,
    *,
    uri: str = URI,
    method: str = "POST",
    status: int = 200,
    **fields: Any,
) -> Recording:
    """A recording whose bodies are JSON (None: no body; strings are used unchanged)."""
    defaults: dict[str, Any] = {
        "request_headers": {"content-type": ["application/json"]},
        "response_headers": {"content-type": ["application/json"]},
        "elapsed_ms": 10.0,
        **fields,
    }
    return Recording(
        method,
        uri,
        request if request is None or isinstance(request, str) else json.dumps(request),
        status=status,
        reason="OK",
        body=response if isinstance(response, str) else json.dumps(response),
        **defaults,
    )


def stream_recording(
    events: str | Iterable[JSON], request: JSON = None, **fields: Any
) -> Recording:
    """A recording of a stream: events, or its text."""
    body = events if isinstance(events, str) else "".join(sse_text([*events]))
    defaults = {"response_headers": {"content-type": ["text/event-stream"]}, **fields}
    return recording(create_request(stream=True) if request is None else request, body, **defaults)


CREATED = {
    "event_type": "interaction.created",
    "interaction": {"id": "v1_a", "status": "in_progress", "object": "interaction"},
}
START = {"event_type": "step.start", "index": 0, "step": {"type": "model_output"}}
DELTA = {"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": "Hello"}}
STOP = {"event_type": "step.stop", "index": 0}
COMPLETED = {
    "event_type": "interaction.completed",
    "interaction": {"id": "v1_a", "status": "completed"},
}
VALID_STREAM = (CREATED, START, DELTA, STOP, COMPLETED)


def png(width: int = 1) -> str:
    """An image, as Base64."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    raw = zlib.compress(b"\0" + b"\xff\0\0" * width)
    data = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, 1, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", raw)
        + chunk(b"IEND", b"")
    )
    return base64.b64encode(data).decode()


def image(data: str, mime_type: str = "image/png") -> dict[str, JSON]:
    """An image of the model."""
    return {
        "type": "model_output",
        "content": [{"type": "image", "data": data, "mime_type": mime_type}],
    }


def write(path: Path, *recordings: Recording, metadata: dict[str, JSON] | None = None) -> Path:
    """Write a cassette."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(Cassette(list(recordings), metadata or {})), encoding="utf-8")
    return path


def lint_findings(*paths: Path, **options: Any) -> list[LintFinding]:
    """Return the findings of files and folders."""
    return lint(list(paths), LintOptions(**options)).findings


def lint_codes(*paths: Path, **options: Any) -> list[str]:
    """Return the codes of all findings, in order."""
    return [finding.code for finding in lint_findings(*paths, **options)]
