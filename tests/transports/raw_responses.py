"""Bytes of HTTP/1.1 responses, for servers that do not keep to what a client expects."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Parts = Callable[[], Iterator[bytes]]

OK = b"HTTP/1.1 200 OK\r\n"
JSON_HEAD = OK + b"content-type: application/json\r\n"


def whole(head: bytes, body: bytes, coding: str = "identity") -> Parts:
    """Return a response that is sent at once; its declared length is right."""
    length = f"content-encoding: {coding}\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    return lambda: iter([head + length + body])


@contextmanager
def endless_headers() -> Iterator[Parts]:
    """Yield a response that sends a small header again and again, until the block ends."""
    closed = threading.Event()

    def drip() -> Iterator[bytes]:
        yield OK
        while not closed.wait(0.01):
            yield b"x: 1\r\n"

    try:
        yield drip
    finally:
        closed.set()
