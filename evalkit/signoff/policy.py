"""The sign-off policy of ``evalkit.yaml``: who must have approved a run, and for how long exceptions last. Pure.

    signoff:
      allowed_signers: .evalkit/allowed_signers
      roles: [qa, release-manager]
      required: {qa: 1, release-manager: 1}
      signers: 2
      author_is_not_approver: true
      gate: release
      deviation_days: 90

Of each person the newest decision counts, so a rejection is taken back by approving later, and nobody counts twice. Without a policy one
approval is enough; what was signed must be whole either way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from evalkit.compare.gates import Gate
from evalkit.signoff.in_toto import APPROVALS, Signoff
from evalkit.signoff.problems import VerificationProblem


class SignoffPolicy(BaseModel):
    """What ``signoff:`` in ``evalkit.yaml`` holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    allowed_signers: str = Field(
        "", description="File of allowed signers (OpenSSH's format), from the project's root."
    )
    roles: list[str] = Field(
        default=[], description="Roles people may sign in; without any, every role is taken."
    )
    required: dict[str, Annotated[int, Field(ge=1)]] = Field(
        default={}, description="How many people must approve in a role."
    )
    signers: int = Field(1, ge=1, description="How many people must approve.")
    author_is_not_approver: bool = Field(
        False, description="Who changed the suites or cassettes last may not approve."
    )
    gate: str = Field("", description="Gate that every approval must have been given by.")
    deviation_days: int | None = Field(
        None, ge=1, description="Most days a deviation may last, from the day it was signed."
    )

    @property
    def known_roles(self) -> list[str]:
        """The roles people may sign in; empty where every role is taken."""
        return list(dict.fromkeys([*self.roles, *self.required])) if self.roles else []


class PolicyFacts(NamedTuple):
    """What is judged: records that are what they were, oldest first; the gates of the trusted configuration; authors; the day."""

    records: Sequence[Signoff]
    gates: dict[str, Gate]
    authors: frozenset[str]
    today: date


def judge(policy: SignoffPolicy, situation: PolicyFacts) -> list[VerificationProblem]:
    """Return what the policy misses; nothing where it is satisfied."""
    return [problem for rule in _RULES for problem in rule(policy, situation)]


def _newest(situation: PolicyFacts) -> list[Signoff]:
    """Return each person's newest decision. A person is an address, and a key: one key never counts as two people."""
    newest: dict[str, Signoff] = {}
    for record in situation.records:
        newest = {who: other for who, other in newest.items() if other.keyid != record.keyid}
        newest[record.email.casefold()] = record
    return list(newest.values())


def _approving(situation: PolicyFacts) -> list[Signoff]:
    return [record for record in _newest(situation) if record.decision in APPROVALS]


def _signers(policy: SignoffPolicy, situation: PolicyFacts) -> Iterator[VerificationProblem]:
    approving = len(_approving(situation))
    if not situation.records:
        yield VerificationProblem(
            "not_signed",
            "",
            "",
            f"expected {policy.signers} to approve, found no record that holds",
        )
    elif approving < policy.signers:
        yield VerificationProblem(
            "too_few_signers",
            "",
            "",
            f"expected {policy.signers} people to approve, found {approving}",
        )


def _roles(policy: SignoffPolicy, situation: PolicyFacts) -> Iterator[VerificationProblem]:
    approving = [record.role for record in _approving(situation)]
    for role, least in policy.required.items():
        if approving.count(role) < least:
            yield VerificationProblem(
                "role_missing",
                "",
                "",
                f"expected {least} to approve as {role!r}, found {approving.count(role)}",
            )
    for record in situation.records:
        if policy.known_roles and record.role not in policy.known_roles:
            message = f"expected a role of the policy ({', '.join(policy.known_roles)}), found {record.role!r}"
            yield VerificationProblem("role_unknown", record.path, "", message)


def _rejections(policy: SignoffPolicy, situation: PolicyFacts) -> Iterator[VerificationProblem]:
    for record in _newest(situation):
        if record.decision == "rejected":
            yield VerificationProblem(
                "rejected",
                record.path,
                "",
                f"expected no standing rejection, found that of {record.who}",
            )


def _deviations(policy: SignoffPolicy, situation: PolicyFacts) -> Iterator[VerificationProblem]:
    for record in _newest(situation):
        for deviation in record.deviations:
            until = date.fromisoformat(deviation.until)
            if until < situation.today:
                message = f"expected {deviation.what!r} to be mended by {until}, found today is {situation.today}"
                yield VerificationProblem("deviation_expired", record.path, "", message)
            if too_long(policy, record.when.date(), until):
                message = f"expected a deviation of at most {policy.deviation_days} days, found {deviation.what!r} until {until}"
                yield VerificationProblem("deviation_too_long", record.path, "", message)


def too_long(policy: SignoffPolicy, signed: date, until: date) -> bool:
    """Say whether the policy allows no deviation for so long."""
    return policy.deviation_days is not None and until > signed + timedelta(
        days=policy.deviation_days
    )


def _authors(policy: SignoffPolicy, situation: PolicyFacts) -> Iterator[VerificationProblem]:
    if not policy.author_is_not_approver:
        return
    approving = _approving(situation)
    authors = {
        author.casefold()
        for author in situation.authors.union(*(record.authors for record in approving))
    }
    if approving and not authors:
        message = "expected to know who changed the suites and cassettes last, found no git history and no --author"
        yield VerificationProblem("author_unknown", "", "", message)
    for record in approving:
        if record.email.casefold() in authors:
            message = f"expected somebody else to approve, found {record.email}, who changed what was tested"
            yield VerificationProblem("author_approved", record.path, "", message)


def _gates(policy: SignoffPolicy, situation: PolicyFacts) -> Iterator[VerificationProblem]:
    for record in _approving(situation):
        gate = record.gate
        if policy.gate and (gate is None or gate.name != policy.gate):
            found = repr(gate.name) if gate else "no gate"
            yield VerificationProblem(
                "gate_missing", record.path, "", f"expected gate {policy.gate!r}, found {found}"
            )
        if gate is not None and situation.gates.get(gate.name) != gate.definition:
            message = f"expected gate {gate.name!r} as the configuration has it, found that another definition was signed"
            yield VerificationProblem("gate_redefined", record.path, "", message)
        if (
            needs_reason(record.decision, gate.verdict if gate else None, record.counts)
            and not record.override
        ):
            found = (
                f"gate {gate.name!r}: {gate.verdict}"
                if gate
                else f"{record.counts['passed']} of {record.counts['results']} passed"
            )
            message = f"expected everything approved to have passed, or a reason to override that, found {found}"
            yield VerificationProblem("gate_not_passed", record.path, "", message)


def needs_reason(decision: str, verdict: str | None, counts: Mapping[str, int]) -> bool:
    """Say whether a decision must give a reason: it approves, and its gate (without one: every result) did not pass."""
    passed = (
        verdict == "pass" if verdict is not None else not (counts["failed"] or counts["errored"])
    )
    return decision == "approved" and not passed


_RULES = (_signers, _roles, _rejections, _deviations, _authors, _gates)
