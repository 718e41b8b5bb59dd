"""Intercept http.client, and what is built on it: urllib, urllib3, requests, httplib2, botocore.

A connection whose request belongs to a tape gets a ``_TapeSocket``, which keeps what is written.
When the client asks for the response, it comes from the tape, or from a real connection that the
same object opens. Only methods are replaced, once, and no state is shared by connections: any
number of threads may send at once.
"""

import threading
import time
from collections.abc import Callable
from http.client import HTTPConnection, HTTPResponse
from io import BytesIO
from typing import Any

from evalkit.taping.http_wire import (
    RequestBuffer,
    WireRequest,
    WireResponse,
    header_text,
    response_bytes,
)
from evalkit.taping.running_tape import RunningTape, running_tape
from evalkit.taping.tape_session import TapeRequest

_live = threading.local()
_DEFAULT_PORTS = {"http": 80, "https": 443}


class _TapeSocket:
    """What a connection has as its socket while a tape handles its request."""

    def __init__(self, tape: RunningTape) -> None:
        self.tape = tape
        self.request = RequestBuffer()
        self.response = b""

    def sendall(self, data: Any) -> None:
        self.request.write(data)

    def makefile(self, *_: Any, **__: Any) -> BytesIO:
        return BytesIO(self.response)

    def __getattr__(self, name: str) -> Callable[..., None]:
        """Time limits, options and closing have no effect."""
        return lambda *_, **__: None


def patch_http_client() -> None:
    """Patch every connection class that is loaded; those of a library loaded later, next time."""
    if "_is_patched" not in vars(HTTPConnection):
        HTTPConnection._is_patched = True  # type: ignore[attr-defined]
        _patch_transfer()
    classes: list[type[HTTPConnection]] = [HTTPConnection]
    for class_ in classes:
        classes += class_.__subclasses__()
        if "connect" in vars(class_) and not hasattr(vars(class_)["connect"], "real"):
            _patch_connect(class_)


def _patch_transfer() -> None:
    real_send, real_getresponse = HTTPConnection.send, HTTPConnection.getresponse

    def send(self: Any, data: Any) -> None:
        tape = _tape_of(self)
        if getattr(self.sock, "tape", None) is not tape:
            # The connection is one of a pool, from before the tape or from another one.
            if self.sock is not None:
                self.sock.close()
            self.sock = None if tape is None else _TapeSocket(tape)
        real_send(self, data)

    def getresponse(self: Any) -> HTTPResponse:
        sock = self.sock
        if not isinstance(sock, _TapeSocket):
            return real_getresponse(self)
        request = sock.request.request()
        assert request is not None, "the client asks for a response to an incomplete request"
        sock.response = response_bytes(_answer(self, sock, request), request.method)
        try:
            return real_getresponse(self)
        finally:
            # Closing the connection, as its next user does, must not close this response.
            vars(self).update(sock=None, _HTTPConnection__response=None)

    HTTPConnection.send = send  # type: ignore[method-assign]
    HTTPConnection.getresponse = getresponse  # type: ignore[method-assign]


def _patch_connect(class_: Any) -> None:
    real_connect = class_.connect

    def connect(self: Any) -> None:
        tape = _tape_of(self)
        if tape is None:
            real_connect(self)
        else:
            self.sock = _TapeSocket(tape)
            # urllib3 warns about connections without a verified certificate.
            self.is_verified = True

    connect.real = real_connect  # type: ignore[attr-defined]
    class_.connect = connect


def _tape_of(connection: Any) -> RunningTape | None:
    if getattr(_live, "connection", None) is connection:
        return None
    return running_tape(connection._tunnel_host or connection.host)


def _answer(connection: Any, sock: _TapeSocket, wire: WireRequest) -> WireResponse:
    request = TapeRequest.of(wire.method, _uri(connection, wire), wire.headers, wire.body)
    response = sock.tape.replay(request)
    if response is None:
        started = time.monotonic()
        response = _send_live(connection, bytes(sock.request.data))
        # Only what is built on the standard library's own classes decompresses.
        is_plain = type(connection).__module__ == "http.client"
        sock.tape.record(request, response, started, is_decompressed_above=not is_plain)
    return response


def _uri(connection: Any, request: WireRequest) -> str:
    if "://" in request.target.partition("?")[0]:
        return request.target
    scheme = "https" if connection.default_port == _DEFAULT_PORTS["https"] else "http"
    host, port = connection.host, connection.port
    if connection._tunnel_host:
        host, port = connection._tunnel_host, connection._tunnel_port
    host = f"[{host}]" if ":" in host else host
    suffix = "" if port in (None, _DEFAULT_PORTS[scheme]) else f":{port}"
    return f"{scheme}://{host}{suffix}{request.target}"


def _send_live(connection: Any, data: bytes) -> WireResponse:
    """Send a request over a connection of its own, and read the whole response."""
    outer, sock = getattr(_live, "connection", None), connection.sock
    _live.connection, connection.sock = connection, None
    try:
        connection.connect()
        if isinstance(connection.timeout, int | float):
            connection.sock.settimeout(connection.timeout)
        connection.sock.sendall(data)
        response = HTTPResponse(connection.sock, method=connection._method)
        response.begin()
        headers = [(name, header_text(value)) for name, value in response.headers.items()]
        return WireResponse(response.status, response.reason, headers, response.read())
    finally:
        _live.connection = outer
        if connection.sock is not None:
            connection.sock.close()
        connection.sock = sock
