"""Intercept aiohttp below its sessions: a connector returns a connection that a tape answers.

The session writes its request to the connection's transport and reads the response from its
protocol, so redirects, cookies, decompression and middlewares are its own. A request that must be
sent goes over a real connection of the same connector.
"""

import asyncio
import time
from importlib.util import find_spec
from typing import Any

from evalkit.taping.http_wire import RequestBuffer, WireResponse, header_text, response_bytes
from evalkit.taping.running_tape import RunningTape, running_tape
from evalkit.taping.tape_session import TapeRequest


def patch_aiohttp() -> None:
    """Patch aiohttp's connectors, where it is installed."""
    if find_spec("aiohttp") is None:
        return
    # Optional library: an application may do without it.
    from aiohttp import connector
    from aiohttp.client_proto import ResponseHandler

    real_connect = connector.BaseConnector.connect
    if hasattr(real_connect, "real"):
        return

    class TapedResponseHandler(ResponseHandler):
        """A protocol that remembers how the session wants responses to be parsed."""

        parameters: dict[str, Any]

        def set_response_params(self, **parameters: Any) -> None:
            self.parameters = parameters
            super().set_response_params(**parameters)

    async def connect(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        tape = running_tape(request.url.host or "")
        if tape is None or "upgrade" in request.headers:
            return await real_connect(self, request, *args, **kwargs)

        async def open_connection() -> Any:
            return await real_connect(self, request, *args, **kwargs)

        protocol = TapedResponseHandler(self._loop)
        protocol.connection_made(_TapeTransport(tape, request, protocol, open_connection))
        # The pool of connections must not get it.
        protocol.force_close()
        return connector.Connection(self, request.connection_key, protocol, self._loop)

    connect.real = real_connect  # type: ignore[attr-defined]
    connector.BaseConnector.connect = connect  # type: ignore[assignment,method-assign]


class _TapeTransport(asyncio.Transport):
    """Collects what the session writes, and lets its protocol receive the response."""

    def __init__(
        self, tape: RunningTape, request: Any, protocol: Any, open_connection: Any
    ) -> None:
        super().__init__()
        self._tape = tape
        self._request = request
        self._protocol = protocol
        self._open_connection = open_connection
        self._buffer = RequestBuffer()
        self._is_closed = False
        self._exchange: asyncio.Task[None] | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._buffer.write(data)
        if self._exchange is None and self._buffer.request() is not None:
            self._exchange = asyncio.get_running_loop().create_task(self._answer())
        elif self._buffer.take_expectation():
            self._protocol.data_received(b"HTTP/1.1 100 Continue\r\n\r\n")

    def writelines(self, parts: Any) -> None:
        self.write(b"".join(parts))

    def close(self) -> None:
        self._is_closed = True
        if self._exchange is not None:
            self._exchange.cancel()

    abort = close

    def is_closing(self) -> bool:
        return self._is_closed

    def pause_reading(self) -> None:
        """Do nothing: everything is received at once."""

    resume_reading = pause_reading

    async def _answer(self) -> None:
        wire = self._buffer.request()
        assert wire is not None
        try:
            uri = str(self._request.url.with_fragment(None))
            request = TapeRequest.of(wire.method, uri, wire.headers, wire.body)
            response = self._tape.replay(request)
            if response is None:
                started = time.monotonic()
                response = await self._send_live()
                self._tape.record(request, response, started)
        except Exception as error:  # noqa: BLE001 - the session raises it where it reads
            self._protocol.set_exception(error)
        else:
            self._protocol.data_received(response_bytes(response, wire.method))

    async def _send_live(self) -> WireResponse:
        connection = await self._open_connection()
        try:
            protocol = connection.protocol
            protocol.set_response_params(**{**self._protocol.parameters, "auto_decompress": False})
            protocol.transport.write(bytes(self._buffer.data))
            message, payload = await protocol.read()
            while message.code < 200:
                message, payload = await protocol.read()
            body = await payload.read()
        except BaseException:
            connection.close()
            raise
        connection.release()
        headers = [(header_text(name), header_text(value)) for name, value in message.raw_headers]
        return WireResponse(message.code, message.reason, headers, body)
