"""The HTTP application: turns requests into calls and sends replies. All API behavior is the back end's.

One catch-all route, because the back end also responds to paths and methods that the API does not
have, in the API's shape. Only ``/healthz`` is handled here; it needs no key. HEAD is a GET whose
body is not sent, OPTIONS lists the methods a path allows. Handlers run in one event loop.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.routing import Route

from evalkit._lib.json import dumps
from evalkit._lib.version import VERSION
from evalkit.server.calls import Backend, Call, Reply, fault_reply
from evalkit.server.fault_injection.injector import FaultInjector
from evalkit.server.fault_injection.plans import FaultPlan
from evalkit.server.history_integrity import DEFAULT_KEY
from evalkit.server.reply_sender import EXTENSION, Receive, Scope, Send, Sending
from evalkit.server.requests.error_response import ErrorResponse
from evalkit.server.script_backend import ScriptBackend
from evalkit.server.scripting.script import Script

MAX_BODY = 32 * 1024 * 1024
"""Largest request body in bytes, unless the caller says otherwise."""


def create_app(
    backend: Script | Backend,
    *,
    key: bytes = DEFAULT_KEY,
    max_body: int = MAX_BODY,
    log: Callable[[str], object] = lambda line: None,
    faults: Sequence[FaultPlan] = (),
    seed: int = 0,
) -> Starlette:
    """Return the application that serves a back end, or a script with a memory of its own, whose thoughts ``key`` signs.

    ``log`` gets a line for each request: method, path (without its query, which may hold a key), status, and what answered. ``faults``
    befall the back end's answers as ``seed`` decides.
    """
    served: Backend = (
        ScriptBackend(backend, key=key, log=log, seed=seed)
        if isinstance(backend, Script)
        else backend
    )
    shell = _Shell(FaultInjector(served, faults, seed) if faults else served, max_body, log)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await served.close()

    return Starlette(routes=[Route("/{path:path}", shell)], lifespan=lifespan)


class _Gone(Exception):
    """The client left before its request was whole."""


class _Shell:
    """Answers one request after the other, many at a time."""

    def __init__(self, backend: Backend, max_body: int, log: Callable[[str], object]) -> None:
        self._backend = backend
        self._max_body = max_body
        self._log = log
        self._started = monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = scope.get("extensions", {}).get(EXTENSION)
        if scope["path"] == "/healthz":
            await Sending(self._health(scope["method"]), send, connection).run()
            return
        if connection is None:
            with suppress(_Gone):
                await self._answer(scope, receive, send, None)
            return
        task = connection.task = asyncio.current_task()
        try:
            await self._answer(scope, receive, send, connection)
        except _Gone:
            return
        except asyncio.CancelledError:
            if not connection.lost:
                raise
            if task is not None:
                task.uncancel()  # the client has left: that is an end like others
        finally:
            connection.task = None

    async def _answer(self, scope: Scope, receive: Receive, send: Send, connection: Any) -> None:
        reply = await self._reply(scope, receive)
        self._log(f"{scope['method']} {scope['path']} {reply.status or 'none'}{_by(reply)}")
        await Sending(reply, send, connection).run()

    async def _reply(self, scope: Scope, receive: Receive) -> Reply:
        method = scope["method"]
        headers: dict[str, str] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1"), value.decode("latin-1"))
        raw_query = scope.get("query_string") or b""
        try:
            call = Call(
                method="GET" if method == "HEAD" else method,
                path=scope["path"],
                query=dict(parse_qsl(raw_query.decode("latin-1"), keep_blank_values=True))
                if raw_query
                else {},
                headers=headers,
                body=await _body(headers, receive, self._max_body),
                target=_target(scope, raw_query),
            )
            reply = await self._backend.handle(call)
        except ErrorResponse as fault:
            reply = fault_reply(fault)
        except _Gone:
            raise
        except Exception:  # noqa: BLE001 - whatever breaks here, the client gets the API's shape
            traceback.print_exc()
            reply = fault_reply(ErrorResponse(500))
        if method == "OPTIONS" and reply.status == 405 and "allow" in reply.headers:
            return Reply(
                204, headers={"allow": f"{reply.headers['allow']}, OPTIONS"}, by="what is allowed"
            )
        return reply

    def _health(self, method: str) -> Reply:
        if method == "OPTIONS":
            return Reply(204, headers={"allow": "GET, HEAD, OPTIONS"})
        if method not in ("GET", "HEAD"):
            message = f"{method} is not allowed here; allowed: GET, HEAD."
            return fault_reply(ErrorResponse(405, message, headers={"allow": "GET, HEAD"}))
        health = {
            "status": "ok",
            "serves": self._backend.title,
            "version": VERSION,
            "uptime_seconds": round(monotonic() - self._started, 3),
        }
        return Reply(200, dumps(health))


def _by(reply: Reply) -> str:
    struck = f"fault {', '.join(reply.faults)}" if reply.faults else ""
    return "".join(f"  {part}" for part in (reply.by, struck) if part)


def _target(scope: Scope, query: bytes) -> str:
    raw = scope.get("raw_path") or b""
    target: bytes = raw.partition(b"?")[0] + (b"?" + query if query else b"")
    return target.decode("latin-1")


async def _body(headers: Mapping[str, str], receive: Receive, limit: int) -> bytes:
    declared = headers.get("content-length", "0")
    size = int(declared) if declared.isdigit() else 0
    parts: list[bytes] = []
    if size <= limit:
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _Gone
            part = message.get("body", b"")
            size += len(part)
            if size > limit:
                break
            parts.append(part)
            more = message.get("more_body", False)
    if size > limit:
        raise ErrorResponse(
            413, f"The request body is larger than {limit} bytes.", headers={"connection": "close"}
        )
    return b"".join(parts)
