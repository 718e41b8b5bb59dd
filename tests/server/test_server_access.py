"""Which requests a local server accepts, and where the proxy may forward them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.server import create_app, load_script, serving
from evalkit.server.access import AccessRules
from evalkit.server.calls import Backend
from evalkit.server.proxy.backend import open_proxy
from evalkit.server.proxy.upstream_url import upstream_url
from evalkit.server.replay.backend import CassetteBackend
from evalkit.server.requests.error_response import ErrorResponse
from evalkit.server.script_backend import ScriptBackend
from tests.transports import loopback
from tests.transports.loopback import Service

PATH = "/v1beta/interactions"
REAL_KEY = "AIzaSy-the-key-of-the-developer-000000"
CLIENT_KEY = {"x-goog-api-key": "any"}
BASES = [
    "https://service.example",
    "https://service.example/gateway",
    "http://127.0.0.1:8080/a/b",
    "http://[::1]:8080",
]


# --- the rule


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8787",
        "127.0.0.1",
        "127.0.0.1:1",
        "127.255.0.3:65535",
        "[::1]",
        "[::1]:8787",
        "[0:0:0:0:0:0:0:1]:8787",
        "tunnel.example",
        "Tunnel.Example:443",
        "[fe80::1]:80",
    ],
)
def test_a_host_of_this_machine_or_an_allowed_name_is_accepted(host: str) -> None:
    rules = AccessRules(["Tunnel.example", "fe80::1"])
    assert rules.accepts_host(host)
    assert rules.check("GET", "/", {"host": host}) == ""


@pytest.mark.parametrize(
    "host",
    [
        "",
        " ",
        "evil.example",
        "evil.example:8787",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.1.",
        "localhost.",
        "evil.localhost",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0.0.0.0",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::1%lo]",
        "[localhost]",
        "[127.0.0.1]",
        "::1",
        "10.0.0.1",
        "169.254.169.254",
        "user@localhost",
        "localhost@evil.example",
        "localhost/evil.example",
        "localhost#evil.example",
        "localhost, evil.example",
        "localhost evil.example",
        "evil.example\\localhost",
        "localhost:80:80",
        "localhost:x",
        "localhost:123456",
        "localhost\t",
        "１２７.0.0.1",
        "ⓛocalhost",
        "other-tunnel.example",
    ],
)
def test_any_other_host_is_refused(host: str) -> None:
    with pytest.raises(ErrorResponse) as caught:
        AccessRules(["tunnel.example"]).check("GET", "/", {"host": host})
    assert caught.value.status == 421
    assert "\t" not in caught.value.message


def test_a_port_can_be_required_of_addresses_of_this_machine() -> None:
    rules = AccessRules(["tunnel.example"])
    assert rules.accepts_host("localhost:80", 80)
    assert rules.accepts_host("tunnel.example", 80)
    assert not rules.accepts_host("localhost:81", 80)
    assert not rules.accepts_host("localhost", 80)


PAGE_POSTS = [
    {"content-type": "text/plain"},
    {"content-type": "Text/Plain;charset=UTF-8"},
    {"content-type": "multipart/form-data; boundary=x"},
    {"content-type": "application/x-www-form-urlencoded", "user-agent": "Mozilla/5.0 (X11)"},
    {"user-agent": "Mozilla/5.0 (X11)"},
    {"content-type": "text/ping", "user-agent": "Mozilla/5.0 (X11)"},
    {"content-type": "application/csp-report", "user-agent": "Mozilla/5.0 (X11)"},
    {"content-type": "application/reports+json", "user-agent": "Mozilla/5.0 (X11)"},
    {"content-type": "application/jsonp", "user-agent": "mozilla/5.0"},
]
CLIENT_POSTS = [
    {"content-type": "application/json"},
    {"content-type": "text/plain", "x-goog-api-key": "k"},
    {"content-type": "text/plain", "authorization": "Bearer k"},
    {"content-type": "application/octet-stream", "x-goog-upload-command": "upload"},
    {"content-type": "application/x-www-form-urlencoded", "user-agent": "curl/8.5.0"},
    {"user-agent": "python-httpx/0.28"},
    {},
]


@pytest.mark.parametrize("headers", PAGE_POSTS)
@pytest.mark.parametrize("origin", [{}, {"origin": "http://localhost:3000"}])
def test_a_post_that_needs_no_preflight_is_refused(
    headers: dict[str, str], origin: dict[str, str]
) -> None:
    with pytest.raises(ErrorResponse) as caught:
        AccessRules(pages=True).check("POST", PATH, {"host": "localhost", **headers, **origin})
    assert caught.value.status == 415


@pytest.mark.parametrize("headers", CLIENT_POSTS)
def test_a_post_of_a_client_is_accepted(headers: dict[str, str]) -> None:
    assert AccessRules().check("POST", PATH, {"host": "localhost", **headers}) == ""


FOREIGN_PAGES = [
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "http://localhost.evil.example"},
    {"origin": "http://localhost@evil.example"},
    {"origin": "http://[::ffff:7f00:1]"},
    {"origin": "http://0.0.0.0:3000"},
    {"origin": "chrome-extension://abcdefghijklmnop"},
    {"origin": "file://"},
    {"origin": "http://["},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "anything-new"},
    {"origin": "https://evil.example", "sec-fetch-site": "none"},
]
LOCAL_PAGES = [
    {"origin": "http://localhost:3000"},
    {"origin": "https://127.0.0.1"},
    {"origin": "http://[::1]:3000", "sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "same-origin"},
]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_pages_of_other_machines_are_refused_always_and_local_ones_by_default(method: str) -> None:
    api = {"host": "localhost", "content-type": "application/json"}
    for pages, headers in [
        *((True, headers) for headers in FOREIGN_PAGES),
        *((False, headers) for headers in [*FOREIGN_PAGES, *LOCAL_PAGES]),
    ]:
        with pytest.raises(ErrorResponse) as caught:
            AccessRules(pages=pages).check(method, PATH, {**api, **headers})
        assert caught.value.status == 403, headers
    for headers in LOCAL_PAGES:
        origin = AccessRules(pages=True).check(method, PATH, {**api, **headers})
        assert origin == headers.get("origin", "")
    # Nobody's page: typed into the address bar, or sent by a client that is not a browser.
    for headers in ({"sec-fetch-site": "none"}, {"sec-fetch-mode": "cors"}):
        assert AccessRules().check(method, PATH, {**api, **headers}) == ""


# --- every back end, over sockets


def talk(url: str, head: str) -> tuple[int, str]:
    """Send the head of a request as it is spelled; return status and body."""
    address = (urlsplit(url).hostname or "", urlsplit(url).port or 0)
    with socket.create_connection(address, timeout=20) as peer:
        peer.sendall(head.replace("\n", "\r\n").encode("latin-1") + b"\r\n\r\n")
        received = b""
        while part := peer.recv(65_536):
            received += part
    status = received.split(b" ", 2)[1] if received.startswith(b"HTTP/1.") else b"0"
    return int(status), received.partition(b"\r\n\r\n")[2].decode(errors="replace")


@pytest.fixture(scope="module")
def upstream() -> Iterator[Service]:
    with loopback.serving() as service:
        yield service


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded")
    with serving() as service, serving(create_app(open_proxy(service, folder))) as url:
        body = {"model": "gemini-3.5-flash", "input": "Hello"}
        httpx.post(f"{url}{PATH}", json=body, headers=CLIENT_KEY).raise_for_status()
    return folder


BACKENDS = ["script", "cassettes", "proxy"]


@pytest.fixture
def open_server(
    upstream: Service, recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., object]:
    """Return a function that serves a back end by its name, and yields URL and log."""
    monkeypatch.setenv("REAL_KEY_OF_TEST", REAL_KEY)

    @contextmanager
    def opened(
        name: str, *, prefix: str = "", cors: bool | None = None
    ) -> Iterator[tuple[str, list[str]]]:
        log: list[str] = []
        backend: Backend
        if name == "script":
            backend = ScriptBackend(load_script())
        elif name == "cassettes":
            backend = CassetteBackend(recorded, again=True)
        else:
            backend = open_proxy(upstream.base_url + prefix, None, key_env="REAL_KEY_OF_TEST")
        upstream.requests.clear()
        with serving(create_app(backend, cors=cors, log=log.append)) as url:
            yield url, log

    return opened


HOSTILE_HEADS = [
    f"POST {PATH} HTTP/1.1\nhost: evil.example",
    f"POST {PATH} HTTP/1.1\nhost: evil.example:8787",
    f"POST {PATH} HTTP/1.1\nhost: localhost\nhost: evil.example",
    f"POST {PATH} HTTP/1.1\nhost: localhost, evil.example",
    f"POST {PATH} HTTP/1.1\nhost:",
    f"POST {PATH} HTTP/1.1\nx-forwarded-host: localhost",
    f"POST {PATH} HTTP/1.0\nconnection: close",
    f"POST http://evil.example{PATH} HTTP/1.1\nhost: localhost",
    f"POST http://localhost{PATH} HTTP/1.1\nhost: localhost",
    f"POST https://localhost@evil.example{PATH} HTTP/1.1\nhost: localhost",
    "CONNECT evil.example:443 HTTP/1.1\nhost: localhost",
    f"CONNECT {PATH} HTTP/1.1\nhost: localhost",
    f"TRACE {PATH} HTTP/1.1\nhost: localhost",
    "GET evil.example HTTP/1.1\nhost: localhost",
    "GET @evil.example/ HTTP/1.1\nhost: localhost",
    "GET %2f@evil.example/ HTTP/1.1\nhost: localhost",
    "GET .evil.example/ HTTP/1.1\nhost: localhost",
    "GET :80@evil.example/ HTTP/1.1\nhost: localhost",
    "GET ?@evil.example/ HTTP/1.1\nhost: localhost",
    "GET #@evil.example/ HTTP/1.1\nhost: localhost",
    "GET \\\\evil.example/ HTTP/1.1\nhost: localhost",
    "OPTIONS * HTTP/1.1\nhost: localhost",
    f"POST {PATH} HTTP/1.1\nhost: localhost\norigin: https://evil.example",
    f"POST {PATH} HTTP/1.1\nhost: localhost\norigin: null",
    f"POST {PATH} HTTP/1.1\nhost: localhost\norigin: https://evil.example\norigin: http://localhost",
    f"GET {PATH}/x HTTP/1.1\nhost: localhost\nsec-fetch-site: cross-site",
    f"POST {PATH} HTTP/1.1\nhost: localhost\nsec-fetch-site: cross-site\nsec-fetch-mode: no-cors",
    f"OPTIONS {PATH} HTTP/1.1\nhost: localhost\norigin: https://evil.example\naccess-control-request-method: POST",
    f"POST {PATH} HTTP/1.1\nhost: localhost\ncontent-type: text/plain",
    f"POST {PATH} HTTP/1.1\nhost: localhost\ncontent-type: multipart/form-data; boundary=x",
    f"POST {PATH} HTTP/1.1\nhost: localhost\nuser-agent: Mozilla/5.0",
    f"POST {PATH} HTTP/1.1\nhost: localhost\ncontent-length: 3\ncontent-length: 4",
    f"POST {PATH} HTTP/1.1\nhost: localhost\nx-a: b\n evil: c\nx-goog-api-key : d",
    f"GET {PATH}/x HTTP/1.1\nhost: localhost\nupgrade: websocket\nconnection: upgrade\norigin: http://evil.example",
]


@pytest.mark.parametrize("name", BACKENDS)
def test_a_hostile_request_is_refused_and_not_forwarded(
    open_server: Callable[..., object], upstream: Service, name: str
) -> None:
    with open_server(name) as (url, _):  # type: ignore[attr-defined]
        for head in HOSTILE_HEADS:
            status, body = talk(url, f"{head}\nconnection: close")
            assert status in (400, 403, 405, 415, 421), (head, status, body)
            assert "access-control-allow-origin" not in body
    assert upstream.requests == []


@pytest.mark.parametrize("name", ["script", "cassettes"])
def test_pages_of_this_machine_use_the_other_back_ends(
    open_server: Callable[..., object], name: str
) -> None:
    body = {"model": "gemini-3.5-flash", "input": "Hello"}
    with open_server(name) as (url, _):  # type: ignore[attr-defined]
        page = {"origin": "http://localhost:5173", "sec-fetch-site": "same-site", **CLIENT_KEY}
        response = httpx.post(f"{url}{PATH}", json=body, headers=page)
        assert response.status_code == 200
        assert response.headers["access-control-allow-origin"] == page["origin"]


HOSTILE_PATHS = [
    "/../secret",
    "/v1/../../secret",
    "/./../secret",
    "/..",
    "/v1/..",
    "/%2e%2e/secret",
    "/%2E./secret",
    "/.%2e/secret",
    "/..%2fsecret",
    "/v1%2f..%2f..%2fsecret",
    "/%252e%252e/secret",
    "/%25252e%25252e%25252fsecret",
    "/%2525252525252e/secret",
    "/..;/secret",
    "/..;a=b/secret",
    "/%2e%2e%3b/secret",
    "/.. /secret",
    "/..%20/secret",
    "/..%09/secret",
    "/..%00/secret",
    "/v1%0d%0ahost:evil.example/x",
    "/..\\secret",
    "/..%5csecret",
    "/%5c%5cevil.example/x",
    "/\\evil.example/x",
    "/%c0%ae%c0%ae/secret",
    "/%e0%80%ae/secret",
    "/%ef%bc%8e%ef%bc%8e/secret",
    "/%e2%80%a5/secret",
    "/%u002e%u002e/secret",
    "/%2",
    "/%zz",
    "/v1#@evil.example",
    "/v1%ff",
    "/\xe4",
]
HARMLESS_PATHS = [
    "/",
    "/v1beta/interactions",
    "/v1beta//interactions",
    "/v1beta/environments/e/files/a%20b/c%2Fd.txt",
    "/v1beta/files/100%25.txt",
    "/v1beta/interactions/v1_a:cancel",
    "/v1beta/a;b=c/d",
    "/v1beta/caf%C3%A9/...txt",
    "/v1beta/@evil.example",
    "/http://evil.example",
    "/v1beta/.hidden/..name/name..",
]


@pytest.mark.parametrize("prefix", ["", "/gateway"])
def test_no_spelling_of_a_path_leaves_the_upstream(
    open_server: Callable[..., object], upstream: Service, prefix: str
) -> None:
    with open_server("proxy", prefix=prefix) as (url, _):  # type: ignore[attr-defined]
        for path in HOSTILE_PATHS:
            status, body = talk(url, f"GET {path} HTTP/1.1\nhost: localhost\nconnection: close")
            assert status == 400, (path, status, body)
        assert upstream.requests == []
        for path in HARMLESS_PATHS:
            status, body = talk(url, f"GET {path} HTTP/1.1\nhost: localhost\nconnection: close")
            assert status == 200, (path, status, body)
        assert [one.path for one in upstream.requests] == [prefix + path for path in HARMLESS_PATHS]
        assert {one.headers["x-goog-api-key"] for one in upstream.requests} == {REAL_KEY}


def test_headers_that_select_another_host_or_path_are_not_forwarded(
    open_server: Callable[..., object], upstream: Service
) -> None:
    tricks = {
        "x-forwarded-host": "evil.example",
        "forwarded": "host=evil.example",
        "x-original-url": "/secret",
        "x-rewrite-url": "/secret",
        "x-http-method-override": "DELETE",
        "connection": "x-goog-api-key",
    }
    with open_server("proxy", prefix="/gateway") as (url, _):  # type: ignore[attr-defined]
        httpx.get(f"{url}{PATH}/x", headers=tricks)
    [sent] = upstream.requests
    assert not set(tricks) & (set(sent.headers) - {"connection"})
    assert sent.headers["x-goog-api-key"] == REAL_KEY
    assert sent.headers["host"] == upstream.base_url.removeprefix("http://")


@given(
    base=st.sampled_from(BASES),
    path=st.text(st.sampled_from("/.%2eEfF5cC;@:?#\\ab \t\r\n\x00é．"), max_size=24)
    | st.text(max_size=12),
    query=st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#")),
)
def test_every_forwarded_url_is_below_its_base(base: str, path: str, query: str) -> None:
    try:
        url = httpx.URL(upstream_url(base, path, query))
    except ErrorResponse:
        return
    expected = urlsplit(base)
    assert (url.scheme, url.netloc.decode()) == (expected.scheme, expected.netloc)
    assert url.raw_path.decode().startswith(f"{expected.path}/")
    assert not url.userinfo
    assert not url.fragment
    segments = unquote(unquote(url.path.removeprefix(expected.path))).replace("\\", "/").split("/")
    assert ".." not in segments
