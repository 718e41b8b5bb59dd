"""Reads an upstream's stream in its own task, for the recording and for the client.

The task records the stream whether or not the client stays; the client lags at most a bounded
number of chunks behind.
"""

import asyncio
from collections.abc import AsyncIterator

from evalkit.errors import TransportError
from evalkit.server.calls import StreamCut
from evalkit.server.proxy.conversation_recorder import ProxiedExchange
from evalkit.server.proxy.upstream import UpstreamResponse

_MAX_LAG = 64
_STALLED_SECONDS = 120.0  # a client that reads nothing for so long counts as gone
_CLIENT_LEFT = "the client left"


class StreamTee:
    """The client's side of a stream; raises StreamCut where the upstream broke off.

    :meth:`read` must run as ``task``. This is not a generator, because a generator is not notified
    of a client that leaves before the first chunk.
    """

    def __init__(self, response: UpstreamResponse, exchange: ProxiedExchange | None) -> None:
        self.task: asyncio.Task[None] | None = None
        self._response = response
        self._exchange = exchange
        self._chunks: asyncio.Queue[bytes | str | None] = asyncio.Queue(_MAX_LAG)
        self._client_left = False
        # A task that is cancelled before it has begun never runs, so it would close nothing.
        self._has_begun = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        chunk = None if self._client_left else await self._chunks.get()
        if isinstance(chunk, bytes):
            return chunk
        self._leave()
        raise StopAsyncIteration if chunk is None else StreamCut(chunk)

    async def aclose(self) -> None:
        """Note that the client wants no more."""
        self._leave()

    async def read(self) -> None:
        """Read the stream to its end, forward it, and record it."""
        self._has_begun = True
        broken: str | None = None
        try:
            if self._client_left:
                raise asyncio.CancelledError
            async for chunk in self._response.chunks():
                if self._exchange is not None:
                    self._exchange.feed(chunk)
                await self._forward(chunk)
        except TransportError as error:
            broken = str(error)
        except asyncio.CancelledError:
            broken = _CLIENT_LEFT
        await self._response.close()
        if self._exchange is not None:
            await self._exchange.finish(broken)
        await self._forward(broken)

    def _leave(self) -> None:
        self._client_left = True
        while not self._chunks.empty():
            self._chunks.get_nowait()
        # After the last event the rest is still read, so that the recording is complete.
        has_ended = self._exchange is not None and self._exchange.has_ended
        if self._has_begun and self.task is not None and not has_ended:
            self.task.cancel()

    async def _forward(self, chunk: bytes | str | None) -> None:
        if self._client_left:
            return
        try:
            await asyncio.wait_for(self._chunks.put(chunk), _STALLED_SECONDS)
        except TimeoutError:
            self._leave()
