"""Recording over real HTTP: record modes, resuming after failures and kills, secrets."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from evalkit.cassette.files import load_cassette
from evalkit.cassette.journal import journal_path, read_journal
from evalkit.errors import CassetteError, CassetteMiss, ConnectFailed, SecretLeak, UsageError
from evalkit.transcript import Request
from evalkit.transports import LiveTransport, Transport, open_transport
from tests.cassette.samples import PATH, conversation, leave_folded_journal
from tests.transports.loopback import Reply, Service, reply, stream
from tests.transports.test_replay_transport import put, replaying

KEY = "planted-secret-key"


def open_recording(
    service: Service, path: Path, mode: str = "once", *, key: str = KEY, **options: Any
) -> Transport:
    arguments: dict[str, Any] = {
        "metadata": {"model": "m"},
        "hint": lambda: "pytest x --evalkit-record all",
        "label": "weather::london",
        **options,
    }
    return open_transport(
        mode=mode, path=path, live=lambda: LiveTransport(service.base_url, key, retries=0), **arguments  # type: ignore[arg-type]
    )  # fmt: skip


def ask(number: int, **fields: Any) -> Request:
    return Request("POST", PATH, {"model": "m", "input": f"question {number}", **fields})


def run(transport: Transport, *requests: Request, completed: bool | None = True) -> list[Any]:
    try:
        answers = [transport.send(request) for request in requests]
        if completed is not None:
            transport.finish(completed)
    finally:
        transport.close()
    return answers


def test_recorded_once_and_then_replayed(service: Service, cassette: Path) -> None:
    first = run(open_recording(service, cassette), ask(1), ask(2))
    assert [answer.source for answer in first] == ["recorded", "recorded"]
    again = run(open_recording(service, cassette), ask(1), ask(2))
    assert [answer.source for answer in again] == ["replayed", "replayed"]
    assert [answer.json() for answer in again] == [answer.json() for answer in first]
    assert [answer.elapsed_ms for answer in again] == [answer.elapsed_ms for answer in first]
    assert len(service.requests) == 2
    with pytest.raises(CassetteMiss):
        run(open_recording(service, cassette), ask(3))


@pytest.mark.parametrize("mode", ["none", "once"])
@pytest.mark.parametrize("hint", ["python app.py", lambda: "python app.py"])
def test_command_of_a_miss_is_a_text_or_a_function(
    service: Service, cassette: Path, mode: str, hint: Any
) -> None:
    run(open_recording(service, cassette), ask(1))
    with pytest.raises(CassetteMiss, match=r"record this scenario again:\n +python app\.py"):
        run(open_recording(service, cassette, mode, hint=hint), ask(2))


def test_a_cassette_has_metadata_of_its_origin(service: Service, cassette: Path) -> None:
    run(open_recording(service, cassette), ask(1))
    text = cassette.read_text()
    assert f"    uri: {service.base_url}/v1beta/interactions\n" in text
    assert '  model: "m"\n' in text
    assert "  redactions: 0\n" in text
    assert "    headers:\n      content-type: [application/json]\n  response:" in text
    assert "user-agent" not in text


def test_new_episodes(service: Service, cassette: Path) -> None:
    run(open_recording(service, cassette), ask(1))
    answers = run(open_recording(service, cassette, "new_episodes"), ask(1), ask(2))
    assert [answer.source for answer in answers] == ["replayed", "recorded"]
    assert [answer.source for answer in run(replaying(cassette), ask(1), ask(2))] == [
        "replayed",
        "replayed",
    ]


def test_new_episodes_lists_unplayed_recordings(service: Service, cassette: Path) -> None:
    run(open_recording(service, cassette), ask(1), ask(2))
    transport = open_recording(service, cassette, "new_episodes")
    run(transport, ask(2), ask(3))
    assert transport.unplayed == ["recording 1: POST /v1beta/interactions"]


def test_all_records_everything_and_replaces_the_cassette_at_the_end(
    service: Service, cassette: Path
) -> None:
    run(open_recording(service, cassette), ask(1), ask(2))
    old = cassette.read_bytes()
    service.answer = lambda received: reply({"id": "new"})
    run(open_recording(service, cassette, "all"), ask(1), completed=False)
    assert cassette.read_bytes() == old
    transport = open_recording(service, cassette, "all")
    assert [answer.json() for answer in run(transport, ask(1))] == [{"id": "new"}]
    assert transport.unplayed == []
    assert [answer.json() for answer in run(replaying(cassette), ask(1))] == [{"id": "new"}]


@pytest.mark.parametrize("mode", ["once", "new_episodes", "all"])
def test_an_interrupted_run_is_resumed(service: Service, cassette: Path, mode: str) -> None:
    run(open_recording(service, cassette, mode), ask(1), ask(2), completed=None)
    with pytest.raises(
        CassetteMiss, match="an interrupted recording is beside it, with 2 finished exchanges"
    ):
        run(replaying(cassette), ask(1))
    answers = run(open_recording(service, cassette, mode), ask(1), ask(2), ask(3))
    assert [answer.source for answer in answers] == ["replayed", "replayed", "recorded"]
    assert len(service.requests) == 3
    assert [answer.source for answer in run(replaying(cassette), ask(1), ask(2), ask(3))] == [
        "replayed"
    ] * 3


def test_http_errors_are_recorded(service: Service, cassette: Path) -> None:
    service.script += [
        reply({"error": {"code": "invalid_request"}}, 400),
        Reply([b"<html>"], 502, {"content-type": "text/html"}),
        reply({}, 429, retry_after="70"),
    ]
    recorded = run(open_recording(service, cassette), ask(1), ask(2), ask(3))
    replayed = run(replaying(cassette), ask(1), ask(2), ask(3))
    assert [answer.status for answer in replayed] == [400, 502, 429]
    assert [answer.json() if answer.status != 502 else answer.text for answer in replayed] == [
        answer.json() if answer.status != 502 else answer.text for answer in recorded
    ]
    assert replayed[2].headers["retry-after"] == "70"


def test_only_the_last_of_several_attempts_is_recorded(service: Service, cassette: Path) -> None:
    service.script += [reply({}, 503), reply({}, 503), reply({"id": "v1_a"})]
    live = lambda: LiveTransport(service.base_url, KEY, sleep=lambda seconds: None)  # noqa: E731
    run(
        open_transport(mode="once", path=cassette, live=live, metadata={}, hint=str, label="x"),
        ask(1),
    )
    loaded = load_cassette(cassette)
    assert loaded is not None
    assert [item.status for item in loaded.recordings] == [200]


def test_a_missing_response_is_not_recorded(service: Service, cassette: Path) -> None:
    transport = open_transport(
        mode="once", path=cassette, live=lambda: LiveTransport("http://127.0.0.1:9", KEY, retries=0), metadata={}, hint=str, label="x",
    )  # fmt: skip
    with pytest.raises(ConnectFailed):
        run(transport, ask(1))
    assert list(cassette.parent.iterdir()) == []


def test_events_of_a_stream_are_passed_on_and_a_broken_one_is_recorded_as_broken(
    service: Service, cassette: Path
) -> None:
    events = [{"event_type": "step.delta", "text": f"é{number}"} for number in range(3)]
    service.script += [
        stream(*events),
        Reply(stream(*events).chunks[:2], headers={"content-type": "text/event-stream"}, cut=True),
    ]
    received: list[str] = []
    live = lambda: LiveTransport(service.base_url, KEY, on_event=received.append)  # noqa: E731
    recorded = run(
        open_transport(mode="once", path=cassette, live=live, metadata={}, hint=str, label="x"),
        ask(1, stream=True),
        ask(2, stream=True),
    )
    assert [json.loads(data)["text"] for data in received] == ["é0", "é1", "é2", "é0", "é1"]
    replayed = run(replaying(cassette), ask(1, stream=True), ask(2, stream=True))
    assert [(answer.text, answer.event_ms, answer.broken) for answer in replayed] == [
        (answer.text, answer.event_ms, answer.broken) for answer in recorded
    ]
    assert replayed[0].broken is None
    assert replayed[1].broken is not None
    assert (
        '        data: {"event_type": "step.delta", "text": "\\u00e90"}\n\n        event: step.delta\n'
        in cassette.read_text()
    )


def test_an_endpoint_is_needed_only_for_recording(service: Service, cassette: Path) -> None:
    with pytest.raises(UsageError, match="record mode 'once' needs an endpoint"):
        open_transport(mode="once", path=cassette, live=None, metadata={}, hint=str, label="x")
    put(cassette, *conversation())
    open_transport(mode="once", path=cassette, live=None, metadata={}, hint=str, label="x").close()


@pytest.mark.parametrize("mode", ["none", "once", "new_episodes", "all"])
def test_a_session_that_may_record_removes_a_folded_journal(
    service: Service, cassette: Path, mode: str
) -> None:
    put(cassette, *conversation())
    leave_folded_journal(cassette)
    run(open_recording(service, cassette, mode))
    assert journal_path(cassette).exists() == (mode == "none")


def test_a_missing_key_is_reported_before_anything_is_written(cassette: Path) -> None:
    def live() -> LiveTransport:
        raise UsageError("no key")

    with pytest.raises(UsageError, match="no key"):
        run(
            open_transport(mode="once", path=cassette, live=live, metadata={}, hint=str, label="x"),
            ask(1),
        )
    assert list(cassette.parent.iterdir()) == []


@pytest.mark.parametrize("mode", ["none", "once", "new_episodes", "all"])
def test_an_unreadable_cassette_is_an_error_in_every_mode(
    service: Service, cassette: Path, mode: str
) -> None:
    cassette.parent.mkdir(parents=True)
    cassette.write_text("version: 1\ninteractions: {")
    with pytest.raises(CassetteError, match=r"london\.yaml:2 the file is truncated"):
        open_recording(service, cassette, mode)
    assert cassette.read_text() == "version: 1\ninteractions: {"
    assert service.requests == []


def test_conversations_recorded_in_parallel_do_not_mix(service: Service, tmp_path: Path) -> None:
    gate = threading.Barrier(15)

    def record(scenario: int) -> list[Any]:
        transport = open_recording(service, tmp_path / "cassettes" / "s" / f"{scenario}.yaml")
        gate.wait(20)
        return run(transport, *(ask(number, scenario=scenario) for number in range(4)))

    with ThreadPoolExecutor(15) as pool:
        recorded = list(pool.map(record, range(15)))
    for scenario in range(15):
        transport = replaying(tmp_path / "cassettes" / "s" / f"{scenario}.yaml")
        answers = run(transport, *(ask(number, scenario=scenario) for number in range(4)))
        assert [answer.json()["asked"]["scenario"] for answer in answers] == [scenario] * 4
        assert [answer.json() for answer in answers] == [
            answer.json() for answer in recorded[scenario]
        ]
        assert transport.unplayed == []


# --- killed ---

RECORDING = """
import sys
from pathlib import Path
from evalkit.transcript import Request
from evalkit.transports import LiveTransport, open_transport

transport = open_transport(
    mode=sys.argv[3], path=Path(sys.argv[2]), live=lambda: LiveTransport(sys.argv[1], "planted-secret-key"), metadata={}, hint=str, label="x"
)
for number in range(1, 6):
    transport.send(Request("POST", "/v1beta/interactions", {"model": "m", "input": f"question {number}"}))
transport.finish(True)
transport.close()
"""


def recording_process(service: Service, cassette: Path, mode: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RECORDING, service.base_url, str(cassette), mode],
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("mode", ["once", "all"])
def test_killed_while_recording(service: Service, cassette: Path, mode: str) -> None:
    never, requested = threading.Event(), threading.Event()

    def answer(received: Any) -> Reply:
        if received.json["input"] == "question 4" and not never.is_set():
            requested.set()
            return Reply(gate=never)
        return reply({"id": received.json["input"]})

    service.answer = answer
    process = recording_process(service, cassette, mode)
    try:
        assert requested.wait(20)
        # While it is recording, no other process may record.
        with pytest.raises(
            UsageError,
            match=rf"london\.yaml\.journal: process {process.pid} is recording this cassette now",
        ):
            open_recording(service, cassette, mode)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        never.set()
    journal = journal_path(cassette)
    assert [
        json.loads(entry.recording.request_body or "")["input"]
        for entry in read_journal(journal).entries
    ] == [f"question {n}" for n in (1, 2, 3)]
    assert not cassette.exists()
    before = len(service.requests)
    second = recording_process(service, cassette, mode)
    assert second.communicate(timeout=30)[1] == ""
    assert second.returncode == 0
    assert [received.json["input"] for received in service.requests[before:]] == [
        "question 4",
        "question 5",
    ]
    assert sorted(path.name for path in cassette.parent.iterdir()) == ["london.yaml"]
    assert [answer.json()["id"] for answer in run(replaying(cassette), *map(ask, range(1, 6)))] == [
        f"question {n}" for n in range(1, 6)
    ]
    import vcr
    from vcr.cassette import Cassette

    assert len(Cassette.load(path=str(cassette), record_mode=vcr.mode.NONE).data) == 5


# --- secrets ---


def files_with(folder: Path, *needles: bytes) -> list[str]:
    return [
        path.name
        for path in folder.rglob("*")
        if path.is_file() and any(needle in path.read_bytes() for needle in needles)
    ]


def test_a_planted_secret_is_in_no_file(service: Service, cassette: Path) -> None:
    deltas = [
        {"event_type": "step.delta", "delta": {"text": text}}
        for text in ("key: " + KEY[:5], KEY[5:11], KEY[11:], f" {KEY}")
    ]
    plain = {
        "echo": KEY,
        "escaped": "".join(f"\\u{ord(char):04x}" for char in KEY),
        "base64": base64.b64encode(f"a{KEY}".encode()).decode(),
    }
    service.script += [
        reply(plain, x_key=KEY, set_cookie=f"key={KEY}"),
        stream(*deltas),
        reply({"error": {"code": 400, "message": f"API key {KEY} is not valid"}}, 400),
        Reply([b"\xff" + KEY.encode()], headers={"content-type": "application/octet-stream"}),
        reply(
            {"data": base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(40_000) + KEY.encode()).decode()}
        ),
    ]
    transport = open_recording(service, cassette, secrets=[KEY])
    requests = [
        Request("POST", f"{PATH}/{KEY}", {"input": f"my key is {KEY}"}, (("key", KEY), ("q", KEY))),
        *(ask(number, stream=True) for number in range(2, 6)),
    ]
    answers = [transport.send(request) for request in requests]
    needles = [
        KEY.encode(),
        base64.b64encode(KEY.encode())[:20],
        base64.b64encode(b"a" + KEY.encode())[2:20],
    ]
    assert files_with(cassette.parent.parent, *needles) == []  # in the journal
    transport.finish(True)
    transport.close()
    assert files_with(cassette.parent.parent, *needles) == []
    assert answers[0].json()["echo"] == "REDACTED"  # as in a replay
    assert all(received.headers["x-goog-api-key"] == KEY for received in service.requests)
    again = run(replaying(cassette, secrets=[KEY]), *requests)
    assert [answer.status for answer in again] == [200, 200, 400, 200, 200]
    assert KEY not in "".join(answer.text for answer in again)
    texts = [
        json.loads(line[6:])["delta"]["text"]
        for line in again[1].text.splitlines()
        if line.startswith("data: {")
    ]
    assert "".join(texts) == "key: REDACTED REDACTED"
    loaded = load_cassette(cassette)
    assert loaded is not None
    assert loaded.metadata["redactions"] >= 10


def test_the_key_of_the_endpoint_is_redacted_without_configuration(
    service: Service, cassette: Path
) -> None:
    service.script.append(reply({"echo": KEY}))
    run(open_recording(service, cassette), ask(1))
    assert files_with(cassette.parent, KEY.encode()) == []


def test_a_secret_in_the_metadata_is_an_error(service: Service, cassette: Path) -> None:
    transport = open_recording(service, cassette, metadata={"endpoint": f"http://h/?key={KEY}"})
    with pytest.raises(SecretLeak, match="a known secret"):
        run(transport, ask(1))
    assert not cassette.exists()
    assert files_with(cassette.parent, KEY.encode()) == []
