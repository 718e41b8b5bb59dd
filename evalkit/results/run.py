"""A run directory, read: the manifest and the results, one line at a time, so that a run of any size can be read in little memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from evalkit.errors import UsageError
from evalkit.results.journal import NAME, read_lines


class Run:
    """The results of one session over suites. ``directory`` is the unit that is reported, compared and signed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        path = directory / "manifest.json"
        try:
            self.manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UsageError(
                f"{directory} is not a run directory: it has no manifest.json"
            ) from None
        except (OSError, ValueError) as error:
            raise UsageError(f"{path} cannot be read: {error}") from error

    def lines(self) -> Iterator[str]:
        """Yield each result as its raw JSON line. Raises UsageError: there are none, or a line is not ASCII, as every line is written."""
        path = self.directory / NAME
        if not path.exists():
            raise UsageError(f"{self.directory} has no {NAME}")
        return _ascii(path)

    def longer_than(self, count: int) -> bool:
        """Say whether there are more results than that; no more of them is read than tells it."""
        try:
            return sum(1 for _ in islice(read_lines(self.directory / NAME), count + 1)) > count
        except (FileNotFoundError, UnicodeDecodeError):  # whoever reads the results tells
            return False

    def results(self) -> Iterator[dict[str, Any]]:
        """Yield each result parsed. Raises UsageError naming the line that is not JSON."""
        for number, line in enumerate(self.lines(), 1):
            try:
                yield json.loads(line)
            except ValueError as error:
                raise UsageError(
                    f"{self.directory / NAME}:{number} is not JSON: {error}"
                ) from error


def _ascii(path: Path) -> Iterator[str]:
    try:
        yield from read_lines(path)
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path} is not as evalkit wrote it: it holds byte 0x{error.object[error.start]:02X}, and results are ASCII"
        ) from error
