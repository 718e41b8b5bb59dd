"""The kinds of faults: their fields, and what each does to a plain reply and to a stream.

``KINDS`` is the whole vocabulary of ``--fault`` and ``faults:``. Effects change a reply into
another one and never wait: how long to wait is part of the reply. Positions in a stream count its
events from 1 (docs/protocol.md section 6); a position beyond the end of the stream changes nothing.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, Literal

from evalkit._lib.json import dumps, loads
from evalkit.server.calls import Reply, error_reply
from evalkit.server.fault_injection.stream_changes import (
    Change,
    ChangedBody,
    ChangedFrame,
    change_frames,
    changed_body,
    changed_frames,
)
from evalkit.server.requests.error_response import ErrorResponse

Value = str | int | float | None
Values = Mapping[str, Any]
Effect = Callable[[Values, Reply], Reply]

_DEFAULT_EVENT = 7
"""The default position in a stream: the first word of a typical answer.

It follows the events created, status, three of a thought, and step start.
"""

_DATA = re.compile(r"(^data: ?)([^\r\n]*)", re.MULTILINE)
_DELTA = re.compile(r'"event_type"\s*:\s*"step\.delta"')
_TEXTS = re.compile(r'"text"\s*:\s*"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class FaultField:
    """A field of a fault: a number between ``least`` and ``most``, or a text."""

    type: Literal["whole", "number", "text"]
    default: Value = None
    _: KW_ONLY
    least: float = 0
    most: float = float("inf")
    choices: tuple[str, ...] = ()
    required: bool = False

    def accepts(self, value: object) -> bool:
        """Return whether a value is a valid number for this field."""
        if not isinstance(value, int | float) or isinstance(value, bool):
            return False
        is_whole = value % 1 == 0
        return self.least <= value <= self.most and (is_whole or self.type == "number")

    @property
    def expected(self) -> str:
        """What numbers are valid, for messages."""
        kind = "a whole number" if self.type == "whole" else "a number"
        if self.most == float("inf"):
            return f"{kind} not below {self.least}"
        return f"{kind} from {self.least} to {self.most}"


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A kind of fault. A value without a name (``cut=3``) belongs to the first field.

    ``plain`` is the effect on a plain reply, ``stream`` that on a stream; None leaves it unchanged.
    ``replaces_reply`` returns for which values the back end's reply is not needed.
    """

    example: str
    fields: Mapping[str, FaultField]
    _: KW_ONLY
    plain: Effect | None = None
    stream: Effect | None = None
    replaces_reply: Callable[[Values], bool] = lambda values: False
    applies_to_errors: bool = False


def apply_fault(kind: str, values: Values, reply: Reply) -> Reply:
    """Return the reply with a fault; the same object if the fault changes nothing."""
    effect = KINDS[kind].stream if reply.is_stream else KINDS[kind].plain
    changed = effect(values, reply) if effect else reply
    return replace(changed, faults=(*reply.faults, kind)) if changed is not reply else reply


def is_applicable(kind: FaultKind, reply: Reply) -> bool:
    """Return whether a kind has an effect on a reply; most have none on errors."""
    if not 200 <= reply.status < 400 and not kind.applies_to_errors:
        return False
    return (kind.stream if reply.is_stream else kind.plain) is not None


def _on_events(change: Callable[[Values], Change]) -> Effect:
    return lambda values, reply: _change_events(change(values), reply)


def _change_events(change: Change, reply: Reply) -> Reply:
    if reply.live is not None:
        live = ChangedBody(reply.live, changed_frames(reply.live, change))
        return replace(reply, live=live, headers=_without_length(reply))
    frames = list(reply.frames or ())
    gaps = [*reply.gaps, *[0.0] * (len(frames) - len(reply.gaps))]
    new_frames, new_gaps = change_frames(frames, gaps, change)
    if (new_frames, new_gaps) == (frames, gaps):
        return reply
    return replace(reply, frames=new_frames, gaps=new_gaps)


def _without_length(reply: Reply) -> dict[str, str]:
    return {
        name: value for name, value in reply.headers.items() if name.lower() != "content-length"
    }


# --- Effects that replace a reply or end its connection


def _error(values: Values, reply: Reply) -> Reply:
    error = _error_of_fault(values)
    if values["after"] is not None and reply.is_stream and reply.status < 400:
        event = {"event_type": "error", **error.body()}
        frame = f"event: error\ndata: {dumps(event)}\n\n"
        return _change_events(_end_with(values["after"], frame), reply)
    return replace(_SHAPES[values["shape"]](error), delay=reply.delay, faults=reply.faults)


def _error_of_fault(values: Values) -> ErrorResponse:
    # The service says in the body how long to wait after 429, often only there.
    if values["status"] == 429 and values.get("retry_delay") is None:
        values = {**values, "retry_delay": values.get("retry_after")}
    return error_of(values)


def error_of(values: Values) -> ErrorResponse:
    """Return the error that a fault or a rule of a script describes."""
    retry_after = values.get("retry_after")
    return ErrorResponse(
        values["status"],
        values.get("message") or "",
        code=values.get("code") or "",
        headers={} if retry_after is None else {"retry-after": str(retry_after)},
        gateway=values.get("shape") == "gateway",
        retry_delay=values.get("retry_delay"),
    )


def _html_error(error: ErrorResponse) -> Reply:
    body = (
        f"<!DOCTYPE html>\n<html><head><title>{error.status}</title></head>"
        f"<body><h1>Error {error.status}</h1></body></html>\n"
    )
    headers = {**error.headers, "content-type": "text/html; charset=utf-8"}
    return replace(error_reply(error), body=body, headers=headers)


_SHAPES: dict[str, Callable[[ErrorResponse], Reply]] = {
    "api": error_reply,
    "gateway": error_reply,
    "html": _html_error,
}


def _break_off(end: Literal["cut", "reset"]) -> Effect:
    def effect(values: Values, reply: Reply) -> Reply:
        after = values["after"]
        if not after:
            return Reply(0, end=end, delay=reply.delay, by=end, faults=reply.faults)
        if reply.is_stream:
            return replace(_change_events(_end_after(after), reply), end=end)
        # A plain body is announced with its whole length, so that clients notice the cut.
        headers = reply.headers
        if reply.live is None:
            headers = {**_without_length(reply), "content-length": str(len(reply.body_bytes))}
        return replace(_halve_body(values, reply), headers=headers, end=end)

    return effect


# --- Effects on plain replies


def _delay(values: Values, reply: Reply) -> Reply:
    return replace(reply, delay=reply.delay + values["seconds"])


def _delay_by_tokens(values: Values, reply: Reply) -> Reply:
    try:
        usage = loads(reply.body)["usage"]
        tokens = usage.get("total_output_tokens", 0) + usage.get("total_thought_tokens", 0)
    except (ValueError, LookupError, TypeError, AttributeError):
        return reply
    return replace(reply, delay=reply.delay + tokens / values["rate"]) if tokens else reply


def _halve_body(values: Values, reply: Reply) -> Reply:
    headers = _without_length(reply)
    if reply.live is not None:
        live = ChangedBody(reply.live, changed_body(reply.live, _first_half))
        return replace(reply, live=live, headers=headers)
    return replace(reply, body=_first_half(reply.body_bytes), headers=headers)


def _first_half(body: bytes) -> bytes:
    return body[: len(body) // 2] or b"{"


# --- Effects on streams


def _end_after(last: int) -> Change:
    return lambda number, frame: (ChangedFrame(frame, is_last=number >= last),)


def _end_with(after: int, text: str) -> Change:
    end = ChangedFrame(text, is_last=True)

    def change(number: int, frame: str) -> tuple[ChangedFrame, ...]:
        if after == 0:
            return (end,)
        return (ChangedFrame(frame), end) if number == after else (ChangedFrame(frame),)

    return change


def _end_with_bare_error(values: Values) -> Change:
    return _end_with(values["after"], dumps(_error_of_fault(values).body()) + "\n")


def _halve_event(values: Values) -> Change:
    def halve(data: re.Match[str]) -> str:
        return data[1] + (data[2][: len(data[2]) // 2] or "{")

    return lambda number, frame: (
        ChangedFrame(_DATA.sub(halve, frame, count=1) if number == values["event"] else frame),
    )


def _duplicate(values: Values) -> Change:
    return lambda number, frame: (ChangedFrame(frame),) * (2 if number == values["event"] else 1)


def _omit(values: Values) -> Change:
    return lambda number, frame: () if number == values["event"] else (ChangedFrame(frame),)


def _delay_each(values: Values) -> Change:
    return lambda number, frame: (ChangedFrame(frame, values["seconds"]),)


def _delay_first_delta(values: Values) -> Change:
    waits = [values["seconds"]]
    return lambda number, frame: (
        ChangedFrame(frame, waits.pop() if waits and _DELTA.search(frame) else 0.0),
    )


def _pace_deltas(values: Values) -> Change:
    def change(number: int, frame: str) -> tuple[ChangedFrame, ...]:
        if not _DELTA.search(frame):
            return (ChangedFrame(frame),)
        # A word counts as a token, as in the usage that the script back end reports.
        words = sum(len(text.split()) for text in _TEXTS.findall(frame))
        return (ChangedFrame(frame, max(1, words) / values["rate"]),)

    return change


_SECONDS = {"seconds": FaultField("number", required=True)}
_EVENT = {"event": FaultField("whole", _DEFAULT_EVENT, least=1)}
_STATUS = FaultField("whole", 503, least=400, most=599)
_MESSAGE = {"code": FaultField("text", ""), "message": FaultField("text", "")}

KINDS: dict[str, FaultKind] = {
    # An HTTP error instead of the reply; with `after`, an error event in a stream.
    "error": FaultKind(
        "error=503,retry_after=1",
        {
            "status": _STATUS,
            "retry_after": FaultField("whole"),
            "retry_delay": FaultField("number"),
            **_MESSAGE,
            "shape": FaultField("text", "api", choices=tuple(_SHAPES)),
            "after": FaultField("whole"),
        },
        plain=_error,
        stream=_error,
        replaces_reply=lambda values: values["after"] is None,
    ),
    # Seconds before anything is sent.
    "delay": FaultKind("delay=2", _SECONDS, plain=_delay, stream=_delay, applies_to_errors=True),
    # Seconds before the first delta; earlier events of a stream are sent at once.
    "first_token": FaultKind(
        "first_token=1.5", _SECONDS, plain=_delay, stream=_on_events(_delay_first_delta)
    ),
    # The pace of a stream's deltas; a plain reply is delayed by the time its tokens take.
    "tokens_per_second": FaultKind(
        "tokens_per_second=20",
        {"rate": FaultField("number", least=0.001, required=True)},
        plain=_delay_by_tokens,
        stream=_on_events(_pace_deltas),
    ),
    # Seconds before each event of a stream.
    "event_delay": FaultKind("event_delay=0.1", _SECONDS, stream=_on_events(_delay_each)),
    # The connection is closed early: after `after` events, or half of a plain body; 0: at once.
    "cut": FaultKind(
        "cut=3",
        {"after": FaultField("whole", _DEFAULT_EVENT)},
        plain=_break_off("cut"),
        stream=_break_off("cut"),
        replaces_reply=lambda values: values["after"] == 0,
    ),
    # The connection is reset (TCP RST), at once or as with `cut`.
    "reset": FaultKind(
        "reset=3",
        {"after": FaultField("whole", 0)},
        plain=_break_off("reset"),
        stream=_break_off("reset"),
        replaces_reply=lambda values: values["after"] == 0,
    ),
    # A stream ends early: complete for HTTP, incomplete for the API.
    "truncate": FaultKind(
        "truncate=5",
        {"after": FaultField("whole", _DEFAULT_EVENT, least=1)},
        stream=_on_events(lambda values: _end_after(values["after"])),
    ),
    # JSON that stops half way: a plain body, or the data of one event.
    "malformed": FaultKind(
        "malformed=4", _EVENT, plain=_halve_body, stream=_on_events(_halve_event)
    ),
    # One event is sent twice.
    "duplicate": FaultKind("duplicate=6", _EVENT, stream=_on_events(_duplicate)),
    # One event is not sent.
    "missing": FaultKind("missing=6", _EVENT, stream=_on_events(_omit)),
    # The stream ends with a bare line {"error": …}, as the service was seen to do.
    "error_line": FaultKind(
        "error_line=5",
        {"after": FaultField("whole", _DEFAULT_EVENT), "status": _STATUS, **_MESSAGE},
        stream=_on_events(_end_with_bare_error),
    ),
}
"""Every kind of fault, by its name in scripts and in ``--fault``."""
