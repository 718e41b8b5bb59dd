"""Addresses in responses: through the proxy they lead back to it, and replay needs no other host."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from evalkit.server import create_app, serving
from evalkit.server.proxy.backend import open_proxy
from evalkit.server.replay.backend import CassetteBackend
from tests.server.talking import cassettes
from tests.transports import loopback
from tests.transports.loopback import Reply

START = "/upload/v1/environments/env_1/files/a.txt"
JSON_TYPE = {"content-type": "application/json"}
KEY = {"x-goog-api-key": "a-key-nobody-may-see", "authorization": "Bearer a-key-nobody-may-see"}


def handshake(url: str, version: str = "v1") -> tuple[str, int, Any]:
    """Upload three bytes as the official SDKs do; return the address, and status and body."""
    with httpx.Client(headers=KEY) as client:
        start = client.put(
            url + START.replace("v1", version),
            headers={"x-goog-upload-command": "start", "x-goog-upload-header-content-length": "3"},
        )
        assert start.headers["x-goog-upload-status"] == "active"
        address = start.headers["x-goog-upload-url"]
        headers = {"x-goog-upload-command": "upload, finalize", "x-goog-upload-offset": "0"}
        end = client.post(address, content=b"abc", headers=headers)
        return address, end.status_code, end.json()


def started(address: str) -> Reply:
    return Reply(
        [b"{}"], 200, {**JSON_TYPE, "x-goog-upload-url": address, "x-goog-upload-status": "active"}
    )


FINISHED = Reply([b'{"name": "a.txt"}'], 200, {**JSON_TYPE, "x-goog-upload-status": "final"})


@pytest.mark.parametrize("prefix", ["", "/gateway"])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_an_upload_runs_through_the_proxy_and_from_its_cassettes(
    tmp_path: Path, prefix: str, elsewhere: bool
) -> None:
    with loopback.serving() as service, loopback.serving() as other:
        target = other if elsewhere else service
        path = "/upload/v1/sessions?upload_id=x%2Fy&upload_protocol=resumable&key=secret"
        start = target.base_url + ("" if elsewhere else prefix) + path
        service.script.append(started(start))
        target.script.append(FINISHED)
        with serving(create_app(open_proxy(service.base_url + prefix, tmp_path))) as url:
            address, status, body = handshake(url)
            assert address == url + path
            assert (status, body) == (200, {"name": "a.txt"})
        sent = target.requests[-1]
        assert sent.path == ("" if elsewhere else prefix) + path
        assert sent.body == b"abc"
        assert ("x-goog-api-key" in sent.headers) != elsewhere
        assert ("authorization" in sent.headers) != elsewhere
    text = "".join(file.read_text() for file in tmp_path.rglob("*.yaml"))
    assert "upload_id=x%2Fy" in text
    assert "key=secret" not in text
    assert "nobody-may-see" not in text
    log: list[str] = []
    with serving(create_app(CassetteBackend(tmp_path, log=log.append))) as url:
        address, status, body = handshake(url, "v1beta")
        assert address.startswith(f"{url}/")
        assert (status, body) == (200, {"name": "a.txt"})
    assert log == []


def test_a_redirect_leads_through_the_proxy(tmp_path: Path) -> None:
    with loopback.serving() as service:
        location = f"{service.base_url}/v1/interactions/v1_b?a=1"
        service.script += [
            Reply([], 302, {"location": location}),
            Reply([b'{"id": "v1_b", "status": "completed"}'], 200, JSON_TYPE),
            Reply([], 302, {"location": "/v1/interactions/v1_b"}),
        ]
        with serving(create_app(open_proxy(service.base_url, tmp_path))) as url:
            response = httpx.get(f"{url}/v1/interactions/v1_a", follow_redirects=True)
            assert str(response.url) == f"{url}/v1/interactions/v1_b?a=1"
            relative = httpx.get(f"{url}/v1/interactions/v1_c")
            assert relative.headers["location"] == "/v1/interactions/v1_b"
    with serving(create_app(CassetteBackend(tmp_path))) as url:
        response = httpx.get(f"{url}/v1/interactions/v1_a", follow_redirects=True)
        assert response.json()["id"] == "v1_b"


@pytest.mark.parametrize("target", ["%2f@{}/x", "@{}/x", ".{}/x"])
def test_no_path_leads_to_another_host(target: str) -> None:
    with loopback.serving() as service, loopback.serving() as other:
        service.script.append(Reply([b"{}"], 200, JSON_TYPE))
        with serving(create_app(open_proxy(service.base_url, None))) as url:
            host = other.base_url.removeprefix("http://")
            port = int(url.rpartition(":")[2])
            raw = f"GET {target.format(host)} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
            with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                connection.sendall(raw.encode())
                assert connection.recv(4096)
        assert other.requests == []


def test_a_token_of_an_interaction_is_redacted_wherever_it_is_sent(tmp_path: Path) -> None:
    def run(url: str) -> int:
        with httpx.Client(base_url=url, headers={"x-goog-api-key": "any"}) as client:
            body = {"model": "gemini-3.5-flash", "input": "Hello"}
            path = f"/v1/interactions/{client.post('/v1/interactions', json=body).json()['id']}"
            token = client.post(f"{path}/auth_tokens", json={}).json()["auth_token"]
            seen.append(token)
            return client.delete(f"{path}/auth_tokens/{token.rpartition('/')[2]}").status_code

    seen: list[str] = []
    with (
        serving() as upstream,
        serving(create_app(open_proxy(upstream, tmp_path))) as url,
    ):
        assert run(url) == 200
    token = seen[0].removeprefix("auth_tokens/")
    recordings = [one for group in cassettes(tmp_path).values() for one in group]
    assert len(recordings) == 3
    assert token not in repr(recordings)
    log: list[str] = []
    with serving(create_app(CassetteBackend(tmp_path, log=log.append))) as url:
        assert run(url) == 200
    assert log == []
