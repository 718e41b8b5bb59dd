"""Broken connections as sockets, httpx and the official SDK see them; leaving clients; signals."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from evalkit.errors import UsageError
from evalkit.protocol.sse import read_events
from evalkit.server import Script, create_app, load_script, serving
from evalkit.server.calls import Call, Reply, StreamCut
from evalkit.server.fault_injection.plans import parse_plan
from evalkit.server.run import raise_file_limit

HELLO = {"model": "gemini-3.5-flash", "input": "Hello"}
KEY = {"x-goog-api-key": "any"}


@contextmanager
def faulty(
    *spelled: str, rules: str = "[{reply: one two three}]", log: Any = lambda line: None
) -> Iterator[str]:
    script = Script.load(f"script: t\nrules: {rules}", "t.yaml")
    with serving(
        create_app(script, faults=[parse_plan(text, text) for text in spelled], log=log)
    ) as url:
        yield url


def exchange(
    url: str, body: dict[str, Any], *, method: str = "POST", path: str = "/v1/interactions"
) -> tuple[bytes, str]:
    """Return all bytes a raw socket receives, and how it ended: ``closed`` or ``reset``."""
    raw = json.dumps(body).encode()
    with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), timeout=10) as peer:
        head = f"{method} {path} HTTP/1.1\r\nhost: localhost\r\nx-goog-api-key: any\r\ncontent-length: {len(raw)}\r\n\r\n"
        peer.sendall(head.encode() + raw)
        received = b""
        while True:
            try:
                part = peer.recv(65_536)
            except ConnectionResetError:
                return received, "reset"
            if not part:
                return received, "closed"
            received += part


STREAM = {**HELLO, "stream": True}


@pytest.mark.parametrize("body", [HELLO, STREAM], ids=["plain", "streamed"])
@pytest.mark.parametrize(("spelled", "end"), [("cut=0", "closed"), ("reset", "reset")])
def test_no_byte_is_sent(body: dict[str, Any], spelled: str, end: str) -> None:
    with faulty(spelled) as url:
        assert exchange(url, body) == (b"", end)


@pytest.mark.parametrize(("spelled", "end"), [("cut=3", "closed"), ("reset=3", "reset")])
def test_a_stream_breaks_after_three_events(spelled: str, end: str) -> None:
    with faulty(spelled) as url:
        received, ended = exchange(url, STREAM)
    assert ended == end
    assert received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert received.count(b"\ndata: {") == 3
    assert b"\r\n0\r\n" not in received


@pytest.mark.parametrize(("spelled", "end"), [("cut=3", "closed"), ("reset=3", "reset")])
def test_a_plain_response_breaks_in_its_middle(spelled: str, end: str) -> None:
    with faulty(spelled) as url:
        received, ended = exchange(url, HELLO)
    head, _, body = received.partition(b"\r\n\r\n")
    announced = re.search(rb"content-length: (\d+)", head)
    assert ended == end
    assert announced
    assert len(body) == int(announced[1]) // 2


def test_a_stream_cut_after_a_wait_has_sent_the_earlier_events() -> None:
    with faulty("reset=2", "event_delay=0.02") as url:
        received, ended = exchange(url, STREAM)
    assert (received.count(b"\ndata: {"), ended) == (2, "reset")


@pytest.mark.parametrize(
    ("spelled", "error"),
    [
        ("cut=0", httpx.RemoteProtocolError),
        ("cut=3", httpx.RemoteProtocolError),
        ("reset", httpx.ReadError),
        ("reset=3", httpx.ReadError),
    ],
)
@pytest.mark.parametrize("body", [HELLO, STREAM], ids=["plain", "streamed"])
def test_httpx_sees_a_broken_connection(
    spelled: str, error: type[Exception], body: dict[str, Any]
) -> None:
    with faulty(spelled) as url, pytest.raises(error):
        httpx.post(f"{url}/v1/interactions", json=body, headers=KEY)


def test_a_truncated_stream_is_complete_for_http() -> None:
    with faulty("truncate=4") as url:
        response = httpx.post(f"{url}/v1/interactions", json=STREAM, headers=KEY)
    events = read_events(response.text)
    assert (response.status_code, len(events.events), events.done) == (200, 4, False)


def test_a_connection_stays_open_after_a_response_that_was_not_broken() -> None:
    with faulty("reset@every=2") as url, httpx.Client(headers=KEY) as client:
        found: list[object] = []
        for number in range(6):
            try:
                found.append(
                    client.post(
                        f"{url}/v1/interactions", json={**HELLO, "input": str(number)}
                    ).status_code
                )
            except httpx.TransportError as error:
                found.append(type(error).__name__)
    assert found == [200, "ReadError"] * 3


def test_a_live_stream_that_breaks_off_is_cut(capfd: pytest.CaptureFixture[str]) -> None:
    class Breaking:
        title = "breaking"

        async def handle(self, call: Call) -> Reply:
            return Reply(200, live=self.parts(), headers={"content-type": "text/event-stream"})

        async def parts(self) -> AsyncIterator[bytes]:
            yield b"data: {}\n\n"
            raise StreamCut("upstream broke off")

        async def close(self) -> None:
            return None

    with serving(create_app(Breaking())) as url:
        received, ended = exchange(url, {})
    assert (received.count(b"data: {}"), ended, b"\r\n0\r\n" in received) == (1, "closed", False)
    assert capfd.readouterr().err == ""


def test_invalid_http_is_refused_in_the_shape_of_the_api() -> None:
    with (
        faulty() as url,
        socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), timeout=10) as peer,
    ):
        peer.sendall(b"hello\r\n\r\n")
        text = peer.makefile("rb").read().decode()
    head, _, body = text.partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 400 Bad Request")
    assert json.loads(body)["error"]["code"] == "invalid_request"


def test_faults_are_logged() -> None:
    lines: list[str] = []
    with faulty("error=503@first=1", "delay=0.001", log=lines.append) as url:
        httpx.post(f"{url}/v1/interactions", json=HELLO, headers=KEY)
        httpx.post(f"{url}/v1/interactions", json=HELLO, headers=KEY)
    assert lines == [
        "POST /v1/interactions 503  service_unavailable  fault error, delay",
        "POST /v1/interactions 200  rule at t.yaml:2  fault delay",
    ]


# --- the official SDK (protocol section 7)


def client_of(url: str, attempts: int) -> Any:
    genai = pytest.importorskip("google.genai")
    retry = {
        "attempts": attempts,
        "initial_delay": 0.01,
        "max_delay": 0.01,
        "exp_base": 1,
        "jitter": 0,
    }
    return genai.Client(api_key="any", http_options={"base_url": url, "retry_options": retry})


@pytest.mark.parametrize(
    "spelled",
    [
        "error=503,retry_after=0@first=2",
        "error=429,retry_after=0@first=2",
        "error=500,shape=html@first=2",
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_the_sdk_retries_until_there_is_a_response(spelled: str, stream: bool) -> None:
    lines: list[str] = []
    with faulty(spelled, log=lines.append) as url, client_of(url, 3) as client:
        answer = client.interactions.create(model="gemini-3.5-flash", input="Hello", stream=stream)
        last = list(answer)[-1].interaction if stream else answer
    assert last.status == "completed"
    assert len(lines) == 3


@pytest.mark.parametrize("spelled", ["reset", "cut=0", "cut=3"])
def test_the_sdk_raises_for_a_broken_connection_without_a_retry(spelled: str) -> None:
    lines: list[str] = []
    with (
        faulty(spelled, log=lines.append) as url,
        client_of(url, 3) as client,
        pytest.raises(Exception) as caught,
    ):
        client.interactions.create(model="gemini-3.5-flash", input="Hello")
    assert (type(caught.value).__name__, len(lines)) == ("APIConnectionError", 1)


def test_the_sdk_gives_up_and_names_the_error() -> None:
    with (
        faulty("error=503,retry_after=0") as url,
        client_of(url, 2) as client,
        pytest.raises(Exception) as caught,
    ):
        client.interactions.create(model="gemini-3.5-flash", input="Hello")
    assert type(caught.value).__name__ == "InternalServerError"
    assert caught.value.status_code == 503  # type: ignore[attr-defined]


def test_the_sdk_does_not_retry_a_started_stream() -> None:
    lines: list[str] = []
    with (
        faulty("cut=7", log=lines.append) as url,
        client_of(url, 3) as client,
        pytest.raises(Exception, match=r"incomplete chunked read"),
    ):
        list(client.interactions.create(model="gemini-3.5-flash", input="Hello", stream=True))
    assert len(lines) == 1


def test_the_sdk_raises_for_malformed_json() -> None:
    with (
        faulty("malformed") as url,
        client_of(url, 1) as client,
        pytest.raises(Exception) as caught,
    ):
        client.interactions.create(model="gemini-3.5-flash", input="Hello")
    assert type(caught.value).__name__ == "APIResponseValidationError"


def test_a_truncated_stream_just_ends_for_the_sdk() -> None:
    with faulty("truncate=6") as url, client_of(url, 1) as client:
        kinds = [
            event.event_type
            for event in client.interactions.create(
                model="gemini-3.5-flash", input="Hello", stream=True
            )
        ]
    assert kinds[-1] == "step.start"


# --- clients that leave


class Waiting:
    """A back end whose stream waits forever for its second chunk; ``closed`` is set at its end."""

    title = "waiting"

    def __init__(self) -> None:
        self.closed = threading.Event()

    async def handle(self, call: Call) -> Reply:
        return Reply(200, live=self.parts(), headers={"content-type": "text/event-stream"})

    async def parts(self) -> AsyncIterator[bytes]:
        import asyncio

        try:
            yield b"data: {}\n\n"
            await asyncio.Event().wait()
        finally:
            self.closed.set()

    async def close(self) -> None:
        return None


def test_a_client_that_leaves_closes_the_stream(capfd: pytest.CaptureFixture[str]) -> None:
    backend = Waiting()
    with serving(create_app(backend)) as url:
        with httpx.stream("POST", f"{url}/v1/interactions") as response:
            parts = response.iter_raw()
            assert next(parts) == b"data: {}\n\n"
            assert not backend.closed.is_set()
        assert backend.closed.wait(5)
    assert capfd.readouterr().err == ""


class Late(Waiting):
    """A back end whose response is due in a minute."""

    async def handle(self, call: Call) -> Reply:
        return Reply(200, live=LiveBody(self.closed), delay=60)


class LiveBody:
    """A body without a single byte that reports when it is closed."""

    def __init__(self, closed: threading.Event) -> None:
        self.closed = closed

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self.closed.set()


def test_a_delayed_response_is_cancelled_when_its_client_leaves() -> None:
    backend = Late()
    with serving(create_app(backend)) as url:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{url}/v1/interactions", json=HELLO, headers=KEY, timeout=0.1)
        assert backend.closed.wait(5)


# --- servers that receive a signal


@contextmanager
def process(*options: str, cwd: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "evalkit", "serve", "--port", "0", *options]
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "PYTHONUNBUFFERED": "1",
    }
    with subprocess.Popen(
        command,
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as started:
        assert started.stdout is not None
        line = started.stdout.readline()
        found = re.search(r"at (http://\S+)", line)
        try:
            assert found, line + (started.stderr.read() if started.stderr and not line else "")
            yield started, found[1]
        finally:
            if started.poll() is None:
                started.kill()


def test_a_response_is_delayed(tmp_path: Path) -> None:
    with process("--delay", "0.3..0.4", cwd=tmp_path) as (_, url):
        began = time.monotonic()
        assert httpx.post(f"{url}/v1/interactions", json=HELLO, headers=KEY).status_code == 200
        assert time.monotonic() - began >= 0.3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_server_gracefully(number: int, tmp_path: Path) -> None:
    with process("--fault", "event_delay=30", cwd=tmp_path) as (server, url):
        with httpx.stream(
            "POST", f"{url}/v1/interactions", json=STREAM, headers=KEY, timeout=20
        ) as response:
            began = time.monotonic()
            server.send_signal(number)
            with pytest.raises(httpx.TransportError):  # an open stream is cut
                response.read()
        assert server.wait(10) == 0
        assert server.stderr is not None
        assert server.stderr.read() == ""
    assert time.monotonic() - began < 8


def test_a_stopped_proxy_leaves_cassettes_and_no_journal(tmp_path: Path) -> None:
    with (
        serving(create_app(load_script())) as upstream,
        process("--upstream", upstream, "--record", "tapes", cwd=tmp_path) as (server, url),
    ):
        assert httpx.post(f"{url}/v1/interactions", json=HELLO, headers=KEY).status_code == 200
        server.send_signal(signal.SIGTERM)
        assert server.wait(10) == 0
    files = [path for path in (tmp_path / "tapes").rglob("*") if path.is_file()]
    assert [path.suffix for path in files] == [".yaml"]
    assert "Hello" in files[0].read_text(encoding="utf-8")


def test_an_invalid_fault_is_a_usage_error(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "evalkit", "serve", "--port", "0", "--fault", "eror=503"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert "unknown fault 'eror' (did you mean 'error'?)" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_low_limit_of_open_files_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")
    limits = [(256, 512)]
    monkeypatch.setattr(resource, "getrlimit", lambda which: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda which, values: limits.append(values))
    message = raise_file_limit()
    assert limits[-1] == (512, 512)
    assert (
        message
        == "only 512 open files are allowed, about 462 connections at once; run `ulimit -n 65536` for more"
    )
    limits[:] = [(1024, 100_000)]
    assert raise_file_limit() == ""
    assert limits[-1] == (65_536, 100_000)


def test_a_server_without_file_descriptors_reports_it_once_and_continues(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    with process(cwd=tmp_path) as (server, url):
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (40, 40))
        address = urlsplit(url)
        peers = [socket.create_connection((address.hostname, address.port)) for _ in range(80)]
        assert server.stderr is not None
        line = server.stderr.readline()
        for peer in peers:
            peer.close()
        assert httpx.get(f"{url}/healthz", timeout=20).status_code == 200
        server.send_signal(signal.SIGTERM)
        assert server.wait(10) == 0
        assert (line, server.stderr.read()) == (
            "evalkit serve: too many open files for another connection; run `ulimit -n 65536` before starting\n",
            "",
        )


def test_usage_errors_are_evalkit_errors() -> None:
    from click.testing import CliRunner

    from evalkit.cli.serve import serve as command

    result = CliRunner().invoke(command, ["--fault", "cut=3@2"])
    assert isinstance(result.exception, UsageError)
    assert (
        str(result.exception)
        == "--fault 'cut=3@2': probability must be a number from 0 to 1, got 2. Example: cut=3@0.1"
    )
    result = CliRunner().invoke(command, ["--delay", "long"])
    assert str(result.exception) == (
        "--delay 'long': not a number of seconds (expected 1.5, or a range: 0.5..2)"
    )
