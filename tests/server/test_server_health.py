"""The server's health page, HEAD and OPTIONS."""

from __future__ import annotations

import httpx
import pytest

from evalkit._lib.version import VERSION

KEY = {"x-goog-api-key": "any"}
HELLO = {"model": "gemini-3.5-flash", "input": "Hello"}


def test_health_needs_no_key(url: str) -> None:
    response = httpx.get(f"{url}/healthz")
    health = response.json()
    assert (response.status_code, response.headers["content-type"]) == (
        200,
        "application/json; charset=utf-8",
    )
    assert {name: health[name] for name in ("status", "serves", "version")} == {
        "status": "ok",
        "serves": "the script 'guide'",
        "version": VERSION,
    }
    assert (
        0 <= health["uptime_seconds"] < httpx.get(f"{url}/healthz").json()["uptime_seconds"] + 0.001
    )


def test_health_is_read_only(url: str) -> None:
    head = httpx.head(f"{url}/healthz")
    assert (head.status_code, head.content) == (200, b"")
    refused = httpx.post(f"{url}/healthz")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
    assert refused.json()["error"]["code"] == "method_not_allowed"
    assert httpx.options(f"{url}/healthz").status_code == 204


def test_head_is_get_without_its_body(url: str) -> None:
    created = httpx.post(f"{url}/v1/interactions", json=HELLO, headers=KEY).json()
    body = httpx.get(f"{url}/v1/interactions/{created['id']}", headers=KEY)
    head = httpx.head(f"{url}/v1/interactions/{created['id']}", headers=KEY)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(body.content))
    assert httpx.head(f"{url}/v1/interactions/none", headers=KEY).status_code == 404


@pytest.mark.parametrize(
    ("path", "status", "allow"),
    [
        ("/v1/interactions", 204, "POST, OPTIONS"),
        ("/v1/interactions/x", 204, "GET, DELETE, OPTIONS"),
        ("/nothing", 404, None),
    ],
)
def test_options_lists_the_allowed_methods(
    url: str, path: str, status: int, allow: str | None
) -> None:
    response = httpx.options(url + path)
    assert (response.status_code, response.headers.get("allow")) == (status, allow)


@pytest.mark.parametrize("method", ["TRACE", "BREW"])
def test_any_other_method_is_refused_in_the_shape_of_the_api(url: str, method: str) -> None:
    response = httpx.request(method, f"{url}/v1/interactions", headers=KEY)
    assert (response.status_code, response.json()["error"]["code"]) == (405, "method_not_allowed")
