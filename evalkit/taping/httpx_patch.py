"""Intercept httpx and httpx2, above their connections and below their clients.

Redirects, cookies and decompression are the client's own. An answer is read to its end before the
client gets it. What no network handles (the WSGI, ASGI and mock transports) is taped too, because
the application may reach its service through one.
"""

import time
from contextlib import aclosing, closing
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from evalkit.taping.http_wire import WireResponse, header_text
from evalkit.taping.running_tape import RunningTape, running_tape
from evalkit.taping.tape_session import TapeRequest

_SYNC = ("HTTPTransport", "WSGITransport", "MockTransport")
_ASYNC = ("AsyncHTTPTransport", "ASGITransport", "MockTransport")


def patch_httpx() -> None:
    """Patch the transports of both libraries, where they are installed."""
    for name in filter(find_spec, ("httpx", "httpx2")):
        library = import_module(name)
        if not hasattr(library.HTTPTransport.handle_request, "real"):
            for transport in _SYNC:
                _patch_sync(library, getattr(library, transport))
            for transport in _ASYNC:
                _patch_async(library, getattr(library, transport))


def _patch_sync(library: Any, transport: Any) -> None:
    real = transport.handle_request

    def handle_request(self: Any, request: Any) -> Any:
        tape = running_tape(request.url.host)
        if tape is None:
            return real(self, request)
        taped = _tape_request(request, request.read())
        answer = tape.replay(taped)
        if answer is None:
            started = time.monotonic()
            response = real(self, request)
            with closing(response):
                content = b"".join(response.stream)
            answer = _record(tape, taped, response, content, started)
        return _response(library, answer, request.method)

    handle_request.real = real  # type: ignore[attr-defined]
    transport.handle_request = handle_request


def _patch_async(library: Any, transport: Any) -> None:
    real = transport.handle_async_request

    async def handle_async_request(self: Any, request: Any) -> Any:
        tape = running_tape(request.url.host)
        if tape is None:
            return await real(self, request)
        taped = _tape_request(request, await request.aread())
        answer = tape.replay(taped)
        if answer is None:
            started = time.monotonic()
            response = await real(self, request)
            async with aclosing(response):
                content = b"".join([part async for part in response.stream])
            answer = _record(tape, taped, response, content, started)
        return _response(library, answer, request.method)

    transport.handle_async_request = handle_async_request


def _tape_request(request: Any, body: bytes) -> TapeRequest:
    return TapeRequest.of(request.method, str(request.url), request.headers, body)


def _record(
    tape: RunningTape, request: TapeRequest, response: Any, body: bytes, started: float
) -> WireResponse:
    headers = [(header_text(name), header_text(value)) for name, value in response.headers.raw]
    answer = WireResponse(response.status_code, response.reason_phrase, headers, body)
    tape.record(request, answer, started)
    return answer


def _response(library: Any, answer: WireResponse, method: str) -> Any:
    headers = [(name.encode(), value.encode()) for name, value in answer.headers]
    names = {name.lower() for name, _ in headers}
    if method != "HEAD" and not names & {b"content-length", b"transfer-encoding"}:
        headers.append((b"content-length", b"%d" % len(answer.body)))
    extensions = {"http_version": b"HTTP/1.1", "reason_phrase": answer.reason.encode()}
    # With ``content`` the response would be closed and decompressed already.
    stream = library.ByteStream(answer.body)
    return library.Response(answer.status, headers=headers, stream=stream, extensions=extensions)
