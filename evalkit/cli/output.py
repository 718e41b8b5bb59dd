"""Output of the commands, safe in the logs of CI systems.

What the commands print quotes models and services. Only after rich and click have wrapped a text is
it known which words begin a line, so the commands of CI systems are escaped here, in the stream.
Invisible characters and escape sequences are made visible here, too, wherever a command forgot it;
only colors and styles that hide nothing pass.
"""

import io
import json
import os
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

import click

from evalkit._lib.text import escape_log_commands, visible
from evalkit.protocol.wire_facts import API_KEY_VARIABLES

# Colors and bold, dim, italic, underlined, reversed text; not concealed text, in which Jenkins has
# its console notes.
_COLOR = r"[34]8(?:(?:;5;|:5:)[0-9]{1,3}|;2(?:;[0-9]{1,3}){3}|:2(?::[0-9]{0,3}){3,4})"
_STYLE = re.compile(
    rf"(\x1b\[(?:(?:[0-57]|22|2[347-9]|[349][0-79]|10[0-7]|{_COLOR})(?:;(?=[0-9])|;?(?=m)))*m)"
)
WIDTH = 80
_LINE_END = re.compile(r"(\r?\n)")

_STRICT = ("strict", "surrogateescape")
"""Error handlers of a stream under which a character that it cannot encode is an exception."""


class SafeStream(io.TextIOBase):
    """A text stream in front of another one that makes invisible characters visible.

    It has no ``buffer``, past which click would write.
    """

    def __init__(self, stream: TextIO, clean: Callable[[str], str]) -> None:
        self._stream, self._clean = stream, clean

    @property
    def terminal(self) -> TextIO:
        """The stream behind, for what moves the cursor: nothing quoted may reach it."""
        return self._stream

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream behind."""
        return self._stream.encoding

    def fileno(self) -> int:
        """Return the descriptor of the stream behind."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """Return whether the stream behind is a terminal."""
        return self._stream.isatty()

    def write(self, text: str) -> int:
        """Write a text; return its length."""
        self._stream.write(_visible(self._clean(text)))
        return len(text)

    def flush(self) -> None:
        """Flush the stream behind."""
        # A stream that is collected is flushed, and the one behind may be closed by then.
        if not self._stream.closed:
            self._stream.flush()


class LogStream(SafeStream):
    """A stream to a log. Commands are escaped in each write; none may split a command."""

    def __init__(self, stream: TextIO, clean: Callable[[str], str]) -> None:
        super().__init__(stream, clean)
        self._is_line_start = True

    def write(self, text: str) -> int:
        """Write a text; return its length."""
        # A letter before the text keeps its first word from the beginning of a line.
        before = "" if self._is_line_start else "x"
        self._stream.write(escape_log_commands(before + _visible(self._clean(text)))[len(before) :])
        if text:
            self._is_line_start = text.endswith("\n")
        return len(text)


def _visible(text: str) -> str:
    parts = _STYLE.split(text)
    for at in range(0, len(parts), 2):
        lines = _LINE_END.split(parts[at])
        lines[::2] = map(visible, lines[::2])
        parts[at] = "".join(lines)
    return "".join(parts)


def wrapped(text: str, indent: str = "", *, hanging: str = "  ") -> list[str]:
    """Return the visible text as lines of at most 80 columns, unless a name is longer.

    ``hanging`` is by how much more the lines after the first are indented.
    """
    return textwrap.wrap(
        visible(text),
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


def echo_json(value: Any) -> None:
    """Print a value as indented JSON that no CI system reads as commands; its value is exact."""
    click.echo(json.dumps(value, indent=2).replace("##", r"#\u0023"))


@contextmanager
def safe_output() -> Iterator[None]:
    """Replace stdout and stderr while the block runs.

    The keys of the environment are never printed. Characters that the console cannot encode are
    shown by their codes.
    """
    original = sys.stdout, sys.stderr
    # Bytes, which click tries to write, must be an error.
    clean: Callable[[str], str] = "".__add__
    if keys := [key for name in API_KEY_VARIABLES if (key := os.environ.get(name))]:
        # Slow to import, and needed only where there is a key.
        from evalkit.cassette.redaction import Redactor

        clean = Redactor(keys).text
    sys.stdout, sys.stderr = (_safe_stream(stream, clean) for stream in original)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = original


def _safe_stream(stream: TextIO, clean: Callable[[str], str]) -> TextIO:
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    if stream.errors in _STRICT:
        stream.reconfigure(errors="backslashreplace")
    return cast("TextIO", (SafeStream if stream.isatty() else LogStream)(stream, clean))
