"""The records of a run: ``signoffs/0001.intoto.jsonl`` and so on, each written once, whole, and never again.

A record is an in-toto bundle: JSON lines, each a DSSE envelope. The first holds a person's decision; the second, where there is one, the
run's test-result, signed by the same key. A run has one test-result for each state it was signed in, and later records point to it.

:func:`read` is for showing records in a report: it takes them as they are. Whether they are true is for ``evalkit verify`` to say.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from evalkit._lib.files import write_new
from evalkit.errors import UsageError
from evalkit.results import Run
from evalkit.signoff.digest_manifest import RUN_FILES, file_digest
from evalkit.signoff.dsse import Envelope, EnvelopeError, parse, render
from evalkit.signoff.in_toto import RecordLink, Signoff, StatementError, read_signoff

FOLDER = "signoffs"
_NAME = re.compile(r"([0-9]{4,})\.intoto\.jsonl")


class RecordFile(NamedTuple):
    """One file of ``signoffs/``: its name there, its number, its bytes."""

    name: str
    number: int
    data: bytes

    @property
    def path(self) -> str:
        """Its name from the run directory."""
        return f"{FOLDER}/{self.name}"

    @property
    def lines(self) -> list[bytes]:
        """The envelopes, unread. Raises EnvelopeError: none, or more than two, or the last does not end."""
        lines = self.data.splitlines(keepends=True)
        if not 1 <= len(lines) <= 2 or not self.data.endswith(b"\n"):
            raise EnvelopeError(f"expected one or two lines, each ended, found {len(lines)}")
        return lines


def record_name(number: int) -> str:
    """Return the file name of a record."""
    return f"{number:04}.intoto.jsonl"


def list_records(run: Path) -> tuple[list[RecordFile], list[str]]:
    """Return a run's records in order, and the names of what else lies there. Raises UsageError: one cannot be read.

    Hidden temporary files are what a kill leaves before a record is there; they are nothing.
    """
    found, strangers = [], []
    for path in sorted((run / FOLDER).iterdir()) if (run / FOLDER).is_dir() else []:
        match = _NAME.fullmatch(path.name)
        if match is not None and path.is_file() and record_name(int(match[1])) == path.name:
            try:
                found.append(RecordFile(path.name, int(match[1]), path.read_bytes()))
            except OSError as error:
                raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
        elif not (path.name.startswith(".") and path.name.endswith(".tmp")):
            strangers.append(path.name)
    return sorted(found, key=lambda record: record.number), strangers


def append(run: Path, number: int, envelopes: Sequence[Envelope]) -> Path:
    """Write a record, whole or not at all. Raises UsageError: there is one of that number by now, or the folder cannot be written."""
    path = run / FOLDER / record_name(number)
    try:
        write_new(path, b"".join(map(render, envelopes)))
    except FileExistsError as error:
        raise UsageError(
            f"{path} was written meanwhile by somebody else; read it, then sign again"
        ) from error
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from error
    return path


def read_record(record: RecordFile) -> Signoff:
    """Return the decision of a record as it stands there, nothing verified. Raises EnvelopeError, StatementError."""
    envelope = parse(record.lines[0])
    return read_signoff(envelope.payload, record.path, envelope.keyid)


def read(run: Run) -> list[Signoff]:
    """Return the decisions about a run, oldest first, for showing them; ``problem`` says what is plainly wrong with one.

    Nothing is verified here but that the run directory's own files are still those that were signed. A record that cannot be read has
    empty fields, its ``path`` and its ``problem``. Raises UsageError where the system cannot read a file.
    """
    found = []
    for record in list_records(run.directory)[0]:
        try:
            decision = read_record(record)
        except (EnvelopeError, StatementError) as error:
            found.append(_unreadable(record, str(error)))
        else:
            changed = [
                name
                for name in _own(decision)
                if file_digest(run.directory / name) != decision.subjects[f"{decision.run}/{name}"]
            ]
            problem = f"void: {', '.join(changed)} changed since" if changed else ""
            found.append(decision._replace(problem=problem))
    return found


def _own(decision: Signoff) -> list[str]:
    return [name for name in RUN_FILES if f"{decision.run}/{name}" in decision.subjects]


def _unreadable(record: RecordFile, problem: str) -> Signoff:
    return Signoff(
        path=record.path,
        keyid="",
        number=record.number,
        previous=None,
        result=RecordLink("", ""),
        name="",
        email="",
        role="",
        time="",
        meaning="",
        decision="",
        comment="",
        run="",
        counts={},
        gate=None,
        override="",
        deviations=(),
        authors=(),
        tool={},
        subjects={},
        problem=f"not a record: {problem}",
    )
