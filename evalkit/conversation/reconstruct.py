"""A conversation read from its recordings alone: what was said, whoever said it. Pure.

The engine always re-sends history exactly, so a transcript that it made proves nothing about a cassette that was altered, or that another client
recorded. Here the exchanges are taken as they stand, and the checks that read exchanges (``history``, ``stream``) judge them. What a request means:

| request | what it does to the transcript |
|---|---|
| POST that ends with a user's message | begins a turn |
| the very POST again, after an error | goes on with the turn that was refused |
| POST with function results | its results stand behind their calls, by ``call_id``, else by order |
| POST with a ``continuation_token`` | goes on with the answer before (protocol section 8.3) |
| GET of a run that had not ended | its steps take the place of what the run had shown so far (section 8.1) |
| GET of an answer that was there already | an exchange, no steps: nothing new was said |
| POST …/cancel | sets the status |
| DELETE | an exchange, nothing else |
| a judge's question (``asides``) | is no part of the conversation |
| anything that is no interaction | is no part of a conversation |

An exchange is numbered by its place among the recordings that are part of it, from 1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from evalkit._lib.json import JSON, loads
from evalkit.cassette.recording import Cassette, Recording
from evalkit.conversation.judge_requests import is_judge_request
from evalkit.conversation.response_reader import read_response
from evalkit.protocol.step_reader import (
    content_blocks,
    is_running,
    output_text,
    steps_of,
    strip_user_input,
    type_of,
)
from evalkit.protocol.stream_assembler import assemble
from evalkit.transcript import Exchange, Request, Response, Source, Step, Transcript, Turn

_ROUTE = re.compile(r"(?:.*/)?interactions(?:/(?P<id>[^/]+))?(?P<cancel>/cancel)?/?")
_NOT_SETTINGS = frozenset(
    ("input", "previous_interaction_id", "continuation_token", "store", "stream", "background")
)
_CONTENT = frozenset(("text", "image", "audio", "video", "document"))


def transcript_of(cassette: Cassette) -> Transcript:
    """Return the one conversation of a cassette. Requests without JSON keep a None body.

    ``settings`` are the fields of the first request; the history counts as stateless when every create request says ``store: false``, and as
    streamed or in the background when any was.
    """
    reader = TranscriptBuilder()
    for recording in cassette.recordings:
        reader.add(recording)
    return reader.transcript


def is_interaction(recording: Recording) -> bool:
    """Say whether a recording is traffic of the interactions resource, and not of another one or another host's."""
    return _ROUTE.fullmatch(split_uri(recording.uri).path) is not None


def split_uri(uri: str) -> SplitResult:
    """Split a recorded URI; one that is none (``https://[x``) is all path, for files can hold anything."""
    try:
        return urlsplit(uri)
    except ValueError:
        return SplitResult("", "", uri, "", "")


def request_of(recording: Recording) -> Request:
    """Return a recorded request; a body that is no JSON is None."""
    parts = split_uri(recording.uri)
    return Request(
        recording.method,
        parts.path,
        _json(recording.request_body),
        tuple(parse_qsl(parts.query, keep_blank_values=True)),
    )


def response_of(recording: Recording, source: Source = "replayed") -> Response:
    """Return a recorded answer."""
    headers = {
        name.lower(): values[0] for name, values in recording.response_headers.items() if values
    }
    text = (
        recording.body
        if isinstance(recording.body, str)
        else recording.body.decode("utf-8", "surrogateescape")
    )
    return Response(
        recording.status,
        headers,
        text,
        recording.elapsed_ms,
        recording.event_ms,
        recording.broken,
        source,
    )


def _json(body: str | bytes | None) -> JSON:
    try:
        return loads(body) if body else None
    except (ValueError, RecursionError):
        return None


@dataclass(slots=True)
class _Answer:
    """The steps of one answer, and by their indexes the client's results that belong behind them.

    ``running``: it had not ended. ``hop``: it continues the answer before. ``events`` are those of a stream, which a later GET may resume.
    """

    steps: list[Step]
    results: dict[int, list[Step]] = field(default_factory=dict)
    running: bool = False
    hop: bool = False
    events: list[JSON] = field(default_factory=list)

    def timeline(self) -> list[Step]:
        return [
            one
            for index, step in enumerate(self.steps)
            for one in (step, *self.results.get(index, ()))
        ]


class TranscriptBuilder:
    """Makes a transcript of recordings, one after the other. ``transcript`` is whole after each."""

    def __init__(self) -> None:
        self.transcript = Transcript({"history": "stateful", "stream": False, "background": False})
        self._answers: dict[int, list[_Answer]] = {}
        self._known: dict[str, tuple[Turn, _Answer]] = {}
        self._answered: dict[JSON, int] = {}
        self._stored = False
        self._created = False
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
        """Read one more recording; return its exchange, None where it is no part of the conversation.

        ``begins`` False: a user's message begins no turn, because whoever calls knows where turns begin.

        ``source`` says where the answer came from, which decides whether its times were measured now.
        """
        route = _ROUTE.fullmatch(split_uri(recording.uri).path)
        if route is None:
            return None
        request = request_of(recording)
        if is_judge_request(request):
            return None
        creates = request.method == "POST" and route["id"] is None
        turns = self.transcript.turns
        again = bool(turns) and _repeats(turns[-1], request)
        turn = self._turn(request, creates, begins and not again)
        self._exchanges += 1
        exchange = Exchange(self._exchanges, turn.number, request)
        read_response(exchange, response_of(recording, source))
        turn.exchanges.append(exchange)
        if request.method == "DELETE":
            exchange.interaction = None
        elif creates:
            self._create(turn, exchange, again)
        elif route["cancel"]:
            self._status(exchange, unquote(route["id"]))
        elif request.method == "GET" and route["id"]:
            self._get(turn, exchange, unquote(route["id"]))
        return exchange

    def _turn(self, request: Request, creates: bool, begins: bool) -> Turn:
        turns = self.transcript.turns
        user = _message(request) if creates else None
        if not turns or (begins and user is not None):
            return self.begin(user or [])
        return turns[-1]

    def _create(self, turn: Turn, exchange: Exchange, again: bool) -> None:
        body = exchange.request.body if isinstance(exchange.request.body, dict) else {}
        self._note(body)
        hop = bool(body.get("continuation_token"))
        if not hop and not again:
            self._results(turn, exchange, body)
        _judge(turn, exchange)
        interaction = exchange.interaction
        if interaction is None:
            return
        steps = [
            Step(step, "model", exchange.number) for step in strip_user_input(steps_of(interaction))
        ]
        running = is_running(interaction) or exchange.failure is not None
        answer = _Answer(steps, running=running, hop=hop, events=exchange.events or [])
        self._answers[turn.number].append(answer)
        if isinstance(identity := interaction.get("id"), str) and identity:
            self._known[identity] = turn, answer
        self._told(turn, interaction)

    def _get(self, turn: Turn, exchange: Exchange, identity: str) -> None:
        mine, answer = self._known.get(identity, (turn, None))
        if answer is None:
            if exchange.interaction is not None and not turn.user:
                turn.user = _first_message(exchange.interaction)
            answer = _Answer([], running=True)
            self._answers[turn.number].append(answer)
            self._known[identity] = turn, answer
        elif not answer.running:
            return
        if exchange.events is not None:
            if any(name == "last_event_id" and value for name, value in exchange.request.query):
                _resume(exchange, answer.events)
            answer.events = [*answer.events, *exchange.events]
        _judge(mine, exchange)
        if (interaction := exchange.interaction) is not None:
            steps = strip_user_input(steps_of(interaction))
            answer.steps = [Step(step, "model", exchange.number) for step in steps] or answer.steps
            answer.running = is_running(interaction) or exchange.failure is not None
            self._told(mine, interaction)

    def _status(self, exchange: Exchange, identity: str) -> None:
        if exchange.interaction is not None and identity in self._known:
            turn, answer = self._known[identity]
            answer.running = is_running(exchange.interaction)
            self._told(turn, exchange.interaction)

    def _told(self, turn: Turn, interaction: dict[str, JSON]) -> None:
        """Bring a turn up to date with its answers."""
        answers = self._answers[turn.number]
        turn.steps = [step for answer in answers for step in answer.timeline()]
        status = interaction.get("status")
        turn.status = status if isinstance(status, str) else None
        first = next((at for at in range(len(answers) - 1, -1, -1) if not answers[at].hop), 0)
        turn.text = output_text(
            [
                step.raw
                for answer in answers[first:]
                for step in answer.steps
                if step.origin == "model"
            ]
        )

    def _note(self, body: dict[str, JSON]) -> None:
        settings = self.transcript.settings
        if not self._created:
            settings.update(
                {
                    key: value
                    for key, value in body.items()
                    if key not in _NOT_SETTINGS and key not in settings
                }
            )
        self._created = True
        self._stored = self._stored or body.get("store") is not False
        settings["history"] = "stateful" if self._stored else "stateless"
        for word in ("stream", "background"):
            settings[word] = settings[word] or body.get(word) is True

    def _results(self, turn: Turn, exchange: Exchange, body: dict[str, JSON]) -> None:
        """Put the results that this request brings, and none did before it, behind their calls."""
        sent = body.get("input")
        results = (
            [
                step
                for step in sent
                if isinstance(step, dict) and step.get("type") == "function_result"
            ]
            if isinstance(sent, list)
            else []
        )
        # A history that is sent whole begins with the results that were there before; one that the service keeps does not.
        old = {} if body.get("previous_interaction_id") else dict(self._answered)
        for result in results:
            key = _key(result.get("call_id"))
            if old.get(key, 0) > 0:
                old[key] -= 1
                continue
            self._answered[key] = self._answered.get(key, 0) + 1
            self._place(turn, Step(result, "client", exchange.number), key)
        turn.steps = [step for answer in self._answers[turn.number] for step in answer.timeline()]

    def _place(self, turn: Turn, result: Step, key: JSON) -> None:
        for owner in (turn, *reversed(self.transcript.turns[: turn.number - 1])):
            for answer in self._answers[owner.number]:
                for index, step in enumerate(answer.steps):
                    waits = (
                        step.origin == "model"
                        and step.raw.get("type") == "function_call"
                        and index not in answer.results
                    )
                    if waits and (key is None or _key(step.raw.get("id")) in (key, None)):
                        answer.results[index] = [result]
                        owner.steps = [
                            one for part in self._answers[owner.number] for one in part.timeline()
                        ]
                        return
        self._answers[turn.number].append(_Answer([result], hop=True))


def _resume(exchange: Exchange, before: list[JSON]) -> None:
    """Read a resumed stream together with the events that came before it broke off: alone it is no whole one (section 1.1)."""
    events = exchange.events or []
    whole = assemble([*before, *events])
    exchange.interaction = whole.interaction
    exchange.problems = [
        {**problem, "event": problem["event"] - len(before)}
        for problem in (found.to_json() for found in whole.problems)
        if problem["event"] > len(before)
    ]
    if whole.complete:
        exchange.failure = None


def _judge(turn: Turn, exchange: Exchange) -> None:
    turn.outcome, turn.error, turn.reason = "completed", None, None
    if exchange.error is not None:
        turn.outcome, turn.error = "api_error", exchange.error
    elif exchange.failure is not None:
        turn.outcome, turn.reason = "incomplete", exchange.failure


def _repeats(turn: Turn, request: Request) -> bool:
    """Say whether a request is the one before it once more, because that one got no answer that can be used."""
    last = turn.exchanges[-1] if turn.exchanges else None
    return (
        last is not None
        and (last.error is not None or last.failure is not None)
        and last.request == request
    )


def _key(identity: JSON) -> JSON:
    return identity if isinstance(identity, str) and identity else None


def _message(request: Request) -> list[JSON] | None:
    """Return the content of the user's message a request ends with, or None where it brings none."""
    body = request.body if isinstance(request.body, dict) else {}
    given = body.get("input")
    if body.get("continuation_token"):
        return None
    if isinstance(given, str):
        return [{"type": "text", "text": given}]
    if isinstance(given, dict):
        given = [given]
    if not isinstance(given, list) or not given or not isinstance(given[-1], dict):
        return None
    last = given[-1]
    if last.get("type") == "user_input":
        return content_blocks(last)
    return given if type_of(last) in _CONTENT else None


def _first_message(interaction: dict[str, JSON]) -> list[JSON]:
    first = next(iter(steps_of(interaction)), {})
    return content_blocks(first) if first.get("type") == "user_input" else []
