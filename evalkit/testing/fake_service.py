"""A fake of the Interactions API in memory.

It is a function from Request to Response. It responds at random within the protocol, without
socket, clock or thread. Each choice is drawn from Hypothesis, so a failing conversation shrinks to
the simplest one. ``FakeService.log`` has what the service really did, as plain values from before
they were serialized, for comparison with what a client read from streams and polls. It validates
requests like the service (docs/protocol.md section 2), but not histories: the log is there for
checking those.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import unquote

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from evalkit._lib.json import JSON, dumps
from evalkit.protocol.stream_writer import events_of, sse_text
from evalkit.testing.strategies import Draw, json_objects, steps
from evalkit.transcript import Request, Response

T = TypeVar("T")

BEHAVIORS: dict[str, str] = {
    "calls": "calls functions, several at a time",
    "undeclared_calls": "calls functions that were not declared",
    "completed_calls": "calls functions in a completed interaction",
    "idle_calls": "leaves calls without a result in a run that failed or ran out",
    "echoes": "repeats a call that already has a result",
    "statuses": "ends runs as failed, incomplete, cancelled, budget_exceeded, or unknown",
    "continuation": "stops at the decode limit and asks to be continued",
    "endless_continuation": "sends the same continuation token again",
    "api_errors": "refuses requests, in every form of error",
    "broken": "breaks off bodies and streams",
    "stream_errors": "ends a stream with an error event",
    "wrong_kind": "sends JSON in place of a stream, or HTML in place of JSON",
    "missing_ids": "omits the ids of calls and of stored interactions",
}
"""What a service does besides plain responses; each can be left out."""

NOISE = (
    "thought",
    "model_output",
    "google_search_call",
    "google_search_result",
    "code_execution_call",
    "code_execution_result",
    "mcp_server_tool_call",
    "url_context_call",
)
ENDS = ("failed", "incomplete", "cancelled", "budget_exceeded", "x_paused")
JSON_TYPE, SSE_TYPE, HTML_TYPE = "application/json; charset=UTF-8", "text/event-stream", "text/html"
ERRORS: tuple[tuple[int, str, str], ...] = (
    (
        400,
        JSON_TYPE,
        '{"error": {"code": "invalid_request", '
        '"message": "Request contains an invalid argument."}}',
    ),
    (
        400,
        JSON_TYPE,
        '{"error": {"code": 400, "message": "Invalid JSON payload.", '
        '"status": "INVALID_ARGUMENT"}}',
    ),
    (429, JSON_TYPE, '{"error": {"code": "rate_limit_exceeded", "message": "Slow down."}}'),
    (503, HTML_TYPE, "<html><head><title>Service Unavailable</title></head></html>"),
    (500, JSON_TYPE, ""),
)
_STREAM_ERROR = (
    "event: error\n"
    'data: {"event_type": "error", "error": {"code": "gateway_timeout", "message": "late"}}\n\n'
)


@dataclass
class ServiceLogEntry:
    """What the service did for one POST; ``interaction`` is None after an error.

    ``waiting`` are the calls whose results it needs; ``delivered`` is whether the client could read
    the complete interaction, at once or by a later GET; ``polls`` is how often a GET will find it
    still running.
    """

    request: Request
    interaction: dict[str, JSON] | None = None
    waiting: list[dict[str, JSON]] = field(default_factory=list)
    delivered: bool = False
    polls: int = 0


class FakeService:
    """The API as a function: ``service(request) -> Response``.

    ``draw`` is Hypothesis's (``data.draw``, or the argument of a composite strategy). ``behaviors``
    are keys of ``BEHAVIORS``; each occurs about once in ``rarity`` occasions.
    """

    def __init__(
        self, draw: Draw, behaviors: Collection[str] = tuple(BEHAVIORS), rarity: int = 20
    ) -> None:
        self.log: list[ServiceLogEntry] = []
        self._draw = draw
        self._behaviors = frozenset(behaviors)
        self._chance = st.sampled_from((False,) * (rarity - 1) + (True,))
        self._stored: dict[str, ServiceLogEntry] = {}
        self._finished_calls: list[dict[str, JSON]] = []
        self._open_calls: list[dict[str, JSON]] = []
        self._count = 0

    def __call__(self, request: Request) -> Response:
        """Respond to one request."""
        version, _, rest = request.path.partition("/interactions")
        if not version.startswith("/v") or self._sometimes("api_errors"):
            status, content_type, text = self._one_of(ERRORS)
            if request.method == "POST":
                self.log.append(ServiceLogEntry(request))
            return Response(status, {"content-type": content_type}, text)
        if request.method == "POST" and not rest:
            return self._create(request)
        return self._get(unquote(rest[1:]))

    def _create(self, request: Request) -> Response:
        body = request.body
        entry = ServiceLogEntry(request)
        self.log.append(entry)
        error = self._validate(body)
        if error is not None:
            return error
        interaction = entry.interaction = self._interaction(body, entry)
        if interaction.get("id"):
            self._stored[interaction["id"]] = entry
            if body.get("background"):
                entry.polls = self._number(0, 4)
                if not body.get("stream"):
                    return self._running(interaction)
        return self._deliver(entry, interaction)

    def _get(self, id_: str) -> Response:
        entry = self._stored.get(id_)
        if entry is None or entry.interaction is None:
            return _error(404, f"Interaction {id_} not found.")
        if entry.polls:
            entry.polls -= 1
            return self._running(entry.interaction)
        stored = entry.interaction
        if entry.request.body.get("background"):
            stored = {**stored, "steps": [*_input_steps(entry.request.body), *stored["steps"]]}
        return self._send(entry, stored)

    def _validate(self, body: dict[str, JSON]) -> Response | None:
        previous = body.get("previous_interaction_id")
        needs_store = body.get("background") or previous is not None
        has_input = "input" in body or "continuation_token" in body
        is_unknown = previous is not None and previous not in self._stored
        rules = (
            (("model" in body) == ("agent" in body), 400, "Give one of 'model' and 'agent'."),
            (body.get("store") is False and needs_store, 400, "'store' is required here."),
            (not has_input, 400, "'input' is required."),
            (is_unknown, 404, f"Interaction {previous} not found."),
        )
        return next((_error(status, text) for is_broken, status, text in rules if is_broken), None)

    def _interaction(self, body: dict[str, JSON], entry: ServiceLogEntry) -> dict[str, JSON]:
        value = body.get("input")
        if isinstance(value, list) and any(step.get("type") == "function_result" for step in value):
            self._finished_calls += [call for call in self._open_calls if "id" in call]
            self._open_calls = []
        new_steps = self._draw(st.lists(_NOISE_STEPS, max_size=2))
        status = self._status(body)
        if status == "requires_action" or (
            status == "completed" and self._sometimes("completed_calls")
        ):
            entry.waiting = [self._call(body, status) for _ in range(self._number(1, 3))]
            self._open_calls = entry.waiting
            self._add_calls(new_steps, entry.waiting)
        elif status in ENDS and self._sometimes("idle_calls"):
            self._add_calls(new_steps, [self._call(body, status)])
        may_echo = self._finished_calls and status in ("completed", "requires_action")
        if may_echo and self._sometimes("echoes"):
            new_steps.insert(0, self._one_of(self._finished_calls))
        interaction: dict[str, JSON] = {
            "status": status,
            "steps": new_steps,
            "object": "interaction",
            "usage": {"total_tokens": self._number(0, 99)},
            **{key: body[key] for key in ("model", "agent") if key in body},
        }
        if status == "requires_continuation":
            is_endless = self._sometimes("endless_continuation")
            interaction["continuation_token"] = "again" if is_endless else self._new_id("token")
        if "environment" in body:
            environment = str(body["environment"])
            is_known = environment.startswith("env_")
            interaction["environment_id"] = environment if is_known else self._new_id("env")
        has_id = body.get("store") is not False
        if self._sometimes("missing_ids"):
            # Without storage an empty id may be present; with storage the id may be missing.
            interaction.update({} if has_id else {"id": ""})
        elif has_id:
            interaction["id"] = self._new_id("v1")
        return interaction

    def _status(self, body: dict[str, JSON]) -> str:
        statuses = ["completed"]
        if _function_names(body) and "calls" in self._behaviors:
            statuses += ["requires_action"] * 2
        may_continue = "agent" not in body and not body.get("background")
        if may_continue and "continuation" in self._behaviors:
            statuses.append("requires_continuation")
        if self._sometimes("statuses"):
            statuses = list(ENDS)
        return self._one_of(statuses)

    def _call(self, body: dict[str, JSON], status: str) -> dict[str, JSON]:
        names = _function_names(body)
        if not names or self._sometimes("undeclared_calls"):
            names = ["undeclared"]
        call = {
            "type": "function_call",
            "id": self._new_id("call"),
            "name": self._one_of(names),
            "arguments": self._draw(json_objects()),
        }
        # A client can tell a new call without an id from an old one only by this status.
        if status == "requires_action" and self._sometimes("missing_ids"):
            del call["id"]
        return call

    def _add_calls(self, new_steps: list[dict[str, JSON]], calls: list[dict[str, JSON]]) -> None:
        for call in calls:
            new_steps.append(call)
            if self._number(0, 3) == 3:
                new_steps.append(self._draw(_NOISE_STEPS))

    def _deliver(self, entry: ServiceLogEntry, interaction: dict[str, JSON]) -> Response:
        is_stream = bool(entry.request.body.get("stream"))
        if self._sometimes("wrong_kind"):
            if is_stream:
                return self._send(entry, interaction)
            text = "<html>Sign in to this network</html>"
            return Response(200, {"content-type": HTML_TYPE}, text)
        return (self._stream if is_stream else self._send)(entry, interaction)

    def _send(self, entry: ServiceLogEntry, interaction: dict[str, JSON]) -> Response:
        response = _json_response(interaction)
        if self._sometimes("broken"):
            response.text = response.text[: self._number(0, len(response.text) - 1)]
            response.broken = "peer closed"
        else:
            entry.delivered = True
        return response

    def _stream(self, entry: ServiceLogEntry, interaction: dict[str, JSON]) -> Response:
        events = events_of(interaction, event_ids=False, words_per_delta=2)
        frames = sse_text(events, done=self._number(0, 1) == 0)
        response = Response(200, {"content-type": SSE_TYPE}, "".join(frames))
        # Up to here an interaction is incomplete.
        end = [frame.startswith("event: interaction.completed") for frame in frames].index(True)
        if self._sometimes("broken"):
            cut = self._number(0, end)
            rest = frames[cut][: self._number(0, len(frames[cut]) // 2)]
            response.text = "".join(frames[:cut]) + rest
            response.broken = self._one_of((None, "peer closed"))
        elif self._sometimes("stream_errors"):
            response.text = "".join(frames[: self._number(0, end)]) + _STREAM_ERROR
        else:
            entry.delivered = True
        return response

    def _running(self, interaction: dict[str, JSON]) -> Response:
        keys = ("id", "object", "model", "agent", "environment_id")
        visible = {key: interaction[key] for key in keys if key in interaction}
        return _json_response({**visible, "status": self._one_of(("in_progress", "queued"))})

    def _sometimes(self, behavior: str) -> bool:
        return behavior in self._behaviors and self._draw(self._chance)

    def _number(self, low: int, high: int) -> int:
        return self._draw(st.integers(low, high))

    def _one_of(self, values: Collection[T]) -> T:
        return self._draw(st.sampled_from(list(values)))

    def _new_id(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}_{self._count}"


_NOISE_STEPS: SearchStrategy[dict[str, Any]] = steps(NOISE)


def _json_response(body: JSON, status: int = 200) -> Response:
    return Response(status, {"content-type": JSON_TYPE}, dumps(body))


def _error(status: int, message: str) -> Response:
    code = "not_found" if status == 404 else "invalid_request"
    return _json_response({"error": {"code": code, "message": message}}, status)


def _function_names(body: dict[str, JSON]) -> list[str]:
    return [tool["name"] for tool in body.get("tools") or () if tool.get("type") == "function"]


def _input_steps(body: dict[str, JSON]) -> list[dict[str, JSON]]:
    """Return the client's steps, which a stored interaction has before the model's."""
    value = body.get("input", [])
    if isinstance(value, str):
        return [{"type": "user_input", "content": [{"type": "text", "text": value}]}]
    if any(item.get("type") in ("user_input", "function_result") for item in value):
        return list(value)
    return [{"type": "user_input", "content": value}]
