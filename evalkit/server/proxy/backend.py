"""The upstream back end: a proxy that records. Answers pass through as they arrive; each conversation becomes a cassette of its own.

Nothing waits for the disk but an answer's end: a plain answer is on the disk before the client has it, a stream before its end is passed on.
Whose conversation an exchange is, is ``conversation.threads``' business; how cassettes come to the disk, ``archive``'s.

A client that leaves a stream: where the last event had passed, the rest is still read, and the recording is whole; else the upstream is let go
of, and the stream is recorded as broken. An upstream that cannot be reached is 502 or 504, and leaves nothing in a cassette.
"""

from __future__ import annotations

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
from evalkit.server.proxy.upstream import Upstream, UpstreamResponse, refusal

IDLE_SECONDS = 60.0
"""A conversation without traffic for so long becomes a cassette; it may go on later."""

_DRAIN_SECONDS = 5.0


class ProxyBackend:
    """Passes calls on to an upstream; with an archive, records them. ``log`` gets what people must know. Raises CassetteError for a damaged
    journal that an earlier process left.
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
        self.title = upstream.base + (
            f", recorded into {display_path(archive.folder)}" if archive else ""
        )
        self._upstream = upstream
        self._log = log
        self._idle = idle
        self._keeper = (
            ConversationRecorder(archive, upstream, log, clock) if archive is not None else None
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._watch: asyncio.Task[None] | None = None
        self._closed = False
        for line in archive.recover() if archive is not None else ():
            log(line)

    async def handle(self, call: Call) -> Reply:
        """Pass a call on; its answer is passed back as it arrives."""
        keeper = self._keeper
        if keeper is not None and self._watch is None:
            self._watch = asyncio.create_task(keeper.fold_idle(self._idle))
        exchange = keeper.opened(call) if keeper is not None else None
        try:
            answer = await self._upstream.send(call)
            headers = forwarded_response_headers(answer.headers)
            if exchange is None or exchange.hears(answer).streamed:
                passing = StreamTee(answer, exchange)
                passing.task = self._task(passing.read())
                return Reply(
                    answer.status,
                    live=passing,
                    headers=_with_length(answer, headers),
                    by=_by(exchange),
                )
            body = await self._whole(answer, exchange)
        except BaseException as error:
            if keeper is not None and exchange is not None:
                keeper.unanswered(exchange)
            if not isinstance(error, TransportError):
                raise
            self._log(f"upstream {error}")
            return error_reply(refusal(error))
        # A client that leaves now does not undo what was answered: this goes on without it.
        await asyncio.shield(self._task(exchange.done()))
        return Reply(answer.status, body, headers=headers, by=_by(exchange))

    async def close(self) -> None:
        """End what is under way, make cassettes of all conversations, let go of the upstream."""
        if self._closed:
            return
        self._closed = True
        if self._watch is not None:
            self._watch.cancel()
        if self._tasks:
            _, left = await asyncio.wait(self._tasks, timeout=_DRAIN_SECONDS)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
        await self._upstream.close()
        if self._keeper is not None:
            await self._keeper.close()

    async def _whole(self, answer: UpstreamResponse, exchange: ProxiedExchange) -> bytes:
        parts = []
        try:
            async for chunk in answer.chunks():
                exchange.hear(chunk)
                parts.append(chunk)
        finally:
            await answer.close()
        return b"".join(parts)

    def _task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
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
    """Return a proxy to ``base_url`` that records into ``folder`` (None: into nothing) and sends the key of an environment variable.

    Raises UsageError (URL, key, folder), CassetteError for a damaged journal.
    """
    key = None
    if key_env is not None:
        key = os.environ.get(key_env, "").strip()
        if not key:
            raise UsageError(
                f"--upstream-key-env {key_env}: the environment has no such variable, or it is empty"
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
        archive = ConversationArchive(folder, {})
    return ProxyBackend(upstream, archive, log=log)


def _by(exchange: ProxiedExchange | None) -> str:
    return (
        "passed on"
        if exchange is None
        else f"conversation {exchange.thread + 1}, request {exchange.number + 1}"
    )


def _with_length(answer: UpstreamResponse, headers: dict[str, str]) -> dict[str, str]:
    length = answer.headers.get("content-length")
    return headers if length is None else {**headers, "content-length": length}
