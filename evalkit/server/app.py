"""The HTTP shell: a Starlette application that turns requests into calls and replies into responses. All behaviour is the back end's.

One catch-all route, because paths and methods the API does not have are answered by the back end too, in the API's shape. Handlers run in
one event loop.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from evalkit.server.calls import Backend, Call, Reply, fault_reply
from evalkit.server.faults import ApiFault
from evalkit.server.script import Script
from evalkit.server.scripted import Scripted
from evalkit.server.signatures import DEFAULT_KEY

MAX_BODY = 32 * 1024 * 1024
"""Largest request body in bytes, unless the caller says otherwise."""

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


def create_app(
    backend: Script | Backend, *, key: bytes = DEFAULT_KEY, max_body: int = MAX_BODY, log: Callable[[str], object] = lambda line: None
) -> Starlette:
    """Return the application that serves a back end, or a script with a memory of its own, whose thoughts ``key`` signs.

    ``log`` gets a line for each request: method, path (without its query, which may hold a key), status, and what answered.
    """
    served = Scripted(backend, key=key, log=log) if isinstance(backend, Script) else backend

    async def answer(request: Request) -> Response:
        try:
            call = Call(
                method=request.method,
                path=request.url.path,
                query=dict(request.query_params),
                headers=dict(request.headers),
                body=await _body(request, max_body),
                target=_target(request),
            )
            reply = await served.answer(call)
        except ApiFault as fault:
            reply = fault_reply(fault)
        except ClientDisconnect:
            raise
        except Exception:  # noqa: BLE001 - whatever breaks here, the client gets the API's shape
            traceback.print_exc()
            reply = fault_reply(ApiFault(500))
        log(f"{request.method} {request.url.path} {reply.status}{f'  {reply.by}' if reply.by else ''}")
        return await _response(reply)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await served.close()

    return Starlette(routes=[Route("/{path:path}", answer, methods=list(_METHODS))], lifespan=lifespan)


def _target(request: Request) -> str:
    raw = request.scope.get("raw_path") or b""
    query = request.scope.get("query_string") or b""
    return (raw.partition(b"?")[0] + (b"?" + query if query else b"")).decode("latin-1")


async def _body(request: Request, limit: int) -> bytes:
    declared = request.headers.get("content-length", "0")
    size = int(declared) if declared.isdigit() else 0
    parts: list[bytes] = []
    if size <= limit:
        size = 0
        async for part in request.stream():
            size += len(part)
            if size > limit:
                break
            parts.append(part)
    if size > limit:
        raise ApiFault(413, f"The request body is larger than {limit} bytes.", headers={"connection": "close"})
    return b"".join(parts)


async def _response(reply: Reply) -> Response:
    if reply.delay:
        await asyncio.sleep(reply.delay)
    headers = dict(reply.headers)
    if reply.live is not None:
        return StreamingResponse(reply.live, reply.status, headers)
    if reply.frames is not None:
        return StreamingResponse(_frames(reply), reply.status, {"cache-control": "no-cache", **headers}, media_type="text/event-stream")
    typed = any(name.lower() == "content-type" for name in headers)
    return Response(reply.body, reply.status, headers, media_type=None if typed else "application/json; charset=utf-8")


async def _frames(reply: Reply) -> AsyncIterator[str]:
    gaps = iter(reply.gaps)
    for frame in reply.frames or ():
        if wait := reply.event_delay + next(gaps, 0.0):
            await asyncio.sleep(wait)
        yield frame
