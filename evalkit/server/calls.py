"""What every back end speaks: a call comes in as values, a reply goes out as values. Nothing here opens, waits or knows HTTP libraries.

A reply tells how it is to be sent (delays, gaps, how the connection ends) instead of doing it: the HTTP shell does, and whatever changes
replies on the way (faults) needs no clock. Three back ends answer calls: a script, cassettes, an upstream.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from evalkit._lib.json import dumps
from evalkit.server.requests.error_response import ErrorResponse

End = Literal["whole", "cut", "reset"]
"""How an answer ends: as HTTP wants it, with the connection closed before that, or with the connection reset."""


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request. ``path`` is decoded, without its query; header names are lower case. ``target`` is path and query as they came,
    percent-encoded; without one, it is made of ``path`` and ``query``.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    target: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP answer: a whole ``body`` (JSON unless a header says else), or server-sent ``frames``, or a ``live`` stream passed through.

    ``delay`` is the seconds before anything is sent; ``event_delay`` those before each frame, ``gaps`` the same frame by frame (added to it;
    frames beyond its end wait for no more). A ``status`` of 0 sends nothing at all, and the connection ends as ``end`` says. ``by`` says for
    people what made it: a rule, a plain answer, the error; ``faults`` are the kinds of faults that were put into it.
    """

    status: int
    body: str | bytes = ""
    frames: Sequence[str] | None = None
    live: AsyncIterator[bytes] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    event_delay: float = 0.0
    gaps: Sequence[float] = ()
    end: End = "whole"
    by: str = ""
    faults: tuple[str, ...] = ()


class StreamCut(Exception):
    """Raised by a ``live`` stream where it broke off: the connection is closed as it is for an ``End`` of ``cut``. Never leaves this room."""


class Backend(Protocol):
    """Answers calls. It sets every header of its replies, ``server`` included."""

    @property
    def title(self) -> str:
        """What is served, for people: ``the script 'guide'``."""
        ...

    async def handle(self, call: Call) -> Reply:
        """Answer one call. Raises ErrorResponse for what is refused; never anything else for what a client sends."""
        ...

    async def close(self) -> None:
        """Let go of files and connections; twice is no error."""
        ...


def fault_reply(fault: ErrorResponse, delay: float = 0.0) -> Reply:
    """Return the reply a refusal is sent as."""
    return Reply(
        fault.status, dumps(fault.body()), headers=fault.headers, delay=delay, by=str(fault.code)
    )
