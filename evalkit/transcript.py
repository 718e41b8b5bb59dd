"""The record of a variant: turns, exchanges, the timeline of steps, timings. Values only.

Raw JSON is the source of truth: nothing here interprets a step beyond its ``type``;
``evalkit.protocol`` does. The engine builds a Transcript, transports turn a Request into a
Response, checks read, results and reports serialize.
"""

from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Literal, NamedTuple

from evalkit._lib.json import JSON, loads
from evalkit.protocol.api_errors import ApiError as ApiError
from evalkit.protocol.sse import is_event_stream

Source = Literal["replayed", "recorded", "live"]
Outcome = Literal["completed", "api_error", "incomplete", "not_run"]


class Request(NamedTuple):
    """One HTTP request, without host and key, which the transport adds.

    ``path`` starts with the API version, as in ``/v1beta/interactions``. ``body`` is a JSON value;
    None sends no body.
    """

    method: str
    path: str
    body: JSON = None
    query: tuple[tuple[str, str], ...] = ()

    @property
    def streamed(self) -> bool:
        """Whether the request asks for server-sent events."""
        body = self.body if isinstance(self.body, dict) else {}
        return bool(body.get("stream")) or ("stream", "true") in self.query

    @property
    def creates_interaction(self) -> bool:
        """Whether the request creates an interaction; a cancel, say, does not."""
        return (
            self.method == "POST"
            and isinstance(self.body, dict)
            and self.path.rstrip("/").endswith("/interactions")
        )

    def to_json(self) -> dict[str, Any]:
        """Return the request as result lines contain it."""
        out: dict[str, Any] = {"method": self.method, "path": self.path, "body": self.body}
        if self.query:
            out["query"] = [list(pair) for pair in self.query]
        return out


@dataclass(slots=True)
class Response:
    """One HTTP response as received.

    Header names are lower case. ``text`` is the decoded body: JSON, SSE or anything. ``elapsed_ms``
    and ``event_ms`` (arrival of each server-sent event after the request) were measured when the
    exchange was live; in replay they are those of the cassette. ``broken`` says why the body ended
    early; None means that it is whole.
    """

    status: int
    headers: dict[str, str]
    text: str
    _: KW_ONLY
    elapsed_ms: float | None = None
    event_ms: tuple[float, ...] = ()
    broken: str | None = None
    source: Source = "live"

    @property
    def is_stream(self) -> bool:
        """Whether the body is server-sent events, by its content type."""
        return is_event_stream(self.headers)

    def json(self) -> JSON:
        """Parse the body. Raises ValueError if it is not JSON."""
        return loads(self.text)


@dataclass(slots=True)
class Exchange:
    """One request and its response.

    ``number`` counts from 1 over the conversation, ``turn`` is the turn's number. ``interaction``
    is the raw Interaction: as received, or as assembled from ``events`` (raw JSON of the stream's
    events). ``problems`` of a stream are ``{"code", "message", "event"}``, ``event`` counting from
    1. ``error`` is an API error in the response or the stream. ``failure`` says why there is no
    usable response (transport, broken body, not JSON). ``resumed`` says that a later request
    continued its stream, so that its end is not the stream's.
    """

    number: int
    turn: int
    request: Request
    response: Response | None = None
    _: KW_ONLY
    interaction: dict[str, JSON] | None = None
    events: list[JSON] | None = None
    problems: list[dict[str, JSON]] = field(default_factory=list)
    error: ApiError | None = None
    failure: str | None = None
    resumed: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the exchange as result lines contain it, without absent parts."""
        out: dict[str, Any] = {"number": self.number, "request": self.request.to_json()}
        response = self.response
        if response is not None:
            received: dict[str, Any] = {"status": response.status, "source": response.source}
            if self.events is not None:
                received["events"] = self.events
            elif self.interaction is not None:
                received["body"] = self.interaction
            else:
                received["text"] = response.text
            if response.elapsed_ms is not None:
                received["elapsed_ms"] = response.elapsed_ms
            if response.event_ms:
                received["event_ms"] = list(response.event_ms)
            if response.broken:
                received["broken"] = response.broken
            out["response"] = received
        if self.problems:
            out["problems"] = self.problems
        if self.error is not None:
            out["error"] = self.error.to_json()
        if self.failure:
            out["failure"] = self.failure
        return out


class Step(NamedTuple):
    """One entry of a turn's timeline.

    ``exchange`` is the number of the exchange in which the model's step was received, or in which
    the client's was sent.
    """

    raw: dict[str, JSON]
    origin: Literal["model", "client"]
    exchange: int

    @property
    def type(self) -> str:
        """The step's type, ``""`` without one."""
        value = self.raw.get("type")
        return value if isinstance(value, str) else ""

    def to_json(self) -> dict[str, Any]:
        """Return the entry as result lines contain it."""
        return {"origin": self.origin, "exchange": self.exchange, "step": self.raw}


class SimulatedTurn(NamedTuple):
    """How a model that plays the user came to the message of a turn.

    ``user`` are the persona, the goal and the other settings of the simulated user. ``exchange`` is
    the number of the simulator's exchange that has the message. ``end`` says of the dialogue's last
    turn why it is the last: its condition is met, or it has as many turns as it may have; then
    ``reason`` is what the simulator says about it.
    """

    user: Mapping[str, JSON]
    exchange: int
    end: Literal["done", "max_turns"] | None = None
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as result lines contain it, without absent parts."""
        out: dict[str, Any] = {"user": dict(self.user), "exchange": self.exchange}
        if self.end is not None:
            out |= {"end": self.end, "reason": self.reason}
        return out


@dataclass(slots=True)
class Turn:
    """A user message and everything until the model needs no more tools.

    ``entry`` is the number of the suite's entry that it belongs to: its own number, except in a
    conversation with a simulated user, where one entry makes several turns. Then it is
    ``simulated``. ``user`` are the content blocks sent. ``steps`` is the timeline without the
    user's message: the model's steps in order, each ``function_result`` of the client right after
    its call. ``status`` is that of the last interaction (``completed``, ``requires_action``, …),
    None without one. ``outcome`` is one of:

    * ``completed``, with ``reason`` where the suite wanted calls to stay open;
    * ``api_error``, with ``error``;
    * ``incomplete``, with ``reason``: transport, miss, crashed tool, a limit;
    * ``not_run``, with ``reason``: an earlier turn ended the conversation.
    """

    number: int
    user: list[JSON]
    _: KW_ONLY
    exchanges: list[Exchange] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    status: str | None = None
    outcome: Outcome = "completed"
    error: ApiError | None = None
    reason: str | None = None
    text: str = ""
    entry: int = 0
    simulated: SimulatedTurn | None = None

    def __post_init__(self) -> None:
        self.entry = self.entry or self.number

    @property
    def ends_entry(self) -> bool:
        """Whether it is the last turn of its entry."""
        is_inner = self.simulated is not None and self.simulated.end is None
        return not is_inner or self.outcome != "completed"

    @property
    def history(self) -> list[dict[str, JSON]]:
        """The steps that a turn after it re-sends: the user's message, then its own."""
        message: dict[str, JSON] = {"type": "user_input", "content": self.user}
        return [message, *(step.raw for step in self.steps)]

    @property
    def interaction(self) -> dict[str, JSON] | None:
        """The last raw Interaction of the turn, or None."""
        for exchange in reversed(self.exchanges):
            if exchange.interaction is not None:
                return exchange.interaction
        return None

    def to_json(self) -> dict[str, Any]:
        """Return the turn as result lines contain it."""
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
        if self.entry != self.number:
            out["entry"] = self.entry
        if self.simulated is not None:
            out["simulated"] = self.simulated.to_json()
        return out


@dataclass(slots=True)
class Transcript:
    """A whole conversation.

    ``settings`` are the variant's: ``history``, ``stream``, ``background`` and the fields of every
    request. ``crash`` is the exception that ended the conversation (CassetteMiss, TransportError,
    ToolCrashed); the ``reason`` of its turn has the message. ``judge_exchanges`` are the requests
    of checks about the conversation, ``simulator_exchanges`` those for the messages of a simulated
    user; they are not part of it. ``locked`` says that each turn continues the turns of another
    conversation, and not those before it (``LockRecord`` of :mod:`evalkit.results.records`).
    """

    settings: dict[str, JSON] = field(default_factory=dict)
    turns: list[Turn] = field(default_factory=list)
    crash: Exception | None = None
    judge_exchanges: list[Exchange] = field(default_factory=list)
    simulator_exchanges: list[Exchange] = field(default_factory=list)
    locked: Mapping[str, JSON] | None = None

    @property
    def exchanges(self) -> Iterator[Exchange]:
        """Every exchange of every turn, in order."""
        return (exchange for turn in self.turns for exchange in turn.exchanges)

    @property
    def side_exchanges(self) -> list[Exchange]:
        """The exchanges beside the conversation: those of judges and of simulated users."""
        return [*self.simulator_exchanges, *self.judge_exchanges]

    def up_to(self, turn: Turn) -> list[Turn]:
        """Return the turns of a turn's entry until that turn: itself, or a simulated dialogue."""
        return [one for one in self.turns[: turn.number] if one.entry == turn.entry]

    @property
    def stateless(self) -> bool:
        """Whether the client stores the history."""
        return self.settings.get("history") == "stateless"
