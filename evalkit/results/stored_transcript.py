"""Read a conversation back from its result line, so that other checks can read it. Pure.

Everything that checks read is in the line: requests, interactions, events, errors, times. What is
not there are the headers of responses, and of a stream the bytes between its events.
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from evalkit._lib.json import JSON, dumps
from evalkit.cassette.files import PREFIX
from evalkit.conversation.response_reader import read_response
from evalkit.results.media import read_file
from evalkit.results.records import ResultLine
from evalkit.transcript import (
    ApiError,
    Exchange,
    Request,
    Response,
    SimulatedTurn,
    Step,
    Transcript,
    Turn,
)


def stored_transcript(line: ResultLine) -> Transcript:
    """Return the conversation of a result; without turns where none was run."""
    return Transcript(
        settings=dict(line["settings"]),
        turns=[_turn(cast("Mapping[str, Any]", turn)) for turn in line["turns"]],
        judge_exchanges=[_exchange(one, 0) for one in line.get("judge_exchanges", ())],
        simulator_exchanges=[_exchange(one, 0) for one in line.get("simulator_exchanges", ())],
        locked=cast("Mapping[str, JSON] | None", line.get("locked")),
    )


def transcript_with_media(line: ResultLine, directory: Path) -> Transcript:
    """Return the conversation of a result with the media of its run directory."""

    def restored(text: str) -> str:
        if not text.startswith(f"{PREFIX}sha256:"):
            return text
        data = read_file(directory, text.removeprefix(f"{PREFIX}sha256:"))
        return base64.b64encode(data).decode("ascii") if data is not None else text

    return stored_transcript(cast("ResultLine", restore_media(cast("JSON", line), restored)))


def restore_media(value: JSON, restored: Callable[[str], str]) -> JSON:
    """Return a value with long data in place of the names of its files (:mod:`.media`)."""
    # Loops, because a comprehension would double the stack that deep nesting needs.
    if isinstance(value, list):
        items = []
        for item in value:
            items.append(restore_media(item, restored))
        return items
    if not isinstance(value, dict):
        return value
    mapping = {}
    for key, item in value.items():
        is_data = key == "data" and isinstance(item, str)
        mapping[key] = restored(item) if is_data else restore_media(item, restored)
    return mapping


def _turn(turn: Mapping[str, Any]) -> Turn:
    exchanges = [_exchange(one, turn["number"]) for one in turn["exchanges"]]
    return Turn(
        number=turn["number"],
        user=turn["user"],
        exchanges=exchanges,
        steps=[Step(one["step"], one["origin"], one["exchange"]) for one in turn["steps"]],
        status=turn["status"],
        outcome=turn["outcome"],
        error=_error(turn.get("error"), [one.error for one in exchanges]),
        reason=turn.get("reason"),
        text=turn["text"],
        entry=turn.get("entry", 0),
        simulated=SimulatedTurn(**turn["simulated"]) if "simulated" in turn else None,
    )


def _exchange(value: Mapping[str, Any], turn: int) -> Exchange:
    request = value["request"]
    exchange = Exchange(
        value["number"],
        turn,
        Request(
            request["method"],
            request["path"],
            request.get("body"),
            tuple((name, text) for name, text in request.get("query", ())),
        ),
    )
    if "response" in value:
        read_response(exchange, _response(value["response"]))
    exchange.problems = list(value.get("problems", ()))
    exchange.failure = value.get("failure")
    exchange.error = _error(value.get("error"), [exchange.error])
    return exchange


def _response(value: Mapping[str, Any]) -> Response:
    content_type, text = "text/plain", value.get("text", "")
    if "events" in value:
        content_type = "text/event-stream"
        text = "".join(f"data: {dumps(event)}\n\n" for event in value["events"])
    elif "body" in value:
        content_type, text = "application/json", dumps(value["body"])
    return Response(
        status=value["status"],
        headers={"content-type": content_type},
        text=text,
        elapsed_ms=value.get("elapsed_ms"),
        event_ms=tuple(value.get("event_ms", ())),
        broken=value.get("broken"),
        source=value["source"],
    )


def _error(value: Mapping[str, Any] | None, read: Sequence[ApiError | None]) -> ApiError | None:
    """Return an error as it was stored, with the body that was read again."""
    if value is None:
        return None
    stored = ApiError(value["status"], value["code"], value["message"])
    return next((one for one in read if one is not None and one[:3] == stored[:3]), stored)
