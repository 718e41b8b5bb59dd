"""The journal of a run: ``results.jsonl``, one line appended as each variant ends. Everything else is made from it.

A line is handed to the operating system before the next variant starts, so a killed run keeps every result it had. A last line without its
newline is what a kill in the middle of a write leaves: readers drop it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from evalkit._lib.files import write_atomic
from evalkit.errors import UsageError

NAME = "results.jsonl"
_BUFFER = 256 << 10


class Journal:
    """Appends result lines to ``directory/results.jsonl``; starts the file anew, with the lines kept of a run that goes on.

    Raises UsageError where it cannot be written.
    """

    def __init__(self, directory: Path, kept: Iterable[str] = ()) -> None:
        self.path = directory / NAME
        try:
            directory.mkdir(parents=True, exist_ok=True)
            if lines := list(kept):
                # Whole or not at all: what is kept must not be lost between emptying the file and filling it.
                write_atomic(self.path, "".join(f"{line}\n" for line in lines))
            self._file = self.path.open("ab" if lines else "wb", buffering=0)
        except OSError as error:
            raise UsageError(
                f"cannot write results to {self.path}: {error.strerror or error}; choose another place with --evalkit-report"
            ) from error

    def append(self, line: str) -> None:
        """Append one result line (ASCII JSON, no newline). Raises UsageError when the disk is full."""
        data = line.encode("ascii") + b"\n"
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            raise UsageError(
                f"cannot write results to {self.path}: {error.strerror or error}"
            ) from error

    def close(self) -> None:
        """Make everything durable and close."""
        os.fsync(self._file.fileno())
        self._file.close()


def read_lines(path: Path) -> Iterator[str]:
    """Yield the whole lines of a journal, without newlines; a torn last line is left out. Raises UnicodeDecodeError where one is not ASCII."""
    with path.open(
        "rb", buffering=_BUFFER
    ) as file:  # lines of some KB, decoded one by one: half the time of a text file's
        for line in file:
            if line.endswith(b"\n"):
                yield line[:-1].decode("ascii")
