"""Sending a reply as it tells: late, in pieces, or broken off. The one place of the server that waits on purpose.

Frames that wait for nothing go out together, so a stream without delays costs no more than a plain answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Protocol

from evalkit.server.calls import End, Reply, StreamCut
from evalkit.server.fault_injection.stream_changes import close

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

EXTENSION = "evalkit.connection"
"""Where a request's scope has the connection, among its extensions."""

_TOGETHER = 64 * 1024
_NO_BODY = frozenset({204, 304})


class Breakable(Protocol):
    """A connection that can be ended before HTTP would."""

    async def break_off(self, end: End) -> None:
        """End it."""
        ...


class Sending:
    """Sends one reply."""

    def __init__(self, reply: Reply, send: Send, connection: Breakable | None) -> None:
        self._reply = reply
        self._send = send
        self._connection = connection

    async def run(self) -> None:
        """Send all of it, and let go of what it comes from, even when it is stopped."""
        reply, end = self._reply, self._reply.end
        try:
            if reply.delay:
                await asyncio.sleep(reply.delay)
            if reply.status:
                await self._send(
                    {
                        "type": "http.response.start",
                        "status": reply.status,
                        "headers": _headers(reply),
                    }
                )
                try:
                    await self._body(reply)
                except StreamCut:
                    end = "cut"
            if end != "whole" and self._connection is not None:
                await self._connection.break_off(end)
        finally:
            await close(reply.live)

    async def _body(self, reply: Reply) -> None:
        if reply.frames is not None:
            await self._frames(reply.frames)
        elif reply.live is not None:
            await self._live(reply.live)
        else:
            await self._part(reply.body, more=reply.end != "whole")

    async def _part(self, body: str | bytes, *, more: bool) -> None:
        await self._send(
            {
                "type": "http.response.body",
                "body": body.encode() if isinstance(body, str) else body,
                "more_body": more,
            }
        )

    async def _frames(self, frames: Sequence[str]) -> None:
        reply = self._reply
        together: list[str] = []
        size = 0
        gaps, delay = reply.gaps, reply.event_delay
        for index, frame in enumerate(frames):
            wait = delay + (gaps[index] if index < len(gaps) else 0.0)
            if wait or size > _TOGETHER:
                await self._together(together)
                together, size = [], 0
                if wait:
                    await asyncio.sleep(wait)
            together.append(frame)
            size += len(frame)
        await self._together(together)
        if reply.end == "whole":
            await self._part(b"", more=False)

    async def _together(self, frames: list[str]) -> None:
        if frames:
            await self._part("".join(frames), more=True)

    async def _live(self, live: AsyncIterator[bytes]) -> None:
        async for part in live:
            if part:
                await self._part(part, more=True)
        if self._reply.end == "whole":
            await self._part(b"", more=False)


def _headers(reply: Reply) -> list[tuple[bytes, bytes]]:
    headers = [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in reply.headers.items()
    ]
    names = {name for name, _ in headers}

    def usual(name: bytes, value: bytes) -> None:
        if name not in names:
            headers.append((name, value))

    if reply.frames is not None:
        usual(b"cache-control", b"no-cache")
        usual(b"content-type", b"text/event-stream; charset=utf-8")
    elif reply.live is None and reply.status not in _NO_BODY:
        body = reply.body
        usual(
            b"content-length",
            str(len(body.encode()) if isinstance(body, str) else len(body)).encode(),
        )
        usual(b"content-type", b"application/json; charset=utf-8")
    return headers
