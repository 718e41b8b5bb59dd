"""A run directory: reading its manifest and results, and where a new one may be written.

Results are read one line at a time, so that a run of any size needs little memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from evalkit.errors import UsageError
from evalkit.results.journal import RESULTS, read_lines
from evalkit.results.records import ManifestRecord, ResultLine
from evalkit.results.result_line import parse_result

MANIFEST = "manifest.json"
DERIVED = ("index.html", "junit.xml", "summary.md", "ctrf.json", "badge.json")
"""Files made from the results, which are out of date as soon as the results change."""
SIGNOFFS = "signoffs"


class Run:
    """The results of one session; its directory is what is reported, compared and signed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        path = directory / MANIFEST
        try:
            self.manifest: ManifestRecord = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UsageError(f"{directory} is not a run directory: it has no {MANIFEST}") from None
        except (OSError, ValueError, RecursionError) as error:
            raise UsageError(f"{path} cannot be read: {error}") from error

    def lines(self) -> Iterator[str]:
        """Yield each result as its raw JSON line.

        Raises UsageError if there are no results, or a line is not ASCII, as every line is written.
        """
        path = self.directory / RESULTS
        if not path.exists():
            raise UsageError(f"{self.directory} has no {RESULTS}")
        return _ascii_lines(path)

    def results(self) -> Iterator[ResultLine]:
        """Yield each result parsed. Raises UsageError naming the line that is not valid."""
        for number, line in enumerate(self.lines(), 1):
            try:
                yield parse_result(line)
            except ValueError as error:
                raise UsageError(
                    f"{self.directory / RESULTS}:{number} is not JSON: {error}"
                ) from error

    def is_longer_than(self, count: int) -> bool:
        """Whether there are more results than ``count``; reads no more of them than needed."""
        try:
            lines = read_lines(self.directory / RESULTS)
            return sum(1 for _ in islice(lines, count + 1)) > count
        except (FileNotFoundError, UnicodeDecodeError):  # reported when the results are read
            return False


def _ascii_lines(path: Path) -> Iterator[str]:
    try:
        yield from read_lines(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise UsageError(
            f"{path} was not written by evalkit: it contains byte 0x{byte:02X} (results are ASCII)"
        ) from error


def check_output(directory: Path, option: str) -> None:
    """Raise UsageError if a run must not be written to a directory; ``option`` names another."""
    if directory.exists() and not directory.is_dir():
        raise UsageError(f"{directory} is a file; name a directory with {option}")
    if directory.is_dir() and any(directory.iterdir()) and not (directory / MANIFEST).exists():
        raise UsageError(
            f"{directory} contains files and is not a run directory; name another one with {option}"
        )
    if any((directory / SIGNOFFS).glob("*")):
        raise UsageError(
            f"{directory} is signed off, and a new run would void its records; "
            f"name another one with {option}"
        )
