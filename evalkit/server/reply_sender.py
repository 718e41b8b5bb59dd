"""Sends a reply over ASGI: delayed, in pieces, or broken off, as the reply says.

Frames without a delay are sent together, so a stream without delays costs no more than a plain
reply.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from itertools import chain, repeat
from typing import Protocol

from starlette.types import Send

from evalkit.server.calls import ConnectionEnd, Reply, StreamCut
from evalkit.server.fault_injection.stream_changes import close

EXTENSION = "evalkit.connection"
"""Key of the client's connection among the extensions of an ASGI scope."""

_MAX_CHUNK = 64 * 1024
_NO_BODY = frozenset({204, 304})


class ClientConnection(Protocol):
    """A connection that can be ended in the middle of a response.

    ``task`` handles its current request and is cancelled when the client leaves; then ``lost`` is
    True.
    """

    task: asyncio.Task[None] | None
    lost: bool

    async def break_off(self, end: ConnectionEnd) -> None:
        """End the connection after what was sent so far."""
        ...


async def send_reply(reply: Reply, send: Send, connection: ClientConnection | None) -> None:
    """Send a reply, and close its live body even if sending is cancelled."""
    end = reply.end
    try:
        if reply.delay:
            await asyncio.sleep(reply.delay)
        if reply.status:
            start = {"type": "http.response.start", "status": reply.status}
            await send({**start, "headers": _headers(reply)})
            try:
                await _send_body(reply, send)
            except StreamCut:
                end = "cut"
        if end != "whole" and connection is not None:
            await connection.break_off(end)
    finally:
        await close(reply.live)


async def _send_body(reply: Reply, send: Send) -> None:
    is_whole = reply.end == "whole"
    last = {"type": "http.response.body", "body": b"", "more_body": not is_whole}
    if reply.frames is not None:
        chunks = _frame_chunks(reply, reply.frames)
    elif reply.live is not None:
        chunks = reply.live
    else:
        await send({**last, "body": _body_bytes(reply)})
        return
    async for chunk in chunks:
        if chunk:
            await send({**last, "body": chunk, "more_body": True})
    if is_whole:
        await send(last)


async def _frame_chunks(reply: Reply, frames: Sequence[str]) -> AsyncIterator[bytes]:
    pending: list[str] = []
    size = 0
    for frame, gap in zip(frames, chain(reply.gaps, repeat(0.0)), strict=False):
        wait = reply.event_delay + gap
        if wait or size > _MAX_CHUNK:
            yield "".join(pending).encode()
            pending, size = [], 0
            await asyncio.sleep(wait)
        pending.append(frame)
        size += len(frame)
    yield "".join(pending).encode()


def _headers(reply: Reply) -> list[tuple[bytes, bytes]]:
    headers: dict[str, str] = {}
    if reply.frames is not None:
        headers["cache-control"] = "no-cache"
        headers["content-type"] = "text/event-stream; charset=utf-8"
    elif reply.live is None and reply.status not in _NO_BODY:
        headers["content-length"] = str(len(_body_bytes(reply)))
        headers["content-type"] = "application/json; charset=utf-8"
    headers.update((name.lower(), value) for name, value in reply.headers.items())
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


def _body_bytes(reply: Reply) -> bytes:
    return reply.body.encode() if isinstance(reply.body, str) else reply.body
