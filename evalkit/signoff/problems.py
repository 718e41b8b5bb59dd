"""Define the problems that verification reports.

Problems are of integrity (exit code 3) or of policy (exit code 1). An integrity problem means that
something is not what was signed, or not signed by the person it names. A policy problem means that
everything is authentic, but not sufficient.
"""

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

CODES: Mapping[Literal["integrity", "policy"], Mapping[str, str]] = {
    "integrity": {
        "record_unreadable": "a record is not a DSSE envelope as evalkit writes it",
        "signature_invalid": "a signature is not valid for these bytes and this purpose",
        "unknown_signer": "a key is not among the allowed signers",
        "weak_key": "a key or signature is too weak: RSA under 2048 bits, DSA, SHA-1",
        "signer_mismatch": "a key is not allowed for the record's address, or was not at that time",
        "payload_invalid": "the signed payload is not a statement of evalkit",
        "file_unsigned": "a record does not name a file that it must name",
        "record_missing": "a record that another record or the git ref names is missing",
        "record_changed": "a record differs from what the next record or the git ref has",
        "record_order": "a record is not in the position where it was written",
        "unexpected_file": "a file in signoffs/ is not a record",
        "manifest_differs": "manifest.sha256 differs from what was signed",
        "signed_in_future": "a record's time has not come yet",
        "signed_before_data": "a record's time is before that of what it signs",
        "file_added": "a file was added to the run after signing",
        "file_changed": "a file differs from what was signed",
        "file_missing": "a signed file is missing",
        "result_changed": "a line of results.jsonl differs from what was signed",
        "result_missing": "a signed line of results.jsonl is missing",
        "result_added": "a line of results.jsonl was added after signing",
        "results_reordered": "the lines of results.jsonl are in another order than when signed",
        "totals_differ": "the counts of results differ from the stated ones",
        "gate_differs": "the signed gate gives another verdict on the results",
        "report_differs": "a page differs from what evalkit builds from the data",
    },
    "policy": {
        "not_signed": "there is no valid record",
        "too_few_signers": "fewer people approved than required",
        "role_missing": "a required role did not approve",
        "role_unknown": "a record's role is not one of the policy's",
        "rejected": "somebody's newest decision is a rejection",
        "deviation_expired": "the last day of a deviation has passed",
        "deviation_too_long": "a deviation lasts longer than the policy allows",
        "author_approved": "an approver changed suites, cassettes or gates since the base",
        "author_unknown": "who changed suites, cassettes or gates is not known",
        "gate_missing": "an approval does not have the gate that the policy requires",
        "gate_redefined": "the signed gate is not the one in the configuration",
        "gate_not_passed": "an approval without a reason, although its gate did not pass",
    },
}
"""The codes of problems and their meaning."""


class VerificationProblem(NamedTuple):
    """A problem with an expected and an actual value in its message.

    ``path`` is the file and ``id`` the result it concerns, empty if there is none.
    """

    code: str
    path: str
    message: str
    id: str = ""

    @property
    def is_integrity(self) -> bool:
        """Whether something is not what was signed."""
        return self.code in CODES["integrity"]


class InvalidEvidence(ValueError):
    """Signed data is not as evalkit writes it, or not validly signed; ``code`` is of CODES."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def sorted_problems(problems: Iterable[VerificationProblem]) -> list[VerificationProblem]:
    """Return problems without duplicates, integrity first."""
    return sorted(dict.fromkeys(problems), key=lambda problem: not problem.is_integrity)


def describe_difference(name: str, expected: str | None, actual: str | None) -> str:
    """Return a text about an expected and an actual value; digests are shortened."""
    return f"{name}: expected {_shorten(expected)}, found {_shorten(actual)}"


def _shorten(value: str | None) -> str:
    if value is None:
        return "nothing"
    return f"sha256 {value[:16]}…" if len(value) == 64 else value
