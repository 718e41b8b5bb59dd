"""Reconstruct a conversation from its recordings alone, whichever client sent the requests. Pure.

The engine re-sends history exactly, so its own transcript proves nothing about a cassette that was
altered, or that another client recorded. Here the exchanges are used as recorded, for checks that
read exchanges (``history``, ``stream``). What a request does to the transcript:

| request | effect |
|---|---|
| POST that ends with a user's message | begins a turn |
| the same POST again, after an error | continues the turn whose request failed |
| POST with function results | adds them after their calls, by ``call_id``, else by order |
| POST with a ``continuation_token`` | continues the response before (section 8.3) |
| GET of a background run | its steps replace those so far (section 8.1) |
| GET with ``last_event_id`` | continues the stream of an earlier request (section 12) |
| GET of a completed interaction | an exchange without steps: nothing is new |
| POST …/cancel | sets the status |
| DELETE | an exchange, nothing else |
| a judge's or simulator's request | ignored, because it is about the conversation |
| anything but an interaction | ignored |

Exchanges are numbered from 1, without the ignored recordings. Sections: docs/protocol.md.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from evalkit._lib.json import JSON, loads_or
from evalkit.cassette.recording import Cassette, Recording
from evalkit.conversation.response_reader import read_response
from evalkit.conversation.side_requests import is_side_request
from evalkit.protocol.input_reader import input_steps
from evalkit.protocol.step_reader import (
    content_blocks,
    is_running,
    output_text,
    steps_of,
    strip_user_input,
    type_of,
)
from evalkit.protocol.stream_assembler import assemble_rest, events_until
from evalkit.transcript import Exchange, Request, Response, Source, Step, Transcript, Turn

_ROUTE = re.compile(r"(?:.*/)?interactions(?:/(?P<id>[^/]+))?(?P<cancel>/cancel)?/?")
_NOT_SETTINGS = frozenset(
    ("input", "previous_interaction_id", "continuation_token", "store", "stream", "background")
)


def transcript_of(cassette: Cassette) -> Transcript:
    """Return the one conversation of a cassette."""
    builder = TranscriptBuilder()
    for recording in cassette.recordings:
        builder.add(recording)
    return builder.transcript


def is_interaction(recording: Recording) -> bool:
    """Return whether a recording is a request to the interactions resource."""
    return _ROUTE.fullmatch(split_uri(recording.uri).path) is not None


def has_message(request: Request) -> bool:
    """Return whether a request sends a user's message, not only results or a continuation."""
    return _message(request) is not None


def split_uri(uri: str) -> SplitResult:
    """Split a recorded URI; an invalid one (``https://[x``) is all path."""
    try:
        return urlsplit(uri)
    except ValueError:
        return SplitResult("", "", uri, "", "")


def request_of(recording: Recording) -> Request:
    """Return a recorded request; a body that is not JSON becomes None."""
    uri, body = split_uri(recording.uri), recording.request_body
    value = loads_or(body, None) if body else None
    query = tuple(parse_qsl(uri.query, keep_blank_values=True))
    return Request(recording.method, uri.path, value, query)


def response_of(recording: Recording, source: Source = "replayed") -> Response:
    """Return a recorded response."""
    headers = recording.response_headers.items()
    text = recording.body
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    return Response(
        status=recording.status,
        headers={name.lower(): values[0] for name, values in headers if values},
        text=text,
        elapsed_ms=recording.elapsed_ms,
        event_ms=recording.event_ms,
        broken=recording.broken,
        source=source,
    )


@dataclass(slots=True)
class _Answer:
    """The steps of one response, and the client's results by the index of their call.

    ``is_hop`` says that it continues the response before. A later GET may resume its stream, of
    which ``streams`` are the parts and ``events`` those of all parts.
    """

    steps: list[Step] = field(default_factory=list)
    results: dict[int, Step] = field(default_factory=dict)
    events: list[JSON] = field(default_factory=list)
    streams: list[Exchange] = field(default_factory=list)
    is_running: bool = True
    is_hop: bool = False

    def timeline(self) -> list[Step]:
        steps = []
        for index, step in enumerate(self.steps):
            steps.append(step)
            if index in self.results:
                steps.append(self.results[index])
        return steps


class TranscriptBuilder:
    """Builds a transcript from recordings, one after the other; it is complete after each.

    Its ``settings`` are the fields of the first request. The history is stateless if every create
    request has ``store: false``. ``stream`` and ``background`` are true if any request has them.
    """

    def __init__(self) -> None:
        self.transcript = Transcript({"history": "stateful", "stream": False, "background": False})
        self._answers: dict[int, list[_Answer]] = {}
        self._by_id: dict[str, tuple[Turn, _Answer]] = {}
        self._results_sent: Counter[str | None] = Counter()
        self._stores: bool | None = None
        self._exchanges = 0

    def begin(self, user: list[JSON]) -> Turn:
        """Begin a turn."""
        turn = Turn(len(self.transcript.turns) + 1, user)
        self.transcript.turns.append(turn)
        self._answers[turn.number] = []
        return turn

    def add(
        self, recording: Recording, *, begins: bool = True, source: Source = "replayed"
    ) -> Exchange | None:
        """Read one more recording; return its exchange, None if it is ignored.

        With ``begins`` false a user's message begins no turn: the caller does that.
        """
        route = _ROUTE.fullmatch(split_uri(recording.uri).path)
        request = request_of(recording)
        if route is None or is_side_request(request):
            return None
        creates = request.method == "POST" and route["id"] is None
        turns = self.transcript.turns
        repeats = bool(turns) and _repeats(turns[-1], request)
        message = _message(request) if creates and begins and not repeats else None
        turn = self.begin(message or []) if message is not None or not turns else turns[-1]
        self._exchanges += 1
        exchange = Exchange(self._exchanges, turn.number, request)
        read_response(exchange, response_of(recording, source))
        turn.exchanges.append(exchange)
        if request.method == "DELETE":
            exchange.interaction = None
        elif creates:
            self._create(turn, exchange, repeats)
        elif route["cancel"]:
            self._cancel(exchange, unquote(route["id"]))
        elif request.method == "GET" and route["id"]:
            self._get(turn, exchange, unquote(route["id"]))
        return exchange

    def _create(self, turn: Turn, exchange: Exchange, repeats: bool) -> None:
        body = exchange.request.body if isinstance(exchange.request.body, dict) else {}
        self._read_settings(body)
        is_hop = bool(body.get("continuation_token"))
        if not is_hop and not repeats:
            self._add_results(turn, exchange.number, body)
        _set_outcome(turn, exchange)
        if exchange.interaction is not None:
            answer = _Answer(events=exchange.events or [], streams=[exchange], is_hop=is_hop)
            self._answers[turn.number].append(answer)
            identity = _text(exchange.interaction, "id")
            if identity:
                self._by_id[identity] = turn, answer
            self._update(turn, answer, exchange, exchange.interaction)

    def _get(self, turn: Turn, exchange: Exchange, identity: str) -> None:
        if identity not in self._by_id:
            if exchange.interaction is not None and not turn.user:
                turn.user = _first_message(exchange.interaction)
            self._by_id[identity] = turn, _Answer()
            self._answers[turn.number].append(self._by_id[identity][1])
        turn, answer = self._by_id[identity]
        if exchange.events is not None:
            _resume(answer, exchange, dict(exchange.request.query).get("last_event_id", ""))
        if not answer.is_running:
            return
        _set_outcome(turn, exchange)
        if exchange.interaction is not None:
            self._update(turn, answer, exchange, exchange.interaction)

    def _cancel(self, exchange: Exchange, identity: str) -> None:
        if exchange.interaction is not None and identity in self._by_id:
            turn, answer = self._by_id[identity]
            answer.is_running = is_running(exchange.interaction)
            turn.status = _text(exchange.interaction, "status")

    def _update(
        self, turn: Turn, answer: _Answer, exchange: Exchange, interaction: dict[str, JSON]
    ) -> None:
        steps = strip_user_input(steps_of(interaction))
        if steps:
            answer.steps = [Step(step, "model", exchange.number) for step in steps]
        # A broken stream does not end a run, nor does an error in it.
        has_ended = exchange.failure is None and exchange.error is None
        answer.is_running = is_running(interaction) or not has_ended
        turn.status = _text(interaction, "status")
        self._refresh(turn)

    def _refresh(self, turn: Turn) -> None:
        """Set the timeline and the text of a turn from its answers."""
        answers = self._answers[turn.number]
        turn.steps = [step for answer in answers for step in answer.timeline()]
        start = 0
        for index, answer in enumerate(answers):
            if not answer.is_hop:
                start = index
        steps = [step for answer in answers[start:] for step in answer.steps]
        turn.text = output_text([step.raw for step in steps if step.origin == "model"])

    def _read_settings(self, body: dict[str, JSON]) -> None:
        settings = self.transcript.settings
        if self._stores is None:
            fields = {key: body[key] for key in body if key not in _NOT_SETTINGS}
            settings.update({**fields, **settings})
        self._stores = bool(self._stores) or body.get("store") is not False
        settings["history"] = "stateful" if self._stores else "stateless"
        for key in ("stream", "background"):
            settings[key] = settings[key] or body.get(key) is True

    def _add_results(self, turn: Turn, number: int, body: dict[str, JSON]) -> None:
        """Add the function results that no earlier request has sent."""
        # A history that is re-sent includes the results of earlier requests.
        sent = Counter() if body.get("previous_interaction_id") else self._results_sent.copy()
        for step in input_steps(body.get("input")):
            if type_of(step) == "function_result":
                call = _text(step, "call_id") or None
                if sent[call] > 0:
                    sent[call] -= 1
                else:
                    self._results_sent[call] += 1
                    self._place_result(turn, Step(step, "client", number), call)
        self._refresh(turn)

    def _place_result(self, turn: Turn, result: Step, call: str | None) -> None:
        for owner in (turn, *reversed(self.transcript.turns[: turn.number - 1])):
            for answer in self._answers[owner.number]:
                for index, step in enumerate(answer.steps):
                    if (
                        step.origin == "model"
                        and step.type == "function_call"
                        and index not in answer.results
                        and (call is None or (_text(step.raw, "id") or None) in (call, None))
                    ):
                        answer.results[index] = result
                        self._refresh(owner)
                        return
        self._answers[turn.number].append(_Answer([result], is_hop=True))


def _resume(answer: _Answer, exchange: Exchange, last_event_id: str) -> None:
    """Read a stream together with the parts that it resumes."""
    events = exchange.events or []
    if last_event_id:
        before = events_until(answer.events, last_event_id)
        assembled = assemble_rest(before, events)
        exchange.interaction = assembled.interaction
        garbage = [problem for problem in exchange.problems if problem["code"] == "event_not_json"]
        exchange.problems = garbage + [problem.to_json() for problem in assembled.problems]
        if assembled.complete:
            exchange.failure = None
        for part in answer.streams:
            part.resumed = True
        events = [*before, *events]
    answer.events = events
    answer.streams.append(exchange)


def _set_outcome(turn: Turn, exchange: Exchange) -> None:
    turn.outcome, turn.error, turn.reason = "completed", None, None
    if exchange.error is not None:
        turn.outcome, turn.error = "api_error", exchange.error
    elif exchange.failure is not None:
        turn.outcome, turn.reason = "incomplete", exchange.failure


def _repeats(turn: Turn, request: Request) -> bool:
    """Return whether a request repeats the turn's last one, which got no usable response."""
    last = turn.exchanges[-1] if turn.exchanges else None
    return (
        last is not None
        and (last.error is not None or last.failure is not None)
        and last.request == request
    )


def _text(value: dict[str, JSON], key: str) -> str | None:
    text = value.get(key)
    return text if isinstance(text, str) else None


def _message(request: Request) -> list[JSON] | None:
    """Return the content of the user's message that ends a request, None without one."""
    body = request.body if isinstance(request.body, dict) else {}
    steps = input_steps(body.get("input"))
    if body.get("continuation_token") or not steps or type_of(steps[-1]) != "user_input":
        return None
    return content_blocks(steps[-1])


def _first_message(interaction: dict[str, JSON]) -> list[JSON]:
    first = next(iter(steps_of(interaction)), {})
    return content_blocks(first) if type_of(first) == "user_input" else []
