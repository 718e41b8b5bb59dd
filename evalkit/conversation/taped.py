"""A conversation read from its recordings alone: what was said, whoever said it.

The engine always re-sends history exactly, so a transcript that it made proves nothing about a cassette that was altered, or that another client
recorded. Here the exchanges are taken as they stand in the file, and the checks that read exchanges (``history``, ``stream``) judge them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from evalkit._lib.json import loads
from evalkit.cassette.recording import Cassette, Recording
from evalkit.conversation.answers import read_answer
from evalkit.protocol.reading import output_text, strip_user_input
from evalkit.transcript import Exchange, Request, Response, Step, Transcript, Turn


def transcript_of(cassette: Cassette) -> Transcript:
    """Return the conversation of a cassette. A request that brings a user's message starts a turn; requests without JSON keep a None body.

    The history counts as stateless when every create request says ``store: false``.
    """
    transcript = Transcript()
    stored = []
    for number, recording in enumerate(cassette.recordings, 1):
        request = request_of(recording)
        if request.method == "POST" and isinstance(request.body, dict):
            stored.append(request.body.get("store") is not False)
        user = _new_user_content(request)
        if user is not None or not transcript.turns:
            transcript.turns.append(Turn(len(transcript.turns) + 1, user or []))
        turn = transcript.turns[-1]
        exchange = Exchange(number, turn.number, request)
        read_answer(exchange, response_of(recording))
        _add(turn, exchange)
    transcript.settings["history"] = "stateless" if stored and not any(stored) else "stateful"
    return transcript


def _add(turn: Turn, exchange: Exchange) -> None:
    turn.exchanges.append(exchange)
    turn.steps += [Step(step, "client", exchange.number) for step in _results(exchange.request)]
    if exchange.error is not None:
        turn.outcome, turn.error = "api_error", exchange.error
    elif exchange.failure is not None:
        turn.outcome, turn.reason = "not_held", exchange.failure
    if exchange.interaction is not None:
        received = strip_user_input(exchange.interaction.get("steps") or [])
        turn.steps += [Step(step, "model", exchange.number) for step in received]
        turn.status, turn.text = exchange.interaction.get("status"), output_text(received)


def request_of(recording: Recording) -> Request:
    """Return a recorded request; a body that is no JSON is None."""
    parts = urlsplit(recording.uri)
    return Request(recording.method, parts.path, _json(recording.request_body), tuple(parse_qsl(parts.query, keep_blank_values=True)))


def _json(body: str | bytes | None) -> Any:
    try:
        return loads(body) if body else None
    except (ValueError, RecursionError):
        return None


def response_of(recording: Recording) -> Response:
    """Return a recorded answer."""
    headers = {name.lower(): values[0] for name, values in recording.response_headers.items() if values}
    text = recording.body if isinstance(recording.body, str) else recording.body.decode("utf-8", "surrogateescape")
    return Response(recording.status, headers, text, recording.elapsed_ms, recording.event_ms, recording.broken, "replayed")


def _inputs(request: Request) -> Any:
    return request.body.get("input") if isinstance(request.body, dict) else None


def _new_user_content(request: Request) -> list[Any] | None:
    """Return the content of the user's message a request ends with, or None where it brings none."""
    given = _inputs(request)
    if isinstance(given, str):
        return [{"type": "text", "text": given}]
    if isinstance(given, dict):
        given = [given]
    if not isinstance(given, list) or not given or not isinstance(given[-1], dict):
        return None
    last = given[-1]
    if last.get("type") == "user_input":
        content = last.get("content")
        return [{"type": "text", "text": content}] if isinstance(content, str) else content if isinstance(content, list) else []
    if last.get("type") in ("text", "image", "audio", "video", "document"):
        return given
    return None


def _results(request: Request) -> Iterable[dict[str, Any]]:
    """Return the client's results of the latest round: those after the last step that a model made, or with the input's last calls."""
    given = _inputs(request)
    if not isinstance(given, list):
        return []
    steps = [step for step in given if isinstance(step, dict)]
    start = max((index for index, step in enumerate(steps) if step.get("type") in ("user_input", "model_output")), default=-1) + 1
    return [step for step in steps[start:] if step.get("type") == "function_result"]
