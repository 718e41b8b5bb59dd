"""The upstream back end: a proxy that records each conversation into its own cassette.

Responses are forwarded as they arrive. Only the end of a response waits for the disk: a plain one
is on the disk before the client has it, a stream before its end is forwarded.

When a client leaves a stream after its last event, the rest is still read, and the recording is
complete; earlier, the upstream's connection is closed, and the stream is recorded as broken. If the
upstream cannot be reached, the client gets 502 or 504, and nothing is recorded.
"""

import asyncio
import os
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from evalkit._lib.files import display_path
from evalkit.errors import TransportError, UsageError
from evalkit.server.calls import Call, Reply, error_reply
from evalkit.server.headers import forwarded_response_headers
from evalkit.server.proxy.archive import ConversationArchive
from evalkit.server.proxy.conversation_recorder import ConversationRecorder, ProxiedExchange
from evalkit.server.proxy.stream_tee import StreamTee
from evalkit.server.proxy.upstream import Upstream, UpstreamResponse, error_response

IDLE_SECONDS = 60.0
"""A conversation without traffic for so long is written to its cassette; it may continue later."""

_DRAIN_SECONDS = 5.0


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
        clock: Callable[[], float] = time.monotonic,
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
            self._recorder = ConversationRecorder(archive, upstream, log, clock)
            for line in archive.recover():
                log(line)

    async def handle(self, call: Call) -> Reply:
        """Forward a call; the response is forwarded as it arrives."""
        exchange = None
        if self._recorder is not None:
            if self._idle_task is None:
                self._idle_task = asyncio.create_task(self._recorder.write_idle(self._idle))
            exchange = self._recorder.open(call)
        try:
            response = await self._upstream.send(call)
            headers = forwarded_response_headers(response.headers)
            if exchange is None or exchange.start_capture(response).is_stream:
                return self._stream(response, exchange, headers)
            body = await _read_body(response, exchange)
        except BaseException as error:
            if exchange is not None:
                exchange.recorder.note_failure(exchange)
            if not isinstance(error, TransportError):
                raise
            self._log(f"upstream {error}")
            return error_reply(error_response(error))
        # Shielded: a client that leaves now must not prevent the recording.
        await asyncio.shield(self._start_task(exchange.finish()))
        return Reply(response.status, body, headers=headers, by=_describe(exchange))

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

    def _stream(
        self, response: UpstreamResponse, exchange: ProxiedExchange | None, headers: dict[str, str]
    ) -> Reply:
        tee = StreamTee(response, exchange)
        tee.task = self._start_task(tee.read())
        if length := response.headers.get("content-length"):
            headers["content-length"] = length
        return Reply(response.status, live=tee, headers=headers, by=_describe(exchange))

    def _start_task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def open_proxy(
    base_url: str,
    folder: Path | None,
    *,
    key_env: str | None = None,
    log: Callable[[str], object] = lambda line: None,
) -> ProxyBackend:
    """Return a proxy to ``base_url`` that records into ``folder``, if given.

    ``key_env`` is the environment variable of the key to send. Raises UsageError (URL, key, folder)
    or CassetteError (damaged journal).
    """
    key = None
    if key_env is not None:
        key = os.environ.get(key_env, "").strip()
        if not key:
            raise UsageError(
                f"--upstream-key-env {key_env}: the environment variable is not set or empty"
            )
    upstream = Upstream(base_url, key)
    archive = None
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = error.strerror or error
            raise UsageError(
                f"--record {display_path(folder)}: cannot record here: {reason}"
            ) from error
        archive = ConversationArchive(folder, {})
    return ProxyBackend(upstream, archive, log=log)


async def _read_body(response: UpstreamResponse, exchange: ProxiedExchange) -> bytes:
    chunks = []
    try:
        async for chunk in response.chunks():
            exchange.feed(chunk)
            chunks.append(chunk)
    finally:
        await response.close()
    return b"".join(chunks)


def _describe(exchange: ProxiedExchange | None) -> str:
    if exchange is None:
        return "forwarded"
    return f"conversation {exchange.pending.thread + 1}, request {exchange.number + 1}"
