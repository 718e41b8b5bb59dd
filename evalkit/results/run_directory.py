"""A run directory: its journal of results, its manifest, and the project that it belongs to.

``results.jsonl`` is a journal: a line is written to the operating system before the next variant
starts, so a killed run keeps every result. A last line without its newline is what a kill in the
middle of a write leaves; readers drop it. Results are read one line at a time, so that a run of any
size needs little memory.
"""

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import IO, Any

from evalkit._lib.files import (
    FILE_ERRORS,
    check_folder,
    display_path,
    file_errors,
    nearest_entry,
    read_file,
    reason_of,
    try_lock,
    write_atomic,
)
from evalkit._lib.json import JSON
from evalkit._lib.progress import tracked
from evalkit._lib.text import show
from evalkit.errors import UsageError
from evalkit.results.manifest_shape import manifest_damage
from evalkit.results.records import ManifestRecord, ResultLine, judged_by
from evalkit.results.result_line import SCHEMA_VERSION, parse_result

MANIFEST = "manifest.json"
RESULTS = "results.jsonl"
DERIVED = ("index.html", "junit.xml", "summary.md", "ctrf.json", "badge.json")
"""Files made from the results, which are out of date as soon as the results change."""
SIGNOFFS = "signoffs"
_BUFFER = 256 << 10
_FIRST_KEY = b'{"schema_version"'
_VERSION = re.compile(r'\{"schema_version": ?([^,}]{1,40})')


def read_extra_file(path: Path, command: str, is_valid: Callable[[Any], bool]) -> Any:
    """Return the JSON of a file that a command adds to a run, None if it does not exist.

    Raises UsageError for one that cannot be read or is not valid. ``is_valid`` may raise for it.
    """
    try:
        value = json.loads(read_file(path))
        ok = is_valid(value)
    except FileNotFoundError:
        return None
    except FILE_ERRORS as error:
        raise UsageError(f"{display_path(path)} cannot be read: {reason_of(error)}") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        ok = False
    if not ok:
        raise UsageError(f"{display_path(path)} is not what {command} writes; run it again")
    return value


class Journal:
    """Appends result lines to ``results.jsonl`` of a run directory.

    The file starts empty, or with the ``stored`` lines of a run that is resumed. Raises UsageError
    where it cannot be written.
    """

    def __init__(self, directory: Path, stored: Iterable[str] = ()) -> None:
        self.path = directory / RESULTS
        advice = "; choose another directory with --evalkit-report"
        with file_errors(self.path, "results cannot be written", advice):
            # Atomically: stored lines must not be lost between emptying the file and filling it.
            write_atomic(self.path, "".join(f"{line}\n" for line in stored))
            self._file = self.path.open("ab", buffering=0)
        # Held while results are appended; a second session finds it in ``check_output``.
        _lock(self._file)

    def append(self, line: str) -> None:
        """Append one result line without a newline. Raises UsageError when the disk is full."""
        data = line.encode("ascii") + b"\n"
        with file_errors(self.path, "results cannot be written"):
            while data:
                data = data[self._file.write(data) :]

    def close(self) -> None:
        """Flush the file to the disk and close it."""
        os.fsync(self._file.fileno())
        self._file.close()


class Run:
    """The results of one session; its directory is what is reported, compared and signed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        # Opening a pipe that nobody writes to would wait for ever.
        for file in directory.glob("*"):
            if file.exists() and not (file.is_file() or file.is_dir()):
                raise UsageError(f"{file} is not a regular file; delete it, or read another run")
        path = directory / MANIFEST
        try:
            self.manifest: ManifestRecord = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            what = f"has no {MANIFEST}" if directory.is_dir() else "is a file"
            if not directory.exists():
                what = f"does not exist{nearest_entry(directory)}"
            raise UsageError(f"{directory} is not a run directory: it {what}") from None
        except (OSError, ValueError, RecursionError) as error:
            reason = reason_of(error) if isinstance(error, OSError) else error
            raise UsageError(f"{path} cannot be read: {reason}") from error
        if wrong := manifest_damage(self.manifest):
            raise UsageError(
                f"{path} is not a manifest ({wrong}); restore it, or run the suites again"
            )
        version = self.manifest.get("schema_version", SCHEMA_VERSION)
        if version != SCHEMA_VERSION:
            raise _other_version(str(path), show(version))

    def lines(self) -> Iterator[str]:
        """Yield each result as its raw JSON line.

        Raises UsageError if there are no results, a line is of another version, or is not ASCII, as
        every line is written.
        """
        path = self.directory / RESULTS
        if not path.exists():
            raise UsageError(f"{self.directory} has no {RESULTS}")
        for number, line in enumerate(read_lines(path), 1):
            # The first member, so that a line need not be parsed.
            version = _VERSION.match(line)
            if version is not None and version[1] != str(SCHEMA_VERSION):
                raise _other_version(f"{path}:{number}", version[1])
            yield line

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
        except UsageError:  # Reported when the results are read.
            return False


def _other_version(place: str, version: str) -> UsageError:
    return UsageError(
        f"{place}: schema_version is {version} (expected {SCHEMA_VERSION}); read the run with the "
        "version of evalkit that wrote it"
    )


def read_lines(path: Path) -> Iterator[str]:
    """Yield the complete lines of a journal without newlines. Raises UsageError."""
    # Decoding line by line takes half the time of a text file with lines of several KB.
    with file_errors(path, "cannot be read"), path.open("rb", buffering=_BUFFER) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            for line in tracked(file, f"reading {display_path(path.parent)}", size, len):
                if line.endswith(b"\n"):
                    # Git on Windows may have converted the line ends.
                    yield line.rstrip(b"\r\n").decode("ascii")
        except UnicodeDecodeError as error:
            byte = error.object[error.start]
            raise UsageError(
                f"{path} was not written by evalkit: it contains byte 0x{byte:02X} "
                "(results are ASCII)"
            ) from error


def _lock(file: IO[bytes]) -> bool:
    # Windows locks bytes, and nobody reads those beyond the end.
    os.lseek(file.fileno(), 1 << 30, os.SEEK_SET)
    return try_lock(file.fileno())


def check_output(directory: Path, option: str) -> None:
    """Raise UsageError if a run must not be written to a directory; ``option`` names another."""
    shown = display_path(directory)
    with suppress(OSError), (directory / RESULTS).open("rb") as file:
        if not _lock(file):
            raise UsageError(
                f"{shown}: another session is writing its results here; wait for "
                f"it, or name another directory with {option}"
            )
    if directory.exists() and not directory.is_dir():
        raise UsageError(f"{shown} is a file; name a directory with {option}")
    if directory.is_dir() and not (directory / MANIFEST).exists() and _has_other_files(directory):
        raise UsageError(
            f"{shown} contains files and is not a run directory; name another one with {option}"
        )
    if any((directory / SIGNOFFS).glob("*")):
        raise UsageError(
            f"{shown} is signed off, and a new run would void its records; "
            f"name another one with {option}"
        )


def check_writable_output(directory: Path, option: str) -> None:
    """Raise UsageError if a run must not, or cannot, be written to a directory."""
    with file_errors(directory, "cannot be written", f"; name another one with {option}"):
        check_output(directory, option)
        for path in (directory / name for name in (RESULTS, MANIFEST, *DERIVED)):
            if path.is_dir():
                raise UsageError(
                    f"{display_path(path)} is a folder (expected a file); remove it, or name "
                    f"another directory with {option}"
                )
    check_folder(directory, f"; name another one with {option}")


def _has_other_files(directory: Path) -> bool:
    """Return whether a directory has more than what a session leaves that was killed at its start.

    That is an empty file of results, or one with resumed results, and files half-written.
    """
    for path in directory.iterdir():
        if path.name == RESULTS and path.is_file():
            with path.open("rb") as file:
                if file.read(len(_FIRST_KEY)) in (b"", _FIRST_KEY):
                    continue
        if not (path.name.startswith(".") and path.name.endswith(".tmp")):
            return True
    return False


def find_project_root(
    run: Path, manifest: Mapping[str, JSON], signed_run: str | None = None
) -> Path:
    """Return the folder that the run's suites are named from.

    Searched are the parents of the run directory, then the working directory and its parents.
    ``signed_run`` is the run directory's path from the root as it was signed; a folder where it
    fits is taken first. Raises UsageError if no suite of the run is found.
    """
    folders = [*run.absolute().parents, Path.cwd(), *Path.cwd().parents]
    if signed_run is not None:
        for folder in folders:
            if Path(os.path.normpath(folder / signed_run)) == run.absolute():
                return folder
    suites = judged_by(manifest)
    if not suites:
        return Path.cwd()
    best = max(folders, key=lambda folder: sum((folder / suite).is_file() for suite in suites))
    if not any((best / suite).is_file() for suite in suites):
        raise UsageError(
            f"the suites of {display_path(run)} ({suites[0]}, …) are neither above it nor above "
            "the working directory; name the project with --root"
        )
    return best
