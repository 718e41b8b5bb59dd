"""Write, list and read the records of a run: ``signoffs/0001.intoto.jsonl``, …

A record is an in-toto bundle: JSON lines, each a DSSE envelope. The first is a person's decision;
the second, if there is one, is the run's test-result, signed by the same key. A run has one
test-result for each state in which it was signed; later records refer to it.
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
from evalkit.signoff.in_toto import Signoff, StatementError, read_signoff

FOLDER = "signoffs"
_NAME = re.compile(r"([0-9]{4,})\.intoto\.jsonl")


class RecordFile(NamedTuple):
    """A file of ``signoffs/``."""

    name: str
    number: int
    data: bytes

    @property
    def path(self) -> str:
        """Its path from the run directory."""
        return f"{FOLDER}/{self.name}"

    @property
    def lines(self) -> list[bytes]:
        """The envelopes. Raises EnvelopeError unless there are one or two complete lines."""
        lines = self.data.splitlines(keepends=True)
        if not 1 <= len(lines) <= 2 or not self.data.endswith(b"\n"):
            raise EnvelopeError(f"expected one or two complete lines, found {len(lines)}")
        return lines


def record_name(number: int) -> str:
    """Return the file name of a record."""
    return f"{number:04}.intoto.jsonl"


def list_records(run: Path) -> tuple[list[RecordFile], list[str]]:
    """Return a run's records in order, and the names of other files in their folder.

    Hidden temporary files are ignored: a killed process leaves them. Raises UsageError if a record
    cannot be read.
    """
    records, others = [], []
    for path in sorted((run / FOLDER).iterdir()) if (run / FOLDER).is_dir() else []:
        match = _NAME.fullmatch(path.name)
        if match is not None and path.is_file() and record_name(int(match[1])) == path.name:
            try:
                records.append(RecordFile(path.name, int(match[1]), path.read_bytes()))
            except OSError as error:
                raise UsageError(f"{path}: cannot be read ({error.strerror or error})") from error
        elif not (path.name.startswith(".") and path.name.endswith(".tmp")):
            others.append(path.name)
    return sorted(records, key=lambda record: record.number), others


def append_record(run: Path, number: int, envelopes: Sequence[Envelope]) -> Path:
    """Write a record, as a whole or not at all.

    Raises UsageError if a record of that number exists, or the folder is not writable.
    """
    path = run / FOLDER / record_name(number)
    try:
        write_new(path, b"".join(map(render, envelopes)))
    except FileExistsError as error:
        raise UsageError(
            f"{path}: somebody else has written this record; read it, then sign again"
        ) from error
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror or error})") from error
    return path


def read_record(record: RecordFile) -> Signoff:
    """Return the decision of a record without verifying it.

    Raises EnvelopeError, StatementError.
    """
    envelope = parse(record.lines[0])
    return read_signoff(envelope.payload, record.path, envelope.keyid)


def printable_signoffs(run: Run) -> list[dict[str, str]]:
    """Return the decisions about a run, oldest first, for the run's page.

    ``void`` is the reason why a decision is plainly not valid any more, else empty: it is not
    readable, or a file of the run directory differs from what was signed. Nothing else is verified.
    Raises UsageError if a file cannot be read.
    """
    entries = []
    for file in list_records(run.directory)[0]:
        try:
            record = read_record(file)
        except (EnvelopeError, StatementError) as error:
            entries.append({"name": file.path, "void": f"not a record: {error}"})
            continue
        changed = [
            name
            for name in RUN_FILES
            if f"{record.run}/{name}" in record.subjects
            and file_digest(run.directory / name) != record.subjects[f"{record.run}/{name}"]
        ]
        entries.append(
            {
                "name": record.name,
                "email": record.email,
                "role": record.role,
                "decision": record.decision,
                "meaning": record.meaning,
                "time": record.time,
                "comment": record.comment,
                "void": f"void: {', '.join(changed)} changed since" if changed else "",
            }
        )
    return entries
