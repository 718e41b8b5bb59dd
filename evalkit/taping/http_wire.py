"""HTTP/1.1 messages as bytes: the requests that clients write, the responses that they read. Pure.

Clients that write to a connection (http.client and aiohttp) get one that is not a connection: what
they write is parsed here, and what they read is built here. So everything above it, such as
redirects, cookies, decompression and pools, is the client's own.
"""

from collections.abc import Iterable
from http.client import parse_headers
from io import BytesIO
from typing import NamedTuple

_END_OF_HEAD = b"\r\n\r\n"
# They describe one transmission of a body, not the body.
_TRANSMISSION_HEADERS = frozenset(("connection", "keep-alive", "transfer-encoding"))
_WITHOUT_BODY = frozenset((204, 304))


class WireRequest(NamedTuple):
    """A request as it was written; ``target`` is a path, or a URI if it goes through a proxy."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class WireResponse(NamedTuple):
    """A response as it was received, its body without transfer coding but with content codings."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes


class RequestBuffer:
    """The bytes of one request, as far as a client has written them."""

    def __init__(self) -> None:
        self.data = bytearray()
        self._start = 0
        self._length: int | None = None
        self._line = ""
        self._headers: dict[str, str] = {}

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Add what the client writes."""
        self.data += memoryview(data).cast("B")
        if not self._start and (end := self.data.find(_END_OF_HEAD)) >= 0:
            self._start = end + len(_END_OF_HEAD)
            line, _, lines = bytes(self.data[: self._start]).partition(b"\r\n")
            self._line = line.decode("latin-1")
            headers = parse_headers(BytesIO(lines))
            self._headers = {name.lower(): value for name, value in headers.items()}
            if "chunked" not in self._headers.get("transfer-encoding", ""):
                self._length = int(self._headers.get("content-length") or 0)

    def take_expectation(self) -> bool:
        """Return, once, whether the client waits for a 100 before it sends the body."""
        return self._headers.pop("expect", "").lower() == "100-continue"

    def request(self) -> WireRequest | None:
        """Return the request, None if it is not complete."""
        if not self._start:
            return None
        if self._length is None:
            body = _join_chunks(self.data, self._start)
        else:
            end = self._start + self._length
            body = bytes(self.data[self._start : end]) if len(self.data) >= end else None
        method, target, *_ = self._line.split(" ")
        return None if body is None else WireRequest(method, target, self._headers, body)


def response_bytes(response: WireResponse, method: str) -> bytes:
    """Return what a client reads; a length replaces the transfer coding."""
    has_body = method != "HEAD" and response.status not in _WITHOUT_BODY
    dropped = _TRANSMISSION_HEADERS | ({"content-length"} if has_body else set())
    headers = [pair for pair in response.headers if pair[0].lower() not in dropped]
    if has_body:
        headers.append(("content-length", str(len(response.body))))
    lines = [f"HTTP/1.1 {response.status} {response.reason}", *map(": ".join, headers)]
    # A line break would start another header.
    head = b"".join(" ".join(line.splitlines()).encode() + b"\r\n" for line in lines)
    return head + b"\r\n" + (response.body if has_body else b"")


def header_text(value: bytes | str) -> str:
    """Return the value of a header as text: UTF-8, or else Latin-1 (RFC 9110, section 5.5)."""
    data = value if isinstance(value, bytes) else value.encode("latin-1", "replace")
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def value_lists(headers: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return headers as lists of values by name in lower case."""
    lists: dict[str, list[str]] = {}
    for name, value in headers:
        lists.setdefault(name.lower(), []).append(value)
    return lists


def _join_chunks(data: bytearray, at: int) -> bytes | None:
    """Return a chunked body (RFC 9112, section 7.1), None if its last chunk is missing."""
    if not data.endswith(_END_OF_HEAD):
        return None
    chunks: list[bytes] = []
    while (end := data.find(b"\r\n", at)) >= 0:
        size = int(data[at:end].partition(b";")[0], 16)
        if not size:
            return b"".join(chunks)
        chunks.append(bytes(data[end + 2 : end + 2 + size]))
        at = end + 2 + size + 2
    return None
