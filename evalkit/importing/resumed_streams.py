"""Streams that a client completed after a cut, as the one response that they are. Pure.

The rest of a stream is received by ``GET …/{id}?stream=true&last_event_id=…`` (docs/protocol.md
section 12), as often as the stream is cut; ``GET …/{id}`` returns the whole interaction. A
conversation that is repeated has no cut, so what was received becomes the response to the request
that began the stream: the joined parts, or the interaction as JSON. A background run stays as it
is: it is polled.
"""

from collections.abc import Iterable
from dataclasses import replace
from urllib.parse import unquote

from evalkit._lib.json import JSON, dumps
from evalkit.cassette.recording import Recording
from evalkit.conversation.reconstruct import request_of, response_of
from evalkit.conversation.response_reader import read_response
from evalkit.protocol.sse import read_events
from evalkit.protocol.step_reader import is_running, steps_of, strip_user_input
from evalkit.protocol.stream_assembler import events_until
from evalkit.protocol.stream_writer import sse_text
from evalkit.transcript import Exchange


def join_resumed_streams(recordings: Iterable[Recording]) -> list[Recording]:
    """Return recordings with every stream that was resumed in one recording, at its start."""
    joined: list[Recording] = []
    starts: dict[str, int] = {}
    for recording in recordings:
        exchange = _exchange(recording)
        request, interaction = exchange.request, exchange.interaction
        start = starts.get(unquote(request.path.rpartition("/")[2]))
        if request.method == "GET" and start is not None:
            if exchange.events is not None:
                last_event_id = dict(request.query).get("last_event_id")
                joined[start] = _join(joined[start], recording, last_event_id)
                continue
            if _is_whole(exchange) and _was_cut(_exchange(joined[start])):
                joined[start] = _completed(joined[start], interaction or {})
                continue
        if request.creates_interaction and exchange.events and interaction:
            starts[str(interaction.get("id"))] = len(joined)
        joined.append(recording)
    return joined


def _exchange(recording: Recording) -> Exchange:
    exchange = Exchange(1, 1, request_of(recording))
    read_response(exchange, response_of(recording))
    return exchange


def _is_broken(exchange: Exchange) -> bool:
    return exchange.failure is not None or exchange.error is not None


def _is_whole(exchange: Exchange) -> bool:
    interaction = exchange.interaction
    return not _is_broken(exchange) and interaction is not None and not is_running(interaction)


def _was_cut(exchange: Exchange) -> bool:
    """Return whether an exchange is a stream in the foreground that was cut."""
    body = exchange.request.body
    in_background = isinstance(body, dict) and body.get("background") is True
    return _is_broken(exchange) and not in_background


def _completed(first: Recording, interaction: dict[str, JSON]) -> Recording:
    """Return a stream that was cut as the interaction that was read afterwards."""
    body = {**interaction, "steps": strip_user_input(steps_of(interaction))}
    headers = {"content-type": ["application/json"]}
    return replace(first, body=dumps(body), response_headers=headers, broken=None, event_ms=())


def _join(first: Recording, rest: Recording, last_event_id: str | None) -> Recording:
    """Return a stream with the part that continues it, or that repeats it from its start."""
    events = _events(rest)
    if last_event_id:
        events = [*events_until(_events(first), last_event_id), *events]
    elif len(events) < len(_events(first)):
        return first
    text = "".join(sse_text([event for event in events if isinstance(event, dict)], done=False))
    return replace(first, body=text, broken=rest.broken, event_ms=())


def _events(recording: Recording) -> list[JSON]:
    return read_events(response_of(recording).text).events
