"""A fake of the Interactions API in memory: a function from Request to Response, answering at random within the protocol.

No socket, no clock, no thread: every choice is drawn from Hypothesis, so a failing conversation shrinks to the least the service had to do.
``FakeService.log`` keeps what the service really answered, as plain values from before they went on the wire; whoever read them back from
a stream or a poll can be held against it. It takes a request as the service does (protocol section 2) and does not verify histories: that
is what the log is for.
"""

from __future__ import annotations

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
    "calls": "functions are called, several at a time",
    "undeclared_calls": "functions that were not declared are called too",
    "completed_calls": "a completed answer holds new calls",
    "idle_calls": "a run that failed or ran out leaves calls behind that nobody waits for",
    "echoes": "an answer repeats a call that was answered",
    "statuses": "runs end as failed, incomplete, cancelled, budget_exceeded, or in a way nobody knows",
    "continuation": "answers stop at the decode limit and ask to be continued",
    "endless_continuation": "the same continuation token comes again",
    "api_errors": "requests are refused, in every shape of error there is",
    "broken": "bodies and streams break off",
    "stream_errors": "a stream ends in an error event",
    "wrong_kind": "a stream is answered with JSON, or JSON with a page of HTML",
    "missing_ids": "calls and stored answers lack their id",
}
"""What a service may do beside plain answers; each can be left out."""

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
REFUSALS: tuple[tuple[int, str, str], ...] = (
    (
        400,
        JSON_TYPE,
        '{"error": {"code": "invalid_request", "message": "Request contains an invalid argument."}}',
    ),
    (
        400,
        JSON_TYPE,
        '{"error": {"code": 400, "message": "Invalid JSON payload.", "status": "INVALID_ARGUMENT"}}',
    ),
    (429, JSON_TYPE, '{"error": {"code": "rate_limit_exceeded", "message": "Slow down."}}'),
    (503, HTML_TYPE, "<html><head><title>Service Unavailable</title></head></html>"),
    (500, JSON_TYPE, ""),
)


@dataclass
class ServiceLogEntry:
    """What the service answered to one POST: None where it refused.

    ``waiting`` are the calls it waits for, ``delivered`` says whether the client could read the answer whole, at once or by a later GET.
    """

    request: Request
    interaction: dict[str, JSON] | None = None
    waiting: list[dict[str, JSON]] = field(default_factory=list)
    delivered: bool = False


@dataclass
class _Run:
    answer: ServiceLogEntry
    polls: int
    stored: dict[str, JSON]


class FakeService:
    """The API as a function: ``service(request) -> Response``.

    ``draw`` is Hypothesis' (``data.draw``, or the argument of a composite strategy); ``behaviors`` are words of ``BEHAVIORS``, each shown
    about one time in ``rarity`` where it could be.
    """

    def __init__(
        self, draw: Draw, behaviors: Collection[str] = tuple(BEHAVIORS), rarity: int = 20
    ) -> None:
        self.log: list[ServiceLogEntry] = []
        self._draw = draw
        self._behaviors = frozenset(behaviors)
        self._chance = st.sampled_from((False,) * (rarity - 1) + (True,))
        self._runs: dict[str, _Run] = {}
        self._answered: list[dict[str, JSON]] = []
        self._open: list[dict[str, JSON]] = []
        self._count = 0

    def __call__(self, request: Request) -> Response:
        """Answer one request."""
        head, _, tail = request.path.partition("/interactions")
        if not head.startswith("/v") or self._sometimes("api_errors"):
            status, kind, text = self._one_of(REFUSALS)
            if request.method == "POST":
                self.log.append(ServiceLogEntry(request))
            return Response(status, {"content-type": kind}, text)
        if request.method == "POST" and not tail:
            return self._create(request)
        return self._get(unquote(tail[1:]))

    def _create(self, request: Request) -> Response:
        body = request.body
        answer = ServiceLogEntry(request)
        self.log.append(answer)
        problem = self._problem(body)
        if problem is not None:
            return _refuse(*problem)
        interaction = answer.interaction = self._interaction(body, answer)
        id_ = interaction.get("id")
        if body.get("background") and id_:
            self._runs[id_] = _Run(
                answer,
                self._number(0, 4),
                {**interaction, "steps": [*_input_steps(body), *interaction["steps"]]},
            )
            if not body.get("stream"):
                return self._running(interaction)
        elif id_:
            self._runs[id_] = _Run(answer, 0, interaction)
        return self._deliver(answer, interaction)

    def _get(self, id_: str) -> Response:
        run = self._runs.get(id_)
        if run is None:
            return _refuse(404, "not_found", f"Interaction {id_} not found.")
        if run.polls:
            run.polls -= 1
            return self._running(run.stored)
        if self._sometimes("broken"):
            return self._broken_json(dumps(run.stored))
        run.answer.delivered = True
        return _json(run.stored)

    def _problem(self, body: dict[str, JSON]) -> tuple[int, str, str] | None:
        previous = body.get("previous_interaction_id")
        if ("model" in body) == ("agent" in body):
            return 400, "invalid_request", "Exactly one of 'model' and 'agent' is required."
        if body.get("store") is False and (body.get("background") or previous is not None):
            return 400, "invalid_request", "'store' is required here."
        if "input" not in body and "continuation_token" not in body:
            return 400, "invalid_request", "'input' is required."
        if previous is not None and previous not in self._runs:
            return 404, "not_found", f"Interaction {previous} not found."
        return None

    def _interaction(self, body: dict[str, JSON], answer: ServiceLogEntry) -> dict[str, JSON]:
        self._take_results(body)
        made = self._draw(st.lists(_NOISE_STEPS, max_size=2))
        status = self._status(body)
        if status == "requires_action" or (
            status == "completed" and self._sometimes("completed_calls")
        ):
            answer.waiting = [self._call(body, status) for _ in range(self._number(1, 3))]
            self._open = answer.waiting
            self._mix(made, answer.waiting)
        elif status in ENDS and self._sometimes("idle_calls"):
            self._mix(made, [self._call(body, status)])
        if (
            self._answered
            and status in ("completed", "requires_action")
            and self._sometimes("echoes")
        ):
            made.insert(0, self._one_of(self._answered))
        interaction: dict[str, JSON] = {
            "status": status,
            "steps": made,
            "object": "interaction",
            "usage": {"total_tokens": self._number(0, 99)},
        }
        interaction.update({key: body[key] for key in ("model", "agent") if key in body})
        if status == "requires_continuation":
            interaction["continuation_token"] = (
                "again" if self._sometimes("endless_continuation") else self._new("token")
            )
        if "environment" in body:
            known = str(body["environment"])
            interaction["environment_id"] = known if known.startswith("env_") else self._new("env")
        if body.get("store") is not False:
            if not self._sometimes("missing_ids"):
                interaction["id"] = self._new("v1")
        elif self._sometimes("missing_ids"):
            interaction["id"] = ""
        return interaction

    def _status(self, body: dict[str, JSON]) -> str:
        likely = ["completed"]
        functions = any(tool.get("type") == "function" for tool in body.get("tools") or ())
        if functions and "calls" in self._behaviors:
            likely += ["requires_action"] * 2
        if "continuation" in self._behaviors and "agent" not in body and not body.get("background"):
            likely.append("requires_continuation")
        if self._sometimes("statuses"):
            likely = list(ENDS)
        return self._one_of(likely)

    def _call(self, body: dict[str, JSON], status: str) -> dict[str, JSON]:
        names = [tool["name"] for tool in body.get("tools") or () if tool.get("type") == "function"]
        name = (
            "undeclared"
            if not names or self._sometimes("undeclared_calls")
            else self._one_of(names)
        )
        call = {
            "type": "function_call",
            "id": self._new("call"),
            "name": name,
            "arguments": self._draw(json_objects()),
        }
        # Without an id a new call cannot be told from an old one, unless the status says that one waits.
        if status == "requires_action" and self._sometimes("missing_ids"):
            del call["id"]
        return call

    def _take_results(self, body: dict[str, JSON]) -> None:
        given = body.get("input")
        results = (
            [step for step in given if step.get("type") == "function_result"]
            if isinstance(given, list)
            else []
        )
        if results:
            self._answered += [call for call in self._open if "id" in call]
            self._open = []

    def _mix(self, made: list[dict[str, JSON]], calls: list[dict[str, JSON]]) -> None:
        for call in calls:
            made.append(call)
            if self._number(0, 3) == 3:
                made.append(self._draw(_NOISE_STEPS))

    def _deliver(self, answer: ServiceLogEntry, interaction: dict[str, JSON]) -> Response:
        streamed = bool(answer.request.body.get("stream"))
        if self._sometimes("wrong_kind"):
            if not streamed:
                return Response(
                    200, {"content-type": HTML_TYPE}, "<html>Sign in to this network</html>"
                )
            streamed = False
        broken = self._sometimes("broken")
        if not streamed:
            if broken:
                return self._broken_json(dumps(interaction))
            answer.delivered = True
            return _json(interaction)
        frames = sse_text(
            events_of(interaction, event_ids=False, words_per_delta=2), done=self._number(0, 1) == 0
        )
        whole = next(
            number
            for number, frame in enumerate(frames)
            if frame.startswith("event: interaction.completed")
        )
        if broken:
            cut = self._number(0, whole)
            rest = frames[cut][: self._number(0, len(frames[cut]) // 2)]
            return Response(
                200,
                {"content-type": SSE_TYPE},
                "".join(frames[:cut]) + rest,
                broken=self._one_of((None, "peer closed")),
            )
        if self._sometimes("stream_errors"):
            error = 'event: error\ndata: {"event_type": "error", "error": {"code": "gateway_timeout", "message": "late"}}\n\n'
            return Response(
                200, {"content-type": SSE_TYPE}, "".join(frames[: self._number(0, whole)]) + error
            )
        answer.delivered = True
        return Response(200, {"content-type": SSE_TYPE}, "".join(frames))

    def _running(self, interaction: dict[str, JSON]) -> Response:
        shown = {
            key: interaction[key]
            for key in ("id", "object", "model", "agent", "environment_id")
            if key in interaction
        }
        return _json({**shown, "status": self._one_of(("in_progress", "queued"))})

    def _broken_json(self, text: str) -> Response:
        return Response(
            200,
            {"content-type": JSON_TYPE},
            text[: self._number(0, len(text) - 1)],
            broken="peer closed",
        )

    def _sometimes(self, behavior: str) -> bool:
        return behavior in self._behaviors and self._draw(self._chance)

    def _number(self, low: int, high: int) -> int:
        return self._draw(st.integers(low, high))

    def _one_of(self, values: Collection[T]) -> T:
        return self._draw(st.sampled_from(list(values)))

    def _new(self, kind: str) -> str:
        self._count += 1
        return f"{kind}_{self._count}"


_NOISE_STEPS: SearchStrategy[dict[str, Any]] = steps(NOISE)


def _json(body: JSON) -> Response:
    return Response(200, {"content-type": JSON_TYPE}, dumps(body))


def _refuse(status: int, code: str, message: str) -> Response:
    return Response(
        status, {"content-type": JSON_TYPE}, dumps({"error": {"code": code, "message": message}})
    )


def _input_steps(body: dict[str, JSON]) -> list[dict[str, JSON]]:
    """The client's steps as a stored interaction shows them before the model's (protocol section 1.1)."""
    given = body.get("input", [])
    if isinstance(given, str):
        return [{"type": "user_input", "content": [{"type": "text", "text": given}]}]
    if any(item.get("type") in ("user_input", "function_result") for item in given):
        return list(given)
    return [{"type": "user_input", "content": given}]
