"""Faults: what goes wrong on the way to a client, as values. ``apply(fault, reply)`` gives the reply that a fault makes of another.

KINDS is the whole vocabulary, for scripts, for ``--fault`` and for the documentation: what a kind is called, what it takes, what it does to a
plain answer and to a stream. Nothing here draws, waits or counts: a Fault's values are settled (``faulting`` draws them), waiting is told to
whoever sends the reply.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from evalkit.server.calls import Reply
from evalkit.server.fault_injection import effects as does
from evalkit.server.fault_injection.effects import Effect, Values, is_stream, on_events

Value = str | int | float | None
USUAL_PLACE = 7
"""Where a stream breaks when nobody says: behind the first word of a usual answer (created, status, a thought's three, start, delta)."""


@dataclass(frozen=True, slots=True)
class InjectedFault:
    """A fault whose values are settled: every field of its kind is there."""

    kind: str
    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class FaultField:
    """What a kind takes: a whole number, a number, or a text, one of ``choices`` where there are some. ``least`` and ``most`` bound numbers."""

    type: Literal["whole", "number", "text"]
    default: Value = None
    least: float = 0
    most: float = float("inf")
    choices: tuple[str, ...] = ()
    required: bool = False


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A kind of fault. A bare value (``cut=3``) is its first field's.

    ``plain`` is what it does to a plain answer, ``stream`` to a stream; None leaves that alone. ``instead`` says for which values no answer
    is needed, so that none is made; ``refusals`` that it befalls refusals too.
    """

    says: str
    example: str
    fields: Mapping[str, FaultField]
    plain: Effect | None = None
    stream: Effect | None = None
    instead: Callable[[Values], bool] = lambda values: False
    refusals: bool = False


def apply_fault(fault: InjectedFault, reply: Reply) -> Reply:
    """Return what a fault makes of a reply: another reply, or the same object where the fault has nothing to say to it."""
    kind = KINDS[fault.kind]
    effect = kind.stream if is_stream(reply) else kind.plain
    changed = effect(fault.values, reply) if effect else reply
    return replace(changed, faults=(*reply.faults, fault.kind)) if changed is not reply else reply


def is_applicable(kind: FaultKind, reply: Reply) -> bool:
    """Say whether a kind has anything to say to a reply; refusals, and replies of no byte at all, are left alone by most."""
    if not 200 <= reply.status < 400 and not kind.refusals:
        return False
    return (kind.stream if is_stream(reply) else kind.plain) is not None


_SECONDS = {"seconds": FaultField("number", required=True)}
_EVENT = {"event": FaultField("whole", USUAL_PLACE, least=1)}
_STATUS = FaultField("whole", 503, least=400, most=599)
_MESSAGE = {"code": FaultField("text", ""), "message": FaultField("text", "")}
_CUT, _RESET = does.broken_off("cut"), does.broken_off("reset")

KINDS: dict[str, FaultKind] = {
    "error": FaultKind(
        "an HTTP error instead of the answer; `after`: an error event in its stream",
        "error=503,retry_after=1",
        {
            "status": _STATUS,
            "retry_after": FaultField("whole"),
            **_MESSAGE,
            "shape": FaultField("text", "api", choices=tuple(does.SHAPES)),
            "after": FaultField("whole"),
        },
        plain=does.error,
        stream=does.error,
        instead=lambda values: values["after"] is None,
    ),
    "delay": FaultKind(
        "seconds before anything is sent",
        "delay=2",
        _SECONDS,
        plain=does.later,
        stream=does.later,
        refusals=True,
    ),
    "first_token": FaultKind(
        "seconds before the first piece of an answer; a stream's first events come at once",
        "first_token=1.5",
        _SECONDS,
        plain=does.later,
        stream=on_events(does.before_first_token),
    ),
    "tokens_per_second": FaultKind(
        "the pace of a stream's deltas (a token is a word); a plain answer comes as late as its tokens take",
        "tokens_per_second=20",
        {"rate": FaultField("number", least=0.001, required=True)},
        plain=does.at_speed,
        stream=on_events(does.paced),
    ),
    "event_delay": FaultKind(
        "seconds before each event of a stream",
        "event_delay=0.1",
        _SECONDS,
        stream=on_events(does.before_each),
    ),
    "cut": FaultKind(
        "the connection is closed without the answer's end, behind `after` events or half a plain body; `cut=0`: before any byte",
        "cut=3",
        {"after": FaultField("whole", USUAL_PLACE)},
        plain=_CUT,
        stream=_CUT,
        instead=lambda values: values["after"] == 0,
    ),
    "reset": FaultKind(
        "the connection is reset (TCP RST), before any byte or as `cut` is",
        "reset=3",
        {"after": FaultField("whole", 0)},
        plain=_RESET,
        stream=_RESET,
        instead=lambda values: values["after"] == 0,
    ),
    "truncate": FaultKind(
        "a stream ends behind `after` events: HTTP's end is there, the API's is not",
        "truncate=5",
        {"after": FaultField("whole", USUAL_PLACE, least=1)},
        stream=on_events(lambda values: does.up_to(values["after"])),
    ),
    "malformed": FaultKind(
        "JSON that stops half way: a plain body, or the data of one event",
        "malformed=4",
        _EVENT,
        plain=does.half_json,
        stream=on_events(does.broken_event),
    ),
    "duplicate": FaultKind(
        "one event of a stream comes twice", "duplicate=6", _EVENT, stream=on_events(does.twice)
    ),
    "missing": FaultKind(
        "one event of a stream does not come", "missing=6", _EVENT, stream=on_events(does.left_out)
    ),
    "error_line": FaultKind(
        'a bare line {"error": …} behind `after` events, then the end, as the service was seen to refuse in mid-stream',
        "error_line=5",
        {"after": FaultField("whole", USUAL_PLACE), "status": _STATUS, **_MESSAGE},
        stream=on_events(does.bare_line),
    ),
}
"""Every kind of fault, by the name it has in scripts and in ``--fault``."""
