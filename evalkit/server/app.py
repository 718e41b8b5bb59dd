"""The HTTP shell: a Starlette application that turns requests into calls and replies into responses. All behaviour is the service's.

One catch-all route, because paths and methods the API does not have are answered by the service too, in the API's shape. Handlers run in
one event loop and the service never awaits, so it needs no lock.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Callable

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from evalkit._lib.version import VERSION
from evalkit.server.faults import ApiFault
from evalkit.server.script import Script
from evalkit.server.service import Call, Reply, Service, fault_reply
from evalkit.server.signatures import DEFAULT_KEY

MAX_BODY = 32 * 1024 * 1024
"""Largest request body in bytes, unless the caller says otherwise."""

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


def create_app(
    script: Script, *, key: bytes = DEFAULT_KEY, max_body: int = MAX_BODY, log: Callable[[str], object] = lambda line: None
) -> Starlette:
    """Return the application that serves ``script``; ``key`` signs thoughts. Each application has a memory of its own.

    ``log`` gets a line for each request: method, path (without its query, which may hold a key), status, and the rule that answered.
    """
    service = Service(script, key=key)
    # Who records from here has it in the cassette's metadata, and no such recording passes for the real service's.
    signed = {"server": f"evalkit-serve/{VERSION} (script {script.name})"}

    async def answer(request: Request) -> Response:
        try:
            call = Call(
                method=request.method,
                path=request.url.path,
                query=dict(request.query_params),
                headers=dict(request.headers),
                body=await _body(request, max_body),
            )
            reply = service.handle(call)
        except ApiFault as fault:
            reply = fault_reply(fault)
        except ClientDisconnect:
            raise
        except Exception:  # noqa: BLE001 - whatever breaks here, the client gets the API's shape
            traceback.print_exc()
            reply = fault_reply(ApiFault(500))
        log(f"{request.method} {request.url.path} {reply.status}{f'  {reply.by}' if reply.by else ''}")
        return await _response(reply, signed)

    return Starlette(routes=[Route("/{path:path}", answer, methods=list(_METHODS))])


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


async def _response(reply: Reply, signed: dict[str, str]) -> Response:
    if reply.delay:
        await asyncio.sleep(reply.delay)
    headers = {**signed, **reply.headers}
    if reply.frames is None:
        return Response(reply.body, reply.status, headers, media_type="application/json; charset=utf-8")
    return StreamingResponse(_frames(reply), reply.status, {"cache-control": "no-cache", **headers}, media_type="text/event-stream")


async def _frames(reply: Reply) -> AsyncIterator[str]:
    for frame in reply.frames or ():
        if reply.event_delay:
            await asyncio.sleep(reply.event_delay)
        yield frame
