"""What is green while it is recorded replays green, and sends nothing."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import http.cookiejar
import io
import json
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import httpx
import httpx2
import pytest
import requests
import urllib3
from google import genai

from tests.tape.fidelity_server import BODIES, Server, serving_everything
from tests.tape.tape_support import MakeTape


class Got(NamedTuple):
    """What a client tells its application."""

    status: int
    body: bytes
    headers: dict[str, str]
    url: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Ask = Callable[..., Got]
Application = Callable[[Ask, str], Any]


def got(status: int, body: bytes, headers: Any, url: object) -> Got:
    return Got(status, body, {name.lower(): value for name, value in headers.items()}, str(url))


def by_httpx(method: str, url: str, body: bytes | None = None, **headers: str) -> Got:
    with httpx.Client(follow_redirects=True) as client:
        answer = client.request(method, url, content=body, headers=headers)
        return got(answer.status_code, answer.content, answer.headers, answer.url)


def by_httpx2(method: str, url: str, body: bytes | None = None, **headers: str) -> Got:
    async def ask() -> Got:
        async with httpx2.AsyncClient(follow_redirects=True) as client:
            answer = await client.request(method, url, content=body, headers=headers)
            return got(answer.status_code, answer.content, answer.headers, answer.url)

    return asyncio.run(ask())


def by_requests(method: str, url: str, body: bytes | None = None, **headers: str) -> Got:
    answer = requests.request(method, url, data=body, headers=headers, timeout=9)
    return got(answer.status_code, answer.content, answer.headers, answer.url)


def by_urllib3(method: str, url: str, body: bytes | None = None, **headers: str) -> Got:
    answer = urllib3.PoolManager().request(method, url, body=body, headers=headers)
    return got(answer.status, answer.data, answer.headers, answer.geturl())


def by_urllib(method: str, url: str, body: bytes | None = None, **headers: str) -> Got:
    request = urllib.request.Request(url, data=body, method=method, headers=headers)
    try:
        answer = urllib.request.urlopen(request, timeout=9)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        return got(answer.status, answer.read(), answer.headers, answer.url)


def by_aiohttp(method: str, url: str, body: bytes | None = None, **headers: str) -> Got:
    async def ask() -> Got:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method.lower(), url, data=body, headers=headers) as answer,
        ):
            return got(answer.status, await answer.read(), answer.headers, answer.url)

    return asyncio.run(ask())


CLIENTS: tuple[Ask, ...] = (by_httpx, by_httpx2, by_requests, by_urllib3, by_urllib, by_aiohttp)


def redirects(ask: Ask, url: str) -> Any:
    ends = [ask("GET", f"{url}/redirect/{code}") for code in (301, 302, 303, 307, 308)]
    if ask is not by_urllib:  # which refuses to send a body twice
        ends += [ask("POST", f"{url}/redirect/{code}", b"again") for code in (307, 308)]
    assert {end.json["path"] for end in ends} == {"/echo/there"}
    return [(end.url, end.json["body"]) for end in ends]


def pages(ask: Ask, url: str) -> Any:
    seen, following = [], f"{url}/page/1"
    while following:
        page = ask("GET", following)
        seen.append((page.json, page.headers["x-total-count"]))
        following = page.headers.get("link", "<>")[1:].partition(">")[0]
    return seen


def pages_by_cursor(ask: Ask, url: str) -> Any:
    seen = []
    for name in ("x-cursor", "x-ms-continuation", "next-page-token"):
        cursor: str | None = "1"
        while cursor:
            page = ask("GET", f"{url}/cursor/{name}/{cursor}")
            seen.append((page.json, page.headers.get("x-has-more")))
            cursor = page.headers.get(name)
    assert len(seen) == 9
    return seen


def limits(ask: Ask, url: str) -> Any:
    headers = ask("GET", f"{url}/limits").headers
    found = {name: headers[name] for name in headers if "limit" in name or "error" in name}
    assert len(found) == 4
    return found


def upload_in_parts(ask: Ask, url: str) -> Any:
    """Upload as clients of Google Drive and Cloud Storage do."""
    target = ask("POST", f"{url}/session").headers["location"]
    data, start = b"x" * 20, 0
    statuses: list[int] = []
    while not statuses or statuses[-1] == 308:
        end = min(start + 8, len(data))
        span = f"bytes {start}-{end - 1}/{len(data)}"
        answer = ask("PUT", target, data[start:end], **{"content-range": span})
        statuses.append(answer.status)
        start = int(answer.headers.get("range", "-0").rpartition("-")[2]) + 1
    assert answer.json == {"received": 20}
    return statuses


def methods(ask: Ask, url: str) -> Any:
    return [ask(method, f"{url}/echo/x").json for method in ("get", "PROPFIND", "DELETE", "QUERY")]


def bodies(ask: Ask, url: str) -> Any:
    received = {name: ask("GET", f"{url}/body/{name}") for name in BODIES}
    assert {name: answer.body for name, answer in received.items()} == {
        name: data for name, (_, data) in BODIES.items()
    }
    return [
        (answer.headers.get("content-type"), answer.headers["content-length"])
        for answer in received.values()
    ]


def sent_bodies(ask: Ask, url: str) -> Any:
    return [ask("PUT", f"{url}/echo/x", data).json for _, data in BODIES.values()]


def without_body(ask: Ask, url: str) -> Any:
    size = ask("HEAD", f"{url}/size")
    assert (size.headers["content-length"], size.body) == ("12345", b"")
    return ask("GET", f"{url}/cached", **{"if-none-match": size.headers["etag"]}).status


def compressed(ask: Ask, url: str) -> Any:
    found = [ask("GET", f"{url}/{name}").body for name in ("gzip", "old_gzip")]
    return [gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body for body in found]


@pytest.fixture
def server() -> Iterator[Server]:
    with serving_everything() as server:
        yield server


def assert_replays(make_tape: MakeTape, server: Server, application: Callable[[str], Any]) -> None:
    with make_tape("once"):
        recorded = application(server.url)
    before = server.requests
    assert before
    with make_tape() as tape:
        assert application(server.url) == recorded
    assert tape.unplayed == []
    assert server.requests == before


@pytest.mark.parametrize("ask", CLIENTS)
@pytest.mark.parametrize(
    "application",
    [
        redirects,
        pages,
        pages_by_cursor,
        limits,
        upload_in_parts,
        methods,
        bodies,
        sent_bodies,
        without_body,
        compressed,
    ],
)
def test_a_recording_replays_alike(
    make_tape: MakeTape, server: Server, ask: Ask, application: Application
) -> None:
    assert_replays(make_tape, server, lambda url: application(ask, url))


def login(get: Callable[[str], Any], post: Callable[[str, str], Any]) -> None:
    token = get("/login")["token"]
    assert post("/account", f"token={token}") == {"known": True}


def login_by_httpx(url: str) -> Any:
    with httpx.Client(base_url=url) as client:
        login(
            lambda path: client.get(path).json(),
            lambda path, body: client.post(path, content=body).json(),
        )
        return client.cookies["theme"]


def login_by_requests(url: str) -> Any:
    with requests.Session() as session:
        login(
            lambda path: session.get(url + path).json(),
            lambda path, body: session.post(url + path, data=body).json(),
        )
        return session.cookies["theme"]


def login_by_urllib(url: str) -> Any:
    jar = http.cookiejar.CookieJar()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    login(
        lambda path: json.load(opener.open(url + path)),
        lambda path, body: json.load(opener.open(url + path, body.encode())),
    )
    return {cookie.name: cookie.value for cookie in jar}["theme"]


@pytest.mark.parametrize("application", [login_by_httpx, login_by_requests, login_by_urllib])
def test_cookies_are_secret_and_replay(
    make_tape: MakeTape, server: Server, cassette: Path, application: Callable[[str], Any]
) -> None:
    assert_replays(make_tape, server, application)
    written = cassette.read_text()
    assert not [session for session in server.sessions if session in written]
    assert "session=REDACTED; Path=/" in written
    assert "Expires" not in written


@pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
@pytest.mark.parametrize("size", [11, 9_000_000])
@pytest.mark.parametrize("is_async", [False, True])
def test_resumable_uploads_of_the_sdk_replay(
    make_tape: MakeTape, server: Server, size: int, is_async: bool
) -> None:
    config: Any = {"mime_type": "text/plain"}

    async def upload(client: genai.Client) -> Any:
        async with client.aio as asynchronous:
            data = io.BytesIO(b"x" * size)
            return (await asynchronous.files.upload(file=data, config=config)).name

    def application(url: str) -> Any:
        with genai.Client(api_key="any-key-123456", http_options={"base_url": url}) as client:
            if is_async:
                return asyncio.run(upload(client))
            return client.files.upload(file=io.BytesIO(b"x" * size), config=config).name

    assert_replays(make_tape, server, application)


def forms_by_requests(url: str) -> Any:
    return requests.post(f"{url}/echo/form", data={"a": "b"}, files={"f": b"\xff\x00"}).ok


def forms_by_httpx(url: str) -> Any:
    return httpx.post(f"{url}/echo/form", data={"a": "b"}, files={"f": b"\xff\x00"}).is_success


def forms_by_aiohttp(url: str) -> Any:
    async def send() -> Any:
        form = aiohttp.FormData({"a": "b"})
        form.add_field("f", b"\xff\x00", filename="f.bin")

        async def parts() -> Any:
            yield b"one"
            yield b"two"

        async with aiohttp.ClientSession(url) as session:
            async with session.post("/echo/form", data=form) as answer:
                assert answer.ok
            async with session.post("/echo/form", data={"a": "b c"}) as answer:
                assert (await answer.json())["body"] == "a=b+c"
            async with session.post("/echo/parts", data=parts()) as answer:
                assert (await answer.json())["body"] == "onetwo"
            async with session.post("/echo/zip", json={"a": 1}, compress="gzip") as answer:
                return answer.status

    return asyncio.run(send())


def parts_by_http_client(url: str) -> Any:
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc)
    connection.putrequest("POST", "/echo/parts")
    connection.putheader("content-length", "6")
    connection.endheaders()
    connection.send(b"one")
    connection.send(b"two")
    first = json.load(connection.getresponse())["body"]
    headers = {"transfer-encoding": "chunked"}
    body = iter([b"one", b"two"])
    connection.request("POST", "/echo/parts", body, headers, encode_chunked=True)
    return first, json.load(connection.getresponse())["body"]


def digest_by_httpx(url: str) -> Any:
    return httpx.get(f"{url}/protected", auth=httpx.DigestAuth("ada", "pw")).json()


def digest_by_requests(url: str) -> Any:
    auth = requests.auth.HTTPDigestAuth("ada", "pw")
    return requests.get(f"{url}/protected", auth=auth, timeout=9).json()


def gzip_by_hand(url: str) -> Any:
    with urllib.request.urlopen(f"{url}/gzip") as answer:
        return answer.headers["content-encoding"], gzip.decompress(answer.read())


def text_by_aiohttp(url: str) -> Any:
    async def ask() -> Any:
        async with aiohttp.ClientSession(url) as session:
            async with session.get("/body/json-as-text") as answer:
                with pytest.raises(aiohttp.ContentTypeError):
                    await answer.json()
            with pytest.raises(aiohttp.ClientResponseError):
                await session.get("/protected", raise_for_status=True)
            async with session.get("/redirect/302") as answer:
                assert [each.status for each in answer.history] == [302]
            async with session.get("/body/latin") as answer:
                return await answer.text()

    return asyncio.run(ask())


@pytest.mark.parametrize(
    "application",
    [
        forms_by_requests,
        forms_by_httpx,
        forms_by_aiohttp,
        parts_by_http_client,
        digest_by_httpx,
        digest_by_requests,
        gzip_by_hand,
        text_by_aiohttp,
    ],
)
def test_what_a_client_does_itself_replays(
    make_tape: MakeTape, server: Server, application: Callable[[str], Any]
) -> None:
    assert_replays(make_tape, server, application)
