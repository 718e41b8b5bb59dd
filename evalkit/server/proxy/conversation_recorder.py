"""Assigns the proxy's exchanges to conversations and records them, off the event loop.

``conversation.demultiplex`` decides which conversation an exchange belongs to; ``archive`` writes
the cassettes. Between them is one writer thread, so that exchanges are written one after the other
and no stream waits for a disk.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from evalkit.conversation.demultiplex import Demultiplexer, PendingRequest
from evalkit.errors import EvalkitError
from evalkit.server.calls import Call
from evalkit.server.headers import secrets_of
from evalkit.server.proxy.archive import ConversationArchive
from evalkit.server.proxy.capture import ResponseCapture, recording_of_call, request_of
from evalkit.server.proxy.upstream import Upstream, UpstreamResponse

T = TypeVar("T")


class ConversationRecorder:
    """Records the conversations of a proxy in an archive; ``log`` gets a line for each failure."""

    def __init__(
        self,
        archive: ConversationArchive,
        upstream: Upstream,
        log: Callable[[str], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.clock = clock
        self._archive = archive
        self._upstream = upstream
        self._log = log
        self._demultiplexer = Demultiplexer()
        self._request_counts: Counter[int] = Counter()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="evalkit record")

    def open(self, call: Call) -> "ProxiedExchange":
        """Start the exchange of a call that is about to be forwarded."""
        uri = self._upstream.uri(call)
        request = request_of(call, uri)
        known = len(self._demultiplexer)
        pending = self._demultiplexer.open(request)
        conversation = pending.thread
        if conversation == known and (fork := self._demultiplexer.fork_of(conversation)):
            self._request_counts[conversation] = fork[1]
        number = self._request_counts[conversation]
        self._request_counts[conversation] += 1
        return ProxiedExchange(
            recorder=self,
            call=call,
            uri=uri,
            pending=pending,
            number=number,
            started=self.clock(),
        )

    def note_failure(self, exchange: "ProxiedExchange") -> None:
        """Note that an exchange has no response."""
        if not exchange.is_answered:
            exchange.is_answered = True
            self._demultiplexer.fail(exchange.pending)

    def note_progress(self, exchange: "ProxiedExchange", broken: str | None = None) -> None:
        """Note what has arrived of an exchange's response."""
        capture = exchange.capture
        assert capture is not None
        if capture.interaction_id:
            self._demultiplexer.learn_id(exchange.pending, capture.interaction_id)
        if not exchange.is_answered and (capture.has_ended or broken is not None):
            exchange.is_answered = True
            response = capture.response(self.clock(), broken)
            self._demultiplexer.complete(exchange.pending, response)

    async def record(self, exchange: "ProxiedExchange", broken: str | None) -> None:
        """Write an exchange to the disk; a failure is logged only."""
        try:
            await self._append(exchange, broken)
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

    async def _append(self, exchange: "ProxiedExchange", broken: str | None) -> None:
        capture, conversation = exchange.capture, exchange.pending.thread
        assert capture is not None
        response = capture.response(self.clock(), broken)
        recording = recording_of_call(exchange.call, exchange.uri, response)
        body = exchange.pending.request.body
        body = body if isinstance(body, dict) else {}
        metadata = {
            "endpoint": self._upstream.base,
            "model": body.get("model") or body.get("agent"),
            "api_revision": exchange.call.headers.get("api-revision"),
            "source": "evalkit serve --upstream",
            "server": capture.headers.get("server"),
        }
        append = partial(
            self._archive.append,
            conversation,
            exchange.number,
            recording,
            secrets={*secrets_of(exchange.call), *self._upstream.secrets},
            metadata=metadata,
            fork=self._demultiplexer.fork_of(conversation),
        )
        await self._in_writer(append)

    async def _in_writer(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writer, work)


@dataclass(slots=True, kw_only=True)
class ProxiedExchange:
    """A call in progress: its conversation, and how many requests that had before."""

    recorder: ConversationRecorder
    call: Call
    uri: str
    pending: PendingRequest
    number: int
    started: float
    is_answered: bool = False
    capture: ResponseCapture | None = None

    def start_capture(self, response: UpstreamResponse) -> ResponseCapture:
        """Return the capture of the response that now arrives."""
        self.capture = ResponseCapture(response.status, response.headers, self.started)
        return self.capture

    @property
    def has_ended(self) -> bool:
        """Whether the response's last event has arrived."""
        return self.capture is not None and self.capture.has_ended

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the response, before the client gets them."""
        assert self.capture is not None
        self.capture.feed(chunk, self.recorder.clock())
        self.recorder.note_progress(self)

    async def finish(self, broken: str | None = None) -> None:
        """Take the end of the response and record it; ``broken`` is why it is incomplete."""
        assert self.capture is not None
        self.capture.close(self.recorder.clock())
        self.recorder.note_progress(self, broken)
        await self.recorder.record(self, broken)
