"""Guarantees of the recording proxy: the same cassettes as suites record, never mixed or lost."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from evalkit._lib.json import canonical
from evalkit.cassette.files import load_cassette
from evalkit.cassette.recording import Recording
from evalkit.conversation.reconstruct import request_of
from evalkit.conversation.side_requests import is_side_request
from evalkit.server import Script, create_app, serving
from evalkit.server.proxy.backend import open_proxy
from evalkit.server.replay.backend import CassetteBackend
from tests.environment import ONLY_EVALKIT
from tests.server.talking import (
    KEY,
    Talk,
    bodies,
    cassettes,
    check_history,
    run_all,
    run_talks,
    without_times,
)
from tests.transports import loopback

PATH = "/v1beta/interactions"


@contextmanager
def proxying(base_url: str, folder: Path) -> Iterator[str]:
    log: list[str] = []
    with serving(create_app(open_proxy(base_url, folder, log=log.append))) as url:
        yield url
    assert log == []


def test_two_chained_proxies_and_the_suites_record_the_same(url: str, tmp_path: Path) -> None:
    inner, outer, own = (tmp_path / name for name in ("inner", "outer", "own"))
    with proxying(url, inner) as middle, proxying(middle, outer) as front:
        run = subprocess.run(
            [
                *(
                    sys.executable,
                    "-m",
                    "pytest",
                    "suites",
                    "-q",
                    "-p",
                    "no:cacheprovider",
                    "--evalkit-record",
                    "all",
                ),
                *(
                    "--evalkit-base-url",
                    front,
                    "--evalkit-cassettes",
                    str(own),
                    "--evalkit-report",
                    str(tmp_path / "report"),
                ),
            ],
            cwd=Path(__file__).parents[2],
            env={**os.environ, **ONLY_EVALKIT, "GEMINI_API_KEY": KEY["x-goog-api-key"]},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        run_talks(front, *[Talk(["Good morning to you"])] * 2)
    of_outer = {name: without_times(recordings) for name, recordings in cassettes(outer).items()}
    of_inner = {name: without_times(recordings) for name, recordings in cassettes(inner).items()}
    of_suites = [without_times(recordings) for recordings in cassettes(own).values()]
    assert of_outer == of_inner
    assert len(of_suites) > 60, run.stdout
    greetings = [
        recordings for name, recordings in of_outer.items() if name.startswith("good-morning-")
    ]
    assert len(greetings) == 2
    # A judge's exchange is in the suite's cassette; for a proxy it is a separate conversation.
    whole = [
        [one for one in recordings if not _is_judge_recording(one)] for recordings in of_suites
    ]
    recorded = [
        recordings for recordings in of_outer.values() if not _is_judge_recording(recordings[0])
    ]
    assert Counter(map(repr, recorded)) == Counter(map(repr, [*whole, *greetings]))
    judge_exchanges = [
        repr(one) for recordings in of_suites for one in recordings if _is_judge_recording(one)
    ]
    assert len(judge_exchanges) > 2
    assert Counter(
        repr(one)
        for recordings in of_outer.values()
        for one in recordings
        if _is_judge_recording(one)
    ) == Counter(judge_exchanges)


def _is_judge_recording(recording: Recording) -> bool:
    return is_side_request(request_of(recording))


SCRIPT = """
script: short
rules:
- {when: {results: true}, reply: Warm.}
- {when: {text: {contains: weather}, tools: [get_weather]}, steps: [{call: get_weather}, {call: get_weather}]}
- {reply: Ok.}
"""


def test_parallel_conversations_do_not_mix(tmp_path: Path) -> None:
    talks = [
        Talk(
            [
                "Hello" if number % 2 else f"Hello, I am number {number}",
                "The weather?",
                f"Bye from {number}",
            ][: 2 + number % 2],
            stateless=number % 3 == 0,
            tools=number % 5 == 0,
        )
        for number in range(40)
    ]
    with (
        serving(create_app(Script.load(SCRIPT, "short.yaml"))) as url,
        proxying(url, tmp_path) as front,
    ):
        asyncio.run(run_all(front, talks))
    stored = cassettes(tmp_path)
    assert len(stored) == 40
    assert sorted(map(bodies, stored.values())) == sorted(
        [canonical(body) for body in talk.sent] for talk in talks
    )
    check_history(tmp_path)
    assert list(tmp_path.rglob("*.journal")) == []
    # Each replays its own conversation alone; those with a unique first message replay together, too.
    by_requests = {tuple(bodies(recordings)): name for name, recordings in stored.items()}
    for talk in talks[:6]:
        name = by_requests[tuple(canonical(body) for body in talk.sent)]
        replay(tmp_path / "conversations" / name, again(talk))
    for path in tmp_path.rglob("hello-[0-9a-f]*.yaml"):
        path.unlink()
    replay(tmp_path, *map(again, talks[::2]))


def again(talk: Talk) -> Talk:
    return Talk(talk.texts, talk.stateless, talk.streamed, talk.tools)


def replay(cassettes_: Path, *talks_: Talk) -> None:
    log: list[str] = []
    with serving(create_app(CassetteBackend(cassettes_, log=log.append))) as front:
        run_talks(front, *talks_)
    assert log == []


def test_the_number_of_open_files_is_bounded(url: str, tmp_path: Path) -> None:
    with proxying(url, tmp_path) as front:
        run_talks(front, *[Talk([f"Hello {number}"], streamed=False) for number in range(60)])
        open_journals = [
            link
            for link in Path("/proc/self/fd").iterdir()
            if link.exists() and link.readlink().suffix == ".journal"
        ]
        assert len(list(tmp_path.rglob("*.journal"))) == 60
        assert 0 < len(open_journals) <= 48
    assert len(cassettes(tmp_path)) == 60


@contextmanager
def command(folder: Path, upstream: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    code = "from evalkit.cli.serve import serve; serve()"
    with subprocess.Popen(
        [
            sys.executable,
            "-c",
            code,
            "--port",
            "0",
            "--upstream",
            upstream,
            "--record",
            str(folder),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                lines.append(line)
                if stored := re.match(
                    r"evalkit serves \S+ recorded into .* at (http://\S+)",
                    line.replace(", recorded", " recorded"),
                ):
                    yield process, stored[1]
                    break
            else:
                pytest.fail("".join(lines))
        finally:
            process.kill()


def test_after_a_kill_only_open_exchanges_are_lost_and_the_rest_is_recovered(
    tmp_path: Path,
) -> None:
    with loopback.serving() as upstream:
        gate = threading.Event()
        with command(tmp_path, upstream.base_url) as (process, front):
            for number in range(3):
                upstream.script.append(
                    loopback.reply(
                        {"id": f"v1_{number}", "steps": [], "status": "completed"}, server="theirs"
                    )
                )
                httpx.post(
                    front + PATH, json={"model": "m", "input": f"Hello {number}"}, headers=KEY
                )
            finished = [
                {
                    "event_type": "interaction.completed",
                    "interaction": {"id": "v1_x", "status": "completed"},
                }
            ]
            upstream.script.append(loopback.stream(*finished))
            httpx.post(
                front + PATH,
                json={
                    "model": "m",
                    "input": "Go on",
                    "previous_interaction_id": "v1_1",
                    "stream": True,
                },
                headers=KEY,
            )
            upstream.script.append(loopback.stream(*finished, gate=gate, gate_at=1))
            with httpx.stream(
                "POST",
                front + PATH,
                json={"model": "m", "input": "In flight", "stream": True},
                headers=KEY,
            ) as answer:
                next(answer.iter_bytes())
                process.send_signal(signal.SIGKILL)
                process.wait()
                gate.set()
    assert cassettes(tmp_path) == {}
    assert len(list(tmp_path.rglob("*.journal"))) == 3
    with command(tmp_path, "http://127.0.0.1:1") as (process, _):
        process.send_signal(signal.SIGTERM)
        process.wait()
    stored = cassettes(tmp_path)
    assert sorted(re.sub(r"-\w+\.yaml", "", name) for name in stored) == [
        "hello-0",
        "hello-1",
        "hello-2",
    ]
    assert [len(recordings) for _, recordings in sorted(stored.items())] == [1, 2, 1]
    assert list(tmp_path.rglob("*.journal")) == []
    for path in tmp_path.rglob("*.yaml"):
        cassette = load_cassette(path)
        assert cassette is not None
        assert (cassette.metadata["model"], cassette.metadata["server"].split()[-1]) == (
            "m",
            "theirs",
        )
        assert KEY["x-goog-api-key"] not in path.read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_proxy_writes_its_cassettes(
    tmp_path: Path, url: str, number: signal.Signals
) -> None:
    with command(tmp_path, url) as (process, front):
        run_talks(front, Talk(["Hello"]), Talk(["Hello", "More"]))
        process.send_signal(number)
        assert process.stdout is not None
        rest = process.stdout.read()
        assert process.wait() == (0 if number == signal.SIGINT else process.returncode)
    assert sorted(len(recordings) for recordings in cassettes(tmp_path).values()) == [1, 2]
    assert list(tmp_path.rglob("*.journal")) == []
    assert "conversation 2, request 2" in rest
    assert "Traceback" not in rest
