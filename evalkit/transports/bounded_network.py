"""Connections of httpx that read within a budget of time and of bytes before the body.

httpx's time limits hold for each read, so a server that sends a byte now and then, or interim
responses (1xx) for ever, would hold a request for as long as it likes. Here every read of a socket
is charged to the budget of the current request: its end, and what may arrive before the body.

httpx has no option for the network below its connection pools, httpcore has one. It is set through
httpx's private ``_pool``, in this module only; a test notices if that moves.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import httpcore
import httpx

from evalkit._lib.limits import exceeded, limits
from evalkit.errors import ResponseTooLarge


class ReadBudget:
    """What one request may still read; ``end`` is on ``clock``, infinite without a limit."""

    def __init__(
        self, host: str, end: float = float("inf"), clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._host = host
        self._end = end
        self._clock = clock
        self._left: float = limits().headers

    def body_starts(self) -> None:
        """Note that the headers are complete: the reader of the body counts its bytes."""
        self._left = float("inf")

    def timeout(self, timeout: float | None) -> float | None:
        """Return the time limit of the next read. Raises httpcore.ReadTimeout if none is left."""
        rest = self._end - self._clock()
        if rest <= 0:
            verb = "start" if self._left < float("inf") else "end"
            raise httpcore.ReadTimeout(f"the response did not {verb} within the time limit")
        return timeout if rest == float("inf") else min(rest, timeout or rest)

    def spend(self, size: int) -> None:
        """Count bytes that arrived. Raises ResponseTooLarge."""
        self._left -= size
        if self._left < 0:
            what = f"{self._host}: interim responses and headers are too large"
            raise ResponseTooLarge(exceeded("headers", what))


_budget: ContextVar[ReadBudget | None] = ContextVar("evalkit_read_budget", default=None)


@contextmanager
def reading_within(budget: ReadBudget) -> Iterator[None]:
    """Charge the reads of the block to a budget."""
    token = _budget.set(budget)
    try:
        yield
    finally:
        _budget.reset(token)


def charge_budgets(client: httpx.Client | httpx.AsyncClient) -> None:
    """Let every connection of a client, also through proxies, read within budgets."""
    wrap: Any = _AsyncBackend if isinstance(client, httpx.AsyncClient) else _Backend
    for transport in (client._transport, *client._mounts.values()):
        pool = getattr(transport, "_pool", None)
        if pool is not None:
            pool._network_backend = wrap(pool._network_backend)


class _Backend(httpcore.NetworkBackend):
    def __init__(self, backend: httpcore.NetworkBackend) -> None:
        self._backend = backend

    def connect_tcp(self, *args: Any, **options: Any) -> httpcore.NetworkStream:
        return _Stream(self._backend.connect_tcp(*args, **options))

    def connect_unix_socket(self, *args: Any, **options: Any) -> httpcore.NetworkStream:
        return _Stream(self._backend.connect_unix_socket(*args, **options))

    def sleep(self, seconds: float) -> None:
        self._backend.sleep(seconds)


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream
        self.write = stream.write  # type: ignore[method-assign]
        self.close = stream.close  # type: ignore[method-assign]
        self.get_extra_info = stream.get_extra_info  # type: ignore[method-assign]

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        budget = _budget.get()
        if budget is None:
            return self._stream.read(max_bytes, timeout)
        data = self._stream.read(max_bytes, budget.timeout(timeout))
        budget.spend(len(data))
        return data

    def start_tls(self, *args: Any, **options: Any) -> httpcore.NetworkStream:
        return _Stream(self._stream.start_tls(*args, **options))


class _AsyncBackend(httpcore.AsyncNetworkBackend):
    def __init__(self, backend: httpcore.AsyncNetworkBackend) -> None:
        self._backend = backend

    async def connect_tcp(self, *args: Any, **options: Any) -> httpcore.AsyncNetworkStream:
        return _AsyncStream(await self._backend.connect_tcp(*args, **options))

    async def connect_unix_socket(self, *args: Any, **options: Any) -> httpcore.AsyncNetworkStream:
        return _AsyncStream(await self._backend.connect_unix_socket(*args, **options))

    async def sleep(self, seconds: float) -> None:
        await self._backend.sleep(seconds)


class _AsyncStream(httpcore.AsyncNetworkStream):
    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self.write = stream.write  # type: ignore[method-assign]
        self.aclose = stream.aclose  # type: ignore[method-assign]
        self.get_extra_info = stream.get_extra_info  # type: ignore[method-assign]

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        budget = _budget.get()
        if budget is None:
            return await self._stream.read(max_bytes, timeout)
        data = await self._stream.read(max_bytes, budget.timeout(timeout))
        budget.spend(len(data))
        return data

    async def start_tls(self, *args: Any, **options: Any) -> httpcore.AsyncNetworkStream:
        return _AsyncStream(await self._stream.start_tls(*args, **options))
