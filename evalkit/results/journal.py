"""The journal of a run: ``results.jsonl``, one line appended as each variant ends.

A line is written to the operating system before the next variant starts, so a killed run keeps
every result. A last line without its newline is what a kill in the middle of a write leaves;
readers drop it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from evalkit._lib.files import write_atomic
from evalkit.errors import UsageError

RESULTS = "results.jsonl"
_BUFFER = 256 << 10


class Journal:
    """Appends result lines to ``results.jsonl`` of a run directory.

    The file starts empty, or with the ``stored`` lines of a run that is resumed. Raises UsageError
    where it cannot be written.
    """

    def __init__(self, directory: Path, stored: Iterable[str] = ()) -> None:
        self.path = directory / RESULTS
        try:
            directory.mkdir(parents=True, exist_ok=True)
            lines = "".join(f"{line}\n" for line in stored)
            if lines:
                # Atomically: stored lines must not be lost between emptying the file and filling
                # it.
                write_atomic(self.path, lines)
            self._file = self.path.open("ab" if lines else "wb", buffering=0)
        except OSError as error:
            raise UsageError(
                f"{self.path}: results cannot be written: {error.strerror or error}; "
                "choose another directory with --evalkit-report"
            ) from error

    def append(self, line: str) -> None:
        """Append one result line without a newline. Raises UsageError when the disk is full."""
        data = line.encode("ascii") + b"\n"
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            raise UsageError(
                f"{self.path}: results cannot be written: {error.strerror or error}"
            ) from error

    def close(self) -> None:
        """Flush the file to the disk and close it."""
        os.fsync(self._file.fileno())
        self._file.close()


def read_lines(path: Path) -> Iterator[str]:
    """Yield the complete lines of a journal without newlines. Raises UnicodeDecodeError."""
    # Decoding line by line takes half the time of a text file with lines of several KB.
    with path.open("rb", buffering=_BUFFER) as file:
        for line in file:
            if line.endswith(b"\n"):
                yield line[:-1].decode("ascii")
