"""A stream on its way through the proxy: read to its end by a task of its own, whether or not the client stays. asyncio, no files.

The task reads, learns and records; the client reads along, at most so many chunks behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from evalkit.errors import TransportError
from evalkit.server.calls import StreamCut
from evalkit.server.proxy.upstream import UpstreamResponse

_AHEAD = 64
_STALLED_SECONDS = 120.0  # a client that takes nothing for so long has left without a word
_CLIENT_LEFT = "the client left"


class Listener(Protocol):
    """What hears a stream that passes."""

    @property
    def ended(self) -> bool:
        """Whether the stream's last event has passed: then its rest is worth reading though the client has left."""
        ...

    def hear(self, chunk: bytes) -> None:
        """Hear bytes, before the client gets them."""
        ...

    async def done(self, broken: str | None) -> None:
        """Hear that there is no more; ``broken`` says why, None where it is whole. The client gets the end after this."""
        ...


class StreamTee:
    """The iterator of what arrives; raises Cut where the upstream broke off. No generator: those do not hear of a client that leaves before
    the first chunk. :meth:`read` must run as ``task``.
    """

    def __init__(self, answer: UpstreamResponse, listener: Listener | None) -> None:
        self.task: asyncio.Task[None] | None = None
        self._answer = answer
        self._listener = listener
        self._chunks: asyncio.Queue[bytes | str | None] = asyncio.Queue(_AHEAD)
        self._left = False
        self._begun = False  # a task that is cancelled before it has begun never runs, and would close nothing

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        chunk = None if self._left else await self._chunks.get()
        if isinstance(chunk, bytes):
            return chunk
        self._leave()
        raise StopAsyncIteration if chunk is None else StreamCut(chunk)

    async def aclose(self) -> None:
        """Leave: the client wants no more."""
        self._leave()

    def _leave(self) -> None:
        self._left = True
        while not self._chunks.empty():
            self._chunks.get_nowait()
        if (
            self._begun
            and self.task is not None
            and (self._listener is None or not self._listener.ended)
        ):
            self.task.cancel()

    async def read(self) -> None:
        """Read the stream to its end, hand it on, and have it recorded."""
        self._begun = True
        broken: str | None = None
        try:
            if self._left:
                raise asyncio.CancelledError
            async for chunk in self._answer.chunks():
                if self._listener is not None:
                    self._listener.hear(chunk)
                await self._pass(chunk)
        except TransportError as error:
            broken = str(error)
        except asyncio.CancelledError:
            broken = _CLIENT_LEFT
        await self._answer.close()
        if self._listener is not None:
            await self._listener.done(broken)
        await self._pass(broken)

    async def _pass(self, chunk: bytes | str | None) -> None:
        if self._left:
            return
        try:
            await asyncio.wait_for(self._chunks.put(chunk), _STALLED_SECONDS)
        except TimeoutError:
            self._leave()
