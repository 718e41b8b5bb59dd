"""The HTTP application: turns requests into calls and sends the replies of a back end.

One handler for all paths, because the back end also responds to paths and methods that the API
does not have, in the API's shape. Only ``/healthz`` is handled here; it needs no key. HEAD is a GET
whose body is not sent, OPTIONS lists the methods a path allows. Handlers run in one event loop.

Requests are checked by :mod:`evalkit.server.access` before anything is done. Web pages that are
allowed may read the replies (https://fetch.spec.whatwg.org/#http-cors-protocol).

A reply is sent as it says: delayed, in pieces, or broken off. Frames without a delay are sent
together, so a stream without delays costs no more than a plain reply.
"""

import asyncio
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import chain, repeat
from time import monotonic
from typing import Protocol
from urllib.parse import parse_qsl, quote

from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from evalkit._lib.json import dumps
from evalkit._lib.text import visible
from evalkit._lib.version import VERSION
from evalkit.server.access import AccessRules
from evalkit.server.calls import (
    Backend,
    Call,
    ConnectionEnd,
    Reply,
    StreamCut,
    error_reply,
)
from evalkit.server.fault_injection.plans import FaultInjector, FaultPlan
from evalkit.server.fault_injection.stream_changes import close
from evalkit.server.proxy.backend import ProxyBackend
from evalkit.server.requests.error_response import ErrorResponse
from evalkit.server.script_backend import ScriptBackend
from evalkit.server.scripting.script import Script

MAX_BODY = 32 * 1024 * 1024
"""Default limit of a request body, in bytes."""

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


def create_app(
    backend: Script | Backend,
    *,
    max_body: int = MAX_BODY,
    log: Callable[[str], object] = lambda line: None,
    faults: Sequence[FaultPlan] = (),
    seed: int = 0,
    cors: bool | None = None,
    hosts: Iterable[str] = (),
) -> Starlette:
    """Return the application that serves a back end, or a script.

    ``log`` gets an entry for each request: method, path (without the query, which may hold a key),
    status, and what produced the reply, which may have several lines. ``faults`` are injected into
    replies as ``seed`` decides.
    ``cors`` answers web pages of this machine; by default every back end does but the proxy, which
    would let them use the key of its upstream. ``hosts`` are names of this server beside the
    loopback ones.
    """
    if isinstance(backend, Script):
        backend = ScriptBackend(backend, log=log, seed=seed)
    served = FaultInjector(backend, faults, seed) if faults else backend

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await served.close()

    if cors is None:
        cors = not isinstance(backend, ProxyBackend)
    access = AccessRules(hosts, pages=cors)
    app = Starlette(lifespan=lifespan)
    # Not a route: the pattern of one does not match every path, such as one with a newline.
    app.router.default = _Application(served, max_body, log, access)
    return app


class _ClientGone(Exception):
    """The client left before its request was complete."""


class _Application:
    """An ASGI application that handles many requests at a time."""

    def __init__(
        self, backend: Backend, max_body: int, log: Callable[[str], object], access: AccessRules
    ) -> None:
        self._backend = backend
        self._max_body = max_body
        self._log = log
        self._access = access
        self._started = monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection: ClientConnection | None = scope.get("extensions", {}).get(EXTENSION)
        task = asyncio.current_task()
        if connection is not None:
            connection.task = task
        try:
            await send_reply(await self._reply(scope, receive), send, connection)
        except _ClientGone:
            return
        except asyncio.CancelledError:
            if connection is None or not connection.lost:
                raise
            # The connection cancelled this task because the client left; that is a normal end.
            if task is not None:
                task.uncancel()
        finally:
            if connection is not None:
                connection.task = None

    async def _reply(self, scope: Scope, receive: Receive) -> Reply:
        method, path = scope["method"], scope["path"]
        origin = ""
        try:
            call = await self._call(scope, receive)
            origin = self._access.check(scope["method"], call.target, call.headers)
            if path == "/healthz":
                reply = self._health(call)
            elif origin and "access-control-request-method" in call.headers:
                reply = Reply(204, headers=_preflight_headers(call), by="preflight")
            else:
                reply = await self._backend.handle(call)
        except ErrorResponse as error:
            reply = error_reply(error)
        except _ClientGone:
            raise
        except Exception:  # noqa: BLE001 - even then the client gets an error in the API's shape
            print(visible(traceback.format_exc()), file=sys.stderr)  # noqa: T201
            reply = error_reply(ErrorResponse(500))
        if method == "OPTIONS" and reply.status == 405 and "allow" in reply.headers:
            allow = f"{reply.headers['allow']}, OPTIONS"
            reply = Reply(204, headers={"allow": allow}, by="allowed methods")
        if origin:
            readable = {"access-control-allow-origin": origin, "vary": "origin"}
            readable["access-control-expose-headers"] = "*"
            reply = replace(reply, headers={**reply.headers, **readable})
        if path != "/healthz":
            faults = f"fault {', '.join(reply.faults)}" if reply.faults else ""
            notes = "".join(f"  {note}" for note in (reply.by, faults) if note)
            spelled = visible(path).replace("\n", "<U+000A>")
            self._log(f"{method} {spelled} {reply.status or 'none'}{notes}")
        return reply

    async def _call(self, scope: Scope, receive: Receive) -> Call:
        # The first value of a repeated header counts.
        headers = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in reversed(scope["headers"])
        }
        query = scope.get("query_string", b"").decode("latin-1")
        raw_path = scope.get("raw_path") or quote(scope["path"]).encode()
        path = raw_path.partition(b"?")[0].decode("latin-1")
        return Call(
            method="GET" if scope["method"] == "HEAD" else scope["method"],
            path=scope["path"],
            query=dict(parse_qsl(query, keep_blank_values=True)),
            headers=headers,
            body=await _read_body(headers, receive, self._max_body),
            target=f"{path}?{query}" if query else path,
        )

    def _health(self, call: Call) -> Reply:
        if call.method != "GET":
            message = f"{call.method} is not allowed here; allowed: GET, HEAD."
            raise ErrorResponse(405, message, headers={"allow": "GET, HEAD"})
        health = {
            "status": "ok",
            "serves": self._backend.title,
            "version": VERSION,
            "uptime_seconds": round(monotonic() - self._started, 3),
        }
        return Reply(200, dumps(health))


def _preflight_headers(call: Call) -> dict[str, str]:
    return {
        "access-control-allow-methods": "GET, POST, PUT, PATCH, DELETE",
        "access-control-allow-headers": call.headers.get("access-control-request-headers", "*"),
        "access-control-max-age": "600",
    }


async def _read_body(headers: Mapping[str, str], receive: Receive, limit: int) -> bytes:
    declared = headers.get("content-length", "")
    size = int(declared) if declared.isdigit() else 0
    body = bytearray()
    more = True
    while more and size <= limit:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _ClientGone
        body += message.get("body", b"")
        size = len(body)
        more = message.get("more_body", False)
    if size > limit:
        text = f"The request body is larger than {limit} bytes."
        raise ErrorResponse(413, text, headers={"connection": "close"})
    return bytes(body)


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
    last = {"type": "http.response.body", "body": b"", "more_body": reply.end != "whole"}
    if reply.frames is None and reply.live is None:
        await send({**last, "body": reply.body_bytes})
        return
    async for chunk in reply.live or _frame_chunks(reply):
        if chunk:
            await send({**last, "body": chunk, "more_body": True})
    if reply.end == "whole":
        await send(last)


async def _frame_chunks(reply: Reply) -> AsyncIterator[bytes]:
    pending: list[str] = []
    size = 0
    for frame, gap in zip(reply.frames or (), chain(reply.gaps, repeat(0.0)), strict=False):
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
        headers["content-length"] = str(len(reply.body_bytes))
        headers["content-type"] = "application/json; charset=utf-8"
    headers.update((name.lower(), value) for name, value in reply.headers.items())
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
