"""Progress of commands that take longer than a second: on a terminal, erased at the end."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from evalkit._lib.progress import observer, tracked
from evalkit.cli.main import main
from evalkit.cli.output import SafeStream, safe_output
from evalkit.cli.progress import shown_progress

if sys.platform == "win32":
    pytest.skip("pseudo-terminals", allow_module_level=True)

from tests.virtual_terminal import VirtualTerminal


@pytest.fixture(params=["utf-8", "cp1252"])
def terminal(request: pytest.FixtureRequest) -> Iterator[tuple[VirtualTerminal, TextIO]]:
    terminal = VirtualTerminal(80, 8)
    with os.fdopen(terminal.tty, "w", encoding=request.param, newline="") as stream:
        yield terminal, stream


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evalkit.cli.progress._SECONDS_BEFORE", 0.0)
    monkeypatch.setattr("evalkit.cli.progress._SECONDS_BETWEEN", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("CI", raising=False)


def test_a_loop_is_shown_and_erased(terminal: tuple[VirtualTerminal, TextIO]) -> None:
    virtual, stream = terminal
    stream.write("before\n")
    stream.flush()
    with shown_progress(SafeStream(stream, str)):
        for number in tracked(range(8), "reading \x1b[31m[red]files", 8):
            # Within it, another loop is not shown.
            assert list(tracked("abc", "inside", 3)) == ["a", "b", "c"]
            if number == 4:
                screen = virtual.wait_for(lambda text: "50%" in text)
                assert "reading <U+001B>[31m[red]files " in screen
                assert "inside" not in screen
    virtual.read(0.1)
    assert virtual.text == "before"
    assert observer.get() is None
    assert tracked("abc", "not shown", 3) == "abc"


def test_sizes_and_what_ends_a_loop(terminal: tuple[VirtualTerminal, TextIO]) -> None:
    virtual, stream = terminal

    def interrupted() -> None:
        with shown_progress(SafeStream(stream, str)):
            for line in tracked(["ab", "cdef", "gh"], "reading", 8, len):
                if line == "gh":
                    virtual.wait_for(lambda text: " 75%" in text)
                    raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    virtual.read(0.1)
    assert virtual.text == ""


@pytest.mark.parametrize("is_terminal", [True, False])
def test_commands_show_it_on_a_terminal_only(
    terminal: tuple[VirtualTerminal, TextIO],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    is_terminal: bool,
) -> None:
    virtual, stream = terminal
    for number in range(3):
        (tmp_path / f"{number}.yaml").write_text("interactions: []\nversion: 1\n")
    if not is_terminal:
        monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(sys, "stderr", stream)
    with pytest.raises(SystemExit), safe_output():
        main(["lint", str(tmp_path)])
    virtual.read(0.1)
    assert ("reading cassettes" in virtual.written) is is_terminal
    assert virtual.text == ""
    assert "3 cassettes, 0 exchanges" in capsys.readouterr().out


def test_a_stream_can_be_collected_after_the_one_behind_is_closed() -> None:
    behind = io.TextIOWrapper(io.BytesIO())
    stream = SafeStream(behind, str)
    behind.close()
    stream.close()
    assert stream.closed
