"""The upstream back end: a proxy that records each conversation into its own cassette.

Responses are forwarded as they arrive. Only the end of a response waits for the disk: a plain one
is on the disk before the client has it, a stream before its end is forwarded.

When a client leaves a stream after its last event, the rest is still read, and the recording is
complete; earlier, the upstream's connection is closed, and the stream is recorded as broken. If the
upstream cannot be reached, the client gets 502 or 504, and nothing is recorded.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import httpx

from evalkit._lib.files import display_path
from evalkit._lib.limits import exceeded, limits
from evalkit.cassette.redaction import Redactor
from evalkit.errors import ResponseTooLarge, TransportError, UsageError
from evalkit.protocol.wire_facts import API_KEY_VARIABLES
from evalkit.server.calls import Call, Reply, StreamCut, error_reply, forwarded_response_headers
from evalkit.server.proxy.archive import ConversationArchive
from evalkit.server.proxy.conversation_recorder import ConversationRecorder, ProxiedExchange
from evalkit.server.proxy.upstream import Upstream, error_response, received_chunks

IDLE_SECONDS = 60.0
"""A conversation without traffic for so long is written to its cassette; it may continue later."""

_DRAIN_SECONDS = 5.0
_MAX_LAG = 64  # chunks that a client may lag behind
_STALLED_SECONDS = 120.0  # a client that reads nothing for so long counts as gone


class ProxyBackend:
    """Forwards calls to an upstream; with an archive, records them. ``log`` gets failures.

    Raises CassetteError for a damaged journal of an earlier process.
    """

    def __init__(
        self,
        upstream: Upstream,
        archive: ConversationArchive | None = None,
        *,
        log: Callable[[str], object] = lambda line: None,
        idle: float = IDLE_SECONDS,
    ) -> None:
        self.title = upstream.base
        self._upstream = upstream
        self._log = log
        self._idle = idle
        self._recorder: ConversationRecorder | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle_task: asyncio.Task[None] | None = None
        self._is_closed = False
        if archive is not None:
            self.title += f", recorded into {display_path(archive.folder)}"
            self._recorder = ConversationRecorder(archive, upstream, log)
            for line in archive.recover():
                log(line)

    async def handle(self, call: Call) -> Reply:
        """Forward a call; the response is forwarded as it arrives."""
        exchange = None
        by = "forwarded"
        if self._recorder is not None:
            if self._idle_task is None:
                self._idle_task = asyncio.create_task(self._recorder.write_idle(self._idle))
            exchange = self._recorder.open(call)
            by = f"conversation {exchange.pending.thread + 1}, request {exchange.number + 1}"
        try:
            response = await self._upstream.send(call)
            received = dict(response.headers)
            headers = self._upstream.led_back(forwarded_response_headers(received), call)
            if exchange is None or exchange.capture.start(response.status_code, received):
                tee = StreamTee(response, exchange)
                tee.task = self._start_task(tee.read())
                if length := received.get("content-length"):
                    headers["content-length"] = length
                return Reply(response.status_code, live=tee, headers=headers, by=by)
            body = await _read_body(response, exchange)
        except BaseException as error:
            if exchange is not None:
                exchange.fail()
            if not isinstance(error, TransportError):
                raise
            self._log(f"upstream {error}")
            return error_reply(error_response(error))
        # Shielded: a client that leaves now must not prevent the recording.
        await asyncio.shield(self._start_task(exchange.finish()))
        return Reply(response.status_code, body, headers=headers, by=by)

    async def close(self) -> None:
        """Finish open requests, write all cassettes, and close the upstream's connections."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._idle_task is not None:
            self._idle_task.cancel()
        if self._tasks:
            _, pending = await asyncio.wait(self._tasks, timeout=_DRAIN_SECONDS)
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
        await self._upstream.close()
        if self._recorder is not None:
            await self._recorder.close()

    def _start_task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


class StreamTee:
    """Reads an upstream's stream in its own task, for the recording and for the client.

    The task records the stream whether or not the client stays; the client lags at most a bounded
    number of chunks behind. :meth:`read` must run as ``task``. Iterating gives the client's chunks,
    and raises StreamCut where the upstream broke off. This is not a generator, because a generator
    is not notified of a client that leaves before the first chunk.
    """

    def __init__(self, response: httpx.Response, exchange: ProxiedExchange | None) -> None:
        self.task: asyncio.Task[None] | None = None
        self._response = response
        self._exchange = exchange
        self._chunks: asyncio.Queue[bytes | str | None] = asyncio.Queue(_MAX_LAG)
        self._client_left = self._is_cancelled = False
        # A task that is cancelled before it has begun never runs, so it would close nothing.
        self._has_begun = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        chunk = None if self._client_left else await self._chunks.get()
        if isinstance(chunk, bytes):
            return chunk
        await self.aclose()
        raise StopAsyncIteration if chunk is None else StreamCut(chunk)

    async def aclose(self) -> None:
        """Note that the client wants no more."""
        self._client_left = True
        while not self._chunks.empty():
            self._chunks.get_nowait()
        if not self._has_begun or self.task is None:
            return
        if self._exchange is not None and self._exchange.capture.has_ended:
            # After the last event the rest is still read, so that the recording is complete; but
            # not from an upstream that never ends.
            asyncio.get_running_loop().call_later(_DRAIN_SECONDS, self.task.cancel)
        else:
            self._is_cancelled = True
            self.task.cancel()

    async def read(self) -> None:
        """Read the stream to its end, forward it, and record it."""
        self._has_begun = True
        broken: str | None = None
        try:
            if self._client_left:
                raise asyncio.CancelledError
            async for chunk in received_chunks(self._response):
                if self._exchange is not None:
                    self._exchange.feed(chunk)
                await self._forward(chunk)
                # In Python 3.11, wait_for may lose a cancellation that comes as its future is done.
                if self._is_cancelled:
                    raise asyncio.CancelledError
        except TransportError as error:
            broken = str(error)
        except asyncio.CancelledError:
            broken = "the client left"
        await self._response.aclose()
        if self._exchange is not None:
            await self._exchange.finish(broken)
        await self._forward(broken)

    async def _forward(self, chunk: bytes | str | None) -> None:
        if self._client_left:
            return
        try:
            await asyncio.wait_for(self._chunks.put(chunk), _STALLED_SECONDS)
        except TimeoutError:
            await self.aclose()


def open_proxy(
    base_url: str,
    folder: Path | None,
    *,
    key_env: str | None = None,
    patterns: Sequence[str] = (),
    log: Callable[[str], object] = lambda line: None,
) -> ProxyBackend:
    """Return a proxy to ``base_url`` that records into ``folder``, if given.

    ``key_env`` is the environment variable of the key to send. What matches one of ``patterns`` is
    not recorded, nor are the keys of the environment. Raises UsageError (URL, key, folder, pattern)
    or CassetteError (damaged journal).
    """
    key = os.environ.get(key_env, "").strip() if key_env else None
    if key == "":
        raise UsageError(
            f"--upstream-key-env {key_env}: the environment variable is not set or empty"
        )
    upstream = Upstream(base_url, key)
    archive = None
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"--record {display_path(folder)}: cannot record here: {error.strerror or error}"
            ) from error
        secrets = filter(None, map(os.environ.get, API_KEY_VARIABLES))
        archive = ConversationArchive(folder, {}, redactor=Redactor(secrets, patterns))
    return ProxyBackend(upstream, archive, log=log)


async def _read_body(response: httpx.Response, exchange: ProxiedExchange) -> bytes:
    chunks = []
    size = 0
    try:
        async for chunk in received_chunks(response):
            exchange.feed(chunk)
            # Without a stream, the client gets nothing before the whole body is here.
            size += len(chunk)
            if size > limits().response:
                host = response.url.netloc.decode()
                raise ResponseTooLarge(exceeded("response", f"{host}: the response is too large"))
            chunks.append(chunk)
    finally:
        await response.aclose()
    return b"".join(chunks)
