"""A stopping server closes its back end, however busy it is, and prints nothing."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from urllib.parse import urlsplit

import httpx
import pytest

from evalkit.server import create_app, serving
from evalkit.server.calls import Call, Reply


class Endless:
    """A back end whose responses are streams that never end."""

    title = "endless"

    def __init__(self) -> None:
        self.closed = 0

    async def handle(self, call: Call) -> Reply:
        return Reply(200, live=self._ticks(), headers={"content-type": "text/event-stream"})

    async def close(self) -> None:
        self.closed += 1

    async def _ticks(self) -> AsyncIterator[bytes]:
        while True:
            yield b": tick\n\n"
            await asyncio.sleep(0.01)


def test_a_server_without_requests(capfd: pytest.CaptureFixture[str]) -> None:
    backend = Endless()
    with serving(create_app(backend)):
        assert backend.closed == 0
    assert backend.closed == 1
    assert capfd.readouterr() == ("", "")


def test_open_streams_are_cut(capfd: pytest.CaptureFixture[str]) -> None:
    backend = Endless()
    received = threading.Event()

    def listen(url: str) -> None:
        with suppress(httpx.HTTPError), httpx.stream("GET", url) as response:
            for _ in response.iter_raw():
                received.set()

    with serving(create_app(backend)) as url:
        listener = threading.Thread(target=listen, args=(url,))
        listener.start()
        assert received.wait(10)
        idle = socket.create_connection(("127.0.0.1", urlsplit(url).port or 0))
    idle.close()
    listener.join(10)
    assert not listener.is_alive()
    assert backend.closed == 1
    assert capfd.readouterr() == ("", "")


def test_responses_continue_when_the_log_is_not_read_any_more() -> None:
    command = [sys.executable, "-m", "evalkit", "serve", "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        assert server.stderr is not None
        url = next(word for word in server.stdout.readline().split() if word.startswith("http://"))
        server.stdout.close()
        body = {"model": "gemini-3.5-flash", "input": "Hello"}
        answers = [
            httpx.post(
                f"{url}/v1/interactions", json=body, headers={"x-goog-api-key": "any"}
            ).status_code
            for _ in range(3)
        ]
        server.terminate()
        assert answers == [200, 200, 200]
        assert "Traceback" not in server.stderr.read()
