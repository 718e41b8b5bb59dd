"""A collector of OpenTelemetry on this machine, which refuses what a strict one would refuse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.json_format import Parse
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from evalkit.server import serving

MESSAGES: dict[str, Any] = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/logs": ExportLogsServiceRequest,
}


@dataclass
class Collector:
    """What a collector received; the first answers are ``statuses``, all others 200."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    rejects: str = ""
    bodies: list[tuple[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def items(self, path: str) -> list[dict[str, Any]]:
        group, scope, kind = {
            "/v1/traces": ("resourceSpans", "scopeSpans", "spans"),
            "/v1/logs": ("resourceLogs", "scopeLogs", "logRecords"),
        }[path]
        return [
            item
            for sent, body in self.bodies
            if sent == path
            for item in body[group][0][scope][0][kind]
        ]


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()

    async def receive(request: Request) -> Response:
        text = await request.body()
        if collector.statuses:
            return Response(status_code=collector.statuses.pop(0), headers={"retry-after": "0"})
        # Unknown fields and wrong types are errors here, as they are to a strict collector.
        Parse(text, MESSAGES[request.url.path]())
        collector.bodies.append((request.url.path, json.loads(text)))
        collector.headers.append(dict(request.headers))
        return JSONResponse({"partialSuccess": {"errorMessage": collector.rejects}})

    with serving(
        Starlette(routes=[Route(path, receive, methods=["POST"]) for path in MESSAGES])
    ) as url:
        collector.url = url
        yield collector
