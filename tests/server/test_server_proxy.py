"""The recording proxy over real sockets: what it forwards and records, and faults on both sides."""

from __future__ import annotations

import json
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from evalkit._lib.json import canonical
from evalkit.cassette.files import load_cassette
from evalkit.errors import CassetteError, UsageError
from evalkit.server import create_app, serving
from evalkit.server.proxy.archive import ConversationArchive
from evalkit.server.proxy.backend import ProxyBackend, open_proxy
from evalkit.server.proxy.upstream import Upstream
from evalkit.server.replay.backend import CassetteBackend
from tests.server.talking import Talk, bodies, cassettes, check_history, run_talks
from tests.transports import loopback
from tests.transports.loopback import Reply, Service, reply, stream

PATH = "/v1beta/interactions"
KEY = "a-key-nobody-may-see"
BODY = {"model": "m", "input": "Hello"}


@pytest.fixture
def upstream() -> Iterator[Service]:
    with loopback.serving() as service:
        yield service


@contextmanager
def proxying(
    base_url: str,
    folder: Path | None,
    log: Callable[[str], object] = lambda line: None,
    **options: Any,
) -> Iterator[str]:
    with serving(create_app(open_proxy(base_url, folder, log=log, **options))) as url:
        yield url


def one(folder: Path) -> Any:
    [recordings] = cassettes(folder).values()
    return recordings[0]


def events(*kinds: str) -> list[dict[str, Any]]:
    return [
        {"event_type": kind, "interaction": {"id": "v1_a", "status": "completed"}} for kind in kinds
    ]


def test_a_call_and_its_response_are_forwarded_unchanged(upstream: Service, tmp_path: Path) -> None:
    text = b'{"id": "v1_a", "n": 1.0,   "steps":[], "w": "\\u00fc"}'
    headers = {
        "content-type": "application/json; charset=utf-8",
        "x-other": "kept",
        "keep-alive": "timeout=5",
    }
    upstream.script.append(Reply([text], 201, headers))
    sent = b'{"model":  "m", "input": "caf\xc3\xa9", "n": 1.0}'
    with proxying(f"{upstream.base_url}/prefix", tmp_path) as url:
        response = httpx.post(
            f"{url}{PATH}?a=%3A&key={KEY}",
            content=sent,
            headers={
                "content-type": "application/json",
                "x-goog-api-key": KEY,
                "x-goog-api-client": "sdk/1",
                "accept-encoding": "gzip",
            },
        )
    [received] = upstream.requests
    assert (response.status_code, response.content) == (201, text)
    assert response.headers["server"].startswith("BaseHTTP")
    assert (response.headers["x-other"], "keep-alive" in response.headers) == ("kept", False)
    assert (received.method, received.path, received.body) == (
        "POST",
        f"/prefix{PATH}?a=%3A&key={KEY}",
        sent,
    )
    assert (received.headers["x-goog-api-client"], received.headers["x-goog-api-key"]) == (
        "sdk/1",
        KEY,
    )
    assert (received.headers["accept-encoding"], received.headers["host"]) == (
        "identity",
        upstream.base_url.removeprefix("http://"),
    )
    recorded = one(tmp_path)
    assert recorded.uri == f"{upstream.base_url}/prefix{PATH}?a=%3A&key=REDACTED"
    assert json.loads(recorded.request_body) == json.loads(sent)
    assert recorded.response_headers == {"content-type": ["application/json; charset=utf-8"]}


def test_an_event_reaches_the_client_before_the_next_arrives(
    upstream: Service, tmp_path: Path
) -> None:
    gate = threading.Event()
    upstream.script.append(
        stream(*events("interaction.created", "interaction.completed"), gate=gate, gate_at=1)
    )
    with (
        proxying(upstream.base_url, tmp_path) as url,
        httpx.stream("POST", url + PATH, json={**BODY, "stream": True}) as response,
    ):
        chunks = response.iter_text()
        assert "interaction.created" in next(chunks)
        assert "content-length" not in response.headers
        gate.set()
        rest = "".join(chunks)
    assert rest.endswith("data: [DONE]\n\n")
    assert len(one(tmp_path).event_ms) == 2


def test_a_compressed_stream_is_forwarded_unchanged_and_recorded_decompressed(
    upstream: Service, tmp_path: Path
) -> None:
    squeeze = zlib.compressobj(wbits=31)
    plain = stream(*events("interaction.created", "interaction.completed")).chunks
    chunks = [squeeze.compress(chunk) + squeeze.flush(zlib.Z_SYNC_FLUSH) for chunk in plain]
    upstream.script.append(
        Reply(
            [*chunks, squeeze.flush()],
            headers={"content-type": "text/event-stream", "content-encoding": "gzip"},
        )
    )
    with proxying(upstream.base_url, tmp_path) as url:
        response = httpx.post(url + PATH, json={**BODY, "stream": True})
    assert response.headers["content-encoding"] == "gzip"
    assert response.text == one(tmp_path).body == b"".join(plain).decode()
    assert len(one(tmp_path).event_ms) == 2


def test_a_stream_that_breaks_is_cut_for_the_client_and_recorded_as_broken(
    upstream: Service, tmp_path: Path
) -> None:
    upstream.script.append(stream(*events("interaction.created"), cut=True))
    upstream.script[0] = Reply(
        upstream.script[0].chunks[:1], headers=upstream.script[0].headers, cut=True
    )
    with (
        proxying(upstream.base_url, tmp_path) as url,
        httpx.stream("POST", url + PATH, json={**BODY, "stream": True}) as response,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        response.read()
    recorded = one(tmp_path)
    assert recorded.broken is not None
    assert "the connection broke off" in recorded.broken
    assert "interaction.created" in recorded.body


@pytest.mark.parametrize("last", ["interaction.created", "interaction.completed"])
def test_a_client_that_leaves(upstream: Service, tmp_path: Path, last: str) -> None:
    gate = threading.Event()
    upstream.script.append(stream(*events("interaction.created", last), gate=gate, gate_at=2))
    with proxying(upstream.base_url, tmp_path) as url:
        with httpx.stream("POST", url + PATH, json={**BODY, "stream": True}) as response:
            chunks = response.iter_text()
            while f'"{last}"' not in next(chunks):
                pass
        if last == "interaction.completed":
            gate.set()
            httpx.post(url + PATH, json={**BODY, "previous_interaction_id": "v1_a"})
    gate.set()
    [recordings] = cassettes(tmp_path).values()
    recording = recordings[0]
    assert recording.broken == (None if last == "interaction.completed" else "the client left")
    assert ("[DONE]" in recording.body) == (last == "interaction.completed")


def test_a_missing_response_is_an_error_in_the_shape_of_the_api_and_is_not_recorded(
    upstream: Service, tmp_path: Path
) -> None:
    upstream.script += [
        Reply(silent=True),
        Reply([b'{"id"'], cut=True),
        reply({"id": "v1_a", "steps": []}),
    ]
    log: list[str] = []
    with proxying(upstream.base_url, tmp_path, log.append) as url:
        answers = [httpx.post(url + PATH, json=BODY) for _ in range(3)]
    assert [response.status_code for response in answers] == [502, 502, 200]
    assert answers[0].json()["error"]["code"] == "upstream_failed"
    assert "the connection broke off" in answers[0].json()["error"]["message"]
    assert len(log) == 2
    [recordings] = cassettes(tmp_path).values()
    assert len(recordings) == 1


def test_a_pooled_connection_that_was_closed_is_replaced(upstream: Service, tmp_path: Path) -> None:
    upstream.script += [
        reply({"id": "v1_a", "steps": []}),
        Reply(silent=True),
        reply({"id": "v1_b", "steps": []}),
        Reply(silent=True),
    ]
    with proxying(upstream.base_url, tmp_path) as url:
        answers = [httpx.post(url + PATH, json=BODY) for _ in range(2)]
        upstream.script.append(Reply(silent=True))
        answers.append(httpx.post(url + PATH, json=BODY))
    assert [response.status_code for response in answers] == [200, 200, 502]


def test_an_upstream_that_cannot_be_reached_is_502(tmp_path: Path) -> None:
    with loopback.serving() as gone:
        pass
    with proxying(gone.base_url, tmp_path) as url:
        response = httpx.post(url + PATH, json=BODY)
    assert response.status_code == 502
    assert "cannot connect" in response.json()["error"]["message"]
    assert cassettes(tmp_path) == {}


def test_retried_attempts_are_dropped_and_a_final_error_is_recorded(
    upstream: Service, tmp_path: Path
) -> None:
    error = {"error": {"code": "x", "message": "y"}}
    upstream.script += [
        reply(error, 503),
        reply(error, 429),
        reply({"id": "v1_a", "steps": []}),
        reply(error, 429),
        reply(error, 400),
    ]
    with proxying(upstream.base_url, tmp_path) as url:
        for _ in range(3):
            httpx.post(url + PATH, json=BODY)
        more = {**BODY, "previous_interaction_id": "v1_a"}
        httpx.post(url + PATH, json={**more, "input": "Again"})
        httpx.post(url + PATH, json=more)
    [recordings] = cassettes(tmp_path).values()
    assert [recording.status for recording in recordings] == [200, 429, 400]


def test_no_key_is_written_wherever_it_is_sent(
    upstream: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deltas = [
        {"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": part}}
        for part in ("I saw a-key-", "nobody-", "may-see!")
    ]
    plain = reply({"id": "v1_a", "steps": [], "said": f"{KEY} other-key-of-theirs"})
    upstream.script += [plain, stream(*deltas, *events("interaction.completed"))]
    monkeypatch.setenv("THEIR_KEY", "other-key-of-theirs")
    log: list[str] = []
    with proxying(upstream.base_url, tmp_path, log.append, key_env="THEIR_KEY") as url:
        body = {**BODY, "input": f"{KEY} is my key"}
        for headers, query in (
            ({"x-goog-api-key": KEY}, ""),
            ({"authorization": f"Bearer {KEY}"}, f"?key={KEY}"),
        ):
            httpx.post(url + PATH + query, json={**body, "stream": bool(query)}, headers=headers)
    assert [received.headers["x-goog-api-key"] for received in upstream.requests] == [
        "other-key-of-theirs"
    ] * 2
    assert [
        "authorization" in received.headers or "key=" in received.path
        for received in upstream.requests
    ] == [False, False]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 2
    for path in files:
        text = path.read_text()
        assert "REDACTED" in text
        for secret in (KEY, "other-key", "nobody"):
            assert secret not in text
            assert secret not in path.name
    assert log == []


def test_each_conversation_has_a_cassette_named_after_its_first_words(
    url: str, tmp_path: Path
) -> None:
    talks = [
        Talk(["What can you do for me?", "And now?"]),
        Talk(["What can you do for me?", "And now?"], stateless=True),
        Talk(["What can you do for me?", "Something else"]),
        Talk(["How is the weather in London?"], tools=True, streamed=False),
        Talk(["¿Qué?"], streamed=False),
    ]
    with proxying(url, tmp_path) as front:
        run_talks(front, *talks)
    stored = cassettes(tmp_path / "conversations")
    names = [name.rpartition("-")[0] for name in stored]
    assert names == [
        "how-is-the-weather-in-london",
        "qu",
        "what-can-you-do-for-me",
        "what-can-you-do-for-me",
        "what-can-you-do-for-me",
    ]
    assert sorted(name.partition(".")[2] for name in stored) == [
        "2.yaml",
        "yaml",
        "yaml",
        "yaml",
        "yaml",
    ]
    assert sorted(map(bodies, stored.values())) == sorted(
        [canonical(body) for body in talk.sent] for talk in talks
    )
    check_history(tmp_path)
    cassette = load_cassette(next(tmp_path.rglob("how-is*.yaml")))
    assert cassette is not None
    known = {
        name: cassette.metadata[name] for name in ("endpoint", "model", "source", "redactions")
    }
    assert known == {
        "endpoint": url,
        "model": "gemini-3.5-flash",
        "source": "evalkit serve --upstream",
        "redactions": 0,
    }
    assert cassette.metadata["server"].startswith("evalkit-serve/")


def test_no_file_is_overwritten(url: str, tmp_path: Path) -> None:
    texts = []
    for _ in range(2):
        with proxying(url, tmp_path) as front:
            run_talks(front, Talk(["Hello again"]))
        texts.append({path.name: path.read_text() for path in tmp_path.rglob("*.yaml")})
    first, second = texts
    assert (len(first), len(second)) == (1, 2)
    assert first.items() < second.items()
    assert sum(name.endswith(".2.yaml") for name in second) == 1


def test_an_idle_conversation_continues_in_its_cassette(url: str, tmp_path: Path) -> None:
    archive = ConversationArchive(tmp_path, {})
    with serving(create_app(ProxyBackend(Upstream(url), archive))) as front:
        first = httpx.post(
            front + PATH,
            json={"model": "gemini-3.5-flash", "input": "Hello"},
            headers={"x-goog-api-key": "k"},
        ).json()
        assert archive.write_idle() == []
        assert [len(recordings) for recordings in cassettes(tmp_path).values()] == [1]
        assert list(tmp_path.rglob("*.journal")) == []
        more = {
            "model": "gemini-3.5-flash",
            "input": "More",
            "previous_interaction_id": first["id"],
        }
        httpx.post(front + PATH, json=more, headers={"x-goog-api-key": "k"})
        httpx.post(front + PATH, json={**more, "input": "A fork"}, headers={"x-goog-api-key": "k"})
    assert sorted(len(recordings) for recordings in cassettes(tmp_path).values()) == [2, 2]
    check_history(tmp_path)


class Watched(ConversationArchive):
    """An archive that reports when a cassette was written."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, {})
        self.written = threading.Event()

    def write_idle(self, seconds: float = 0.0) -> list[str]:
        problems = super().write_idle(seconds)
        if cassettes(self.folder):
            self.written.set()
        return problems


def test_an_idle_conversation_is_written_while_the_proxy_runs(url: str, tmp_path: Path) -> None:
    archive = Watched(tmp_path)
    with serving(create_app(ProxyBackend(Upstream(url), archive, idle=0.02))) as front:
        run_talks(front, Talk(["Hello"]))
        assert archive.written.wait(20)
        assert list(tmp_path.rglob("*.journal")) == []


def test_a_fork_starts_with_the_shared_recordings_and_replays_alone(
    url: str, tmp_path: Path
) -> None:
    key = {"x-goog-api-key": "k"}
    base = {"model": "gemini-3.5-flash"}
    with proxying(url, tmp_path) as front:
        first = httpx.post(front + PATH, json={**base, "input": "Hello"}, headers=key).json()
        for text in ("One", "Two"):
            httpx.post(
                front + PATH,
                json={**base, "input": text, "previous_interaction_id": first["id"]},
                headers=key,
            )
    forked = next(tmp_path.rglob("*.2.yaml"))
    cassette = load_cassette(forked)
    assert cassette is not None
    assert cassette.metadata["shared"] == 1
    log: list[str] = []
    with serving(create_app(CassetteBackend(forked, log=log.append))) as replay:
        again = httpx.post(replay + PATH, json={**base, "input": "Hello"}, headers=key).json()
        two = httpx.post(
            replay + PATH,
            json={**base, "input": "Two", "previous_interaction_id": again["id"]},
            headers=key,
        )
    assert two.status_code == 200
    assert log == []


def test_without_a_folder_nothing_is_recorded(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with proxying(url, None) as front:
        run_talks(front, Talk(["Hello", "More"]), Talk(["Hello"], streamed=False))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_reported_and_responses_are_forwarded(
    upstream: Service, tmp_path: Path
) -> None:
    (tmp_path / "conversations").write_text("a file is in the way")
    log: list[str] = []
    with proxying(upstream.base_url, tmp_path, log.append) as url:
        response = httpx.post(url + PATH, json=BODY)
    assert response.status_code == 200
    [line] = log
    assert line.startswith("not recorded: ")
    assert "cannot record here" in line


@pytest.mark.parametrize(
    "bad", ["", "ftp://x", "http://user:secret@host", "https://host?key=secret"]
)
def test_an_invalid_base_url_is_a_usage_error(bad: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_proxy(bad, None)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_missing_key_variable_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(
        UsageError,
        match="--upstream-key-env NO_SUCH_KEY: the environment variable is not set or empty",
    ):
        open_proxy("http://127.0.0.1:1", None, key_env="NO_SUCH_KEY")


def test_a_damaged_journal_is_an_error_at_startup(tmp_path: Path) -> None:
    folder = tmp_path / "conversations"
    folder.mkdir()
    (folder / "x.yaml.journal").write_text("{}\n{}\n")
    with pytest.raises(CassetteError, match=r"x\.yaml\.journal:1 the journal is damaged"):
        open_proxy("http://127.0.0.1:1", tmp_path)
