"""A scripted service, tools with fixed results, and short builders for responses and plans."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evalkit._lib.json import dumps
from evalkit.conversation import CallTool, Plan, ToolResult, converse, drive
from evalkit.errors import CassetteMiss
from evalkit.transcript import Request, Response, Transcript, Turn

MODEL = "gemini-3.5-flash"


@dataclass
class Say:
    """A turn whose message is fixed, or rendered from the earlier turns."""

    what: Any

    def content(self, context: Mapping[str, Any]) -> str | list[dict[str, Any]]:
        content: str | list[dict[str, Any]] = (
            self.what(context) if callable(self.what) else self.what
        )
        return content


def plan(*turns: Any, **options: Any) -> Plan:
    fields = {"model": MODEL, **options.pop("fields", {})}
    return Plan(fields=fields, turns=[Say(turn) for turn in turns], **options)


@dataclass
class World:
    """The callbacks of a driver, which return scripted responses.

    A line that is an exception is raised. A request after the last line is a cassette miss.
    """

    lines: Sequence[Response | Exception]
    tools: Mapping[str, Any] = field(default_factory=dict)
    go_on: Callable[[Turn], bool] = lambda turn: True
    requests: list[Request] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    called: list[tuple[str, dict[str, Any], str | None]] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)

    def send(self, request: Request) -> Response:
        self.requests.append(request)
        if len(self.requests) > len(self.lines):
            raise CassetteMiss(f"nothing recorded for request {len(self.requests)}")
        line = self.lines[len(self.requests) - 1]
        if isinstance(line, Exception):
            raise line
        return line

    def call_tool(self, call: CallTool) -> ToolResult:
        name, arguments = call.name, call.arguments
        self.called.append((name, arguments, call.call_id))
        if name not in self.tools:
            return ToolResult(None, declared=False)
        result = self.tools[name]
        result = result(**arguments) if callable(result) else result
        if isinstance(result, Exception):
            raise result
        return result if isinstance(result, ToolResult) else ToolResult(result)

    def end_turn(self, turn: Turn) -> bool:
        self.ended.append(turn.number)
        return self.go_on(turn)

    def run(self, plan: Plan) -> Transcript:
        return drive(converse(plan), self.send, self.call_tool, self.pauses.append, self.end_turn)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [request.body for request in self.requests]


def answer(
    body: Any, *, status: int = 200, content_type: str = "application/json", **options: Any
) -> Response:
    text = body if isinstance(body, str) else dumps(body)
    return Response(status, {"content-type": content_type}, text, **options)


def interaction(*steps: dict[str, Any], status: str = "completed", **fields: Any) -> dict[str, Any]:
    """Return an Interaction without the fields that are None."""
    whole = {
        "id": "v1_one",
        "status": status,
        "object": "interaction",
        "model": MODEL,
        "steps": list(steps),
        **fields,
    }
    return {key: value for key, value in whole.items() if value is not None}


def says(*steps: dict[str, Any], **fields: Any) -> Response:
    return answer(interaction(*steps, **fields))


def stream(*events: Any, done: bool = True, **options: Any) -> Response:
    frames = [f"event: {event.get('event_type')}\ndata: {dumps(event)}\n\n" for event in events]
    if done:
        frames.append("event: done\ndata: [DONE]\n\n")
    return answer("".join(frames), content_type="text/event-stream", **options)


def streamed(
    *steps: dict[str, Any], status: str = "completed", **fields: Any
) -> list[dict[str, Any]]:
    """Return the stream events of an Interaction; ``step.start`` has the complete step."""
    whole = interaction(status=status, **fields)
    del whole["steps"]
    events: list[dict[str, Any]] = [
        {"event_type": "interaction.created", "interaction": {**whole, "status": "in_progress"}}
    ]
    for index, step in enumerate(steps):
        events += [
            {"event_type": "step.start", "index": index, "step": step},
            {"event_type": "step.stop", "index": index},
        ]
    return [*events, {"event_type": "interaction.completed", "interaction": whole}]


def text(message: str) -> dict[str, Any]:
    return {"type": "model_output", "content": [{"type": "text", "text": message}]}


def thought(signature: str = "c2ln") -> dict[str, Any]:
    return {"type": "thought", "signature": signature}


def call(name: str = "weather", call_id: Any = "call_1", **arguments: Any) -> dict[str, Any]:
    step = {"type": "function_call", "id": call_id, "name": name, "arguments": arguments}
    if call_id is None:
        del step["id"]
    return step


def result(
    message: str, name: str = "weather", call_id: Any = "call_1", **more: Any
) -> dict[str, Any]:
    step = {
        "type": "function_result",
        "name": name,
        "call_id": call_id,
        "result": [{"type": "text", "text": message}],
        **more,
    }
    if call_id is None:
        del step["call_id"]
    return step


def user(message: str) -> dict[str, Any]:
    return {"type": "user_input", "content": [{"type": "text", "text": message}]}
