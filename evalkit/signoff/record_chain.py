"""The chain of records: numbered without gaps, each naming the whole file of the one before. Pure.

A record that is taken out of the middle is missed by its number and by the next record. Only what follows a record protects it: that the
newest was removed can be seen only by somebody who still has it, such as a git ref.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from evalkit._lib.files import sha256
from evalkit.signoff.problems import VerificationProblem, describe_difference
from evalkit.signoff.record_check import VerifiedRecord
from evalkit.signoff.records import FOLDER, RecordFile, record_name


def problems(
    files: Sequence[RecordFile], opened: Sequence[VerifiedRecord], kept: Mapping[str, bytes]
) -> Iterator[VerificationProblem]:
    """Yield where the chain is broken. ``kept`` are the records of a git ref, by file name."""
    there = {file.name: file for file in files}
    yield from _gaps(files)
    yield from _kept(there, kept)
    before: VerifiedRecord | None = None
    for record in opened:
        yield from _order(record, before)
        yield from _previous(record, there)
        yield from _result(record, there, opened)
        before = record


def _gaps(files: Sequence[RecordFile]) -> Iterator[VerificationProblem]:
    numbers = {file.number for file in files}
    for number in range(1, max(numbers, default=0)):
        if number not in numbers:
            path = f"{FOLDER}/{record_name(number)}"
            yield VerificationProblem(
                "record_missing", path, "", f"expected {path}, found later records and not this one"
            )


def _kept(
    there: Mapping[str, RecordFile], kept: Mapping[str, bytes]
) -> Iterator[VerificationProblem]:
    for name, data in sorted(kept.items()):
        path = f"{FOLDER}/{name}"
        if name not in there:
            yield VerificationProblem(
                "record_missing", path, "", f"expected {path}, which the git ref has, found none"
            )
        elif there[name].data != data:
            yield VerificationProblem(
                "record_changed",
                path,
                "",
                describe_difference(
                    f"{path}, against the git ref", sha256(data), sha256(there[name].data)
                ),
            )


def _order(record: VerifiedRecord, before: VerifiedRecord | None) -> Iterator[VerificationProblem]:
    path, number = record.file.path, record.decision.number
    if number != record.file.number:
        yield VerificationProblem(
            "record_order",
            path,
            "",
            f"{path}: expected record {record.file.number}, found record {number} in its place",
        )
    elif before is not None and record.decision.time < before.decision.time:
        message = f"{path}: expected a time from {before.decision.time} on, that of {before.file.name}, found {record.decision.time}"
        yield VerificationProblem("record_order", path, "", message)


def _previous(
    record: VerifiedRecord, there: Mapping[str, RecordFile]
) -> Iterator[VerificationProblem]:
    path, number, link = record.file.path, record.decision.number, record.decision.previous
    expected = record_name(number - 1) if number > 1 else None
    if (link.name if link else None) != expected:
        yield VerificationProblem(
            "record_order",
            path,
            "",
            f"{path}: expected the record before to be {expected}, found {link.name if link else None}",
        )
    elif link is not None and link.name not in there:
        missing = f"{FOLDER}/{link.name}"
        yield VerificationProblem(
            "record_missing",
            missing,
            "",
            f"expected {missing}, which {record.file.name} names, found none",
        )
    elif link is not None and sha256(there[link.name].data) != link.digest:
        changed = f"{FOLDER}/{link.name}"
        found = sha256(there[link.name].data)
        yield VerificationProblem(
            "record_changed",
            changed,
            "",
            describe_difference(f"{changed}, as {record.file.name} names it", link.digest, found),
        )


def _result(
    record: VerifiedRecord, there: Mapping[str, RecordFile], opened: Sequence[VerifiedRecord]
) -> Iterator[VerificationProblem]:
    link = record.decision.result
    holder = next((one for one in opened if one.file.name == link.name), None)
    if link.name not in there:
        path = f"{FOLDER}/{link.name}"
        yield VerificationProblem(
            "record_missing",
            path,
            "",
            f"expected {path}, which has the test-result of {record.file.name}, found none",
        )
    elif holder is not None and holder.result_digest != link.digest:
        found = holder.result_digest or None
        yield VerificationProblem(
            "record_changed",
            holder.file.path,
            "",
            describe_difference(f"{holder.file.path}, its test-result", link.digest, found),
        )
