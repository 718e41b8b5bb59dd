"""Responses that fight back: each ends with a message that names the limit, and in bounded time."""

from __future__ import annotations

import gzip
import socket
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import repeat

import pytest

from evalkit.errors import Disconnected, ResponseTooLarge, TimedOut
from evalkit.transcript import Request
from evalkit.transports import LiveTransport
from tests.transports.raw_responses import JSON_HEAD, OK, Parts, endless_headers, whole

STREAM_HEAD = OK + b"content-type: text/event-stream\r\n"
MEGABYTE = b" " * (1 << 20)


pytestmark = pytest.mark.usefixtures("small_limits")


@contextmanager
def service(parts: Parts) -> Iterator[str]:
    """Yield the URL of a server that sends parts to each client until it leaves."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client, suppress(OSError):
                client.recv(65536)
                for part in parts():
                    client.sendall(part)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def ask(parts: Parts, *, stream: bool = False, timeout: float = 60) -> str:
    with service(parts) as url:
        transport = LiveTransport(url, None, timeout=timeout, retries=0)
        try:
            body = {"input": "x", "stream": stream}
            return transport.send(Request("POST", "/v1beta/interactions", body)).text
        finally:
            transport.close()


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


BOMB = MEGABYTE * 40


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (gzip.compress(BOMB), "gzip"),
        (gzip.compress(BOMB), "x-gzip"),
        (zlib.compress(BOMB), "deflate"),
        (raw_deflate(BOMB), "deflate"),
        (gzip.compress(gzip.compress(BOMB)), "gzip, gzip"),
        (zlib.compress(gzip.compress(BOMB)), "gzip, deflate"),
        (gzip.compress(MEGABYTE) + gzip.compress(MEGABYTE), "gzip"),
        (BOMB, "identity"),
    ],
)
@pytest.mark.parametrize("head", [JSON_HEAD, STREAM_HEAD])
def test_a_body_that_is_too_large(head: bytes, body: bytes, coding: str) -> None:
    if head == STREAM_HEAD and "," in coding:
        with pytest.raises(Disconnected, match="compressed as 'gzip, "):
            ask(whole(head, body, coding))
        return
    with pytest.raises(ResponseTooLarge, match=r"limit: 1 MB\); raise the limit 'response'"):
        ask(whole(head, body, coding))


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "deflate", "gzip, identity"])
def test_a_body_within_the_limit(coding: str) -> None:
    data = zlib.compress(b'{"a":1}') if coding == "deflate" else gzip.compress(b'{"a":1}')
    assert ask(whole(JSON_HEAD, data, coding)) == '{"a":1}'


def test_members_of_a_gzip_file_are_joined_and_what_follows_is_ignored() -> None:
    data = gzip.compress(b"[1,") + gzip.compress(b"2]") + b"\0" * 20
    assert ask(whole(JSON_HEAD, data, "gzip")) == "[1,2]"


@pytest.mark.parametrize("coding", ["gzip", "deflate", ",".join(["gzip"] * 9), "aes"])
def test_a_body_that_cannot_be_decompressed(coding: str) -> None:
    with pytest.raises(Disconnected):
        ask(whole(JSON_HEAD, b"not compressed", coding))


def test_a_stream_of_too_many_events() -> None:
    event = b'data: {"event_type":"x"}\n\n'
    with pytest.raises(ResponseTooLarge, match="limit: 1,000"):
        ask(whole(STREAM_HEAD, event * 1001), stream=True)


@pytest.mark.parametrize(
    "line", [b'data: {"event_type":"x","y":"' + b"z" * 500 + b'"}\n\n', b": comment\n", b"a" * 9999]
)
def test_an_endless_stream(line: bytes) -> None:
    def parts() -> Iterator[bytes]:
        yield STREAM_HEAD + b"\r\n"
        yield from repeat(line)

    with pytest.raises(ResponseTooLarge):
        ask(parts, stream=True)


@pytest.mark.parametrize(
    "flood",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n" * 100,
        b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" * 100,
        b"HTTP/1.1 102 Processing\r\n\r\n",
    ],
)
def test_endless_interim_responses(flood: bytes) -> None:
    with pytest.raises(ResponseTooLarge, match="raise the limit 'headers'"):
        ask(lambda: repeat(flood))


@pytest.mark.parametrize(
    "header", [b"x-a: " + b"b" * 300_000, b"".join(b"x-%d: 1\r\n" % n for n in range(20_000))]
)
def test_large_headers(header: bytes) -> None:
    with pytest.raises((ResponseTooLarge, Disconnected)):
        ask(lambda: iter([OK + header + b"\r\n\r\n{}"]))


def test_a_server_that_never_ends_its_headers_exceeds_the_time_limit() -> None:
    with endless_headers() as parts, pytest.raises(TimedOut):
        ask(parts, timeout=0.3)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_answers(status: int) -> None:
    head = b"HTTP/1.1 %d Moved\r\nlocation: http://127.0.0.1:9/\r\n" % status
    assert ask(whole(head, b"{}")) == "{}"
