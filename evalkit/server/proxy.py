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
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit._lib.files import shown
from evalkit.cassette.recording import Recording
from evalkit.conversation.threads import Threads
from evalkit.errors import EvalkitError, TransportError, UsageError
from evalkit.server.archive import Archive
from evalkit.server.calls import Call, Cut, Reply, fault_reply
from evalkit.server.headers import passed_on, secrets_of
from evalkit.server.hearing import Hearing, heard, request_of
from evalkit.server.upstream import Answer, Upstream, refusal
from evalkit.transcript import Request

JSON = Any

IDLE_SECONDS = 60.0
"""A conversation without traffic for so long becomes a cassette; it may go on later."""

_WRITERS = 4
_AHEAD = 64
_DRAIN_SECONDS = 5.0
_STALLED_SECONDS = 120.0  # a client that takes nothing for so long has left without a word
_CLIENT_LEFT = "the client left"


@dataclass(slots=True)
class _Exchange:
    """A call under way, whose it is, and how many requests its conversation had before it."""

    call: Call
    uri: str
    request: Request
    thread: int
    number: int
    answered: bool = False


class Proxy:
    """Passes calls on to an upstream; with an archive, records them. ``log`` gets what people must know. Raises CassetteError for a damaged
    journal that an earlier process left.
    """

    def __init__(
        self,
        upstream: Upstream,
        archive: Archive | None = None,
        *,
        log: Callable[[str], object] = lambda line: None,
        idle: float = IDLE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counts: Counter[str] = Counter(upstream_errors=0)
        self.title = upstream.base + (f", recorded into {shown(archive.folder)}" if archive else "")
        self._upstream = upstream
        self._archive = archive
        self._log = log
        self._idle = idle
        self._clock = clock
        self._threads = Threads()
        self._requests: Counter[int] = Counter()
        self._begun: set[int] = set()
        self._writers = [ThreadPoolExecutor(1, thread_name_prefix="evalkit record") for _ in range(_WRITERS)] if archive else []
        self._tasks: set[asyncio.Task[None]] = set()
        self._watch: asyncio.Task[None] | None = None
        self._closed = False
        if archive is not None:
            for line in archive.recover():
                log(line)

    async def answer(self, call: Call) -> Reply:
        """Pass a call on; its answer is passed back as it arrives."""
        if self._archive is not None and self._watch is None:
            self._watch = asyncio.create_task(self._fold_idle())
        exchange = self._opened(call)
        began = self._clock()
        try:
            answer = await self._upstream.send(call)
        except TransportError as error:
            self._unanswered(exchange)
            return self._failed(error)
        except BaseException:
            self._unanswered(exchange)
            raise
        hearing = Hearing(answer.status, answer.headers, began)
        headers = passed_on(answer.headers)
        if hearing.streamed or exchange is None:
            passing = _Passing(self, answer, hearing, exchange)
            passing.task = self._task(passing.read())
            return Reply(answer.status, live=passing, headers=_with_length(answer, headers), by=_by(exchange))
        try:
            parts = await self._whole(answer, hearing, exchange)
        except TransportError as error:
            return self._failed(error)
        return Reply(answer.status, b"".join(parts), headers=headers, by=_by(exchange))

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
        if self._archive is not None:
            problems = await asyncio.get_running_loop().run_in_executor(self._writers[0], self._archive.close)
            for line in problems:
                self._log(f"not recorded: {line}")
            for writer in self._writers:
                writer.shutdown()

    def learn(self, exchange: _Exchange, hearing: Hearing, broken: str | None = None) -> None:
        """Tell the conversations what an answer says, once."""
        if hearing.named:
            self._threads.named(exchange.thread, hearing.named)
        if not exchange.answered and (hearing.ended or broken is not None):
            exchange.answered = True
            self._threads.answered(exchange.thread, exchange.request, hearing.response(self._clock(), broken))

    async def record(self, exchange: _Exchange, hearing: Hearing, broken: str | None = None) -> None:
        """Put an exchange on the disk; an exchange that cannot be is told, and passed on all the same."""
        hearing.finish(self._clock())
        hearing.ended = True
        self.learn(exchange, hearing, broken)
        recording = heard(exchange.call, exchange.uri, hearing.response(self._clock(), broken))
        try:
            await self._keep(exchange, recording, hearing)
        except EvalkitError as error:
            self.counts["record_errors"] += 1
            self._log(f"not recorded: {error}")
        else:
            self.counts["recorded_exchanges"] += 1

    def now(self) -> float:
        """The clock's time."""
        return self._clock()

    async def _whole(self, answer: Answer, hearing: Hearing, exchange: _Exchange) -> list[bytes]:
        parts = []
        try:
            async for chunk in answer.chunks():
                hearing.take(chunk, self._clock())
                parts.append(chunk)
        except BaseException:
            self._unanswered(exchange)
            raise
        finally:
            await answer.close()
        # A client that leaves now does not undo what was answered: this goes on without it.
        await asyncio.shield(self._task(self.record(exchange, hearing)))
        return parts

    def _task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _opened(self, call: Call) -> _Exchange | None:
        if self._archive is None:
            return None
        uri = self._upstream.uri(call)
        request = request_of(call, uri)
        known = len(self._threads)
        thread = self._threads.opened(request)
        if thread == known and (fork := self._threads.fork_of(thread)):
            self._requests[thread] = fork[1]
        number = self._requests[thread]
        self._requests[thread] += 1
        return _Exchange(call, uri, request, thread, number)

    def _unanswered(self, exchange: _Exchange | None) -> None:
        if exchange is not None and not exchange.answered:
            exchange.answered = True
            self._threads.unanswered(exchange.thread, exchange.request)

    def _failed(self, error: TransportError) -> Reply:
        self.counts["upstream_errors"] += 1
        self._log(f"upstream {error}")
        return fault_reply(refusal(error))

    async def _keep(self, exchange: _Exchange, recording: Recording, hearing: Hearing) -> None:
        assert self._archive is not None
        archive = self._archive
        loop = asyncio.get_running_loop()
        body = exchange.request.body if isinstance(exchange.request.body, dict) else {}
        about = {
            "endpoint": self._upstream.base,
            "model": body.get("model") or body.get("agent"),
            "api_revision": exchange.call.headers.get("api-revision"),
            "source": "evalkit serve --upstream",
            "server": hearing.headers.get("server"),
        }
        before: Sequence[Recording] = ()
        if exchange.thread not in self._begun and (fork := self._threads.fork_of(exchange.thread)):
            before = await loop.run_in_executor(self._writer(fork[0]), archive.recordings, *fork)
        self._begun.add(exchange.thread)
        secrets = {*secrets_of(exchange.call), *self._upstream.secrets}
        await loop.run_in_executor(
            self._writer(exchange.thread),
            lambda: archive.keep(exchange.thread, exchange.number, recording, secrets=secrets, about=about, before=before),
        )

    def _writer(self, thread: int) -> ThreadPoolExecutor:
        return self._writers[thread % _WRITERS]

    async def _fold_idle(self) -> None:
        assert self._archive is not None
        archive = self._archive
        while True:
            await asyncio.sleep(self._idle / 2)
            for line in await asyncio.get_running_loop().run_in_executor(self._writers[0], archive.fold, self._idle):
                self._log(f"not recorded: {line}")


class _Passing:
    """A stream on its way: one task reads it and records it to its end, whether or not the client stays; the client reads along.

    It is the iterator of what arrives, and raises Cut where the upstream broke off. No generator: those do not hear of a client that leaves
    before the first chunk.
    """

    def __init__(self, proxy: Proxy, answer: Answer, hearing: Hearing, exchange: _Exchange | None) -> None:
        self._proxy = proxy
        self._answer = answer
        self._hearing = hearing
        self._exchange = exchange
        self._chunks: asyncio.Queue[bytes | str | None] = asyncio.Queue(_AHEAD)
        self._left = False
        self._begun = False  # a task that is cancelled before it has begun never runs, and would close nothing
        self.task: asyncio.Task[None] | None = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        chunk = None if self._left else await self._chunks.get()
        if isinstance(chunk, bytes):
            return chunk
        self._leave()
        raise StopAsyncIteration if chunk is None else Cut(chunk)

    async def aclose(self) -> None:
        """Leave: the client wants no more."""
        self._leave()

    def _leave(self) -> None:
        self._left = True
        while not self._chunks.empty():
            self._chunks.get_nowait()
        if self._begun and self.task is not None and (self._exchange is None or not self._hearing.ended):
            self.task.cancel()

    async def read(self) -> None:
        """Read the stream to its end, hand it on, record it. Runs as ``task``."""
        self._begun = True
        broken: str | None = None
        try:
            if self._left:
                raise asyncio.CancelledError
            async for chunk in self._answer.chunks():
                if self._exchange is not None:
                    self._hearing.take(chunk, self._proxy.now())
                    self._proxy.learn(self._exchange, self._hearing)
                await self._pass(chunk)
        except TransportError as error:
            broken = str(error)
        except asyncio.CancelledError:
            broken = _CLIENT_LEFT
        await self._answer.close()
        if self._exchange is not None:
            await self._proxy.record(self._exchange, self._hearing, broken)
        await self._pass(broken)

    async def _pass(self, chunk: bytes | str | None) -> None:
        if self._left:
            return
        try:
            await asyncio.wait_for(self._chunks.put(chunk), _STALLED_SECONDS)
        except TimeoutError:
            self._leave()


def open_proxy(
    base_url: str, folder: Path | None, *, key_env: str | None = None, log: Callable[[str], object] = lambda line: None
) -> Proxy:
    """Return a proxy to ``base_url`` that records into ``folder`` (None: into nothing) and sends the key of an environment variable.

    Raises UsageError (URL, key, folder), CassetteError for a damaged journal.
    """
    key = None
    if key_env is not None:
        key = os.environ.get(key_env, "").strip()
        if not key:
            raise UsageError(f"--upstream-key-env {key_env}: the environment has no such variable, or it is empty")
    upstream = Upstream(base_url, key)
    archive = None
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"--record {shown(folder)}: cannot record here: {error.strerror or error}") from error
        archive = Archive(folder, {})
    return Proxy(upstream, archive, log=log)


def _by(exchange: _Exchange | None) -> str:
    return "passed on" if exchange is None else f"conversation {exchange.thread + 1}, request {exchange.number + 1}"


def _with_length(answer: Answer, headers: dict[str, str]) -> dict[str, str]:
    length = answer.headers.get("content-length")
    return headers if length is None else {**headers, "content-length": length}
