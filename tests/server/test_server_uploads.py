"""Addresses in responses: through the proxy they lead back to it, and replay needs no other host."""

from __future__ import annotations

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
def test_an_upload_runs_through_the_proxy_and_from_its_cassettes(
    tmp_path: Path, prefix: str
) -> None:
    with loopback.serving() as service:
        path = "/upload/v1/sessions?upload_id=x%2Fy&upload_protocol=resumable&key=secret"
        service.script += [started(service.base_url + prefix + path), FINISHED]
        with serving(create_app(open_proxy(service.base_url + prefix, tmp_path))) as url:
            address, status, body = handshake(url)
            assert address == url + path
            assert (status, body) == (200, {"name": "a.txt"})
        sent = service.requests[-1]
        assert sent.path == prefix + path
        assert sent.body == b"abc"
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


@pytest.mark.parametrize("header", ["location", "x-goog-upload-url"])
@pytest.mark.parametrize(
    "address",
    [
        "http://{other}/v1beta/interactions",
        "http://{service}/v1beta/interactions",  # outside the prefix
        "http://{service}/gatewayx/v1beta/interactions",
        "http://{service}@{other}/gateway/v1beta/interactions",
        "//{other}/v1beta/interactions",
    ],
)
def test_an_address_of_another_host_or_path_gets_no_request_of_the_proxy(
    header: str, address: str
) -> None:
    with loopback.serving() as service, loopback.serving() as other:
        hosts = {
            "service": service.base_url.removeprefix("http://"),
            "other": other.base_url.removeprefix("http://"),
        }
        address = address.format(**hosts)
        service.script.append(Reply([b"{}"], 307, {**JSON_TYPE, header: address}))
        with serving(create_app(open_proxy(f"{service.base_url}/gateway", None))) as url:
            first = httpx.post(f"{url}/v1beta/interactions", json={}, headers=KEY)
            assert first.headers[header] == address
            # The same request again goes where the first one went.
            httpx.post(f"{url}/v1beta/interactions", json={}, headers=KEY)
        assert [one.path for one in service.requests] == ["/gateway/v1beta/interactions"] * 2
        assert other.requests == []


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
