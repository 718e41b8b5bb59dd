"""The values that back ends take and return: calls and replies. No IO, no HTTP library.

A reply describes how it is to be sent (delays, gaps, how the connection ends). The HTTP application
does the sending, so fault injection can change a reply without a clock. There are three back ends:
a script, cassettes, and an upstream. The functions at the end choose which headers of a message are
forwarded, and find the secrets of a call.
"""

from collections.abc import AsyncIterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Literal, Protocol
from urllib.parse import urlsplit

from evalkit._lib.json import dumps
from evalkit.cassette.secret_fields import secrets_in
from evalkit.server.requests.error_response import ErrorResponse

ConnectionEnd = Literal["whole", "cut", "reset"]
"""How a response ends: as HTTP requires, with an early close, or with a TCP reset."""

# RFC 9110, section 7.6.1.
_CONNECTION_HEADERS = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_SENT_BY_SERVER = {"content-length", "date"}


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request.

    ``path`` is decoded, without its query; header names are in lower case. ``target`` is path and
    query as received, percent-encoded.
    """

    method: str
    path: str
    _: KW_ONLY
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    target: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP response and how to send it.

    It has a whole ``body`` (JSON unless a header says otherwise), or server-sent ``frames``, or a
    ``live`` body that is forwarded as it arrives. ``delay`` is the wait in seconds before anything
    is sent, ``event_delay`` the wait before each frame; ``gaps`` adds a wait for each frame, none
    for frames beyond its end. With ``status`` 0 nothing is sent, and the connection ends as ``end``
    says. ``by`` describes for the log what produced the reply: a rule, a recording, an error.
    ``faults`` are the kinds of the faults injected into it.
    """

    status: int
    body: str | bytes = ""
    _: KW_ONLY
    frames: Sequence[str] | None = None
    live: AsyncIterable[bytes] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    event_delay: float = 0.0
    gaps: Sequence[float] = ()
    end: ConnectionEnd = "whole"
    by: str = ""
    faults: tuple[str, ...] = ()

    @property
    def body_bytes(self) -> bytes:
        """The whole body as it is sent."""
        return self.body.encode() if isinstance(self.body, str) else self.body

    @property
    def is_stream(self) -> bool:
        """Whether it is a stream of server-sent events."""
        if self.live is None:
            return self.frames is not None
        types = [value for name, value in self.headers.items() if name.lower() == "content-type"]
        return any(value.startswith("text/event-stream") for value in types)


class StreamCut(Exception):
    """Raised by a ``live`` body where it broke off; the connection then ends with ``cut``."""


class Backend(Protocol):
    """Handles calls. It sets every header of its replies, ``server`` included."""

    @property
    def title(self) -> str:
        """What is served, for people: ``the script 'guide'``."""

    async def handle(self, call: Call) -> Reply:
        """Handle one call. Raises ErrorResponse for invalid requests, and nothing else."""

    async def close(self) -> None:
        """Release files and connections; may be called twice."""


def error_reply(error: ErrorResponse, delay: float = 0.0) -> Reply:
    """Return the reply for an error."""
    body = dumps(error.body())
    return Reply(error.status, body, headers=error.headers, delay=delay, by=str(error.code))


def end_to_end(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that do not belong to one connection; names are in lower case."""
    listed = {name.strip().lower() for name in headers.get("connection", "").split(",")}
    excluded = _CONNECTION_HEADERS | listed
    return {name: value for name, value in headers.items() if name not in excluded}


def forwarded_response_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return a response's headers as this server forwards them."""
    forwarded = end_to_end(headers)
    return {name: value for name, value in forwarded.items() if name not in _SENT_BY_SERVER}


def secrets_of(call: Call) -> Iterator[str]:
    """Yield what must never be written of a call: keys in its headers and in its query."""
    yield from secrets_in(call.target, call.headers.items())


def local_target(address: str) -> str:
    """Return path and query of an absolute address, and anything else unchanged."""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https"):
        return address
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def local_address(target: str, call: Call) -> str:
    """Return the address at which the client of a call reaches a path of this server."""
    host = call.headers.get("host", "")
    return f"http://{host}{target}" if host and target.startswith("/") else target
