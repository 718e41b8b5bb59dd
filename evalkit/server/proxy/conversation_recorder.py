"""What a recording proxy knows of its conversations, and how their exchanges come to the disk: off the event loop, in order.

Whose conversation an exchange is, is ``conversation.threads``' business; what lies on the disk is ``archive``'s. In between: a few writers, each
a thread of its own, so that the exchanges of one conversation are written one after the other and no stream waits for a disk.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from evalkit.cassette.recording import Recording
from evalkit.conversation.demultiplex import Demultiplexer
from evalkit.errors import EvalkitError
from evalkit.server.calls import Call
from evalkit.server.headers import secrets_of
from evalkit.server.proxy.archive import ConversationArchive
from evalkit.server.proxy.capture import ResponseCapture, heard, request_of
from evalkit.server.proxy.upstream import Upstream, UpstreamResponse
from evalkit.transcript import Request

_WRITERS = 4


class ConversationRecorder:
    """Follows the conversations that pass a proxy and keeps them in an archive. ``log`` is the proxy's."""

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
        self._threads = Demultiplexer()
        self._requests: Counter[int] = Counter()
        self._begun: set[int] = set()
        self._writers = [
            ThreadPoolExecutor(1, thread_name_prefix="evalkit record") for _ in range(_WRITERS)
        ]

    def opened(self, call: Call) -> ProxiedExchange:
        """Take a call that is about to be sent."""
        uri = self._upstream.uri(call)
        request = request_of(call, uri)
        known = len(self._threads)
        thread = self._threads.opened(request)
        if thread == known and (fork := self._threads.fork_of(thread)):
            self._requests[thread] = fork[1]
        number = self._requests[thread]
        self._requests[thread] += 1
        return ProxiedExchange(self, call, uri, request, thread, number, self.clock())

    def unanswered(self, exchange: ProxiedExchange) -> None:
        """Note that no answer came."""
        if not exchange.answered:
            exchange.answered = True
            self._threads.unanswered(exchange.thread, exchange.request)

    def learn(
        self, exchange: ProxiedExchange, hearing: ResponseCapture, broken: str | None = None
    ) -> None:
        """Learn what an answer says, once it has said it."""
        if hearing.named:
            self._threads.named(exchange.thread, hearing.named)
        if not exchange.answered and (hearing.ended or broken is not None):
            exchange.answered = True
            self._threads.answered(
                exchange.thread, exchange.request, hearing.response(self.clock(), broken)
            )

    async def record(
        self, exchange: ProxiedExchange, hearing: ResponseCapture, broken: str | None
    ) -> None:
        """Put an exchange on the disk; one that cannot be is told, and no more."""
        recording = heard(exchange.call, exchange.uri, hearing.response(self.clock(), broken))
        try:
            await self._keep(exchange, recording, hearing)
        except EvalkitError as error:
            self._log(f"not recorded: {error}")

    async def fold_idle(self, idle: float) -> None:
        """Make cassettes of conversations that were idle for so many seconds, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(idle / 2)
            self._tell(await loop.run_in_executor(self._writers[0], self._archive.fold, idle))

    async def close(self) -> None:
        """Make every cassette."""
        self._tell(
            await asyncio.get_running_loop().run_in_executor(self._writers[0], self._archive.close)
        )
        for writer in self._writers:
            writer.shutdown()

    async def _keep(
        self, exchange: ProxiedExchange, recording: Recording, hearing: ResponseCapture
    ) -> None:
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
            lambda: archive.keep(
                exchange.thread,
                exchange.number,
                recording,
                secrets=secrets,
                about=about,
                before=before,
            ),
        )

    def _writer(self, thread: int) -> ThreadPoolExecutor:
        return self._writers[thread % _WRITERS]

    def _tell(self, problems: Sequence[str]) -> None:
        for line in problems:
            self._log(f"not recorded: {line}")


@dataclass(slots=True)
class ProxiedExchange:
    """A call under way, whose it is, and how many requests its conversation had before it. It listens to its answer."""

    keeper: ConversationRecorder
    call: Call
    uri: str
    request: Request
    thread: int
    number: int
    began: float
    answered: bool = False
    hearing: ResponseCapture = field(init=False)

    def hears(self, answer: UpstreamResponse) -> ResponseCapture:
        """Return what hears the answer out."""
        self.hearing = ResponseCapture(answer.status, answer.headers, self.began)
        return self.hearing

    @property
    def ended(self) -> bool:
        """Whether the answer's last event has passed."""
        return self.hearing.ended

    def hear(self, chunk: bytes) -> None:
        """Hear bytes of the answer, and learn what they say."""
        self.hearing.take(chunk, self.keeper.clock())
        self.keeper.learn(self, self.hearing)

    async def done(self, broken: str | None = None) -> None:
        """Hear the end of the answer, and put it on the disk."""
        self.hearing.finish(self.keeper.clock())
        self.hearing.ended = True
        self.keeper.learn(self, self.hearing, broken)
        await self.keeper.record(self, self.hearing, broken)
