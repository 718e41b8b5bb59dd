"""The journal of a running recording: ``<cassette>.journal``, with one exchange per line.

An exchange is on the disk before the next request is sent. The file has JSON lines: first the
version and the process; then recordings as they may be written (redacted, media in their files) and
metadata of the cassette; last, when the cassette is written, its digest. Every line has a checksum,
so a line that a crash truncated is detected and dropped. A damaged line with valid lines after it
is not the work of a crash, and is an error.

The system locks the file while it is open: a second process is refused, and a lock never outlives
its process.
"""

import base64
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from evalkit._lib.files import (
    FILE_ERRORS,
    display_path,
    read_file,
    reason_of,
    sha256,
    sync_folder,
    try_lock,
)
from evalkit._lib.json import dumps, loads
from evalkit.cassette.recording import Recording
from evalkit.errors import CassetteError, UsageError

SUFFIX = ".journal"
_VERSION = 1
_CHECKSUM_LENGTH = len('{"crc":"00000000",')
_OPEN_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
_BODIES = ("request_body", "body")
_ADVICE = "delete it to record the scenario from its start"


@dataclass(slots=True)
class JournalEntry:
    """A recording, and how many secrets were replaced in it."""

    recording: Recording
    redactions: int = 0


@dataclass(slots=True, kw_only=True)
class JournalContent:
    """The content of a journal.

    ``folded_digest`` is the digest of the cassette that was written from it, if one was; ``end``
    the offset after the last valid line; ``pid`` the process that writes it.
    """

    entries: list[JournalEntry] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    folded_digest: str | None = None
    end: int = 0
    pid: int | None = None

    def is_folded_into(self, cassette: Path) -> bool:
        """Return whether the file of a cassette has everything that is in the journal."""
        if self.folded_digest is None:
            return not self.entries and not self.metadata
        with suppress(*FILE_ERRORS):
            return sha256(read_file(cassette)) == self.folded_digest
        return False


def journal_path(cassette: Path) -> Path:
    """Return the path of a cassette's journal."""
    return cassette.with_name(cassette.name + SUFFIX)


def read_journal(path: Path) -> JournalContent:
    """Read a journal without locking it; a missing one is empty. Raises CassetteError."""
    try:
        return parse_journal(read_file(path), display_path(path))
    except FileNotFoundError:
        return JournalContent()
    except FILE_ERRORS as error:
        message = f"{display_path(path)}:1 cannot be read: {reason_of(error)}"
        raise CassetteError(message) from error


def remove_folded_journal(cassette: Path) -> None:
    """Delete the journal that a process left when it was killed after it wrote the cassette.

    A journal with anything that the cassette does not have stays, as does one that another process
    writes, or that cannot be read or deleted.
    """
    path = journal_path(cassette)
    with suppress(CassetteError, UsageError, *FILE_ERRORS):
        # The lock is for one that will be deleted: it refuses every other process meanwhile.
        if path.exists() and read_journal(path).is_folded_into(cassette):
            journal = CassetteJournal.open(path)
            try:
                if journal.content.is_folded_into(cassette):
                    journal.remove()
            finally:
                journal.close()


def parse_journal(data: bytes, name: str) -> JournalContent:
    """Parse a journal; a truncated last line is dropped.

    Raises CassetteError for damage before the last line, and for an unknown version.
    """
    content = JournalContent()
    # Without a crash the file ends with a line feed, and the last item is empty.
    *lines, rest = data.split(b"\n")
    for number, line in enumerate(lines, 1):
        value = _parse_line(line)
        if value is None:
            if number == len(lines) and not rest:
                break
            raise CassetteError(f"{name}:{number} the journal is damaged; {_ADVICE}")
        if number == 1:
            header = value.get("journal")
            if not isinstance(header, dict) or header.get("version") != _VERSION:
                raise CassetteError(f"{name}:1 not a journal of version {_VERSION}; {_ADVICE}")
            content.pid = header.get("pid")
        elif "recording" in value:
            recording = _recording_from_json(value["recording"])
            content.entries.append(JournalEntry(recording, value.get("redactions", 0)))
            # The cassette could not be written, and recording continued.
            content.folded_digest = None
        elif "metadata" in value:
            content.metadata.update(value["metadata"])
        elif "folded" in value:
            content.folded_digest = value["folded"]
        content.end += len(line) + 1
    return content


def entry_line(entry: JournalEntry) -> str:
    """Return the line of an entry."""
    return journal_line(recording=_recording_to_json(entry.recording), redactions=entry.redactions)


def journal_line(**value: Any) -> str:
    """Return one line, with its checksum: of metadata, or of the digest of the written cassette."""
    rest = dumps(value)[1:]
    return f'{{"crc":"{zlib.crc32(rest.encode("ascii")):08x}",{rest}\n'


@dataclass
class CassetteJournal:
    """An open, locked journal. ``content`` is what it had when it was opened.

    Methods raise UsageError if the file cannot be written.
    """

    path: Path
    content: JournalContent
    _handle: int

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open or create a journal.

        Raises UsageError if it cannot be written or another process writes it, CassetteError if it
        is damaged.
        """
        with _write_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = _open_locked(path)
            try:
                content = parse_journal(read_file(path), display_path(path))
                journal = cls(path, content, handle)
                os.ftruncate(handle, content.end)
                if not content.end:
                    journal._write_header()
                    sync_folder(path.parent)
            except BaseException:
                os.close(handle)
                raise
        return journal

    def append(self, line: str) -> None:
        """Write one line, and wait until it is on the disk."""
        advice = "; the exchanges before it are safe in it, and the next recording run resumes it"
        with _write_errors(self.path, advice):
            self._write(line)

    def clear(self) -> None:
        """Delete every entry."""
        with _write_errors(self.path):
            os.ftruncate(self._handle, 0)
            self.content = JournalContent()
            self._write_header()

    def remove(self) -> None:
        """Delete the file while it is locked; later it may be another process's."""
        if self._handle >= 0:
            self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file, which releases the lock. May be called twice."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _write_header(self) -> None:
        self._write(journal_line(journal={"version": _VERSION, "pid": os.getpid()}))

    def _write(self, line: str) -> None:
        data = line.encode("ascii")
        try:
            written = 0
            while written < len(data):
                written += os.write(self._handle, data[written:])
            os.fsync(self._handle)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._handle, self.content.end)
            raise
        self.content.end += len(data)


@contextmanager
def _write_errors(path: Path, advice: str = "") -> Iterator[None]:
    try:
        yield
    except FILE_ERRORS as error:
        message = f"{display_path(path)}: cannot record here: {reason_of(error)}{advice}"
        raise UsageError(message) from error


def _open_locked(path: Path) -> int:
    while True:
        handle = os.open(path, _OPEN_FLAGS, 0o666)
        if not try_lock(handle):
            os.close(handle)
            pid = read_journal(path).pid
            owner = f"process {pid}" if pid else "another process"
            if pid == os.getpid():
                owner = "another recording of this process"
            raise UsageError(
                f"{display_path(path)}: {owner} is recording this cassette now; "
                "wait for it, or end it"
            )
        # The process that had the lock before may have deleted the file; then this lock is on a
        # file that nobody else will open.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), path.stat()):
                return handle
        os.close(handle)


def _parse_line(line: bytes) -> dict[str, Any] | None:
    start, rest = line[:_CHECKSUM_LENGTH], line[_CHECKSUM_LENGTH:]
    if start != b'{"crc":"%08x",' % zlib.crc32(rest):
        return None
    value: dict[str, Any] = loads(line)
    return value


def _recording_to_json(recording: Recording) -> dict[str, Any]:
    value = {field.name: getattr(recording, field.name) for field in fields(recording)}
    for name in _BODIES:
        if isinstance(value[name], bytes):
            value[name] = {"base64": base64.b64encode(value[name]).decode()}
    return value


def _recording_from_json(value: dict[str, Any]) -> Recording:
    for name in _BODIES:
        if isinstance(value[name], dict):
            value[name] = base64.b64decode(value[name]["base64"])
    value["event_ms"] = tuple(value["event_ms"])
    return Recording(**value)
