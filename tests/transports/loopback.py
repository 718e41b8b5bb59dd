"""An HTTP service on the loopback interface with scripted responses, which records its requests.

Tests use it over real sockets, so nothing is patched.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class SeenRequest:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """``chunks`` are sent one by one; ``gate`` must be set before chunk number ``gate_at`` is sent.

    ``cut`` closes the connection early; ``silent`` closes it before anything is sent.
    """

    chunks: Sequence[bytes] = (b"{}",)
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "application/json"})
    cut: bool = False
    silent: bool = False
    gate: threading.Event | None = None
    gate_at: int = 0


def reply(value: Any, status: int = 200, **headers: str) -> Reply:
    return Reply(
        [json.dumps(value).encode()],
        status,
        {
            "content-type": "application/json",
            **{k.replace("_", "-"): v for k, v in headers.items()},
        },
    )


def stream(*events: Any, **fields: Any) -> Reply:
    frames = [
        f"event: {event['event_type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events
    ]
    return Reply(
        [*frames, b"event: done\ndata: [DONE]\n\n"],
        headers={"content-type": "text/event-stream"},
        **fields,
    )


def echo(received: SeenRequest) -> Reply:
    return reply(
        {
            "id": "v1_echo",
            "method": received.method,
            "path": received.path,
            "asked": received.json if received.body else None,
        }
    )


class Service:
    """``script`` has replies to send once each, in order; afterwards ``answer`` creates them."""

    def __init__(self) -> None:
        self.requests: list[SeenRequest] = []
        self.script: deque[Reply] = deque()
        self.answer: Callable[[SeenRequest], Reply] = echo
        self.base_url = ""

    def take(self, received: SeenRequest) -> Reply:
        self.requests.append(received)
        return self.script.popleft() if self.script else self.answer(received)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # the default of five refuses parallel connections


@contextmanager
def serving() -> Iterator[Service]:
    service = Service()
    server = _Server(("127.0.0.1", 0), _handler(service))
    service.base_url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(service: Service) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = service.take(SeenRequest(self.command, self.path, headers, body))
            if answer.silent:
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for number, chunk in enumerate(answer.chunks):
                if answer.gate is not None and number == answer.gate_at:
                    answer.gate.wait(20)
                self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                self.wfile.flush()
            if answer.cut:
                self.close_connection = True
            else:
                self.wfile.write(b"0\r\n\r\n")

        def handle(self) -> None:
            with suppress(ConnectionError, ValueError):  # the client left, as some tests intend
                super().handle()

        do_GET = do_POST = do_PUT = do_DELETE = _any  # noqa: N815 - http.server's names

    return Handler
