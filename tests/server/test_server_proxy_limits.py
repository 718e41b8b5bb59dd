"""Upstreams that fight back: the client gets an answer, and the proxy keeps serving others."""

from __future__ import annotations

import gzip
import socket
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import repeat
from pathlib import Path

import httpx
import pytest

from evalkit.server import create_app, serving
from evalkit.server.proxy import backend as backend_module
from evalkit.server.proxy.archive import ConversationArchive
from evalkit.server.proxy.backend import ProxyBackend
from evalkit.server.proxy.upstream import Upstream
from tests.server.talking import cassettes
from tests.transports.raw_responses import JSON_HEAD, OK, Parts, endless_headers, whole

STREAM_HEAD = OK + b"content-type: text/event-stream\r\n\r\n"
FINE = JSON_HEAD + b"content-length: 15\r\nconnection: close\r\n\r\n" + b'{"fine": true }'
EVENT = b'data: {"event_type":"step.delta","delta":{"text":"' + b"z" * 4000 + b'"}}\n\n'
LAST = b'data: {"event_type":"interaction.completed","interaction":{"id":"v1_a"}}\n\n'


pytestmark = pytest.mark.usefixtures("small_limits")


class HostileUpstream:
    """Sends ``parts`` to each client until it leaves, and a small answer to ``/fine``."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.client_left = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            if b"/fine" in client.recv(65536).partition(b"\r\n")[0]:
                client.sendall(FINE)
                return
            try:
                for part in self.parts():
                    client.sendall(part)
                # Closing with an unread request would reset the connection.
                client.shutdown(socket.SHUT_WR)
                while client.recv(65536):
                    pass
            except OSError:
                self.client_left.set()


@contextmanager
def proxied(
    parts: Parts, folder: Path | None, *, silence: float = 60
) -> Iterator[tuple[httpx.Client, HostileUpstream, list[str]]]:
    """Yield a client of a proxy to a hostile upstream, the upstream, and the proxy's log."""
    upstream, log = HostileUpstream(parts), list[str]()
    thread = threading.Thread(target=upstream.accept, daemon=True)
    thread.start()
    archive = ConversationArchive(folder, {}) if folder else None
    proxy = ProxyBackend(Upstream(upstream.url, silence=silence), archive, log=log.append)
    try:
        with (
            serving(create_app(proxy)) as url,
            httpx.Client(base_url=url, timeout=60, trust_env=False) as client,
        ):
            yield client, upstream, log
            # Whatever happened before, the next client is served.
            assert client.get("/fine").json() == {"fine": True}
    finally:
        upstream.listener.shutdown(socket.SHUT_RDWR)
        upstream.listener.close()
        thread.join()


def post(client: httpx.Client) -> httpx.Response:
    return client.post("/v1beta/interactions", json={"model": "m", "input": "x"})


BOMB = b" " * (40 << 20)


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (gzip.compress(BOMB), "gzip"),
        (zlib.compress(BOMB), "deflate"),
        (gzip.compress(gzip.compress(BOMB)), "gzip, gzip"),
    ],
)
@pytest.mark.parametrize("kind", [b"application/json", b"text/event-stream"])
def test_a_bomb_is_forwarded_as_it_is_and_not_recorded(
    tmp_path: Path, kind: bytes, body: bytes, coding: str
) -> None:
    head = OK + b"content-type: " + kind + b"\r\n"
    with proxied(whole(head, body, coding), tmp_path) as (client, _, log):
        request = client.build_request("POST", "/v1beta/interactions", json={"input": "x"})
        response = client.send(request, stream=True)
        assert b"".join(response.iter_raw()) == body
        assert response.headers["content-encoding"] == coding
    recorded = [one.uri for group in cassettes(tmp_path).values() for one in group]
    if kind == b"text/event-stream" and "," in coding:
        return  # Not opened to look for events.
    assert not any("interactions" in uri for uri in recorded)
    assert "raise the limit 'response'" in "".join(log)


def test_a_plain_answer_that_is_too_large_is_a_bad_gateway(tmp_path: Path) -> None:
    with proxied(whole(JSON_HEAD, BOMB), tmp_path) as (client, _, log):
        response = post(client)
        assert response.status_code == 502
        message = response.json()["error"]["message"]
        assert "(limit: 1 MB); raise the limit 'response'" in message
    assert message in "".join(log)


@pytest.mark.parametrize("line", [EVENT, b": comment\n" * 400, b"a" * 9999])
def test_an_endless_stream_ends_with_its_client(tmp_path: Path, line: bytes) -> None:
    def parts() -> Iterator[bytes]:
        yield STREAM_HEAD
        yield from repeat(line)

    with proxied(parts, tmp_path) as (client, upstream, log):
        with client.stream("POST", "/v1beta/interactions", json={"input": "x"}) as response:
            received = 0
            for chunk in response.iter_raw():
                received += len(chunk)
                if received > 4 << 20:
                    break
            # Others are served while it is open.
            assert client.get("/fine").json() == {"fine": True}
        assert upstream.client_left.wait(60)
    assert "raise the limit 'response'" in "".join(log)


def test_a_stream_of_too_many_events_is_not_recorded(tmp_path: Path) -> None:
    body = b'data: {"event_type":"x"}\n\n' * 1001
    with proxied(lambda: iter([STREAM_HEAD + body]), tmp_path) as (client, _, log):
        assert post(client).content == body
    assert "raise the limit 'events'" in "".join(log)


def test_a_stream_without_an_end_after_its_last_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend_module, "_DRAIN_SECONDS", 0.2)

    def parts() -> Iterator[bytes]:
        yield STREAM_HEAD + LAST
        yield from repeat(b": comment\n" * 400)

    with proxied(parts, tmp_path) as (client, upstream, _):
        with client.stream("POST", "/v1beta/interactions", json={"input": "x"}) as response:
            for chunk in response.iter_raw():
                if LAST[-20:] in chunk:
                    break
        assert upstream.client_left.wait(60)


@pytest.mark.parametrize("records", [True, False])
@pytest.mark.parametrize(
    "parts",
    [
        lambda: repeat(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" * 100),
        lambda: repeat(b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
        lambda: iter([OK + b"x-a: " + b"b" * 300_000 + b"\r\n\r\n{}"]),
        lambda: iter([OK + b"".join(b"x-%d: 1\r\n" % n for n in range(20_000)) + b"\r\n{}"]),
        lambda: iter([OK, *repeat(b"x-a: 1\r\n", 100_000)]),
        lambda: iter([b"HTTP/1.1 200 " + b"O" * 300_000]),
    ],
    ids=["early hints", "continue", "large", "many", "repeated", "status line"],
)
def test_too_many_or_too_large_headers(tmp_path: Path, parts: Parts, records: bool) -> None:
    with proxied(parts, tmp_path if records else None) as (client, _, log):
        response = post(client)
        assert response.status_code == 502
        assert response.json()["error"]["code"] == "upstream_failed"
    assert response.json()["error"]["message"] in "".join(log)


def test_headers_that_arrive_byte_by_byte_exceed_the_time_limit(tmp_path: Path) -> None:
    with (
        endless_headers() as parts,
        proxied(parts, tmp_path, silence=0.3) as (client, _, _),
    ):
        response = post(client)
        assert response.status_code == 504
        assert "time limit" in response.json()["error"]["message"]


def test_others_are_served_while_headers_arrive_slowly(tmp_path: Path) -> None:
    closed, begun = threading.Event(), threading.Event()

    def drip() -> Iterator[bytes]:
        yield OK
        begun.set()
        while not closed.wait(0.01):
            yield b"x: 1\r\n"
        yield b"content-length: 2\r\n\r\n{}"

    with proxied(drip, tmp_path) as (client, _, _):
        thread = threading.Thread(target=post, args=(client,))
        thread.start()
        assert begun.wait(60)
        assert client.get("/fine").json() == {"fine": True}
        closed.set()
        thread.join()
