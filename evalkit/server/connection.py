"""One client's connection, as answers need it: told when the client leaves, and able to end it before HTTP would. uvicorn and sockets only.

ASGI has no word for a connection that breaks, so uvicorn's protocol puts itself into the request's scope, under EXTENSION. Under another
server there is no such extension: a broken answer is then left unfinished, and the server ends it in its own way.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from evalkit._lib.json import dumps
from evalkit.server.calls import End
from evalkit.server.reply_sender import EXTENSION
from evalkit.server.requests.error_response import bad_request

_NO_LINGER = struct.pack("ii", 1, 0)
_DRAIN_STEP = 0.001


class Connection(H11Protocol):
    """uvicorn's connection. ``task`` is the answer being made; it is cancelled when the client leaves, and ``lost`` then says why."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.task: asyncio.Task[Any] | None = None
        self.lost = False
        application = self.app

        async def with_connection(scope: Any, receive: Any, send: Any) -> None:
            scope["extensions"] = {EXTENSION: self}
            await application(scope, receive, send)

        self.app = with_connection

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the answer nobody waits for any more."""
        super().connection_lost(exc)
        self.lost = True
        if self.task is not None:
            self.task.cancel()

    async def break_off(self, end: End) -> None:
        """End the connection behind what was sent so far: closed (``cut``) or with a TCP reset (``reset``); return when it is gone."""
        self.task = None
        if end == "reset":
            while self.transport.get_write_buffer_size() and not self.lost:
                await asyncio.sleep(_DRAIN_STEP)
            underlying: socket.socket | None = self.transport.get_extra_info("socket")
            if underlying is not None:
                # A socket that may not linger is not closed with FIN but with RST (socket(7), SO_LINGER).
                underlying.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            self.transport.abort()
        else:
            self.transport.close()
        while not self.lost:
            await asyncio.sleep(_DRAIN_STEP)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP in the API's shape."""
        body = dumps(bad_request(msg).body()).encode()
        length = str(len(body))
        head = "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json; charset=utf-8\r\nconnection: close\r\ncontent-length: "
        self.transport.write(f"{head}{length}\r\n\r\n".encode() + body)
        self.transport.close()
