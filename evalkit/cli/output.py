"""Output of the commands, safe in the logs of CI systems.

What the commands print quotes models and services. Only after rich and click have wrapped a text is
it known which words begin a line, so the commands of CI systems are escaped here, in the stream.
"""

import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

import click

from evalkit._lib.text import escape_log_commands

_STRICT = ("strict", "surrogateescape")
"""Error handlers of a stream under which a character that it cannot encode is an exception."""


class LogStream(io.TextIOBase):
    """A text stream in front of another one. Each write is escaped; none may split a command.

    It has no ``buffer``, past which click would write.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_line_start = True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream behind."""
        return self._stream.encoding

    def fileno(self) -> int:
        """Return the descriptor of the stream behind."""
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Write a text; return its length."""
        # A letter before the text keeps its first word from the beginning of a line.
        before = "" if self._is_line_start else "x"
        self._stream.write(escape_log_commands(before + text)[len(before) :])
        if text:
            self._is_line_start = text.endswith("\n")
        return len(text)

    def flush(self) -> None:
        """Flush the stream behind."""
        self._stream.flush()


def echo_json(value: Any) -> None:
    """Print a value as indented JSON that no CI system reads as commands; its value is exact."""
    click.echo(json.dumps(value, indent=2).replace("##", r"#\u0023"))


@contextmanager
def safe_output() -> Iterator[None]:
    """Replace stdout and stderr while the block runs, unless they are a terminal.

    Characters that the console cannot encode are shown by their codes.
    """
    original = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(_safe_stream, original)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = original


def _safe_stream(stream: TextIO) -> TextIO:
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    if stream.errors in _STRICT:
        stream.reconfigure(errors="backslashreplace")
    return stream if stream.isatty() else cast("TextIO", LogStream(stream))
