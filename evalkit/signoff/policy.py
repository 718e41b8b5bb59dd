"""Check records against the sign-off policy of ``evalkit.yaml``. Pure.

    signoff:
      allowed_signers: .evalkit/allowed_signers
      roles: [qa, release-manager]
      required: {qa: 1, release-manager: 1}
      signers: 2
      author_is_not_approver: true
      gate: release
      deviation_days: 90
      required_strength: 0.7

The newest decision of each person counts. So approving later withdraws a rejection, and nobody
counts twice. Without a policy one approval is enough.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from evalkit.compare.gates import LIVE, REPLAY, Gate
from evalkit.compare.rows import Prices
from evalkit.signoff.in_toto import APPROVALS, Deviation, GateRecord, ReviewRecord, Signoff
from evalkit.signoff.problems import VerificationProblem


class SignoffPolicy(BaseModel):
    """The key ``signoff`` of ``evalkit.yaml``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    allowed_signers: str = Field(
        "",
        description="File of allowed signers (OpenSSH's format), as a path from the project root.",
    )
    roles: list[str] = Field(
        default=[], description="Roles in which people may sign; without any, all are accepted."
    )
    required: dict[str, Annotated[int, Field(ge=1)]] = Field(
        default={}, description="How many people must approve in each role."
    )
    signers: int = Field(1, ge=1, description="How many people must approve.")
    author_is_not_approver: bool = Field(
        False,
        description="Who changed suites, cassettes or gates since the base must not approve.",
    )
    gate: str = Field("", description="Gate that every approval must have.")
    deviation_days: int | None = Field(
        None, ge=1, description="Most days that a deviation may last, from the day of signing."
    )

    required_strength: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Share of the mutants of evalkit probe that the run's expectations must catch.",
    )

    @property
    def valid_roles(self) -> list[str]:
        """The roles in which people may sign; empty if all are accepted."""
        return list(dict.fromkeys([*self.roles, *self.required])) if self.roles else []


def deviation_problems(
    policy: SignoffPolicy, deviation: Deviation, signed: date, today: date
) -> Iterator[tuple[str, str]]:
    """Yield code and message of what forbids a deviation granted on a day.

    The day is the signer's statement, so the longest time counts from today, too.
    """
    until = date.fromisoformat(deviation.until)
    if until < today:
        yield (
            "deviation_expired",
            f"expected {deviation.what!r} to be fixed by {until}, today is {today}",
        )
    days = policy.deviation_days
    if days is not None and until > min(signed, today) + timedelta(days=days):
        yield (
            "deviation_too_long",
            f"expected a deviation of at most {days} days, found {deviation.what!r} until {until}",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFacts:
    """The verified records, oldest first, and what the policy compares them with.

    ``strength`` is that of the run's expectations, None where it was not probed.
    """

    records: Sequence[Signoff]
    gates: dict[str, Gate]
    prices: Mapping[str, Prices]
    authors: frozenset[str]
    today: date
    strength: float | None


def check_policy(policy: SignoffPolicy, facts: PolicyFacts) -> list[VerificationProblem]:
    """Return the requirements of the policy that are not met."""
    return [problem for rule in _RULES for problem in rule(policy, facts)]


def _newest(facts: PolicyFacts) -> list[Signoff]:
    """Return each person's newest decision.

    One address is one person, and so is one key.
    """
    newest: dict[str, Signoff] = {}
    for record in facts.records:
        newest = {email: other for email, other in newest.items() if other.keyid != record.keyid}
        newest[record.email.casefold()] = record
    return list(newest.values())


def _approvals(facts: PolicyFacts) -> list[Signoff]:
    return [record for record in _newest(facts) if record.decision in APPROVALS]


def _signers(policy: SignoffPolicy, facts: PolicyFacts) -> Iterator[VerificationProblem]:
    count = len(_approvals(facts))
    if not facts.records:
        yield VerificationProblem(
            "not_signed", "", f"expected {policy.signers} to approve, found no valid record"
        )
    elif count < policy.signers:
        yield VerificationProblem(
            "too_few_signers", "", f"expected {policy.signers} to approve, found {count}"
        )


def _roles(policy: SignoffPolicy, facts: PolicyFacts) -> Iterator[VerificationProblem]:
    roles = [record.role for record in _approvals(facts)]
    for role, least in policy.required.items():
        if roles.count(role) < least:
            yield VerificationProblem(
                "role_missing",
                "",
                f"expected {least} to approve as {role!r}, found {roles.count(role)}",
            )
    valid = policy.valid_roles
    for record in facts.records:
        if valid and record.role not in valid:
            yield VerificationProblem(
                "role_unknown",
                record.path,
                f"expected a role of the policy ({', '.join(valid)}), found {record.role!r}",
            )


def _rejections(policy: SignoffPolicy, facts: PolicyFacts) -> Iterator[VerificationProblem]:
    for record in _newest(facts):
        if record.decision == "rejected":
            yield VerificationProblem(
                "rejected",
                record.path,
                f"expected no rejection in force, found that of {record.signer}",
            )


def _deviations(policy: SignoffPolicy, facts: PolicyFacts) -> Iterator[VerificationProblem]:
    for record in _newest(facts):
        signed = record.signed_at.date()
        for deviation in record.deviations:
            for code, message in deviation_problems(policy, deviation, signed, facts.today):
                yield VerificationProblem(code, record.path, message)


def _authors(policy: SignoffPolicy, facts: PolicyFacts) -> Iterator[VerificationProblem]:
    if not policy.author_is_not_approver:
        return
    approvals = _approvals(facts)
    authors = facts.authors.union(*(record.authors for record in approvals))
    addresses = {author.casefold() for author in authors}
    if approvals and not addresses:
        yield VerificationProblem(
            "author_unknown",
            "",
            "expected to know who changed suites, cassettes and gates, found no git history and no "
            "--author",
        )
    for record in approvals:
        if record.email.casefold() in addresses:
            yield VerificationProblem(
                "author_approved",
                record.path,
                f"expected somebody else to approve, found {record.email}, who changed suites, "
                "cassettes or gates since the base (--signers-from, signoff --base)",
            )


def _gates(policy: SignoffPolicy, facts: PolicyFacts) -> Iterator[VerificationProblem]:
    for record in _approvals(facts):
        gate, path = record.gate, record.path
        if policy.gate and (gate is None or gate.name != policy.gate):
            actual = repr(gate.name) if gate else "no gate"
            yield VerificationProblem(
                "gate_missing", path, f"expected gate {policy.gate!r}, found {actual}"
            )
        if gate is not None and gate.definition not in _definitions(gate.name, facts):
            yield VerificationProblem(
                "gate_redefined",
                path,
                f"expected gate {gate.name!r} as in the configuration, found another definition",
            )
        if gate is not None and gate.definition.cost is not None:
            for model, price in sorted(gate.prices.items()):
                if facts.prices.get(model) != price:
                    yield VerificationProblem(
                        "gate_redefined",
                        path,
                        f"expected the price of {model!r} as in the configuration, found another",
                    )
        if not record.override and needs_reason(
            record.decision, gate, record.counts, record.review
        ):
            actual = f"{record.counts['passed']} of {record.counts['results']} passed"
            if gate:
                actual = f"gate {gate.name!r}: {gate.verdict}"
            if record.review and not record.review.is_settled:
                actual += f"; {record.review.summary}"
            yield VerificationProblem(
                "gate_not_passed",
                path,
                f"expected a pass, or a reason to approve without one, found {actual}",
            )


def _strength(policy: SignoffPolicy, facts: PolicyFacts) -> Iterator[VerificationProblem]:
    required = policy.required_strength
    if required is not None and (facts.strength is None or facts.strength < required):
        actual = "none; run evalkit probe before signing"
        if facts.strength is not None:
            actual = f"{facts.strength:.0%}"
        yield VerificationProblem(
            "too_weak", "strength.json", f"expected a strength of {required:.0%}, found {actual}"
        )


def _definitions(name: str, facts: PolicyFacts) -> Sequence[Gate]:
    """Return the gates that may bear a name; that of runs without one depends on their source."""
    if name in facts.gates:
        return [facts.gates[name]]
    return [REPLAY, LIVE] if name == "default" else []


def needs_reason(
    decision: str,
    gate: GateRecord | None,
    counts: Mapping[str, int],
    review: ReviewRecord | None,
) -> bool:
    """Return whether a decision must give a reason: an approval without a pass.

    A pass is that of the gate; without a gate, that of every scored result, of which there must be
    one. An item of the review
    that is rejected or undecided is not a pass either.
    """
    if decision == "approved" and review is not None and not review.is_settled:
        return True
    if gate is not None:
        passed = gate.verdict == "pass"
    else:
        passed = bool(counts["passed"]) and not (counts["failed"] or counts["errored"])
    return decision == "approved" and not passed


_RULES = (_signers, _roles, _rejections, _deviations, _authors, _gates, _strength)
