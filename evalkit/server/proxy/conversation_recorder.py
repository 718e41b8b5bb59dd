"""Captures the proxy's exchanges, assigns them to conversations, and records them.

A client may act on the last event of a stream before the connection ends. So a response counts as
ended when that event has been seen, not when the connection is done. ``conversation.demultiplex``
decides which conversation an exchange belongs to; ``archive`` writes the cassettes. Between them is
one writer thread, so that exchanges are written one after the other and no stream waits for a disk.
"""

import asyncio
import time
import zlib
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar
from urllib.parse import parse_qsl

from evalkit._lib.limits import TooLarge, exceeded, limits
from evalkit.cassette.bodies import to_text
from evalkit.cassette.content_codings import Inflater, decompress_body
from evalkit.cassette.matching import body_value
from evalkit.cassette.recording import Recording
from evalkit.conversation.demultiplex import Demultiplexer, PendingRequest
from evalkit.conversation.reconstruct import split_uri
from evalkit.errors import EvalkitError
from evalkit.protocol.sse import DONE, Frame, SseParser, events_of_frames, is_event_stream
from evalkit.server.calls import Call, secrets_of
from evalkit.server.proxy.archive import ConversationArchive
from evalkit.server.proxy.upstream import Upstream
from evalkit.transcript import Request, Response
from evalkit.transports.conversion import recording_of

T = TypeVar("T")

_LAST_EVENTS = ("interaction.completed", "error")


class ResponseCapture:
    """Captures one response; ``started`` is when its request was sent, in seconds.

    ``has_ended`` is whether its last event has arrived, ``interaction_id`` the id that its events
    mention: None before the first event, empty if there is none. ``problem`` says why it cannot be
    recorded: it exceeds a limit. It is forwarded all the same, and nothing more of it is stored.
    """

    def __init__(self, started: float) -> None:
        self.headers: dict[str, str] = {}
        self.has_ended = False
        self.interaction_id: str | None = None
        self.problem = ""
        self._started = started
        self._status = 0
        self._chunks: list[bytes] = []
        self._event_ms: list[float] = []
        self._parser: SseParser | None = None
        self._size = 0
        self._inflater = Inflater("")

    def start(self, status: int, headers: dict[str, str]) -> bool:
        """Take the head of the response; return whether a stream of events follows."""
        self._status = status
        self.headers = headers
        self._inflater = Inflater(headers.get("content-encoding", "").lower())
        is_stream = is_event_stream(headers)
        if is_stream and 200 <= status < 300:
            self._parser = SseParser()
        return self._parser is not None

    def feed(self, chunk: bytes, now: float) -> None:
        """Take the next bytes of the body."""
        if self.problem:
            return
        self._chunks.append(chunk)
        self._size += len(chunk)
        inflated = 0
        if self._parser is not None:
            with suppress(zlib.error):
                for piece in self._inflater.feed(chunk):
                    inflated += len(piece)
                    self._read_frames(self._parser.feed(piece), now)
                    if self._is_too_large(self._size + inflated):
                        break
        self._size += max(0, inflated - len(chunk))
        if self._is_too_large(self._size):
            self._chunks.clear()
            self._parser = None

    def _is_too_large(self, size: int) -> bool:
        if size > limits().response:
            self.problem = exceeded("response", "the response is too large")
        elif len(self._event_ms) > limits().events:
            self.problem = exceeded("events", "the stream has too many events")
        return bool(self.problem)

    def close(self, now: float) -> None:
        """Take the end of the body."""
        if self._parser is not None:
            self._read_frames(self._parser.close(), now)
        self.has_ended = True

    def response(self, now: float, broken: str | None = None) -> Response:
        """Return the response as far as it arrived."""
        body: str | bytes = b"".join(self._chunks)
        coding = self.headers.get("content-encoding", "")
        try:
            body = decompress_body(body, {"content-encoding": [coding]})
        except TooLarge as error:
            self.problem, body = str(error), b""
        except ValueError:
            pass  # A body in an unknown coding is stored as it is.
        return Response(
            self._status,
            self.headers,
            to_text(body),
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
                    self._read_event(frame)

    def _read_event(self, frame: Frame) -> None:
        events = events_of_frames([frame]).events
        event = events[0] if events and isinstance(events[0], dict) else {}
        if self.interaction_id is None:
            interaction = event.get("interaction")
            name = interaction.get("id") if isinstance(interaction, dict) else None
            self.interaction_id = name if isinstance(name, str) else ""
        if event.get("event_type") in _LAST_EVENTS:
            self.has_ended = True

    def _milliseconds(self, now: float) -> float:
        return round((now - self._started) * 1000, 1)


class ConversationRecorder:
    """Records the conversations of a proxy in an archive; ``log`` gets a line for each failure."""

    def __init__(
        self, archive: ConversationArchive, upstream: Upstream, log: Callable[[str], object]
    ) -> None:
        self.demultiplexer = Demultiplexer()
        self._archive = archive
        self._upstream = upstream
        self._log = log
        self._request_counts: Counter[int] = Counter()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="evalkit record")

    def open(self, call: Call) -> "ProxiedExchange":
        """Start the exchange of a call that is about to be forwarded."""
        pending = self.demultiplexer.open(_request_of(call, self._upstream.uri(call)))
        thread = pending.thread
        if thread not in self._request_counts and (fork := self.demultiplexer.fork_of(thread)):
            self._request_counts[thread] = fork[1]
        number = self._request_counts[thread]
        self._request_counts[thread] += 1
        return ProxiedExchange(
            recorder=self,
            call=call,
            pending=pending,
            number=number,
            capture=ResponseCapture(time.monotonic()),
        )

    async def record(self, exchange: "ProxiedExchange", response: Response) -> None:
        """Write an exchange to the disk; a failure is logged only."""
        if exchange.capture.problem:
            self._log(f"not recorded: {exchange.call.path}: {exchange.capture.problem}")
            return
        call, pending = exchange.call, exchange.pending
        body = pending.request.body if isinstance(pending.request.body, dict) else {}
        metadata = {
            "endpoint": self._upstream.base,
            "model": body.get("model") or body.get("agent"),
            "api_revision": call.headers.get("api-revision"),
            "source": "evalkit serve --upstream",
            "server": response.headers.get("server"),
        }
        append = partial(
            self._archive.append,
            pending.thread,
            exchange.number,
            _recording_of(call, self._upstream.uri(call), response),
            secrets={*secrets_of(call), *self._upstream.secrets},
            metadata=metadata,
            fork=self.demultiplexer.fork_of(pending.thread),
        )
        try:
            await self._in_writer(append)
        except EvalkitError as error:
            self._log(f"not recorded: {error}")

    async def write_idle(self, seconds: float) -> None:
        """Write the cassettes of conversations that are idle for so long, until cancelled."""
        while True:
            await asyncio.sleep(seconds / 2)
            for line in await self._in_writer(lambda: self._archive.write_idle(seconds)):
                self._log(f"not recorded: {line}")

    async def close(self) -> None:
        """Write every cassette."""
        for line in await self._in_writer(self._archive.close):
            self._log(f"not recorded: {line}")
        self._writer.shutdown()

    async def _in_writer(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writer, work)


@dataclass(slots=True, kw_only=True)
class ProxiedExchange:
    """A call in progress: its conversation, and how many requests that had before."""

    recorder: ConversationRecorder
    call: Call
    pending: PendingRequest
    number: int
    capture: ResponseCapture
    is_answered: bool = False

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the response, before the client gets them."""
        self.capture.feed(chunk, time.monotonic())
        if self.capture.interaction_id:
            self.recorder.demultiplexer.learn_id(self.pending, self.capture.interaction_id)
        if self.capture.has_ended:
            self._complete(self.capture.response(time.monotonic()))

    async def finish(self, broken: str | None = None) -> None:
        """Take the end of the response and record it; ``broken`` is why it is incomplete."""
        now = time.monotonic()
        self.capture.close(now)
        response = self.capture.response(now, broken)
        self._complete(response)
        await self.recorder.record(self, response)

    def fail(self) -> None:
        """Note that there is no response."""
        if not self.is_answered:
            self.is_answered = True
            self.recorder.demultiplexer.fail(self.pending)

    def _complete(self, response: Response) -> None:
        if not self.is_answered:
            self.is_answered = True
            self.recorder.demultiplexer.complete(self.pending, response)


def _request_of(call: Call, uri: str) -> Request:
    """Return a call as a conversation's request; a body that is not JSON becomes a string."""
    parts = split_uri(uri)
    body = body_value(call.body)
    return Request(
        call.method,
        parts.path,
        to_text(body) if isinstance(body, bytes) else body,
        tuple(parse_qsl(parts.query, keep_blank_values=True)),
    )


def _recording_of(call: Call, uri: str, response: Response) -> Recording:
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
