"""Verify records: each by itself, then their chain.

Pure, apart from checking signatures. Each record goes through signature, key, payload and person,
in this order. The chain is numbered without gaps, and each record names the whole file of the
previous one. So a record removed from the middle is missed by its number and by the next record.
The newest record is protected only by what others have: a git ref with the records it knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from evalkit._lib.files import sha256
from evalkit._lib.json import JSON
from evalkit.signoff.allowed_signers import AllowedSigners
from evalkit.signoff.dsse import EnvelopeError
from evalkit.signoff.in_toto import (
    TEST_RESULT,
    Signoff,
    StatementError,
    read_signoff,
    read_statement,
)
from evalkit.signoff.problems import VerificationProblem, describe_difference
from evalkit.signoff.records import FOLDER, RecordFile, record_name
from evalkit.signoff.signatures import check_signature


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
    path = file.path
    try:
        lines = file.lines
    except EnvelopeError as error:
        return None, [VerificationProblem("record_unreadable", path, f"{path}: {error}")]
    signed = check_signature(lines[0], allowed, path)
    if isinstance(signed, VerificationProblem):
        return None, [signed]
    keyid = signed.envelope.keyid
    try:
        decision = read_signoff(signed.envelope.payload, path, keyid)
    except StatementError as error:
        return None, [VerificationProblem("payload_invalid", path, f"{path}: {error}")]
    if not signed.is_allowed(allowed, decision.email, decision.signed_at):
        return None, [
            VerificationProblem(
                "signer_mismatch",
                path,
                f"{path}: expected a key that {decision.email} may sign with at {decision.time} "
                f"({allowed.name}), found {keyid}",
            )
        ]
    record = VerifiedRecord(file, decision)
    return _add_test_result(record, lines[1], allowed) if len(lines) == 2 else (record, [])


def _add_test_result(
    record: VerifiedRecord, line: bytes, allowed: AllowedSigners
) -> tuple[VerifiedRecord, list[VerificationProblem]]:
    path, decision = record.file.path, record.decision
    place = f"{path}, line 2"
    signed = check_signature(line, allowed, place)
    if isinstance(signed, VerificationProblem):
        return record, [signed._replace(path=path)]
    envelope = signed.envelope
    if envelope.keyid != decision.keyid:
        return record, [
            VerificationProblem(
                "signer_mismatch",
                path,
                f"{place}: expected the key of line 1, {decision.keyid}, found {envelope.keyid}",
            )
        ]
    try:
        predicate, subjects = read_statement(envelope.payload, TEST_RESULT)
    except StatementError as error:
        return record, [VerificationProblem("payload_invalid", path, f"{place}: {error}")]
    if subjects != decision.subjects:
        return record, [
            VerificationProblem(
                "payload_invalid", path, f"{place}: expected the files of line 1, found others"
            )
        ]
    return record._replace(result=predicate, result_digest=sha256(envelope.payload)), []


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
            yield VerificationProblem(
                "record_changed",
                f"{FOLDER}/{name}",
                describe_difference(
                    f"{FOLDER}/{name}, against the git ref",
                    sha256(data),
                    sha256(by_name[name].data),
                ),
            )
    previous: VerifiedRecord | None = None
    for record in records:
        yield from _order_problems(record, previous)
        yield from _previous_problems(record, by_name)
        yield from _test_result_problems(record, by_name, records)
        previous = record


def _missing(name: str, reason: str) -> VerificationProblem:
    path = f"{FOLDER}/{name}"
    return VerificationProblem("record_missing", path, f"expected {path}, {reason}")


def _order_problems(
    record: VerifiedRecord, previous: VerifiedRecord | None
) -> Iterator[VerificationProblem]:
    path, number, time = record.file.path, record.decision.number, record.decision.time
    if number != record.file.number:
        yield VerificationProblem(
            "record_order",
            path,
            f"{path}: expected record {record.file.number}, found record {number}",
        )
    elif previous is not None and time < previous.decision.time:
        yield VerificationProblem(
            "record_order",
            path,
            f"{path}: expected a time not before {previous.decision.time}, that of "
            f"{previous.file.name}, found {time}",
        )


def _previous_problems(
    record: VerifiedRecord, by_name: Mapping[str, RecordFile]
) -> Iterator[VerificationProblem]:
    path, number, link = record.file.path, record.decision.number, record.decision.previous
    expected = record_name(number - 1) if number > 1 else None
    name = link.name if link else None
    if name != expected:
        yield VerificationProblem(
            "record_order",
            path,
            f"{path}: expected the previous record to be {expected}, found {name}",
        )
    elif link is not None and link.name not in by_name:
        yield _missing(link.name, f"which {record.file.name} names, found none")
    elif link is not None and sha256(by_name[link.name].data) != link.digest:
        yield VerificationProblem(
            "record_changed",
            f"{FOLDER}/{link.name}",
            describe_difference(
                f"{FOLDER}/{link.name}, as {record.file.name} names it",
                link.digest,
                sha256(by_name[link.name].data),
            ),
        )


def _test_result_problems(
    record: VerifiedRecord, by_name: Mapping[str, RecordFile], records: Sequence[VerifiedRecord]
) -> Iterator[VerificationProblem]:
    link = record.decision.result
    if link.name not in by_name:
        yield _missing(link.name, f"which has the test-result of {record.file.name}, found none")
    for holder in records:
        if holder.file.name == link.name and holder.result_digest != link.digest:
            path = holder.file.path
            yield VerificationProblem(
                "record_changed",
                path,
                describe_difference(
                    f"{path}, its test-result", link.digest, holder.result_digest or None
                ),
            )
