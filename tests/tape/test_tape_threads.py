"""Threads share a tape: all their requests are recorded, and a replay sends none of them."""

from __future__ import annotations

import asyncio
import http.client
import itertools
import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import requests

from evalkit.errors import CassetteMiss
from evalkit.server import serving
from tests.tape import threads_program
from tests.tape.http_clients import CLIENTS, HEADERS
from tests.tape.tape_support import MakeTape, create

ROOT = Path(__file__).parents[2]
NAMESPACE = ["unshare", "--net", "--map-root-user"]


def isolated() -> list[str]:
    """Return the command that runs another one without a network, where the system permits it."""
    try:
        permitted = subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False)
    except FileNotFoundError:
        return []
    return NAMESPACE if permitted.returncode == 0 else []


@pytest.mark.skipif(sys.platform != "linux", reason="starts the interface by a call of Linux")
def test_ninety_requests_of_each_client_are_replayed_without_a_network(tmp_path: Path) -> None:
    result = subprocess.run(
        [*isolated(), sys.executable, "-m", threads_program.__name__],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == {
        "recorded": 2 * 5 * 90,
        "replayed": 0,
        "cassettes": [90, 90, 90, 90, 90, 450],
        "elsewhere": 0,
        "refused": [True] * 4,
    }


@pytest.mark.parametrize("name", ["requests", "urllib3", "httpx", "http_client", "aiohttp"])
def test_a_thread_that_outlives_a_replay_sends_nothing(
    name: str, make_tape: MakeTape, guide_url: str
) -> None:
    url, ended = f"{guide_url}/v1beta/interactions", threading.Event()
    raised: list[BaseException] = []

    def straggler() -> None:
        ended.wait()
        try:
            CLIENTS[name](url, create("Hello"))
        except Exception as error:  # noqa: BLE001 - of any kind
            raised.append(error)

    thread = threading.Thread(target=straggler)
    with make_tape():
        thread.start()
    ended.set()
    thread.join()
    (error,) = raised
    assert isinstance(error, CassetteMiss)
    assert "a request after the end of its tape" in str(error)
    # Other threads have their network back.
    assert CLIENTS[name](url, create("Hello")).status == 200


def test_clients_are_left_alone_without_a_tape(make_tape: MakeTape, guide_url: str) -> None:
    url, body = f"{guide_url}/v1beta/interactions", create("Hello")
    with requests.Session() as session, httpx.Client() as client:
        for mode in ("once", "none"):
            with make_tape(mode):
                assert session.post(url, json=body, headers={"x-goog-api-key": "k"}).ok
            # The same pooled connections reach the server again.
            assert session.post(url, json=create("Bye"), headers={"x-goog-api-key": "k"}).ok
            answer = client.post(url, json=create("Bye"), headers={"x-goog-api-key": "k"})
            assert answer.status_code == 200


def test_ignored_hosts_may_be_reached_in_replay(make_tape: MakeTape, guide_url: str) -> None:
    with make_tape(ignore_hosts=["loopback"]):
        assert httpx.get(f"{guide_url}/v1beta/interactions/v1_x").status_code == 401


def test_the_next_user_of_a_connection_does_not_close_its_last_response(
    make_tape: MakeTape,
) -> None:
    """A pool can give a connection to another thread before its response was read to the end."""
    with serving() as url:
        for mode in ("once", "none"):
            connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
            with make_tape(mode):
                body = json.dumps(create("Hello"))
                connection.request("POST", "/v1beta/interactions", body, HEADERS)
                response = connection.getresponse()
                connection.close()
                assert json.loads(response.read())["status"] == "completed"


class Overtaking(BaseHTTPRequestHandler):
    """Numbers its answers, and answers the task ``a`` after the follow-up of another one."""

    protocol_version = "HTTP/1.1"
    numbers = itertools.count(1)
    may_answer_a = threading.Event()

    def log_message(self, *_: Any) -> None:
        """Print nothing."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if "after" in body:
            self.may_answer_a.set()
        elif self.headers["x-task"] == "a":
            self.may_answer_a.wait(10)
        data = json.dumps({"number": next(self.numbers)}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def test_equal_requests_at_the_same_time_are_replayed_to_the_same_tasks(
    make_tape: MakeTape,
) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Overtaking)
    url = f"http://127.0.0.1:{server.server_address[1]}/"

    async def task(client: httpx.AsyncClient, name: str) -> int:
        question = {"question": "the same"}
        response = await client.post(url, json=question, headers={"x-task": name})
        first = response.json()["number"]
        await client.post(url, json={"task": name, "after": first})
        return int(first)

    async def application() -> list[int]:
        async with httpx.AsyncClient() as client:
            return list(await asyncio.gather(task(client, "a"), task(client, "b")))

    threading.Thread(target=server.serve_forever, daemon=True).start()
    with make_tape("once"):
        recorded = asyncio.run(application())
    server.shutdown()
    server.server_close()
    assert recorded == [3, 1]
    with make_tape("none"):
        assert asyncio.run(application()) == recorded
