"""One record opened: signature, then key, then payload, then person; each step only when the one before holds."""

from __future__ import annotations

from typing import Any, NamedTuple

from evalkit._lib.files import sha256
from evalkit.signoff.allowed_signers import AllowedSigners
from evalkit.signoff.dsse import EnvelopeError
from evalkit.signoff.in_toto import (
    TEST_RESULT,
    Signoff,
    StatementError,
    read_signoff,
    read_statement,
)
from evalkit.signoff.problems import VerificationProblem
from evalkit.signoff.records import RecordFile
from evalkit.signoff.signatures import judge, may_sign


class VerifiedRecord(NamedTuple):
    """A record that is signed by whom it says. ``result`` is its test-result's predicate, None where it holds none; ``result_digest``
    is the SHA-256 of that statement.
    """

    file: RecordFile
    decision: Signoff
    result: dict[str, Any] | None = None
    result_digest: str = ""


def verify_record(
    file: RecordFile, allowed: AllowedSigners
) -> tuple[VerifiedRecord | None, list[VerificationProblem]]:
    """Return a record, or None, and what is wrong with it. Raises UsageError: what checks signatures is not there."""
    try:
        lines = file.lines
    except EnvelopeError as fault:
        return None, [
            VerificationProblem("record_unreadable", file.path, "", f"{file.path}: {fault}")
        ]
    judged = judge(lines[0], allowed, file.path)
    if isinstance(judged, VerificationProblem):
        return None, [judged]
    envelope, signature = judged
    try:
        decision = read_signoff(envelope.payload, file.path, signature.fingerprint)
    except StatementError as fault:
        return None, [
            VerificationProblem("payload_invalid", file.path, "", f"{file.path}: {fault}")
        ]
    if not may_sign(envelope, signature, allowed, decision.email, decision.when):
        expected = f"expected a key that {decision.email} may sign with at {decision.time} ({allowed.name})"
        message = f"{file.path}: {expected}, found {signature.fingerprint}"
        return None, [VerificationProblem("signer_mismatch", file.path, "", message)]
    opened = VerifiedRecord(file, decision)
    return _with_result(opened, lines[1], allowed) if len(lines) == 2 else (opened, [])


def _with_result(
    opened: VerifiedRecord, line: bytes, allowed: AllowedSigners
) -> tuple[VerifiedRecord, list[VerificationProblem]]:
    path = opened.file.path
    judged = judge(line, allowed, f"{path}, line 2")
    if isinstance(judged, VerificationProblem):
        return opened, [judged._replace(path=path)]
    envelope, signature = judged
    if signature.fingerprint != opened.decision.keyid:
        message = f"{path}, line 2: expected the key of line 1, {opened.decision.keyid}, found {signature.fingerprint}"
        return opened, [VerificationProblem("signer_mismatch", path, "", message)]
    try:
        predicate, subjects = read_statement(envelope.payload, TEST_RESULT)
    except StatementError as fault:
        return opened, [
            VerificationProblem("payload_invalid", path, "", f"{path}, line 2: {fault}")
        ]
    if subjects != opened.decision.subjects:
        message = f"{path}, line 2: expected the files of line 1, found others"
        return opened, [VerificationProblem("payload_invalid", path, "", message)]
    return opened._replace(result=predicate, result_digest=sha256(envelope.payload)), []
