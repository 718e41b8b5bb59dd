"""The progress of a session that records, on the screen of a terminal."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from evalkit._lib.terminal import can_redraw
from evalkit.pytest_plugin.progress import open_area
from evalkit.pytest_plugin.progress_text import ProgressText, duration
from evalkit.pytest_plugin.status_area import StatusArea
from evalkit.server import create_app, load_script, serving
from evalkit.server.calls import Call, Reply
from evalkit.server.script_backend import ScriptBackend
from evalkit.session.ledger import Ledger
from tests.plugin.project import Project

if sys.platform == "win32":
    pytest.skip("pseudo-terminals", allow_module_level=True)

from tests.virtual_terminal import VirtualTerminal

SCENARIOS = "".join(
    f"  - {{id: s{number}, turns: [{{user: Hello {number}}}]}}\n" for number in range(12)
).replace("user: Hello 2}", "user: Hello 2, expect: [{text: {contains: nothing of the kind}}]}")
SUITE = f"suite: many\ndefaults: {{model: gemini-3.5-flash}}\nscenarios:\n{SCENARIOS}"


class Gate(ScriptBackend):
    """A back end that answers the first so many scenarios, and the others later."""

    def __init__(self) -> None:
        super().__init__(load_script())
        self.answers = 0

    async def handle(self, call: Call) -> Reply:
        """Wait until this scenario may be answered."""
        number = re.search(rb"Hello (\d+)", call.body)
        while number is not None and int(number[1]) >= self.answers:
            await asyncio.sleep(0.01)
        return await super().handle(call)


class Session:
    """pytest in a virtual terminal, and the back end that it records from."""

    def __init__(self, project: Project, url: str, backend: Gate) -> None:
        self._project, self._url, self.backend = project, url, backend

    def start(self, terminal: VirtualTerminal, *arguments: str, **environment: str) -> None:
        command = [sys.executable, "-m", "pytest", "suites", "--evalkit-record", "once"]
        command += ["--evalkit-base-url", self._url, *arguments]
        variables = {"PATH": os.environ["PATH"], "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        variables |= {"PYTEST_PLUGINS": "evalkit.pytest_plugin", "PYTHONUTF8": "1", **environment}
        self.process = terminal.run(command, self._project.root, variables)


@pytest.fixture
def session(project: Project) -> Iterator[Session]:
    (project.root / "suites/weather.yaml").unlink()
    project.suite("many", SUITE)
    backend = Gate()
    with serving(create_app(backend)) as url:
        try:
            yield Session(project, url, backend)
        finally:
            backend.answers = 99


def test_a_recording_is_shown_and_leaves_nothing_behind(session: Session) -> None:
    terminal = VirtualTerminal(rows=16)
    session.start(terminal, "--evalkit-concurrency", "4")
    screen = terminal.wait_for(lambda text: "4 running" in text)
    assert "\nsuites/many.yaml\nrecording ━" in screen
    assert screen.endswith("0 of 12\n4 running, 0 tokens")
    session.backend.answers = 3
    screen = terminal.wait_for(lambda text: "3 of 12" in text and "..F" in text)
    first, *lines = screen.partition("suites/many.yaml ")[2].splitlines()
    assert first == "..F"
    assert lines[0].startswith("recording ━")
    assert lines[1].startswith("4 running, 1 failed, ")
    assert lines[1].endswith(" tokens")
    terminal.resize(40, 16)
    session.backend.answers = 5
    screen = terminal.wait_for(lambda text: "5 of 12" in text)
    assert max(map(len, screen.splitlines()[-2:])) <= 39
    session.backend.answers = 99
    screen = terminal.wait_for_end(session.process)
    assert session.process.returncode == pytest.ExitCode.TESTS_FAILED
    assert "running" not in screen
    assert "of 12" not in screen
    assert "many.yaml ..F........." in screen
    assert "1 failed, 11 passed in" in screen


def test_the_controller_shows_what_all_workers_do(session: Session) -> None:
    terminal = VirtualTerminal()
    session.start(terminal, "-p", "xdist", "-n", "2", NO_COLOR="1", TERM="xterm")
    terminal.wait_for(lambda text: "2 running" in text and "0 of 12" in text)
    session.backend.answers = 4
    terminal.wait_for(lambda text: "4 of 12" in text)
    session.backend.answers = 99
    screen = terminal.wait_for_end(session.process)
    assert "1 failed, 11 passed in" in screen
    assert "running" not in screen
    assert "cassettes: 12 written, 0 replaced, 0 untouched; 12 requests, " in screen
    assert "\x1b[3" not in terminal.written
    assert "\x1b[0m" not in terminal.written


def test_conversations_of_each_worker_are_planned(session: Session) -> None:
    terminal = VirtualTerminal()
    session.start(terminal, "-p", "xdist", "--dist", "each", "--tx", "2*popen")
    terminal.wait_for(lambda text: " of 24\n" in text)
    session.backend.answers = 99
    terminal.wait_for_end(session.process)


def test_an_interrupted_session_says_what_it_waits_for(session: Session) -> None:
    terminal = VirtualTerminal()
    session.start(terminal, "--evalkit-concurrency", "4", "-v")
    terminal.wait_for(lambda text: "4 running" in text)
    terminal.press(b"\x03")
    screen = terminal.wait_for(lambda text: "\nstopping ━" in text)
    assert screen.endswith("4 running, 0 tokens")
    session.backend.answers = 99
    screen = terminal.wait_for_end(session.process)
    assert "running" not in screen
    assert "stopping" not in screen
    assert "stopped: interrupted\nwhat is complete is recorded; the same command co" in screen


@pytest.fixture
def terminal() -> Iterator[tuple[VirtualTerminal, TextIO]]:
    terminal = VirtualTerminal(40, 6)
    with os.fdopen(terminal.tty, "w", encoding="cp1252", newline="") as stream:
        yield terminal, stream


@pytest.mark.parametrize("variable", ["CI", "BUILD_NUMBER"])
def test_logs_and_simple_terminals_are_not_drawn_on(
    terminal: tuple[VirtualTerminal, TextIO], monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    for name in ("CI", "BUILD_NUMBER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert can_redraw(terminal[1])
    with Path(os.devnull).open("w") as log:
        assert not can_redraw(log)
    monkeypatch.setenv("TERM", "dumb")
    assert not can_redraw(terminal[1])
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(variable, "true")
    assert not can_redraw(terminal[1])


@pytest.mark.parametrize(
    ("arguments", "is_shown"),
    [
        ([], True),
        (["-q"], True),
        (["-vv"], True),
        (["--capture=sys"], True),
        (["-qq"], False),
        (["-s"], False),
        (["--capture=no"], False),
        (["--co"], False),
        (["-p", "no:terminal"], False),
    ],
)
def test_options_that_leave_the_terminal_to_others(
    pytester: pytest.Pytester,
    terminal: tuple[VirtualTerminal, TextIO],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    is_shown: bool,
) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", terminal[1])
    config = pytester.parseconfigure(*arguments)
    area = open_area(config, Ledger(), lambda: "live")
    assert (area is not None) is is_shown
    if area is not None:
        area.start()
        area.end()


def test_an_area_stays_below_what_is_written(
    terminal: tuple[VirtualTerminal, TextIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evalkit.pytest_plugin.status_area._SECONDS_BEFORE", 0.01)
    monkeypatch.setattr("evalkit.pytest_plugin.status_area._SECONDS_BETWEEN", 0.01)
    virtual, stream = terminal
    writer = pytest.TerminalReporter(_config(), stream)._tw
    area_stream = os.fdopen(os.dup(virtual.tty), "w", encoding="cp1252", newline="")
    lines = ["a status", "of two lines"]
    area = StatusArea(writer, area_stream, lambda width: [line[:width] for line in lines])
    area.start()
    for number in range(9):
        writer.write(f"{number}" if number % 3 else f"\n{number}")
    virtual.wait_for(lambda text: text.endswith("678\na status\nof two lines"))
    # Behind the last column there is no room for the cursor to return to.
    writer.write("\n" + "x" * 40)
    virtual.wait_for(lambda text: text.endswith("x" * 40))
    writer.line("\nend")
    virtual.wait_for(lambda text: text.endswith("end\n\na status\nof two lines"))
    # It leaves most of a low window to what is written.
    lines += ["more"] * 3
    virtual.wait_for(lambda text: "status" not in text)
    lines.clear()
    area.end()
    writer.line("after")
    virtual.read(0.1)
    assert virtual.text.endswith("end\nafter")
    assert [line for line in virtual.screen.scrollback if "status" in line] == []


def _config() -> pytest.Config:
    from _pytest.config import get_config

    config = get_config()
    config.parse([])
    return config


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        (
            79,
            [
                "live ------",
                "5 running, 2 failed, 1 errored, 3 retries, 51,204 tokens, cost 0.0212",
            ],
        ),
        (
            39,
            [
                "live ------",
                "5 running, 2 failed, 1 errored, 3",
                "retries, 51,204 tokens, cost 0.0212",
            ],
        ),
        (10, ["l", "5 running"]),
    ],
)
def test_text_fits_the_terminal_and_its_encoding(
    terminal: tuple[VirtualTerminal, TextIO], width: int, lines: list[str]
) -> None:
    ledger = Ledger()
    text = ProgressText(ledger, lambda: "live", terminal[1])
    assert text(width) == []
    ledger.count(planned=300, started=137, ended=132, failed=2, errored=1, retries=3)
    ledger.count(tokens=51_204, cost=0.0212)
    terminal[1].reconfigure(errors="strict")  # type: ignore[attr-defined]
    shown = text(width)
    plain = [_without_styles(line).rstrip() for line in shown]
    assert "".join(plain).encode("cp1252")
    assert max(map(len, plain)) <= width
    for line, expected in zip(plain, lines, strict=False):
        assert line.startswith(expected)
    if width > 20:
        assert plain[0].endswith(" 132 of 300")
    ledger.count(started=163, ended=168)
    assert text(width) == []


def _without_styles(line: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", line)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0:00"), (41, "0:41"), (61, "1:01"), (3661, "1:01:01")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
