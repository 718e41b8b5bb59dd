"""Web pages in a browser: which origins are answered, and what they may read."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from evalkit.server import create_app, load_script, serving
from evalkit.server.proxy.backend import open_proxy
from evalkit.server.replay.backend import CassetteBackend
from evalkit.server.script_backend import ScriptBackend
from tests.transports import loopback
from tests.transports.loopback import reply

PATH = "/v1/interactions"
BODY = {"model": "gemini-3.5-flash", "input": "Hello"}
KEY = {"x-goog-api-key": "any"}
ASKED = {
    "access-control-request-method": "POST",
    "access-control-request-headers": "content-type,x-goog-api-client,x-goog-api-key",
}


def script(*, cors: bool | None = None) -> Starlette:
    return create_app(ScriptBackend(load_script()), cors=cors)


@pytest.mark.parametrize(
    "origin",
    ["http://localhost:5173", "http://127.0.0.1:3000", "https://[::1]", "http://127.9.9.9"],
)
def test_a_page_of_this_machine_reads_replies_and_errors(origin: str) -> None:
    page = {"origin": origin, "sec-fetch-site": "cross-site"}
    with serving(script()) as url:
        preflight = httpx.options(url + PATH, headers={**page, **ASKED})
        assert preflight.status_code == 204
        allowed = preflight.headers["access-control-allow-headers"]
        assert allowed == ASKED["access-control-request-headers"]
        methods = preflight.headers["access-control-allow-methods"].split(", ")
        assert {"GET", "POST", "PUT", "PATCH", "DELETE"} <= set(methods)
        answer = httpx.post(url + PATH, json=BODY, headers={**page, **KEY})
        stream = httpx.post(url + PATH, json={**BODY, "stream": True}, headers={**page, **KEY})
        error = httpx.post(url + PATH, json={}, headers={**page, **KEY})
        assert [each.status_code for each in (answer, stream, error)] == [200, 200, 400]
        for response in (preflight, answer, stream, error):
            assert response.headers["access-control-allow-origin"] == origin
            assert response.headers["access-control-expose-headers"] == "*"
            assert response.headers["vary"] == "origin"


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "http://localhost.evil.example"},
        {"origin": "http://127.0.0.1.evil.example:80"},
        {"origin": "null"},
        {"origin": "http://["},
        {"sec-fetch-site": "cross-site"},
    ],
)
def test_other_pages_are_refused_before_anything_is_done(headers: dict[str, str]) -> None:
    with serving(script()) as url:
        created = httpx.post(url + PATH, json=BODY, headers=KEY).json()
        for method, path in (("POST", PATH), ("DELETE", f"{PATH}/{created['id']}")):
            response = httpx.request(method, url + path, json=BODY, headers={**KEY, **headers})
            assert response.status_code == 403
            assert "access-control-allow-origin" not in response.headers
            assert "only those of this machine may" in response.json()["error"]["message"]
        preflight = httpx.options(url + PATH, headers={**ASKED, **headers})
        assert preflight.status_code == 403
        assert httpx.get(f"{url}{PATH}/{created['id']}", headers=KEY).status_code == 200


def test_clients_that_are_not_pages_need_no_origin() -> None:
    with serving(script()) as url:
        response = httpx.post(url + PATH, json=BODY, headers={**KEY, "sec-fetch-mode": "cors"})
        assert response.status_code == 200
        assert "access-control-allow-origin" not in response.headers
        assert "vary" not in response.headers


@pytest.mark.parametrize("cors", [None, False, True])
def test_a_proxy_answers_pages_only_if_it_is_asked_to(tmp_path: Path, cors: bool | None) -> None:
    page = {"origin": "http://localhost:5173"}
    with loopback.serving() as service:
        service.script.append(reply({"id": "v1_a", "status": "completed", "steps": []}))
        app = create_app(open_proxy(service.base_url, tmp_path), cors=cors)
        with serving(app) as url:
            response = httpx.post(url + PATH, json=BODY, headers={**page, **KEY})
        assert response.status_code == (200 if cors else 403)
        assert len(service.requests) == (1 if cors else 0)
        assert response.headers.get("access-control-allow-origin") == (
            page["origin"] if cors else None
        )
        if not cors:
            assert "evalkit serve --cors" in response.json()["error"]["message"]
    if cors:
        with serving(create_app(CassetteBackend(tmp_path))) as url:
            replayed = httpx.post(url + PATH, json=BODY, headers=page)
            assert replayed.json() == response.json()
            assert replayed.headers["access-control-allow-origin"] == page["origin"]
