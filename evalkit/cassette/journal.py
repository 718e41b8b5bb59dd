"""The journal of a recording under way: ``<cassette>.journal``, one finished exchange a line, on the disk before the next is asked for.

JSON lines. The first names the version and the process; then one recording each, as it may be written (redacted, media in their files),
and between them what is learnt for the cassette's metadata; last, when the journal is being folded in, the digest of the cassette that
takes its place. Each line carries a checksum of itself, so the line that a crash tore is known and dropped. A damaged line with whole ones
behind it is no crash's work, and is an error.

The open file is locked for as long as it is open, by the system: a second process is refused, and a lock never outlives its process.
"""

from __future__ import annotations

import base64
import os
import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from evalkit._lib.files import display_path, sync_folder, try_lock
from evalkit._lib.json import dumps, loads
from evalkit.cassette.recording import Recording
from evalkit.errors import CassetteError, UsageError

SUFFIX = ".journal"
_VERSION = 1
_CHECK = len('{"crc":"00000000",')


@dataclass(slots=True)
class JournalEntry:
    """One recording of a journal, and how many secrets were replaced in it."""

    recording: Recording
    redactions: int = 0


@dataclass(slots=True)
class JournalContent:
    """What a journal's bytes hold: its entries, what its cassette's metadata are to say, the digest it was folded into if it was, where the
    last whole line ends, who writes it.
    """

    entries: list[JournalEntry] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    folded: str | None = None
    end: int = 0
    pid: int | None = None


def journal_path(cassette: Path) -> Path:
    """Return where the journal of a cassette lies."""
    return cassette.with_name(cassette.name + SUFFIX)


def read_journal(path: Path) -> JournalContent:
    """Read a journal without locking it; one that is not there is empty. Raises CassetteError."""
    try:
        return parse_journal(path.read_bytes(), display_path(path))
    except FileNotFoundError:
        return JournalContent()
    except OSError as error:
        raise CassetteError(
            f"{display_path(path)}:1 cannot be read: {error.strerror or error}"
        ) from error


def parse_journal(data: bytes, name: str) -> JournalContent:
    """Read a journal's bytes; a torn last line is dropped. Raises CassetteError for damage before it, and for another version."""
    content = JournalContent()
    lines = data.split(b"\n")
    for number, line in enumerate(lines[:-1], 1):
        value = _checked(line)
        if value is None:
            if number == len(lines) - 1 and not lines[-1]:
                break
            raise CassetteError(
                f"{name}:{number} the journal is damaged here; delete it to record the scenario from its start"
            )
        if number == 1:
            _check_version(value, name)
            content.pid = value["journal"].get("pid")
        elif "recording" in value:
            content.entries.append(
                JournalEntry(_from_json(value["recording"]), value.get("redactions", 0))
            )
            content.folded = None  # folding failed, and recording went on
        elif "metadata" in value:
            content.metadata.update(value["metadata"])
        elif "folded" in value:
            content.folded = value["folded"]
        content.end += len(line) + 1
    return content


class CassetteJournal:
    """An open, locked journal. ``content`` is what it held when it was opened."""

    def __init__(self, path: Path, handle: int, content: JournalContent) -> None:
        self.path = path
        self.content = content
        self._handle = handle
        self._end = content.end

    @classmethod
    def open(cls, path: Path) -> CassetteJournal:
        """Open or create a journal. Raises UsageError where it cannot be written or another process writes it, CassetteError if damaged."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = _locked(path)
        except OSError as error:
            _cannot(path, error)
        try:
            content = parse_journal(_read(handle), display_path(path))
            journal = cls(path, handle, content)
            os.ftruncate(handle, content.end)
            if not content.end:
                journal._write({"journal": {"version": _VERSION, "pid": os.getpid()}})
                sync_folder(path.parent)
        except OSError as error:
            os.close(handle)
            _cannot(path, error)
        except BaseException:
            os.close(handle)
            raise
        return journal

    def append(self, line: str) -> None:
        """Write one line made by :func:`entry_line`; it is on the disk when this returns. Raises UsageError where it cannot be written."""
        try:
            self._write_line(line)
        except OSError as error:
            _cannot(
                self.path,
                error,
                "; the exchanges before it are safe in it, and the next recording run goes on from them",
            )

    def mark_folded(self, digest: str) -> None:
        """Note that a cassette of this digest takes the journal's place: if the process ends now, the next one can tell. Raises
        UsageError."""
        self.append(_line({"folded": digest}))

    def clear(self) -> None:
        """Forget every entry. Raises UsageError."""
        try:
            os.ftruncate(self._handle, 0)
            self._end = 0
            self._write({"journal": {"version": _VERSION, "pid": os.getpid()}})
        except OSError as error:
            _cannot(self.path, error)
        self.content = JournalContent()

    def remove(self) -> None:
        """Delete the file, while it is still locked: once let go of, a file of this name may be another process's."""
        if self._handle >= 0:
            self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the file; twice is no error."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _write(self, value: dict[str, Any]) -> None:
        self._write_line(_line(value))

    def _write_line(self, line: str) -> None:
        data = line.encode("ascii")
        try:
            written = 0
            while written < len(data):
                written += os.write(self._handle, data[written:])
            os.fsync(self._handle)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._handle, self._end)
            raise
        self._end += len(data)


def entry_line(entry: JournalEntry) -> str:
    """Return the line of a journal that holds an entry."""
    return _line({"recording": _to_json(entry.recording), "redactions": entry.redactions})


def metadata_line(known: dict[str, Any]) -> str:
    """Return the line of a journal that holds metadata."""
    return _line({"metadata": known})


def _line(value: dict[str, Any]) -> str:
    rest = dumps(value)[1:]
    return f'{{"crc":"{zlib.crc32(rest.encode("ascii")):08x}",{rest}\n'


def _checked(line: bytes) -> dict[str, Any] | None:
    if not line.startswith(b'{"crc":"') or line[8 : _CHECK - 2] != b"%08x" % zlib.crc32(
        line[_CHECK:]
    ):
        return None
    value = loads(line)
    return value if isinstance(value, dict) else None


def _check_version(value: dict[str, Any], name: str) -> None:
    header = value.get("journal")
    if not isinstance(header, dict) or header.get("version") != _VERSION:
        raise CassetteError(
            f"{name}:1 not a journal of version {_VERSION}; delete it to record the scenario from its start"
        )


def _to_json(recording: Recording) -> dict[str, Any]:
    value = {name: getattr(recording, name) for name in Recording.__slots__}
    for name in ("request_body", "body"):
        if isinstance(value[name], bytes):
            value[name] = {"base64": base64.b64encode(value[name]).decode()}
    return value


def _from_json(value: dict[str, Any]) -> Recording:
    for name in ("request_body", "body"):
        if isinstance(value[name], dict):
            value[name] = base64.b64decode(value[name]["base64"])
    value["event_ms"] = tuple(value["event_ms"])
    return Recording(**value)


def _locked(path: Path) -> int:
    while True:
        handle = os.open(
            path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o666
        )
        if not try_lock(handle):
            os.close(handle)
            pid = read_journal(path).pid
            who = (
                f"process {pid}"
                if pid and pid != os.getpid()
                else "another recording of this process"
                if pid
                else "another process"
            )
            raise UsageError(
                f"{display_path(path)}: {who} is recording this cassette now; wait for it, or end it"
            )
        # Whoever held the lock before may have deleted the file: then the lock is on a file that nobody else will ever see.
        try:
            if os.path.samestat(os.fstat(handle), path.stat()):
                return handle
        except FileNotFoundError:
            pass
        os.close(handle)


def _read(handle: int) -> bytes:
    os.lseek(handle, 0, os.SEEK_SET)
    parts = []
    while part := os.read(handle, 1 << 20):
        parts.append(part)
    return b"".join(parts)


def _cannot(path: Path, error: OSError, rest: str = "") -> NoReturn:
    raise UsageError(
        f"{display_path(path)}: cannot record here: {error.strerror or error}{rest}"
    ) from error
