"""--evalkit-record: what each mode reads, writes and refuses, end to end against a real server."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.plugin.project import WEATHER, Project

MISS = WEATHER.replace("in London?", "in Oslo?").replace("location: London}}]", "location: Oslo}}]")


def bytes_of(project: Project) -> dict[str, bytes]:
    return {name: (project.root / "cassettes" / name).read_bytes() for name in project.cassettes()}


def test_mode_none_without_cassettes_is_an_error_that_suggests_a_fix(project: Project) -> None:
    result = project.run("suites", "-k", "hello and stateful")
    result.assert_outcomes(errors=1, deselected=3)
    result.stdout.fnmatch_lines(["*cassettes/weather/hello.stateful.yaml*", "*--evalkit-record*"])
    assert project.cassettes() == []


def test_mode_once_records_missing_cassettes_and_then_replays(project: Project) -> None:
    project.record("-k", "hello").assert_outcomes(passed=2, deselected=2)
    before = bytes_of(project)
    assert sorted(before) == ["weather/hello.stateful.yaml", "weather/hello.stateless.yaml"]
    project.record().assert_outcomes(passed=4)
    after = bytes_of(project)
    assert {name: after[name] for name in before} == before
    assert len(after) == 4
    assert {result["metrics"]["source"] for result in project.results().values()} == {
        "recorded",
        "replayed",
    }


def test_mode_once_does_not_change_an_existing_cassette(recorded: Project) -> None:
    before = bytes_of(recorded)
    recorded.suite("weather", MISS)
    recorded.record("-k", "london").assert_outcomes(errors=2, deselected=2)
    assert bytes_of(recorded) == before


def test_mode_new_episodes_extends_an_existing_cassette(recorded: Project) -> None:
    recorded.suite("weather", MISS)
    recorded.record("-k", "london", mode="new_episodes").assert_outcomes(passed=2, deselected=2)
    recorded.run("suites", "-k", "london").assert_outcomes(passed=2, deselected=2)
    recorded.suite("weather", WEATHER)
    recorded.run("suites", "-k", "london").assert_outcomes(passed=2, deselected=2)


def test_mode_all_replaces_the_cassettes(recorded: Project) -> None:
    recorded.suite("weather", MISS)
    recorded.record("-k", "london", mode="all").assert_outcomes(passed=2, deselected=2)
    recorded.suite("weather", WEATHER)
    recorded.run("suites", "-k", "london").assert_outcomes(errors=2, deselected=2)


def test_failed_re_recording_preserves_the_old_cassette(recorded: Project) -> None:
    before = bytes_of(recorded)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        result = recorded.run(
            "suites",
            "-k",
            "hello and stateful",
            "--evalkit-record",
            "all",
            "--evalkit-base-url",
            url,
        )
    result.assert_outcomes(errors=1, deselected=3)
    assert bytes_of(recorded) == before


def test_an_unreadable_cassette_is_never_overwritten(recorded: Project) -> None:
    path = recorded.root / "cassettes" / "weather" / "hello.stateful.yaml"
    path.write_text(path.read_text()[:400] + "\n  ]broken")
    torn = path.read_bytes()
    for mode in ("none", "once", "new_episodes", "all"):
        result = recorded.record("-k", "hello and stateful", mode=mode)
        result.assert_outcomes(errors=1, deselected=3)
        result.stdout.re_match_lines([r".*cassettes/weather/hello\.stateful\.yaml:\d+.*"])
        assert path.read_bytes() == torn


def test_recording_from_the_public_endpoint_needs_a_key(project: Project) -> None:
    result = project.run("suites", "--evalkit-record", "once")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    lines = [
        line
        for line in (result.stderr.str() + result.stdout.str()).splitlines()
        if "API key" in line
    ]
    assert len(lines) == 1
    assert "GEMINI_API_KEY" in lines[0]
    assert "--evalkit-base-url" in lines[0]
    assert project.cassettes() == []


def test_mode_once_needs_no_key_when_everything_is_recorded(recorded: Project) -> None:
    recorded.run("suites", "--evalkit-record", "once").assert_outcomes(passed=4)


def test_an_unknown_mode_is_refused(project: Project) -> None:
    result = project.run("suites", "--evalkit-record", "sometimes")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*invalid choice: 'sometimes'*"])


def test_no_key_is_written_anywhere(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "AIza-sentinel-key-0123456789"
    monkeypatch.setenv("GEMINI_API_KEY", key)
    project.suite("weather", WEATHER.replace("in a few words", f"in a few words, {key}"))
    result = project.record()
    assert key not in result.stdout.str()
    files = [
        path for path in project.root.rglob("*") if path.is_file() and "suites" not in path.parts
    ]
    assert len(files) > 6
    assert [path for path in files if key.encode() in path.read_bytes()] == []
    assert any(b"REDACTED" in path.read_bytes() for path in files)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="SIGKILL")
def test_a_killed_recording_resumes(project: Project) -> None:
    """Kill pytest during the second turn: the next run records only what is missing."""
    project.suite(
        "long",
        "suite: long\nscenarios:\n  - id: two\n    model: gemini-3.5-flash\n    history: stateless\n    turns:\n"
        "      - user: I have 2 dogs in my house.\n      - user: How many paws are in my house?\n        expect: [{text: '8'}]\n",
    )
    (project.root / "conftest.py").write_text(
        "import os, signal\n"
        "from evalkit.transports.live import LiveTransport\n"
        "send = LiveTransport.send\n"
        "sent = []\n"
        "def dying(self, *args, **kwargs):\n"
        "    sent.append(1)\n"
        "    if len(sent) == 2:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return send(self, *args, **kwargs)\n"
        "LiveTransport.send = dying\n"
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "suites/long.yaml",
        "--evalkit-record",
        "once",
        "--evalkit-base-url",
        project.url,
    ]
    killed = subprocess.run(command, cwd=project.root, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    journal = Path(project.root / "cassettes" / "long" / "two.yaml.journal")
    assert "I have 2 dogs" in journal.read_text()
    (project.root / "conftest.py").unlink()
    killed_run = project.run("suites/long.yaml")
    killed_run.assert_outcomes(errors=1)
    project.run(*command[3:]).assert_outcomes(passed=1)
    assert not journal.exists()
    (result,) = project.results().values()
    assert result["metrics"]["source"] == "mixed"
    project.run("suites/long.yaml").assert_outcomes(passed=1)
