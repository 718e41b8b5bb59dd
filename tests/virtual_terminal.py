"""A terminal in memory: runs a command, interprets what it writes, keeps what scrolled away."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyte


class Screen(pyte.Screen):
    """A screen with a scrollback."""

    def __init__(self, columns: int, rows: int) -> None:
        super().__init__(columns, rows)
        self.scrollback: list[str] = []

    def index(self) -> None:
        """Store the first line before it scrolls away."""
        if self.cursor.y == self.lines - 1:
            self.scrollback.append(self.display[0].rstrip())
        super().index()


class VirtualTerminal:
    """A pseudo-terminal; ``tty`` is the descriptor that a program writes to."""

    def __init__(self, columns: int = 80, rows: int = 24, encoding: str = "utf-8") -> None:
        self.screen = Screen(columns, rows)
        self._stream = pyte.Stream(self.screen)
        self._encoding = encoding
        self._master, self.tty = pty.openpty()
        self.written = ""
        self.resize(columns, rows)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.resize(rows, columns)

    def run(
        self, command: Sequence[str], folder: Path, environment: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        """Start a command that this terminal controls."""

        def control() -> None:
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        process = subprocess.Popen(
            command,
            cwd=folder,
            env={"TERM": "xterm-256color", **environment},
            stdin=self.tty,
            stdout=self.tty,
            stderr=self.tty,
            preexec_fn=control,
        )
        os.close(self.tty)
        return process

    def press(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def read(self, seconds: float = 0.0) -> bool:
        """Interpret what was written; return False when no program can write any more."""
        while select.select([self._master], [], [], seconds)[0]:
            try:
                data = os.read(self._master, 65536)
            except OSError:
                return False
            text = data.decode(self._encoding, "replace")
            self.written += text
            self._stream.feed(text)
            seconds = 0.0
        return True

    def wait_for(self, condition: Callable[[str], Any], seconds: float = 60) -> str:
        """Return the screen as soon as it meets a condition."""
        end = time.monotonic() + seconds
        while self.read(0.05) and time.monotonic() < end:
            if condition(self.text):
                return self.text
        raise AssertionError(f"not on the screen:\n{self.text}")

    def wait_for_end(self, process: subprocess.Popen[bytes]) -> str:
        """Return everything that the terminal shows when a command has ended, scrollback first."""
        while self.read(0.05):
            pass
        process.wait()
        os.close(self._master)
        return "\n".join([*self.screen.scrollback, self.text])

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()
