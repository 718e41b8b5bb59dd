"""Record and replay 90 requests of each client over ten threads; print what reached the server.

Run by ``test_tape_threads`` in a network namespace that has only a loopback interface.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import socket
import struct
import sys
import threading
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import requests
import urllib3

import evalkit
from evalkit.errors import CassetteMiss
from evalkit.taping import Tape

REQUESTS, THREADS = 90, 10
SESSION, POOL, CLIENT = requests.Session(), urllib3.PoolManager(), httpx.Client()


def by_requests(url: str) -> str:
    return SESSION.get(url, timeout=60).text


def by_urllib3(url: str) -> str:
    return POOL.request("GET", url).data.decode()


def by_urllib(url: str) -> str:
    with urllib.request.urlopen(url, timeout=60) as response:
        return str(response.read().decode())


def by_httpx(url: str) -> str:
    return CLIENT.get(url, timeout=60).text


def by_aiohttp(url: str) -> str:
    async def ask() -> str:
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return await response.text()

    return asyncio.run(ask())


CLIENTS = (by_requests, by_urllib3, by_urllib, by_httpx, by_aiohttp)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    count = 0
    lock = threading.Lock()

    def do_GET(self) -> None:
        with Handler.lock:
            Handler.count += 1
        data = json.dumps({"path": self.path}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


def start_loopback() -> None:
    """Set the interface up, which a new namespace does not do."""
    with socket.socket() as sock:
        name = struct.pack("16sh", b"lo", 0)
        flags = struct.unpack("16sh", fcntl.ioctl(sock, 0x8913, name))[1]
        if not flags & 1:
            fcntl.ioctl(sock, 0x8914, struct.pack("16sh", b"lo", flags | 1))


def application(base: str, ask: Callable[[str], str]) -> None:
    def work(number: int) -> None:
        path = f"/items?client={ask.__name__}&number={number}"
        assert json.loads(ask(base + path)) == {"path": path}

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(REQUESTS)))


def run_all(base: str, mode: str) -> int:
    """Run every client over a tape; return the number of requests that reached the server."""
    before = Handler.count
    for ask in CLIENTS:
        with tape(f"threads/{ask.__name__}", mode) as running:
            application(base, ask)
        assert running.unplayed == []
    # All clients in one tape at once: none may unpatch what another one needs.
    with tape("threads/together", mode) as running, ThreadPoolExecutor(len(CLIENTS)) as pool:
        list(pool.map(lambda ask: application(base, ask), CLIENTS))
    return Handler.count - before


def tape(name: str, mode: str) -> Tape:
    return evalkit.tape(name, mode=mode)  # type: ignore[arg-type]


def is_refused(connect: Callable[[], object]) -> bool:
    """Return whether a replaying tape refuses a connection, and reports it at its end."""
    try:
        with tape("threads/by_urllib", "none"):
            try:
                connect()
            except OSError:
                return False
            except CassetteMiss:
                pass
    except CassetteMiss as error:
        return "a connection to" in str(error)
    return False


def main() -> None:
    start_loopback()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_address[1]}"
    report = {
        "recorded": run_all(base, "once"),
        "replayed": run_all(base, "none"),
        "cassettes": [
            path.read_text().count("\n- request:\n") for path in sorted(Path().rglob("*.yaml"))
        ],
        "elsewhere": run_all("https://generativelanguage.googleapis.com", "none"),
        "refused": [
            is_refused(lambda: socket.create_connection(("192.0.2.1", 80), timeout=1)),
            is_refused(lambda: socket.getaddrinfo("example.com", 443)),
            is_refused(
                lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.1", 9))
            ),
            is_refused(lambda: asyncio.run(asyncio.open_connection("192.0.2.1", 80))),
        ],
    }
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
