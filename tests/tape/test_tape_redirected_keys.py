"""Redirects under a tape: another host gets what it gets without one, and no file has a key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import requests

from tests.tape.tape_support import MakeTape, create
from tests.transports import loopback
from tests.transports.loopback import Reply, Service

KEY = "a-key-of-the-tests-0123456789"
API = "/v1beta/interactions"
Send = Callable[[str, dict[str, str]], str]


def with_httpx(url: str, headers: dict[str, str]) -> str:
    return httpx.post(url, json=create("Hi"), headers=headers, follow_redirects=True).text


def with_requests(url: str, headers: dict[str, str]) -> str:
    return requests.post(url, json=create("Hi"), headers=headers, timeout=60).text


def redirected(service: Service, other: Service, send: Send, query: str, answer: str) -> str:
    """Send a request whose redirect leads to another host, by its name."""
    address = other.base_url.replace("127.0.0.1", "localhost") + API + answer
    service.script.append(Reply([b"{}"], 307, {"location": address}))
    headers = {"authorization": f"Bearer {KEY}"}
    return send(f"{service.base_url}{API}{query}", headers)


@pytest.mark.parametrize("send", [with_httpx, with_requests])
@pytest.mark.parametrize("query", ["", f"?key={KEY}", f"?access_token={KEY}"])
@pytest.mark.parametrize("answer", ["", f"?key={KEY}"])
def test_a_redirect_to_another_host(
    make_tape: MakeTape, tmp_path: Path, send: Send, query: str, answer: str
) -> None:
    with loopback.serving() as service, loopback.serving() as other:
        plain = redirected(service, other, send, query, answer)
        with make_tape("once"):
            recorded = redirected(service, other, send, query, answer)
        without_tape, with_tape = other.requests
        assert "authorization" not in with_tape.headers
        assert with_tape.path == without_tape.path == API + answer
        assert with_tape.headers.keys() == without_tape.headers.keys()
        url = service.base_url
        with make_tape():
            replayed = send(f"{url}{API}{query}", {"authorization": f"Bearer {KEY}"})
        assert len(other.requests) == 2
    assert plain.replace(KEY, "") == recorded.replace(KEY, "")
    assert replayed.partition('"path"')[0] == recorded.partition('"path"')[0]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []
