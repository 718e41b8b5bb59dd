"""vcrpy and pytest-recording replay cassettes of evalkit and vice versa, over real HTTP."""

from __future__ import annotations

import base64
import gzip
import json
import sys
from pathlib import Path
from typing import Any
from urllib.request import Request as UrlRequest
from urllib.request import urlopen

import httpx
import pytest
import requests
import vcr
import yaml

from evalkit.cassette import vcr_serializer
from evalkit.errors import CassetteError, CassetteMiss, SecretLeak
from evalkit.transcript import Request
from evalkit.transports import LiveTransport, open_transport
from tests.cassette.samples import PATH
from tests.transports.loopback import Reply, Service, reply, stream
from tests.transports.test_replay_transport import replaying

BODY = {"model": "m", "input": "What is 1.0 + 1e21 in °C?", "n": 1.5}
EVENTS = [{"event_type": "step.delta", "text": "é  "}, {"event_type": "interaction.completed"}]


def record(service: Service, path: Path, *requests: Request) -> None:
    live = lambda: LiveTransport(service.base_url, "planted-secret-key")  # noqa: E731
    transport = open_transport(
        mode="once",
        path=path,
        live=live,
        metadata={"suite": "s"},
        hint=str,
        label="x",
        secrets=["planted-secret-key"],
    )
    for request in requests:
        transport.send(request)
    transport.finish(True)
    transport.close()


def answers(path: Path, *requests: Request) -> list[Any]:
    transport = replaying(path)
    found = [transport.send(request) for request in requests]
    transport.close()
    assert transport.unplayed == []
    return found


# --- from evalkit to vcrpy ---


@pytest.fixture
def ours(service: Service, cassette: Path) -> Path:
    service.script += [
        Reply([b'{"id":"v1_a","f":1.0,"big":12345678901234567890,"text":"a\\u00e9 \\u2028 b"}']),
        stream(*EVENTS),
        reply({"error": {"code": "not_found"}}, 404),
        Reply([b"\xff\x00binary"], headers={"content-type": "application/octet-stream"}),
        Reply(
            ["trailing space \n\ttab \u2028 line\r\n".encode()],
            headers={"content-type": "text/plain"},
        ),
    ]
    get = Request("GET", f"{PATH}/v1_a", None, (("stream", "false"),))
    record(
        service,
        cassette,
        Request("POST", PATH, BODY),
        Request("POST", PATH, {**BODY, "stream": True}),
        get,
        Request("POST", PATH, {"n": 4}),
        Request("POST", PATH, {"n": 5}),
    )
    service.answer = lambda received: reply({"error": "asked live"}, 500)
    return cassette


def asked_by(client: str, base_url: str) -> list[tuple[int, bytes]]:
    url = base_url + PATH
    calls: list[tuple[str, str, Any]] = [
        ("POST", url, BODY), ("POST", url, {**BODY, "stream": True}), ("GET", f"{url}/v1_a?stream=false", None),
        ("POST", url, {"n": 4}), ("POST", url, {"n": 5}),
    ]  # fmt: skip
    found = []
    for method, target, body in calls:
        if client == "httpx":
            answer = (
                httpx.request(method, target, json=body) if body else httpx.request(method, target)
            )
            found.append((answer.status_code, answer.content))
        elif client == "requests":
            other = requests.request(method, target, json=body, timeout=10)
            found.append((other.status_code, other.content))
        else:
            headers = {"Content-Type": "application/json"} if body else {}
            data = json.dumps(body).encode() if body else None
            try:
                with urlopen(UrlRequest(target, data, headers, method=method), timeout=10) as third:
                    found.append((third.status, third.read()))
            except OSError as error:  # urllib raises for HTTP errors
                found.append(
                    (getattr(error, "code", 0), error.read() if hasattr(error, "read") else b"")
                )
    return found


def json_body(left: Any, right: Any) -> bool:
    """Match JSON bodies; for no body, vcrpy's stub of httpx has "" and other stubs have None."""
    return bool(json.loads(left.body or "null") == json.loads(right.body or "null"))


@pytest.mark.parametrize(
    ("client", "match"), [("httpx", "body"), ("requests", "json"), ("urllib", "json")]
)
def test_plain_vcrpy_replays_a_cassette_of_evalkit_and_matches_json_bodies(
    service: Service, ours: Path, client: str, match: str
) -> None:
    before = len(service.requests)
    tapes = vcr.VCR()
    tapes.register_matcher("json", json_body)
    with tapes.use_cassette(
        str(ours), record_mode=vcr.mode.NONE, match_on=["method", "uri", match]
    ) as tape:
        found = asked_by(client, service.base_url)
        assert tape.all_played
    assert len(service.requests) == before
    assert [status for status, _ in found] == [200, 200, 404, 200, 200]
    # Only white space between JSON tokens may differ.
    assert b'"f": 1.0,' in found[0][1]
    assert b'"big": 12345678901234567890' in found[0][1]
    assert b"a\\u00e9 \\u2028 b" in found[0][1]
    assert found[1][1] == b"".join(stream(*EVENTS).chunks)
    assert found[3][1] == b"\xff\x00binary"
    assert found[4][1] == "trailing space \n\ttab \u2028 line\r\n".encode()


def test_vcrpy_and_evalkit_can_extend_the_same_cassette(service: Service, ours: Path) -> None:
    service.answer = lambda received: reply({"id": "v1_new"})
    with vcr.use_cassette(
        str(ours), record_mode=vcr.mode.NEW_EPISODES, match_on=["method", "uri", "body"]
    ):
        asked_by("httpx", service.base_url)
        httpx.post(service.base_url + PATH, json={"n": 6})
    assert yaml.safe_load(ours.read_text())["metadata"]["suite"] == "s"
    found = replaying(ours).send(Request("POST", PATH, {"n": 6}))
    assert found.json() == {"id": "v1_new"}
    assert replaying(ours).send(Request("POST", PATH, {"n": 4})).text == "\udcff\x00binary"


def test_pytest_recording_replays_a_cassette_of_evalkit(
    service: Service, ours: Path, pytester: pytest.Pytester
) -> None:
    pytester.makeconftest(
        """
        from evalkit.cassette import for_pytest_recording

        def pytest_recording_configure(config, vcr):
            for_pytest_recording(vcr)
        """
    )
    pytester.makepyfile(
        test_app=f"""
        import httpx, pytest

        @pytest.mark.vcr({str(ours)!r})
        def test_app():
            assert httpx.post({service.base_url + PATH!r}, json={BODY!r}).json()["id"] == "v1_a"
        """
    )
    result = pytester.runpytest_subprocess(
        "--block-network", "--record-mode=none", "-p", "no:cacheprovider"
    )
    result.assert_outcomes(passed=1)


def test_the_official_sdk_replays_a_cassette_of_evalkit_through_vcrpy(
    service: Service, cassette: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genai = pytest.importorskip("google.genai")
    steps = [{"type": "model_output", "content": [{"type": "text", "text": "Hello °"}]}]
    created = {
        "id": "v1_a",
        "object": "interaction",
        "status": "completed",
        "model": "m",
        "steps": steps,
    }
    service.script += [
        reply(created),
        stream(
            {"event_type": "step.start", "index": 0, "step": {"type": "model_output"}},
            {"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": "Hello °"}},
            {
                "event_type": "interaction.completed",
                "interaction": {"id": "v1_b", "status": "completed"},
            },
        ),
    ]
    body = {"model": "m", "input": "Hi"}
    record(
        service,
        cassette,
        Request("POST", "/v1/interactions", body),
        Request("POST", "/v1/interactions", {**body, "stream": True}),
    )
    with vcr.use_cassette(
        str(cassette), record_mode=vcr.mode.NONE, match_on=["method", "uri", "body"]
    ):
        client = genai.Client(api_key="any-key-at-all", http_options={"base_url": service.base_url})
        assert client.interactions.create(model="m", input="Hi").output_text == "Hello °"
        events = list(client.interactions.create(model="m", input="Hi", stream=True))
    assert [event.event_type for event in events] == [
        "step.start",
        "step.delta",
        "interaction.completed",
    ]
    assert events[1].delta.text == "Hello °"
    assert len(service.requests) == 2


# --- from vcrpy to evalkit ---


def test_evalkit_replays_recordings_of_plain_vcrpy(service: Service, cassette: Path) -> None:
    service.script += [
        Reply([b'{"id":"v1_a","f":1.0}']),
        Reply(
            [gzip.compress(b'{"id":"v1_gzip"}')],
            headers={"content-type": "application/json", "content-encoding": "gzip"},
        ),
        stream(*EVENTS),
        reply({"error": {}}, 400),
        Reply([b"\xff\x00"], headers={"content-type": "application/octet-stream"}),
    ]
    cassette.parent.mkdir(parents=True)
    with vcr.use_cassette(str(cassette)), httpx.Client() as client:
        for body in (BODY, {"n": 2}, {"stream": True}, {"n": 4}, {"n": 5}):
            client.post(service.base_url + PATH, json=body, headers={"x-goog-api-key": "k"})
        client.get(f"{service.base_url}{PATH}/v1_a?stream=false&key=abc")
    sent = [
        Request("POST", PATH, body)
        for body in (BODY, {"n": 2}, {"stream": True}, {"n": 4}, {"n": 5})
    ]
    found = answers(cassette, *sent, Request("GET", f"{PATH}/v1_a", None, (("stream", "false"),)))
    assert [answer.status for answer in found] == [200, 200, 200, 400, 200, 200]
    assert found[0].text == '{"id":"v1_a","f":1.0}'
    assert found[1].json() == {"id": "v1_gzip"}
    assert found[2].text == b"".join(stream(*EVENTS).chunks).decode()
    assert found[2].is_stream
    assert found[4].text == "\udcff\x00"
    assert found[5].json()["method"] == "GET"
    assert [answer.elapsed_ms for answer in found] == [None] * 6


def test_evalkit_replays_recordings_of_requests_and_pytest_recording(
    service: Service, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(
        test_app=f"""
        import pytest, requests

        @pytest.mark.vcr
        def test_app():
            assert requests.post({service.base_url + PATH!r}, json={BODY!r}).json()["id"] == "v1_echo"
        """
    )
    pytester.runpytest_subprocess("--record-mode=once", "-p", "no:cacheprovider").assert_outcomes(
        passed=1
    )
    found = answers(
        pytester.path / "cassettes" / "test_app" / "test_app.yaml", Request("POST", PATH, BODY)
    )
    assert found[0].json()["asked"] == BODY


def foreign(request: str = "", response: str = "", status: str = "{code: 200, message: OK}") -> str:
    return (
        "interactions:\n- request:\n    body: '{\"n\": 1}'\n    headers: {}\n    method: POST\n    uri: https://h/v1beta/interactions\n"
        + request
        + f"  response:\n    status: {status}\n" + response + "version: 1\n"
    )  # fmt: skip


OLD_HTTPX = """\
interactions:
- request:
    body: '{"n": 1}'
    headers: {}
    method: POST
    uri: https://h/v1beta/interactions
  response:
    content: '{"id": "v1_a"}'
    headers: {}
    http_version: HTTP/1.1
    status_code: 200
version: 1
"""


@pytest.mark.parametrize(
    "text",
    [
        foreign(response="    headers: {content-type: [application/json]}\n    body: {string: '{\"id\": \"v1_a\"}'}\n"),
        foreign(response="    headers: {content-type: [[application/json]]}\n    body: '{\"id\": \"v1_a\"}'\n"),
        foreign(response="    headers: {content-type: application/json}\n    body: {string: !!binary eyJpZCI6ICJ2MV9hIn0=}\n"),
        foreign(response="    headers: &h {x: [1e5, yes, 12]}\n    body: {string: '{\"id\": \"v1_a\"}'}\n    url: https://h/\n"),
        foreign(response="    headers:\n    body: {encoding: utf-8, string: '{\"id\": \"v1_a\"}'}\n", status="{code: 200, message: null}"),
        OLD_HTTPX,
    ],
    ids=["plain", "nested header lists and a bare body", "header texts and bytes",
         "anchors and a client's own keys", "no headers", "old httpx stub"],
)  # fmt: skip
def test_every_layout_of_vcrpy_is_read(cassette: Path, text: str) -> None:
    cassette.parent.mkdir(parents=True)
    cassette.write_text(text)
    assert answers(cassette, Request("POST", PATH, {"n": 1}))[0].json() == {"id": "v1_a"}


def test_a_body_that_cannot_be_decompressed_is_located(
    cassette: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for library in ("compression.zstd", "backports.zstd", "zstandard"):
        monkeypatch.setitem(sys.modules, library, None)
    cassette.parent.mkdir(parents=True)
    cassette.write_text(
        foreign(
            response="    headers: {content-encoding: [zstd]}\n    body: {string: !!binary eyJp}\n"
        )
    )
    with pytest.raises(
        CassetteError, match=r"london\.yaml:2 recording 1: the body is compressed with 'zstd'"
    ):
        replaying(cassette)


def test_bodies_are_compared_even_if_vcrpy_ignored_them(service: Service, cassette: Path) -> None:
    cassette.parent.mkdir(parents=True)
    with vcr.use_cassette(str(cassette)):
        httpx.post(service.base_url + PATH, json={"n": 1})
    with pytest.raises(CassetteMiss, match='field "n" changed'):
        answers(cassette, Request("POST", PATH, {"n": 2}))


# --- the serializer for users of plain vcrpy ---

IMAGE = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(40_000)).decode()


def taping(folder: Path, **options: Any) -> vcr.VCR:
    tape = vcr.VCR(
        serializer="evalkit", cassette_library_dir=str(folder), match_on=["method", "uri", "body"]
    )
    tape.register_serializer("evalkit", vcr_serializer(folder, **options))
    return tape


@pytest.mark.parametrize("client", ["httpx", "requests"])
def test_the_serializer_writes_readable_cassettes_and_separate_media(
    service: Service, tmp_path: Path, client: str
) -> None:
    service.answer = lambda received: reply({"id": "v1_a", "data": IMAGE})
    send: Any = httpx.post if client == "httpx" else requests.post
    for _ in range(2):
        with taping(tmp_path).use_cassette("app.yaml"):
            answer = send(
                service.base_url + PATH,
                json={"a": 1},
                headers={"Authorization": "Bearer s3cret-bearer", "X-Note": "kept"},
                timeout=10,
            )
            assert answer.json() == {"id": "v1_a", "data": IMAGE}
    assert len(service.requests) == 1
    text = (tmp_path / "app.yaml").read_text()
    assert "    body: |\n      {\n        " in text
    assert '          "data": "evalkit-media:sha256:' in text
    assert "X-Note: [kept]" in text or "x-note: [kept]" in text
    assert "s3cret-bearer" not in text
    assert len(list((tmp_path / "_media").iterdir())) == 1


def test_the_serializer_redacts_keys_of_the_environment(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "planted-secret-key")
    with taping(tmp_path).use_cassette("app.yaml"):
        httpx.post(
            service.base_url + PATH + "?key=planted-secret-key", json={"a": "planted-secret-key"}
        )
    assert "planted-secret-key" not in (tmp_path / "app.yaml").read_text()
    assert taping(tmp_path).use_cassette("app.yaml") is not None
    with pytest.raises(SecretLeak):
        vcr_serializer(tmp_path).serialize(
            {"interactions": [], "metadata": {"note": "planted-secret-key"}}
        )


def test_the_serializer_preserves_its_input(tmp_path: Path) -> None:
    given = {
        "interactions": [
            {
                "request": {"method": "POST", "uri": "http://h/", "body": "a=1", "headers": {"X-A": ["1"]}},
                "response": {
                    "status": {"code": 200, "message": "OK"}, "headers": {"x-b": ["1", "2"]}, "body": {"string": b"\xff"}, "url": "http://h/x",
                    "evalkit": {"elapsed_ms": 1.5},
                },
            }
        ],
        "metadata": {"note": "n"},
        "version": 1,
    }  # fmt: skip
    serializer = vcr_serializer(tmp_path)
    assert serializer.deserialize(serializer.serialize(given)) == given


def test_the_serializer_refuses_invalid_cassettes(tmp_path: Path) -> None:
    with pytest.raises(CassetteError, match=r"^cassette:1 "):
        vcr_serializer(tmp_path).deserialize("hello")
