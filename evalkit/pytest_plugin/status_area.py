"""Lines below the output of pytest, redrawn while pytest writes above them.

pytest leaves the cursor behind its last dot. The area begins in the next line: it is drawn from
there and the cursor returns, and everything below the cursor is erased before pytest writes again.
So nothing of it remains on the screen or in the scrollback, whatever happens to the window's size.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TextIO

_ERASE_BELOW = "\x1b[J"
_SECONDS_BEFORE = 0.5
_SECONDS_BETWEEN = 0.2
_NO_SIZE = os.terminal_size((80, 24))

RenderLines = Callable[[int], Sequence[str]]
"""Returns the lines of the area for a width."""


class StatusArea:
    """Shows lines from half a second after its start to its end.

    ``writer`` is pytest's writer. ``stream`` is the terminal: a stream of its own, because pytest
    redirects standard output while a test runs.
    """

    def __init__(self, writer: Any, stream: TextIO, render: RenderLines) -> None:
        self._writer = writer
        self._stream = stream
        self._render = render
        self._lock = threading.Lock()
        self._is_ended = threading.Event()
        self._thread = threading.Thread(target=self._refresh, name="evalkit-progress", daemon=True)
        self._text = ""
        self._is_shown = False

    def start(self) -> None:
        """Begin to draw below what the writer writes."""
        self._write_raw = self._writer.write_raw
        self._writer.write_raw = self._write_above
        self._thread.start()

    def end(self) -> None:
        """Erase the area and let pytest write as before."""
        self._is_ended.set()
        with self._lock:
            self._erase()
        del self._writer.write_raw
        self._thread.join()
        with suppress(OSError):
            self._stream.close()

    def _write_above(self, msg: str, *, flush: bool = False) -> None:
        with self._lock:
            width = self._writer.width_of_current_line
            if {"\n", "\r"} & set(msg) or width + len(msg) >= self._size().columns:
                self._erase()
            # At once, whatever pytest says: the area is drawn relative to the cursor.
            self._write_raw(msg, flush=True)
            if not self._is_shown:
                self._draw()

    def _refresh(self) -> None:
        wait = _SECONDS_BEFORE
        while not self._is_ended.wait(wait):
            wait = _SECONDS_BETWEEN
            columns, rows = self._size()
            lines = self._render(columns - 1)
            height = len(lines)
            # The first line breaks make room at the bottom; the cursor keeps its column.
            room = "\x1bD" * height + f"\x1b[{height}A"
            body = "".join(f"\r\n{line}" for line in lines)
            with self._lock:
                self._text = f"{room}\x1b7{body}\x1b8" if 0 < height < rows - 2 else ""
                self._erase()
                self._draw()

    def _draw(self) -> None:
        width = self._writer.width_of_current_line
        # Behind the last column, erasing would take the last character with it.
        is_full = width > 0 and width % self._size().columns == 0
        if self._text and not is_full and not self._is_ended.is_set() and self._is_foreground():
            self._is_shown = True
            self._send(self._text)

    def _erase(self) -> None:
        if self._is_shown and self._is_foreground():
            self._is_shown = False
            self._send(_ERASE_BELOW)

    def _send(self, text: str) -> None:
        # A terminal that is gone ends the session elsewhere.
        with suppress(OSError):
            self._stream.write(text)
            self._stream.flush()

    def _size(self) -> os.terminal_size:
        try:
            size = os.get_terminal_size(self._stream.fileno())
        except OSError:
            return _NO_SIZE
        return size if min(size) > 0 else _NO_SIZE

    def _is_foreground(self) -> bool:
        """Return whether the terminal is this process's, not that of a shell which suspended it."""
        if sys.platform == "win32":
            return True
        try:
            return os.tcgetpgrp(self._stream.fileno()) == os.getpgrp()
        except OSError:
            # Not the terminal that controls this process.
            return True
