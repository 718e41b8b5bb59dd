"""Write, read and verify the records of a run: ``signoffs/0001.intoto.jsonl``, …

A record is an in-toto bundle: JSON lines, each a DSSE envelope. The first is a person's decision;
the second, if there is one, is the run's test-result, signed by the same key. A run has one
test-result for each state in which it was signed; later records refer to it.

Each record is verified by itself: signature, key, payload and person, in this order. Then the chain
is: records are numbered without gaps, and each names the whole file of the previous one. So a
record removed from the middle is missed by its number and by the next record. The newest record is
protected only by what others have: a git ref with the records it knows.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from evalkit._lib.files import file_errors, sha256, write_new
from evalkit._lib.json import JSON
from evalkit.errors import UsageError
from evalkit.results import Run
from evalkit.results.run_directory import SIGNOFFS
from evalkit.signoff.digest_manifest import CONVERTED, file_digest, run_files
from evalkit.signoff.dsse import Envelope, is_allowed, parse, render, verify_envelope
from evalkit.signoff.in_toto import TEST_RESULT, Signoff, read_signoff, read_statement
from evalkit.signoff.problems import InvalidEvidence, VerificationProblem, describe_difference
from evalkit.signoff.ssh import AllowedSigners

_NAME = re.compile(r"([0-9]{4,})\.intoto\.jsonl")


class RecordFile(NamedTuple):
    """A file of ``signoffs/``."""

    name: str
    number: int
    data: bytes

    @property
    def path(self) -> str:
        """Its path from the run directory."""
        return f"{SIGNOFFS}/{self.name}"

    @property
    def lines(self) -> list[bytes]:
        """The envelopes. Raises InvalidEvidence unless there are one or two complete lines."""
        lines = self.data.splitlines(keepends=True)
        if not 1 <= len(lines) <= 2 or not self.data.endswith(b"\n"):
            raise InvalidEvidence(
                "record_unreadable", f"expected one or two complete lines, found {len(lines)}"
            )
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
    for path in sorted((run / SIGNOFFS).iterdir()) if (run / SIGNOFFS).is_dir() else []:
        match = _NAME.fullmatch(path.name)
        if match is not None and path.is_file() and record_name(int(match[1])) == path.name:
            with file_errors(path, "cannot be read"):
                records.append(RecordFile(path.name, int(match[1]), path.read_bytes()))
        elif not (path.name.startswith(".") and path.name.endswith(".tmp")):
            others.append(path.name)
    return sorted(records, key=lambda record: record.number), others


def append_record(run: Path, number: int, envelopes: Sequence[Envelope]) -> Path:
    """Write a record, as a whole or not at all.

    Raises UsageError if a record of that number exists, or the folder is not writable.
    """
    path = run / SIGNOFFS / record_name(number)
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

    Raises InvalidEvidence.
    """
    envelope = parse(record.lines[0])
    return read_signoff(envelope.payload, record.path, envelope.keyid)


def printable_signoffs(run: Run) -> list[dict[str, JSON]]:
    """Return the decisions about a run, oldest first, for the run's page.

    ``void`` is the reason why a decision is plainly not valid any more, else empty: it is not
    readable, or a file of the run directory differs from what was signed. Nothing else is verified.
    Raises UsageError if a file cannot be read.
    """
    entries: list[dict[str, JSON]] = []
    for file in list_records(run.directory)[0]:
        try:
            record = read_record(file)
        except InvalidEvidence as error:
            unknown = dict.fromkeys(("email", "role", "decision", "meaning", "time"), "")
            entries.append(
                {"name": file.path, **unknown, "details": [], "void": f"not a record: {error}"}
            )
            continue
        prefix = f"{record.run}/"
        signed = {
            name.removeprefix(prefix): digest
            for name, digest in record.subjects.items()
            if name.startswith(prefix)
        }
        changed = [
            name
            for name in sorted({*signed, *run_files(run.directory)})
            if file_digest(run.directory / name) != signed.get(name)
        ]
        entries.append(
            {
                "name": record.name,
                "email": record.email,
                "role": record.role,
                "decision": record.decision,
                "meaning": record.meaning,
                "time": record.time,
                "details": record.details,
                "void": f"void: {', '.join(changed)} changed since" if changed else "",
            }
        )
    return entries


class VerifiedRecord(NamedTuple):
    """A record signed by the person it names.

    ``result`` is the predicate of its test-result and ``result_digest`` the SHA-256 of that
    statement; None and empty if the record has no test-result.
    """

    file: RecordFile
    decision: Signoff
    result: dict[str, JSON] | None = None
    result_digest: str = ""


def verify_record(
    file: RecordFile, allowed: AllowedSigners
) -> tuple[VerifiedRecord | None, list[VerificationProblem]]:
    """Return a record (None if it is not valid) and its problems.

    Raises UsageError if the program that checks signatures is missing.
    """
    record, place = None, file.path
    try:
        first, *others = file.lines
        record = VerifiedRecord(file, _verify_decision(first, file.path, allowed))
        for line in others:
            place = f"{file.path}, line 2"
            record = _verify_test_result(record, line, allowed)
    except InvalidEvidence as error:
        hint = CONVERTED if b"\r\n" in file.data else ""
        return record, [VerificationProblem(error.code, file.path, f"{place}: {error}{hint}")]
    return record, []


def _verify_decision(line: bytes, path: str, allowed: AllowedSigners) -> Signoff:
    envelope = verify_envelope(line, allowed)
    decision = read_signoff(envelope.payload, path, envelope.keyid)
    if not is_allowed(envelope, allowed, decision.email, decision.signed_at):
        raise InvalidEvidence(
            "signer_mismatch",
            f"expected a key that {decision.email} may sign with at {decision.time} "
            f"({allowed.name}), found {envelope.keyid}",
        )
    return decision


def _verify_test_result(
    record: VerifiedRecord, line: bytes, allowed: AllowedSigners
) -> VerifiedRecord:
    envelope, keyid = verify_envelope(line, allowed), record.decision.keyid
    if envelope.keyid != keyid:
        raise InvalidEvidence(
            "signer_mismatch", f"expected the key of line 1, {keyid}, found {envelope.keyid}"
        )
    predicate, subjects = read_statement(envelope.payload, TEST_RESULT)
    if subjects != record.decision.subjects:
        raise InvalidEvidence("payload_invalid", "expected the files of line 1, found others")
    return record._replace(result=predicate, result_digest=sha256(envelope.payload))


def chain_problems(
    files: Sequence[RecordFile], records: Sequence[VerifiedRecord], ref_records: Mapping[str, bytes]
) -> Iterator[VerificationProblem]:
    """Yield the breaks of the chain.

    ``ref_records`` are the records of a git ref, by file name.
    """
    by_name = {file.name: file for file in files}
    numbers = {file.number for file in files}
    for number in range(1, max(numbers, default=0)):
        if number not in numbers:
            yield _missing(record_name(number), "found later records and not this one")
    for name, data in sorted(ref_records.items()):
        if name not in by_name:
            yield _missing(name, "which the git ref has, found none")
        elif by_name[name].data != data:
            yield _changed(by_name[name], "against the git ref", sha256(data))
    for previous, record in zip([None, *records], records, strict=False):
        yield from _order_problems(record, previous)
        yield from _link_problems(record, by_name, records)


def _missing(name: str, reason: str) -> VerificationProblem:
    path = f"{SIGNOFFS}/{name}"
    return VerificationProblem("record_missing", path, f"expected {path}, {reason}")


def _order_problems(
    record: VerifiedRecord, previous: VerifiedRecord | None
) -> Iterator[VerificationProblem]:
    file, number, time = record.file, record.decision.number, record.decision.time
    if number != file.number:
        yield VerificationProblem(
            "record_order",
            file.path,
            f"{file.path}: expected record {file.number}, found record {number}",
        )
    elif previous is not None and time < previous.decision.time:
        yield VerificationProblem(
            "record_order",
            file.path,
            f"{file.path}: expected a time not before {previous.decision.time}, that of "
            f"{previous.file.name}, found {time}",
        )


def _link_problems(
    record: VerifiedRecord, by_name: Mapping[str, RecordFile], records: Sequence[VerifiedRecord]
) -> Iterator[VerificationProblem]:
    """Yield the problems of the records that a record names: the previous one, the test-result."""
    file, decision = record.file, record.decision
    previous, result = decision.previous, decision.result
    expected = record_name(decision.number - 1) if decision.number > 1 else None
    name = previous.name if previous else None
    if name != expected:
        yield VerificationProblem(
            "record_order",
            file.path,
            f"{file.path}: expected the previous record to be {expected}, found {name}",
        )
    elif previous and previous.name not in by_name:
        yield _missing(previous.name, f"which {file.name} names, found none")
    elif previous and sha256(by_name[previous.name].data) != previous.digest:
        yield _changed(by_name[previous.name], f"as {file.name} names it", previous.digest)
    if result.name not in by_name:
        yield _missing(result.name, f"which has the test-result of {file.name}, found none")
    for other in records:
        if other.file.name == result.name and other.result_digest != result.digest:
            path = other.file.path
            difference = describe_difference(
                f"{path}, its test-result", result.digest, other.result_digest or None
            )
            yield VerificationProblem("record_changed", path, difference)


def _changed(file: RecordFile, source: str, digest: str) -> VerificationProblem:
    difference = describe_difference(f"{file.path}, {source}", digest, sha256(file.data))
    return VerificationProblem("record_changed", file.path, difference)
