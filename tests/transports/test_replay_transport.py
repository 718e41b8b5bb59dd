"""Replay: responses as recorded, without sockets, and a miss for anything else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from evalkit.cassette.format import render
from evalkit.cassette.recording import Cassette, Recording
from evalkit.errors import CassetteError, CassetteMiss, UsageError
from evalkit.transcript import Request
from evalkit.transports import Transport, open_transport
from tests.cassette.samples import FIRST, PATH, SECOND, THIRD, conversation, recording

HINT = "pytest suites/weather.yaml::london --evalkit-record all"


def replaying(path: Path, **options: Any) -> Transport:
    return open_transport(
        mode="none",
        path=path,
        live=None,
        metadata={},
        hint=lambda: HINT,
        label="weather::london",
        **options,
    )


def put(path: Path, *recordings: Recording) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(Cassette(list(recordings))))


def test_a_conversation_is_replayed_as_recorded(cassette: Path) -> None:
    put(cassette, *conversation())
    transport = replaying(cassette)
    answers = [transport.send(Request("POST", PATH, body)) for body in (FIRST, SECOND, THIRD)]
    assert [answer.json()["id"] for answer in answers] == ["v1_1", "v1_2", "v1_3"]
    assert {
        (answer.status, answer.source, answer.elapsed_ms, answer.broken) for answer in answers
    } == {(200, "replayed", 12.5, None)}
    assert answers[0].headers == {"content-type": "application/json"}
    transport.finish(True)
    transport.close()
    assert transport.unplayed == []


def test_a_stream_keeps_its_event_times_and_its_break(cassette: Path) -> None:
    broken = recording(
        FIRST,
        response_headers={"content-type": ["text/event-stream"]},
        event_ms=(1.5, 2.25),
        broken="the connection broke off",
    )
    broken.body = 'data: {"a": 1}\n\ndata: {"b'
    put(cassette, broken)
    answer = replaying(cassette).send(Request("POST", PATH, FIRST))
    assert answer.is_stream
    assert (answer.text, answer.event_ms, answer.broken) == (
        broken.body,
        (1.5, 2.25),
        "the connection broke off",
    )


def test_bytes_are_replayed_as_the_original_text(cassette: Path) -> None:
    item = recording(FIRST)
    item.body = b"\xff\xc3\xa9"
    put(cassette, item)
    assert replaying(cassette).send(Request("POST", PATH, FIRST)).text == "\udcffé"


def test_unplayed_recordings_are_listed(cassette: Path) -> None:
    put(cassette, *conversation(), recording(None, method="GET", path=f"{PATH}/v1_a"))
    transport = replaying(cassette)
    transport.send(Request("POST", PATH, SECOND))
    transport.close()
    assert transport.unplayed == [
        "recording 1: POST /v1beta/interactions", "recording 3: POST /v1beta/interactions", "recording 4: GET /v1beta/interactions/v1_a",
    ]  # fmt: skip


def test_a_miss_names_the_cause_the_line_and_the_command(
    cassette: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(cassette, *conversation())
    monkeypatch.chdir(cassette.parent.parent.parent)
    with pytest.raises(CassetteMiss) as caught:
        replaying(cassette).send(Request("POST", PATH, {**FIRST, "model": "gemini-4"}))
    lines = str(caught.value).splitlines()
    assert (
        lines[0]
        == "weather::london: the cassette cassettes/weather/london.yaml has no recording of request 1, POST /v1beta/interactions"
    )
    assert lines[1] == '  cause: model changed: "gemini-3.5-flash" recorded, "gemini-4" sent'
    assert lines[2] == "  nearest: recording 1 of 3, cassettes/weather/london.yaml:2"
    assert lines[-1] == f"    {HINT}"


def test_a_miss_does_not_repeat_a_secret(cassette: Path) -> None:
    put(cassette, recording({"input": "x"}))
    with pytest.raises(CassetteMiss) as caught:
        replaying(cassette, secrets=["planted-secret-key"]).send(
            Request("POST", PATH, {"input": "planted-secret-key"})
        )
    assert "planted-secret-key" not in str(caught.value)
    assert '"REDACTED"' in str(caught.value)


def test_redacted_recordings_are_replayed(cassette: Path) -> None:
    put(cassette, recording({"input": "my key is REDACTED, call 555-REDACTED"}))
    transport = replaying(cassette, secrets=["planted-secret-key"], patterns=[r"(?<=555-)\d+"])
    assert (
        transport.send(
            Request("POST", PATH, {"input": "my key is planted-secret-key, call 555-0199"})
        ).status
        == 200
    )


def test_no_cassette_is_a_miss_of_the_first_request(cassette: Path) -> None:
    transport = replaying(cassette)
    with pytest.raises(CassetteMiss, match="the cassette does not exist yet"):
        transport.send(Request("POST", PATH, FIRST))
    transport.close()
    assert transport.unplayed == []
    assert not cassette.parent.exists()


def test_an_unreadable_cassette_does_not_count_as_missing(cassette: Path) -> None:
    cassette.parent.mkdir(parents=True)
    cassette.write_text("interactions: [")
    with pytest.raises(CassetteError, match=r"london\.yaml:1 the file is truncated"):
        replaying(cassette)


def test_an_unknown_mode(cassette: Path) -> None:
    with pytest.raises(UsageError, match="unknown record mode 'ones' \\(did you mean 'once'\\?\\)"):
        open_transport(mode="ones", path=cassette, live=None, metadata={}, hint=str, label="x")  # type: ignore[arg-type]


WITHOUT_SOCKETS = """
import sys
from pathlib import Path

def refuse(event, args):
    if event.startswith("socket."):
        raise RuntimeError(event)

sys.addaudithook(refuse)
from evalkit.transcript import Request
from evalkit.transports import open_transport

transport = open_transport(mode="none", path=Path(sys.argv[1]), live=None, metadata={}, hint=str, label="x", secrets=["planted-secret-key"])
assert transport.send(Request("POST", sys.argv[2], {"b": 1, "a": "planted-secret-key"})).status == 200
transport.close()
FORBIDDEN = ("socket", "ssl", "httpx", "asyncio", "vcr", "jinja2", "email.utils", "http.client")
print([name for name in FORBIDDEN if name in sys.modules])
"""


def test_replay_opens_no_socket_and_imports_no_network_library(cassette: Path) -> None:
    put(cassette, recording({"a": "REDACTED", "b": 1}))
    done = subprocess.run(
        [sys.executable, "-S", "-c", "import sys; sys.path[:0] = " + repr(sys.path) + WITHOUT_SOCKETS, str(cassette), PATH],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
