"""What passes by on its way to a client, read as it passes: events and their arrival, and when the conversation can go on. No IO.

A client may act on the last event of an answer before the answer has ended, so what an answer says is learnt when that event has been seen,
not when the connection is done.
"""

from __future__ import annotations

import zlib
from contextlib import suppress
from dataclasses import replace
from urllib.parse import parse_qsl

from evalkit._lib.json import JSON, loads
from evalkit.cassette import bodies
from evalkit.cassette.recording import Recording
from evalkit.cassette.yaml_scalars import to_text
from evalkit.protocol.sse import DONE, Frame, SseParser
from evalkit.server.calls import Call
from evalkit.transcript import Request, Response
from evalkit.transports.conversion import recording_of

_ENDINGS = ("interaction.completed", "error")


class ResponseCapture:
    """Hears one answer out. ``began`` is the clock's time when the request was sent; times are in seconds."""

    def __init__(self, status: int, headers: dict[str, str], began: float) -> None:
        self.status = status
        self.headers = headers
        self.ended = False
        self.named: str | None = None
        self._began = began
        self._chunks: list[bytes] = []
        self._event_ms: list[float] = []
        self._parser = (
            SseParser()
            if 200 <= status < 300
            and headers.get("content-type", "").startswith("text/event-stream")
            else None
        )
        coding = headers.get("content-encoding", "").lower()
        self._opener = (
            zlib.decompressobj(zlib.MAX_WBITS | 32)
            if coding in ("gzip", "x-gzip", "deflate")
            else None
        )

    @property
    def streamed(self) -> bool:
        """Whether the answer is a stream of events."""
        return self._parser is not None

    def take(self, chunk: bytes, now: float) -> None:
        """Take bytes of the body. Afterwards ``named`` is the id that a stream has told, ``ended`` whether its last event came."""
        self._chunks.append(chunk)
        if self._parser is None:
            return
        try:
            self._heard(
                self._parser.feed(self._opener.decompress(chunk) if self._opener else chunk), now
            )
        except zlib.error:
            self._parser = SseParser()

    def finish(self, now: float) -> None:
        """Take the end of the body."""
        if self._parser is not None:
            self._heard(self._parser.close(), now)

    def response(self, now: float, broken: str | None = None) -> Response:
        """Return the answer as far as it came."""
        body: str | bytes = b"".join(self._chunks)
        with suppress(
            ValueError
        ):  # a coding that was not asked for, and cannot be read: kept as it is
            body = bodies.decompress_body(
                body, {"content-encoding": [self.headers.get("content-encoding", "")]}
            )
        elapsed = round((now - self._began) * 1000, 1)
        text = body if isinstance(body, str) else to_text(body)
        return Response(self.status, self.headers, text, elapsed, tuple(self._event_ms), broken)

    def _heard(self, frames: list[Frame], now: float) -> None:
        for frame in frames:
            if frame.data == DONE:
                self.ended = True
            elif frame.data:
                self._event_ms.append(round((now - self._began) * 1000, 1))
                if self.named is None or any(word in frame.data for word in _ENDINGS):
                    kind, name = _told(frame.data)
                    self.named = name if self.named is None else self.named
                    self.ended = self.ended or kind in _ENDINGS


def request_of(call: Call, uri: str) -> Request:
    """Return a call as a request of a conversation; a body that is no JSON is its text."""
    path, _, query = uri.partition("://")[2].partition("?")
    body: JSON = None
    if call.body:
        try:
            body = loads(call.body)
        except (ValueError, RecursionError):
            body = to_text(call.body)
    return Request(
        call.method,
        "/" + path.partition("/")[2],
        body,
        tuple(parse_qsl(query, keep_blank_values=True)),
    )


def heard(call: Call, uri: str, response: Response) -> Recording:
    """Return the recording of an exchange: the request's body and content type as they were sent, before redaction."""
    recording = recording_of(Request(call.method, call.path), uri, response)
    kind = call.headers.get("content-type")
    body = call.body
    return replace(
        recording,
        request_body=_text(body),
        request_headers={"content-type": [kind]} if kind and body else {},
    )


def _text(body: bytes) -> str | bytes:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body


def _told(data: str) -> tuple[JSON, str]:
    """Return what an event is, and the id it names."""
    try:
        event = loads(data)
    except (ValueError, RecursionError):
        return None, ""
    if not isinstance(event, dict):
        return None, ""
    interaction = event.get("interaction")
    name = interaction.get("id") if isinstance(interaction, dict) else None
    kind = "error" if "event_type" not in event and "error" in event else event.get("event_type")
    return kind, name if isinstance(name, str) else ""
