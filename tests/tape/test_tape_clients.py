"""Tapes record and replay every HTTP client; replay works after the server has stopped."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import requests
import urllib3

from evalkit.cassette import Recording, parse
from evalkit.errors import CassetteMiss
from evalkit.plugins import Catalog
from evalkit.server import serving
from evalkit.session import Runner, Settings
from evalkit.suite import expand, load
from tests.tape.http_clients import CLIENTS, HEADERS, KEY, Ask, by_requests
from tests.tape.tape_support import DOGS, MODEL, PAWS, MakeTape, create

SUITE = """\
suite: s
scenarios:
  - {id: a, model: gemini-3.5-flash, stream: true, turns: [{user: "São Paulo? \\u200b"}, {user: How many paws are in my house?}]}
"""


@pytest.fixture
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("a socket was connected")

    def forbid() -> None:
        monkeypatch.setattr(socket.socket, "connect", refuse)
        monkeypatch.setattr(socket.socket, "connect_ex", refuse)
        monkeypatch.setattr(socket, "getaddrinfo", refuse)

    yield forbid
    monkeypatch.undo()


def run_turns(ask: Ask, url: str) -> list[str]:
    """Run two turns, the second streamed, as an application would."""
    first = ask(f"{url}/v1beta/interactions", create(DOGS))
    assert first.status == 200
    second = ask(
        f"{url}/v1beta/interactions",
        create(PAWS, previous_interaction_id=json.loads(first.text)["id"], stream=True),
    )
    assert second.status == 200
    return [first.text, second.text]


@pytest.mark.parametrize("name", CLIENTS)
def test_replay_returns_the_recorded_responses_to_every_client(
    name: str, make_tape: MakeTape, cassette: Path, no_sockets: Callable[[], None]
) -> None:
    ask = CLIENTS[name]
    with serving() as url, make_tape("once") as tape:
        first, stream = run_turns(ask, url)
    assert "8 paws" in tape.conversation().text
    assert KEY not in cassette.read_text()
    no_sockets()
    with make_tape() as tape:
        again = run_turns(ask, url)
    assert (json.loads(again[0]), again[1]) == (json.loads(first), stream)
    tape.expect("stream", steps="(thought model_output)+", text="8 paws")
    assert tape.unplayed == []


@pytest.mark.parametrize("name", CLIENTS)
def test_public_endpoint_is_replayed_without_a_socket(
    name: str, make_tape: MakeTape, no_sockets: Callable[[], None]
) -> None:
    ask = CLIENTS[name]
    with serving() as url, make_tape("once"):
        run_turns(ask, url)
    no_sockets()
    with make_tape() as tape:
        run_turns(ask, "https://generativelanguage.googleapis.com")
    assert tape.unplayed == []
    with pytest.raises(CassetteMiss), make_tape("none", "app/other"):
        run_turns(ask, "https://generativelanguage.googleapis.com")


def test_persistent_connections_are_recorded_and_replayed(
    make_tape: MakeTape, no_sockets: Callable[[], None]
) -> None:
    def application(
        url: str, session: requests.Session, pool: urllib3.PoolManager, client: httpx.Client
    ) -> None:
        for number in range(3):
            path, body = f"{url}/v1beta/interactions", create(f"Hello {number}")
            for answer in (
                session.post(path, json=body, headers=HEADERS, timeout=9),
                client.post(path, json=body, headers=HEADERS),
            ):
                assert answer.status_code == 200
            assert pool.request("POST", path, body=json.dumps(body), headers=HEADERS).status == 200

    with (
        serving() as url,
        requests.Session() as session,
        urllib3.PoolManager() as pool,
        httpx.Client() as client,
    ):
        with make_tape("once"):
            application(url, session, pool, client)
        for again in (url, "https://generativelanguage.googleapis.com"):
            # The recording connections are used for replay, and none of them sends anything.
            with make_tape() as tape:
                no_sockets()
                application(again, session, pool, client)
            assert len(tape.conversations()) == 9


def test_cassette_does_not_depend_on_the_client(make_tape: MakeTape, cassette: Path) -> None:
    by_client = {}
    for name, ask in CLIENTS.items():
        # The same answers would leave the cassette of the client before as it is.
        cassette.unlink(missing_ok=True)
        # Each client has its own server on the same port, so that ids and addresses are equal.
        with serving(port=0) as url, make_tape("all") as tape:
            run_turns(ask, url)
        text = cassette.read_text().replace(url, "http://server")
        found = parse(text, "cassette")
        assert found.metadata["model"] == MODEL
        assert found.metadata["server"].startswith("evalkit-serve/")
        by_client[name] = [
            (
                one.method,
                one.uri,
                one.request_headers,
                one.status,
                one.reason,
                one.response_headers,
                json.loads(one.request_body or "")["model"],
            )
            for one in found.recordings
        ]
        assert tape.conversation().transcript.settings["model"] == MODEL
    first = by_client["httpx"]
    assert all(recordings == first for recordings in by_client.values()), by_client


def test_cassette_of_a_tape_equals_the_cassette_of_a_suite(
    make_tape: MakeTape, cassette: Path, tmp_path: Path
) -> None:
    def essence(path: Path, url: str) -> list[Recording]:
        found = parse(path.read_text().replace(url, "http://server"), "cassette").recordings
        times = re.compile(r'"(created|updated)":"[^"]*"')
        return [
            replace(one, elapsed_ms=None, event_ms=(), body=times.sub("", str(one.body)))
            for one in found
        ]

    (tmp_path / "suites").mkdir()
    (tmp_path / "suites/s.yaml").write_text(SUITE)
    suite = load(tmp_path / "suites/s.yaml", root=tmp_path, checks=Catalog())
    with serving() as url:
        settings = Settings(
            root=tmp_path, cassettes=tmp_path / "cassettes", mode="once", base_url=url
        )
        (variant,) = expand(suite)
        assert Runner(settings).run(variant).message == ""
        of_suite = essence(tmp_path / "cassettes/s/a.yaml", url)
    with serving() as url, make_tape("once"):
        for recording in of_suite:
            by_requests(
                url + urlsplit(recording.uri).path, json.loads(recording.request_body or "")
            )
    assert essence(cassette, url) == of_suite


@pytest.mark.parametrize("name", CLIENTS)
def test_a_miss_reaches_the_caller_and_opens_no_socket(
    name: str, make_tape: MakeTape, no_sockets: Callable[[], None]
) -> None:
    no_sockets()
    with (
        pytest.raises(
            CassetteMiss, match="has no recording of request 1, POST /v1beta/interactions"
        ) as raised,
        make_tape(),
    ):
        CLIENTS[name]("http://127.0.0.1:9/v1beta/interactions", create("Hello"))
    assert "the cassette does not exist yet" in str(raised.value)
    assert "evalkit.tape('app/test', mode='all')" in str(raised.value)


@pytest.mark.parametrize("name", CLIENTS)
def test_http_error_is_recorded_unchanged(name: str, make_tape: MakeTape) -> None:
    ask = CLIENTS[name]
    with serving() as url, make_tape("once"):
        recorded = ask(
            f"{url}/v1beta/interactions", create("Go on", previous_interaction_id="v1_unknown")
        )
    with make_tape() as tape:
        assert (
            ask(
                f"{url}/v1beta/interactions", create("Go on", previous_interaction_id="v1_unknown")
            ).status
            == recorded.status
            == 404
        )
    tape.expect(error={"status": 404})
