"""What faults do to replies: a reply and a fault's values come in, a reply comes out. Nothing waits; how long to wait is told.

Which kind of fault does what is the table in ``fault_kinds``. Positions in a stream count its events from 1 (protocol section 6); what a
stream does not reach is left as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

from evalkit._lib.json import dumps, loads
from evalkit.server.calls import Reply, fault_reply
from evalkit.server.fault_injection.stream_changes import (
    Change,
    ChangedFrame,
    change_frames,
    change_live,
    change_whole,
)
from evalkit.server.requests.error_response import ErrorResponse

Values = Mapping[str, Any]
Effect = Callable[[Values, Reply], Reply]


def is_stream(reply: Reply) -> bool:
    """Say whether a reply is a stream of events."""
    if reply.frames is not None:
        return True
    types = [value for name, value in reply.headers.items() if name.lower() == "content-type"]
    return reply.live is not None and any(value.startswith("text/event-stream") for value in types)


def on_events(change: Callable[[Values], Change]) -> Effect:
    """Return the effect of changing a stream's events."""
    return lambda values, reply: _changed(change(values), reply)


def _changed(change: Change, reply: Reply) -> Reply:
    if reply.live is not None:
        return replace(reply, live=change_live(reply.live, change), headers=_without_length(reply))
    before = (
        list(reply.frames or ()),
        [*reply.gaps, *[0.0] * (len(reply.frames or ()) - len(reply.gaps))],
    )
    after = change_frames(*before, change)
    return replace(reply, frames=after[0], gaps=after[1]) if after != before else reply


def _without_length(reply: Reply) -> dict[str, str]:
    return {
        name: value for name, value in reply.headers.items() if name.lower() != "content-length"
    }


# --- what replaces an answer


def error(values: Values, reply: Reply) -> Reply:
    """Answer with an error, in one of SHAPES; with ``after``, let a stream begin and end with an ``error`` event."""
    fault = _fault(values)
    if values["after"] is not None and is_stream(reply) and reply.status < 400:
        frame = f"event: error\ndata: {dumps({'event_type': 'error', **fault.body()})}\n\n"
        return _changed(_closing_with(values["after"], frame), reply)
    return replace(SHAPES[values["shape"]](fault), delay=reply.delay, faults=reply.faults)


def _fault(values: Values) -> ErrorResponse:
    after = values.get("retry_after")
    return ErrorResponse(
        values["status"],
        values["message"] or "",
        code=values["code"] or "",
        headers={} if after is None else {"retry-after": str(after)},
        gateway=values.get("shape") == "gateway",
    )


def _html(fault: ErrorResponse) -> Reply:
    body = f"<!DOCTYPE html>\n<html><head><title>{fault.status}</title></head><body><h1>Error {fault.status}</h1></body></html>\n"
    return replace(
        fault_reply(fault),
        body=body,
        headers={**fault.headers, "content-type": "text/html; charset=utf-8"},
    )


SHAPES: dict[str, Callable[[ErrorResponse], Reply]] = {
    "api": fault_reply,
    "gateway": fault_reply,
    "html": _html,
}


def broken_off(end: Literal["cut", "reset"]) -> Effect:
    """Return the effect of a connection that ends: before any byte, in the middle of a plain body, or behind so many events."""

    def ends(values: Values, reply: Reply) -> Reply:
        after = values["after"]
        if not after:
            return Reply(0, end=end, delay=reply.delay, by=end, faults=reply.faults)
        if is_stream(reply):
            return replace(_changed(up_to(after), reply), end=end)
        if reply.live is not None:
            return replace(reply, live=change_whole(reply.live, _half), end=end)
        body = _bytes(reply.body)
        return replace(
            reply,
            body=_half(body),
            headers={**_without_length(reply), "content-length": str(len(body))},
            end=end,
        )

    return ends


# --- what makes a plain answer late or unreadable


def later(values: Values, reply: Reply) -> Reply:
    """Answer later."""
    return replace(reply, delay=reply.delay + values["seconds"])


def at_speed(values: Values, reply: Reply) -> Reply:
    """Make a plain answer as late as its tokens take."""
    try:
        usage = loads(reply.body)["usage"]
        tokens = usage.get("total_output_tokens", 0) + usage.get("total_thought_tokens", 0)
    except (ValueError, LookupError, TypeError, AttributeError):
        return reply
    return replace(reply, delay=reply.delay + tokens / values["rate"]) if tokens else reply


def half_json(values: Values, reply: Reply) -> Reply:
    """Send the first half of a body as if it were all."""
    if reply.live is not None:
        return replace(reply, live=change_whole(reply.live, _half), headers=_without_length(reply))
    return replace(reply, body=_half(_bytes(reply.body)), headers=_without_length(reply))


def _bytes(body: str | bytes) -> bytes:
    return body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body


def _half(body: bytes) -> bytes:
    return body[: len(body) // 2] or b"{"


# --- what changes a stream


def up_to(last: int) -> Change:
    """End a stream behind so many events."""
    return lambda number, frame: (ChangedFrame(frame, last=number >= last),)


def _closing_with(after: int, text: str) -> Change:
    """End the stream behind so many events with something of its own."""

    def change(number: int, frame: str) -> tuple[ChangedFrame, ...]:
        if after == 0:
            return (ChangedFrame(text, last=True),)
        return (
            (ChangedFrame(frame), ChangedFrame(text, last=True))
            if number == after
            else (ChangedFrame(frame),)
        )

    return change


def bare_line(values: Values) -> Change:
    """End a stream with a line of JSON that is no field of an event."""
    return _closing_with(
        values["after"], dumps(_fault({**values, "retry_after": None}).body()) + "\n"
    )


def broken_event(values: Values) -> Change:
    """Send half the data of one event."""

    def broken(frame: str) -> str:
        return _DATA.sub(
            lambda found: found[1] + (found[2][: len(found[2]) // 2] or "{"), frame, count=1
        )

    return lambda number, frame: (
        ChangedFrame(broken(frame) if number == values["event"] else frame),
    )


def twice(values: Values) -> Change:
    """Send one event twice."""
    return lambda number, frame: (
        (ChangedFrame(frame), ChangedFrame(frame))
        if number == values["event"]
        else (ChangedFrame(frame),)
    )


def left_out(values: Values) -> Change:
    """Leave one event out."""
    return lambda number, frame: () if number == values["event"] else (ChangedFrame(frame),)


def before_each(values: Values) -> Change:
    """Wait before each event."""
    return lambda number, frame: (ChangedFrame(frame, values["seconds"]),)


def before_first_token(values: Values) -> Change:
    """Wait before the first delta."""
    waiting = [values["seconds"]]
    return lambda number, frame: (
        ChangedFrame(frame, waiting.pop() if waiting and _DELTA.search(frame) else 0.0),
    )


def paced(values: Values) -> Change:
    """Let each delta's words take their time. A word is a token here, as it is in the server's own usage."""

    def words(frame: str) -> int:
        return max(1, sum(len(text.split()) for text in _TEXTS.findall(frame)))

    return lambda number, frame: (
        ChangedFrame(frame, words(frame) / values["rate"] if _DELTA.search(frame) else 0.0),
    )


_DATA = re.compile(r"(^data: ?)([^\r\n]*)", re.MULTILINE)
_DELTA = re.compile(r'"event_type"\s*:\s*"step\.delta"')
_TEXTS = re.compile(r'"text"\s*:\s*"((?:[^"\\]|\\.)*)"')
