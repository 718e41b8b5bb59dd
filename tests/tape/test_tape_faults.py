"""Faults of tapes: swallowed misses, leaked keys, broken cassettes, two tapes, kills."""

# ruff: noqa: PT012, PT031 - these tests need several statements in a block that raises

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

import evalkit
from evalkit import ExpectationFailed
from evalkit.cassette import parse
from evalkit.cassette.journal import journal_path, read_journal
from evalkit.errors import CassetteError, CassetteMiss, SecretLeak, UsageError
from evalkit.taping import UnansweredWarning, UnplayedWarning
from evalkit.taping.tapes import Tape
from tests.cassette.samples import leave_folded_journal
from tests.tape.tape_support import DOGS, PAWS, MakeTape, create, serving_rules

API = "/v1beta/interactions"


def post(
    url: str, body: Any, key: str = "another-key-0123456789", **options: Any
) -> httpx.Response:
    return httpx.post(f"{url}{API}", json=body, headers={"x-goog-api-key": key}, **options)


@pytest.fixture
def hello(make_tape: MakeTape, guide_url: str) -> str:
    """A cassette of two requests, and the URL they went to."""
    with make_tape("once"):
        post(guide_url, create("Hello"))
        post(guide_url, create("Goodbye"))
    return guide_url


def test_swallowed_miss_is_raised_at_the_end(make_tape: MakeTape, hello: str) -> None:
    def application() -> str:
        for _ in range(3):  # retries what it interprets as a network failure
            try:
                return post(hello, create("Hello again")).text
            except Exception:  # noqa: BLE001 - as applications do
                continue
        return "sorry"

    with pytest.raises(CassetteMiss, match="has no recording of request 1") as raised, make_tape():
        assert application() == "sorry"
    assert "cause: " in str(raised.value)
    assert 'sent      "Hello again"' in str(raised.value)


def test_miss_is_reported_with_the_error_it_caused(make_tape: MakeTape, hello: str) -> None:
    with pytest.raises(CassetteMiss) as raised, make_tape():
        try:
            post(hello, create("Hello again"))
        except Exception as error:
            raise RuntimeError("the service is down") from error
    assert isinstance(raised.value.__cause__, RuntimeError)


def test_keyboard_interrupt_is_not_replaced_by_a_miss(make_tape: MakeTape, hello: str) -> None:
    with pytest.raises(KeyboardInterrupt), make_tape():
        try:
            post(hello, create("Hello again"))
        except CassetteMiss:
            raise KeyboardInterrupt from None


def test_unplayed_recordings_are_warned_about(make_tape: MakeTape, hello: str) -> None:
    with pytest.warns(
        UnplayedWarning,
        match=r"app/test.yaml: 1 recording left unplayed: recording 2: POST /v1beta/interactions",
    ):
        with make_tape() as tape:
            post(hello, create("Hello"))
        assert len(tape.unplayed) == 1


def test_unplayed_recordings_fail_when_configured(make_tape: MakeTape, hello: str) -> None:
    with (
        pytest.raises(ExpectationFailed, match="1 recording left unplayed"),
        make_tape(strict=True),
    ):
        post(hello, create("Hello"))


def test_recording_is_replayed_as_often_as_it_was_recorded(make_tape: MakeTape, hello: str) -> None:
    with pytest.raises(CassetteMiss, match="already played: this request"), make_tape():
        post(hello, create("Hello"))
        post(hello, create("Hello"))


@pytest.mark.parametrize(
    ("damage", "place"),
    [
        (b"interactions: [", "test.yaml:"),
        (b"\xff\xfe", "test.yaml:1 UTF-16 text; save the file as UTF-8"),
        (b"\x80", "test.yaml:1 not UTF-8"),
        (b"", "test.yaml:1"),
        (b"version: 2\ninteractions: []\n", "test.yaml:1"),
    ],
)
@pytest.mark.parametrize("mode", ["none", "once", "new_episodes", "all"])
def test_broken_cassette_is_an_error_and_is_not_changed(
    make_tape: MakeTape, cassette: Path, guide_url: str, damage: bytes, place: str, mode: str
) -> None:
    cassette.parent.mkdir(parents=True)
    cassette.write_bytes(damage)
    with pytest.raises(CassetteError, match=place), make_tape(mode):
        pytest.fail("the block must not run")
    assert cassette.read_bytes() == damage
    assert not journal_path(cassette).exists()
    with make_tape(
        "none", "app/other", ignore_hosts=["loopback"]
    ):  # nothing is patched, and no tape is running
        assert post(guide_url, create("Hello")).status_code == 200


def test_only_one_tape_runs_at_a_time(make_tape: MakeTape, guide_url: str) -> None:
    with make_tape("once") as first:
        with (
            pytest.raises(
                UsageError, match=r"another tape is running in this process \(tape app/test\)"
            ),
            make_tape("once", "app/other"),
        ):
            pytest.fail("the block must not run")
        caught: list[BaseException] = []

        def elsewhere() -> None:
            try:
                make_tape("once", "app/third").__enter__()
            except UsageError as error:
                caught.append(error)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        assert len(caught) == 1
        post(guide_url, create("Hello"))
    assert len(first.conversations()) == 1
    with make_tape("once", "app/other"):
        post(guide_url, create("Hello"))


def test_rejected_tape_does_not_change_the_journal(
    make_tape: MakeTape, guide_url: str, cassette: Path
) -> None:
    with pytest.raises(RuntimeError), make_tape("once"):
        post(guide_url, create("Hello"))
        raise RuntimeError("the application broke")
    before = journal_path(cassette).read_bytes()
    with make_tape("once", "app/other"), pytest.raises(UsageError), make_tape("all"):
        pytest.fail("the block must not run")
    assert journal_path(cassette).read_bytes() == before


@pytest.mark.parametrize("mode", ["none", "once", "new_episodes", "all"])
def test_a_tape_that_may_record_removes_a_folded_journal(
    make_tape: MakeTape, guide_url: str, cassette: Path, mode: str
) -> None:
    with make_tape("once"):
        post(guide_url, create("Hello"))
    leave_folded_journal(cassette)
    with make_tape(mode):
        post(guide_url, create("Hello"))
    assert journal_path(cassette).exists() == (mode == "none")


def test_tape_cannot_be_entered_twice(make_tape: MakeTape) -> None:
    tape = make_tape("once")
    with tape:
        pass
    with pytest.raises(UsageError, match="a tape runs once"), tape:
        pass


def test_threads_of_an_application_share_a_tape(make_tape: MakeTape, guide_url: str) -> None:
    def application() -> None:
        threads = [
            threading.Thread(target=post, args=(guide_url, create(f"Say {number % 4}")))
            for number in range(16)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    with make_tape("once") as tape:
        application()
    with make_tape() as again:
        application()
    assert [len(read.conversations()) for read in (tape, again)] == [16, 16]
    assert again.unplayed == []


# Keys

PLANTED = "planted-key-9f8e7d6c5b"


def everything(folder: Path) -> str:
    return "\n".join(
        path.read_bytes().decode("utf-8", "replace")
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    )


def ask_with_header(url: str) -> httpx.Response:
    return post(url, create(f"My key is {PLANTED}"), key=PLANTED)


def ask_with_query(url: str) -> httpx.Response:
    return httpx.post(f"{url}{API}", params={"key": PLANTED}, json=create(f"My key is {PLANTED}"))


def ask_with_bearer(url: str) -> httpx.Response:
    headers = {"authorization": f"Bearer {PLANTED}", "x-goog-api-key": "x"}
    return httpx.post(f"{url}{API}", headers=headers, json=create(f"My key is {PLANTED}"))


@pytest.mark.parametrize("ask", [ask_with_header, ask_with_query, ask_with_bearer])
def test_key_of_a_request_is_in_no_file(
    make_tape: MakeTape, tmp_path: Path, ask: Callable[[str], httpx.Response]
) -> None:
    with serving_rules("  - {reply: 'You said: {{ text }}'}\n") as url:
        with make_tape("once") as tape:
            assert PLANTED in ask(url).text
            assert PLANTED not in everything(tmp_path)  # not in the journal either
        assert PLANTED not in everything(tmp_path)
        assert "You said: My key is REDACTED" in everything(tmp_path)
    with make_tape():
        ask("http://127.0.0.1:9")
    with pytest.raises(ExpectationFailed) as raised:
        tape.expect(text="something else")
    assert PLANTED not in str(raised.value)


def test_key_of_the_environment_is_in_no_file(
    make_tape: MakeTape, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_API_KEY", PLANTED)
    with serving_rules("  - {reply: 'You said: {{ text }}'}\n") as url, make_tape("once"):
        post(url, create(f"It is {PLANTED}"))
    assert PLANTED not in everything(tmp_path)


def test_key_is_not_in_vcrpy_logs(make_tape: MakeTape, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    with serving_rules("  - {reply: hello}\n") as url, make_tape("once"):
        ask_with_query(url)
    with make_tape():
        ask_with_query("http://127.0.0.1:9")
    assert PLANTED not in "".join(
        record.getMessage()
        for record in caplog.records
        if record.name.split(".")[0] in ("vcr", "evalkit")
    )


def test_key_is_not_in_a_miss_report(make_tape: MakeTape) -> None:
    with pytest.raises(CassetteMiss) as raised, make_tape():
        ask_with_header("http://127.0.0.1:9")
    assert PLANTED not in str(raised.value)


def test_tokens_of_an_authorization_server_are_in_no_file(
    make_tape: MakeTape, tmp_path: Path
) -> None:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from evalkit.server import serving

    async def token(request: Request) -> JSONResponse:
        return JSONResponse(
            {
                "access_token": "ya29.a-token-0123456789",
                "refresh_token": "1//refresh-0123456789",
                "expires_in": 3600,
            }
        )

    form = {
        "grant_type": "refresh_token",
        "client_secret": "client-secret-0123456789",
        "refresh_token": "1//old-refresh-0123456789",
    }
    with (
        serving(Starlette(routes=[Route("/token", token, methods=["POST"])])) as url,
        make_tape("once") as tape,
    ):
        httpx.post(f"{url}/token", data=form)
    written = everything(tmp_path)
    assert "expires_in" in written
    for secret in ("a-token-0123456789", "refresh-0123456789", "client-secret"):
        assert secret not in written
    assert tape.conversations() == []  # recorded, but not a conversation
    with make_tape():
        assert httpx.post(f"{url}/token", data=form).json()["expires_in"] == 3600


def test_unredacted_secret_stops_the_recording(
    make_tape: MakeTape, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evalkit.cassette.redaction import Redactor

    # Simulate redaction that misses a spelling: the final check must refuse to write it.
    monkeypatch.setattr(Redactor, "recording", lambda self, recording: (recording, 0))
    requests = 0
    with serving_rules("  - {reply: hello}\n") as url, pytest.raises(SecretLeak), make_tape("once"):
        for _ in range(2):
            requests += 1
            try:
                ask_with_header(url)
            except SecretLeak:
                continue
    assert requests == 2
    assert PLANTED not in everything(tmp_path)
    assert not (tmp_path / "cassettes" / "app" / "test.yaml").exists()


# Modes


def test_mode_all_replaces_the_cassette_only_after_success(
    make_tape: MakeTape, hello: str, cassette: Path
) -> None:
    before = cassette.read_bytes()
    with pytest.raises(RuntimeError), make_tape("all"):
        post(hello, create("Something else"))
        raise RuntimeError("the application broke")
    assert cassette.read_bytes() == before
    assert not journal_path(cassette).exists()
    with pytest.raises(AssertionError), make_tape("all"):
        post(hello, create("Something else"))
        raise AssertionError("what was said is wrong, and replay must show it")
    assert b"Something else" in cassette.read_bytes()
    assert b"Goodbye" not in cassette.read_bytes()


def test_new_episodes_adds_missing_recordings(
    make_tape: MakeTape, hello: str, cassette: Path
) -> None:
    with make_tape("new_episodes") as tape:
        post(hello, create("Hello"))
        post(hello, create("Goodbye"))
        post(hello, create("One more thing"))
    assert len(tape.conversations()) == 3
    assert [
        json.loads(one.request_body or "")["input"]
        for one in parse(cassette.read_text(), "c").recordings
    ] == [
        "Hello",
        "Goodbye",
        "One more thing",
    ]


def test_interrupted_recording_is_resumed(
    make_tape: MakeTape, guide_url: str, cassette: Path
) -> None:
    with pytest.raises(RuntimeError), make_tape("once"):
        first = post(guide_url, create(DOGS)).json()
        raise RuntimeError("the application broke")
    assert not cassette.exists()
    assert len(read_journal(journal_path(cassette)).entries) == 1
    with make_tape("once"):
        again = post(guide_url, create(DOGS)).json()
        assert again == first
        post(guide_url, create(PAWS, previous_interaction_id=again["id"]))
    assert len(parse(cassette.read_text(), "c").recordings) == 2


def test_ignored_hosts_are_not_recorded(
    make_tape: MakeTape, guide_url: str, cassette: Path
) -> None:
    for ignored in (["127.0.0.1"], ["loopback"]):
        with make_tape("once", ignore_hosts=ignored) as tape:
            assert post(guide_url, create("Hello")).status_code == 200
        assert tape.conversations() == []
        assert not cassette.exists()


@pytest.mark.parametrize("name", ["", "a/b/c", "a/", "../a", "a/.."])
def test_invalid_tape_name_is_rejected(name: str) -> None:
    with pytest.raises(UsageError, match="a name is 'name' or 'folder/name'"):
        evalkit.tape(name)


def test_tape_path_is_below_the_cassette_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert evalkit.tape("hello").path == tmp_path / "cassettes/tapes/hello.yaml"
    assert evalkit.tape("app/hello").path == tmp_path / "cassettes/app/hello.yaml"
    assert evalkit.tape("my/own/file.yaml").path == tmp_path / "my/own/file.yaml"
    assert evalkit.tape("app/hello", cassettes="taped").path == tmp_path / "taped/app/hello.yaml"
    assert repr(evalkit.tape("hello")) == "Tape('cassettes/tapes/hello.yaml', mode='none')"
    with pytest.raises(UsageError, match="unknown record mode 'onec'"):
        evalkit.tape("hello", mode="onec")  # type: ignore[arg-type]


def test_tape_supports_async_with(make_tape: MakeTape, guide_url: str) -> None:
    import asyncio

    async def application(tape: Tape) -> None:
        async with tape, httpx.AsyncClient() as client:
            await client.post(
                f"{guide_url}{API}", json=create("Hello"), headers={"x-goog-api-key": "any"}
            )

    for mode in ("once", "none"):
        tape = make_tape(mode)
        asyncio.run(application(tape))
        tape.expect(text="Hello")


KILLED = """
import sys, httpx, evalkit
with evalkit.tape("app/test", mode="once"):
    for number in range(1000):
        body = {"model": "gemini-3.5-flash", "input": f"Say {number}"}
        httpx.post(sys.argv[1] + "/v1beta/interactions", json=body, headers={"x-goog-api-key": "any"})
        print(number, flush=True)
"""


def test_finished_exchanges_survive_a_kill_while_recording(
    tmp_path: Path, guide_url: str, cassette: Path
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, guide_url],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    assert process.stdout is not None
    finished = 0
    for line in process.stdout:
        finished = int(line) + 1
        if finished == 5:
            process.send_signal(signal.SIGKILL)
            break
    process.stdout.close()
    process.wait()
    assert not cassette.exists()
    stored = [
        json.loads(entry.recording.request_body or "")["input"]
        for entry in read_journal(journal_path(cassette)).entries
    ]
    assert stored[:finished] == [f"Say {number}" for number in range(5)]


def test_request_without_a_response_is_warned_about(make_tape: MakeTape, guide_url: str) -> None:
    def application() -> None:
        for url in ("http://127.0.0.1:9", guide_url):  # nothing listens at the first
            try:
                post(url, create("Hello" if url == guide_url else "Is anybody there?"))
            except httpx.ConnectError:
                continue

    with (
        pytest.warns(UnansweredWarning, match=f"POST {API} got no response") as caught,
        make_tape("once"),
    ):
        application()
    assert len(caught) == 1
    # A retry that succeeds is an answer.
    with make_tape("once", "app/retried"):
        for url in ("http://127.0.0.1:9", guide_url):
            with contextlib.suppress(httpx.ConnectError):
                post(url, create("Hello"))


FORKED = """
import multiprocessing, sys, httpx, evalkit

def ask():
    body = {"model": "gemini-3.5-flash", "input": "Hello"}
    httpx.post(sys.argv[1] + "/v1beta/interactions", json=body, headers={"x-goog-api-key": "any"})

with evalkit.tape("app/test", mode="once"):
    with multiprocessing.get_context("fork").Pool(1) as pool:
        try:
            pool.apply(ask)
        except evalkit.errors.UsageError as error:
            print(error)
"""


def test_a_forked_process_cannot_record(tmp_path: Path, guide_url: str, cassette: Path) -> None:
    # Its copy of the tape ends with it, so what it received would be lost.
    done = subprocess.run(
        [sys.executable, "-c", FORKED, guide_url],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "POST /v1beta/interactions is sent by a forked process" in done.stdout
    assert not cassette.exists()
