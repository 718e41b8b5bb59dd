"""What happened in a variant: turns, exchanges, the timeline of steps, timings. Values only; raw JSON is the truth.

Every room above speaks in these: the conversation engine makes a Transcript, transports answer a Request with a Response, checks read,
results and reports print. Nothing here interprets a step beyond its ``type``: typed reading is ``evalkit.protocol``'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from evalkit._lib.json import JSON, loads

Source = Literal["replayed", "recorded", "live"]
Outcome = Literal["completed", "api_error", "incomplete", "not_run"]


class Request(NamedTuple):
    """One HTTP request, without host and key: both belong to the transport.

    ``path`` starts with the API version, e.g. ``/v1beta/interactions``. ``body`` is a JSON value; None sends no body.
    """

    method: str
    path: str
    body: JSON = None
    query: tuple[tuple[str, str], ...] = ()

    @property
    def streamed(self) -> bool:
        """Whether the answer is asked for as server-sent events."""
        return bool(
            (isinstance(self.body, dict) and self.body.get("stream"))
            or ("stream", "true") in self.query
        )

    def to_json(self) -> dict[str, Any]:
        """Return the request as it stands in a result line."""
        out: dict[str, Any] = {"method": self.method, "path": self.path, "body": self.body}
        if self.query:
            out["query"] = [list(pair) for pair in self.query]
        return out


@dataclass(slots=True)
class Response:
    """One HTTP response as received. ``text`` is the decoded body (JSON text, SSE text or anything); header names are lower case.

    ``elapsed_ms`` and ``event_ms`` (arrival of each server-sent event since the request) were measured where the exchange was live, and
    come from the cassette in replay. ``broken`` says why the body ended early; None means it is whole.
    """

    status: int
    headers: dict[str, str]
    text: str
    elapsed_ms: float | None = None
    event_ms: tuple[float, ...] = ()
    broken: str | None = None
    source: Source = "live"

    @property
    def is_stream(self) -> bool:
        """Whether the body is server-sent events, by its content type."""
        return self.headers.get("content-type", "").startswith("text/event-stream")

    def json(self) -> JSON:
        """Parse the body. Raises ValueError where it is not JSON."""
        return loads(self.text)


class ApiError(NamedTuple):
    """An error the API answered: HTTP status, code (the API's string, or the gateway's number as text) and message (protocol section 7)."""

    status: int
    code: str
    message: str
    body: JSON = None

    def to_json(self) -> dict[str, Any]:
        """Return the error as it stands in a result line."""
        return {"status": self.status, "code": self.code, "message": self.message}


@dataclass(slots=True)
class Exchange:
    """One request and what came back. ``number`` counts from 1 over the conversation; ``turn`` is the turn's number.

    ``interaction`` is the raw Interaction: as answered, or as assembled from ``events`` (raw JSON of the stream's events).
    ``problems`` name what is wrong in a stream: ``{"code", "message", "event"}``, ``event`` counting from 1. ``error`` is an API error in
    the answer or in the stream, ``failure`` says why no usable answer came at all (transport, broken body, not JSON).
    """

    number: int
    turn: int
    request: Request
    response: Response | None = None
    interaction: dict[str, JSON] | None = None
    events: list[JSON] | None = None
    problems: list[dict[str, JSON]] = field(default_factory=list)
    error: ApiError | None = None
    failure: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the exchange as it stands in a result line; absent parts are left out."""
        out: dict[str, Any] = {"number": self.number, "request": self.request.to_json()}
        response = self.response
        if response is not None:
            answer: dict[str, Any] = {"status": response.status, "source": response.source}
            if self.events is not None:
                answer["events"] = self.events
            elif self.interaction is not None:
                answer["body"] = self.interaction
            else:
                answer["text"] = response.text
            if response.elapsed_ms is not None:
                answer["elapsed_ms"] = response.elapsed_ms
            if response.event_ms:
                answer["event_ms"] = list(response.event_ms)
            if response.broken:
                answer["broken"] = response.broken
            out["response"] = answer
        if self.problems:
            out["problems"] = self.problems
        if self.error is not None:
            out["error"] = self.error.to_json()
        if self.failure:
            out["failure"] = self.failure
        return out


class Step(NamedTuple):
    """One entry of a turn's timeline: the raw step, who made it, and in which exchange it was received (model) or sent (client)."""

    raw: dict[str, JSON]
    origin: Literal["model", "client"]
    exchange: int

    @property
    def type(self) -> str:
        """The step's type, ``""`` where it has none."""
        kind = self.raw.get("type")
        return kind if isinstance(kind, str) else ""

    def to_json(self) -> dict[str, Any]:
        """Return the entry as it stands in a result line."""
        return {"origin": self.origin, "exchange": self.exchange, "step": self.raw}


@dataclass(slots=True)
class Turn:
    """A user message and everything until the model stops needing tools.

    ``user`` are the content blocks sent. ``steps`` is the timeline without the user's message: what the model produced, in order, each
    ``function_result`` the client sent standing right after its call. ``status`` is the last interaction's status (``completed``,
    ``requires_action`` …), None where there was none. ``outcome``: ``completed``; ``api_error`` (``error`` tells); ``incomplete`` (transport, miss,
    tool rounds used up, tool crashed: ``reason`` tells); ``not_run`` (an earlier turn was not held).
    """

    number: int
    user: list[JSON]
    exchanges: list[Exchange] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    status: str | None = None
    outcome: Outcome = "completed"
    error: ApiError | None = None
    reason: str | None = None
    text: str = ""

    @property
    def interaction(self) -> dict[str, JSON] | None:
        """The raw Interaction that ended the turn, or None."""
        return next(
            (
                exchange.interaction
                for exchange in reversed(self.exchanges)
                if exchange.interaction is not None
            ),
            None,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the turn as it stands in a result line."""
        out: dict[str, Any] = {
            "number": self.number,
            "user": self.user,
            "outcome": self.outcome,
            "status": self.status,
            "text": self.text,
            "steps": [step.to_json() for step in self.steps],
            "exchanges": [exchange.to_json() for exchange in self.exchanges],
        }
        if self.error is not None:
            out["error"] = self.error.to_json()
        if self.reason is not None:
            out["reason"] = self.reason
        return out


@dataclass(slots=True)
class Transcript:
    """A whole conversation. ``settings`` are the variant's: ``history``, ``stream``, ``background`` and the fields sent with every request.

    ``crash`` is the exception of a conversation that broke off (CassetteMiss, TransportError, ToolCrashed); the turn it broke tells it too.
    ``judge_exchanges`` are the exchanges in which checks asked about the conversation; they are no part of it.
    """

    settings: dict[str, JSON] = field(default_factory=dict)
    turns: list[Turn] = field(default_factory=list)
    crash: Exception | None = None
    judge_exchanges: list[Exchange] = field(default_factory=list)

    @property
    def exchanges(self) -> Iterator[Exchange]:
        """Every exchange of every turn, in order."""
        return (exchange for turn in self.turns for exchange in turn.exchanges)

    @property
    def stateless(self) -> bool:
        """Whether the history is kept by the client."""
        return self.settings.get("history") == "stateless"
