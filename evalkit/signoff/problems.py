"""What verification may find, by code: each is a matter of integrity (exit 3) or of policy (exit 1). Pure.

Integrity: something is not what was signed, or not signed by whom it says. SignoffPolicy: everything is what it was, but it is not enough.
A message says what was expected and what was found; ``path`` names the file, ``id`` the scenario's variant where there is one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

INTEGRITY = {
    "record_unreadable": "a record is no DSSE envelope in the one spelling evalkit writes",
    "signature_invalid": "a signature is not of these bytes, of this purpose",
    "unknown_signer": "a key is not among the allowed signers",
    "signer_mismatch": "a key is not allowed for the address in the record, or was not at that time",
    "payload_invalid": "what was signed is no statement of evalkit",
    "file_unsigned": "a record is not about a file it must be about",
    "record_missing": "a record that another one or the git ref knows is gone",
    "record_changed": "a record is not the one that the next one or the git ref knows",
    "record_order": "a record does not stand where it was written",
    "unexpected_file": "a file in signoffs/ is no record",
    "manifest_differs": "manifest.sha256 does not say what was signed",
    "file_changed": "a file is not the one that was signed",
    "file_missing": "a file that was signed is gone",
    "result_changed": "a line of results.jsonl is not the one that was signed",
    "result_missing": "a line of results.jsonl that was signed is gone",
    "result_added": "a line of results.jsonl was not there when it was signed",
    "results_reordered": "the lines of results.jsonl are those that were signed, in another order",
    "totals_differ": "counting the results gives other numbers",
    "gate_differs": "judging the results by the signed gate gives another verdict",
    "report_differs": "a page is not what evalkit makes of the data",
}
POLICY = {
    "not_signed": "nobody signed",
    "too_few_signers": "fewer people approved than must",
    "role_missing": "a role that must approve did not",
    "role_unknown": "a record's role is none of the policy's",
    "rejected": "somebody's newest decision is a rejection",
    "deviation_expired": "a deviation's last day has passed",
    "deviation_too_long": "a deviation was granted for longer than the policy allows",
    "author_approved": "who changed the suites or cassettes last approved them",
    "author_unknown": "who changed the suites or cassettes last is not known",
    "gate_missing": "a record approves without the gate the policy names",
    "gate_redefined": "the gate that was signed is not the one the configuration has",
    "gate_not_passed": "a record approves what its gate does not let through, without a reason",
}


class VerificationProblem(NamedTuple):
    """One thing that is wrong; ``path`` and ``id`` are empty where nothing of the kind is meant."""

    code: str
    path: str
    id: str
    message: str

    @property
    def integrity(self) -> bool:
        """Whether something is not what was signed."""
        return self.code in INTEGRITY

    def to_json(self) -> dict[str, str]:
        """Return it as ``evalkit verify --json`` prints it."""
        return self._asdict()


def sorted_problems(problems: Iterable[VerificationProblem]) -> list[VerificationProblem]:
    """Return problems once each, integrity first, else in the order they were found."""
    return sorted(dict.fromkeys(problems), key=lambda problem: not problem.integrity)


def describe_difference(what: str, expected: str | None, found: str | None) -> str:
    """Say what was expected and found; digests are cut to what a person can compare."""
    return f"{what}: expected {_short(expected)}, found {_short(found)}"


def _short(value: str | None) -> str:
    if value is None:
        return "nothing"
    return f"sha256 {value[:16]}…" if len(value) == 64 else value
