"""Captures a response while it is forwarded: its events, their times, and its recording. No IO.

A client may act on the last event of a stream before the connection ends. So the response counts as
ended when that event has been seen, not when the connection is done.
"""

import zlib
from contextlib import suppress
from dataclasses import replace
from urllib.parse import parse_qsl

from evalkit._lib.json import JSON, loads
from evalkit.cassette.bodies import decompress_body, to_text
from evalkit.cassette.matching import body_value
from evalkit.cassette.recording import Recording
from evalkit.conversation.reconstruct import split_uri
from evalkit.protocol.sse import DONE, Frame, SseParser
from evalkit.server.calls import Call
from evalkit.transcript import Request, Response
from evalkit.transports.conversion import recording_of

_LAST_EVENTS = ("interaction.completed", "error")


class ResponseCapture:
    """Captures one response. ``started`` is when its request was sent; times are in seconds.

    ``has_ended`` is whether its last event has arrived, ``interaction_id`` the id that its events
    mention: None before the first event, empty if there is none.
    """

    def __init__(self, status: int, headers: dict[str, str], started: float) -> None:
        self.headers = headers
        self.has_ended = False
        self.interaction_id: str | None = None
        self._status = status
        self._started = started
        self._chunks: list[bytes] = []
        self._event_ms: list[float] = []
        content_type = headers.get("content-type", "")
        is_stream = 200 <= status < 300 and content_type.startswith("text/event-stream")
        self._parser = SseParser() if is_stream else None
        coding = headers.get("content-encoding", "").lower()
        is_compressed = coding in ("gzip", "x-gzip", "deflate")
        self._decompressor = zlib.decompressobj(zlib.MAX_WBITS | 32) if is_compressed else None

    @property
    def is_stream(self) -> bool:
        """Whether the response is a stream of events."""
        return self._parser is not None

    def feed(self, chunk: bytes, now: float) -> None:
        """Take the next bytes of the body."""
        self._chunks.append(chunk)
        if self._parser is None:
            return
        try:
            data = self._decompressor.decompress(chunk) if self._decompressor else chunk
        except zlib.error:
            self._parser = SseParser()
        else:
            self._read_frames(self._parser.feed(data), now)

    def close(self, now: float) -> None:
        """Take the end of the body."""
        if self._parser is not None:
            self._read_frames(self._parser.close(), now)
        self.has_ended = True

    def response(self, now: float, broken: str | None = None) -> Response:
        """Return the response as far as it arrived."""
        body: str | bytes = b"".join(self._chunks)
        coding = self.headers.get("content-encoding", "")
        # A body in an unknown coding is stored as it is.
        with suppress(ValueError):
            body = decompress_body(body, {"content-encoding": [coding]})
        return Response(
            self._status,
            self.headers,
            body if isinstance(body, str) else to_text(body),
            elapsed_ms=self._milliseconds(now),
            event_ms=tuple(self._event_ms),
            broken=broken,
        )

    def _read_frames(self, frames: list[Frame], now: float) -> None:
        for frame in frames:
            if frame.data == DONE:
                self.has_ended = True
            elif frame.data:
                self._event_ms.append(self._milliseconds(now))
                # Most events are deltas, which need no parsing.
                if self.interaction_id is None or any(kind in frame.data for kind in _LAST_EVENTS):
                    self._read_event(frame.data)

    def _read_event(self, data: str) -> None:
        event: JSON = None
        with suppress(ValueError, RecursionError):
            event = loads(data)
        if not isinstance(event, dict):
            event = {}
        if self.interaction_id is None:
            interaction = event.get("interaction")
            name = interaction.get("id") if isinstance(interaction, dict) else None
            self.interaction_id = name if isinstance(name, str) else ""
        is_bare_error = "event_type" not in event and "error" in event
        if is_bare_error or event.get("event_type") in _LAST_EVENTS:
            self.has_ended = True

    def _milliseconds(self, now: float) -> float:
        return round((now - self._started) * 1000, 1)


def request_of(call: Call, uri: str) -> Request:
    """Return a call as a conversation's request; a body that is not JSON becomes a string."""
    parts = split_uri(uri)
    body = body_value(call.body)
    query = tuple(parse_qsl(parts.query, keep_blank_values=True))
    return Request(
        call.method, parts.path, to_text(body) if isinstance(body, bytes) else body, query
    )


def recording_of_call(call: Call, uri: str, response: Response) -> Recording:
    """Return the recording of an exchange, before redaction, with the request as it was sent."""
    content_type = call.headers.get("content-type")
    body: str | bytes = call.body
    with suppress(UnicodeDecodeError):
        body = call.body.decode()
    return replace(
        recording_of(Request(call.method, call.path), uri, response),
        request_body=body,
        request_headers={"content-type": [content_type]} if content_type and body else {},
    )
