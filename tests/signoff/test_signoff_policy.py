"""The sign-off policy: each rule by its code, and exit code 1."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from evalkit.compare.gates import REPLAY, Gate
from evalkit.config import Config, load_config
from evalkit.errors import Misconfigured
from evalkit.signoff.in_toto import Deviation, GateRecord, RecordLink, ReviewRecord, Signoff
from evalkit.signoff.policy import PolicyFacts, SignoffPolicy, check_policy
from tests.signoff.conftest import Keys
from tests.signoff.signing_project import Project, codes, result, sign, verify

TODAY = date(2026, 11, 22)
COUNTS = {
    "collected": 3,
    "deselected": 0,
    "results": 3,
    "scored": 3,
    "passed": 3,
    "failed": 0,
    "errored": 0,
    "skipped": 0,
}


def record(email: str = "ada@x", **fields: Any) -> Signoff:
    options: dict[str, Any] = {
        "path": "signoffs/0001.intoto.jsonl", "keyid": email, "number": 1, "previous": None, "result": RecordLink("", ""), "name": email,
        "email": email, "role": "qa", "time": "2026-11-20T12:00:00Z", "meaning": "approval", "decision": "approved", "comment": "",
        "run": "reports/latest", "counts": COUNTS, "gate": None, "review": None,
        "override": "", "deviations": (), "authors": (), "tool": {}, "subjects": {},
    }  # fmt: skip
    return Signoff(**options | fields)


def review(accepted: int = 0, rejected: int = 0, undecided: int = 0) -> ReviewRecord:
    return ReviewRecord(items=3, accepted=accepted, rejected=rejected, undecided=undecided)


def gate(verdict: str = "pass", name: str = "release", definition: Gate = REPLAY) -> GateRecord:
    return GateRecord(
        name=name,
        verdict=verdict,
        reason="because",
        rules={},
        definition=definition,
        prices={},
        baseline="reports/main",
    )


def until(day: str) -> dict[str, Any]:
    return {
        "decision": "approved-with-deviations",
        "deviations": (Deviation("slow", day, "known"),),
    }


CASES: dict[str, tuple[dict[str, Any], list[Signoff], list[str]]] = {
    "nobody": ({}, [], ["not_signed"]),
    "one": ({}, [record()], []),
    "one of two": ({"signers": 2}, [record()], ["too_few_signers"]),
    "two of two": ({"signers": 2}, [record(), record("bob@x")], []),
    "one twice": ({"signers": 2}, [record(), record("ADA@x", keyid="other")], ["too_few_signers"]),
    "one key, two names": ({"signers": 2}, [record(keyid="k"), record("bob@x", keyid="k")], ["too_few_signers"]),
    "rejected": ({}, [record(decision="rejected")], ["too_few_signers", "rejected"]),
    "rejected by another": ({}, [record(), record("bob@x", decision="rejected")], ["rejected"]),
    "rejected, then approved": ({}, [record(decision="rejected"), record()], []),
    "approved, then rejected": ({}, [record(), record(decision="rejected")], ["too_few_signers", "rejected"]),
    "a role that is missing": ({"required": {"qa": 1, "lead": 1}}, [record()], ["role_missing"]),
    "all roles": ({"required": {"qa": 1, "lead": 1}}, [record(), record("bob@x", role="lead")], []),
    "one person, two roles": ({"required": {"qa": 1, "lead": 1}}, [record(), record(role="lead")], ["role_missing"]),
    "a role nobody knows": ({"roles": ["lead"]}, [record()], ["role_unknown"]),
    "a deviation's last day": ({}, [record(**until("2026-11-22"))], []),
    "a day later": ({}, [record(**until("2026-11-21"))], ["deviation_expired"]),
    "as long as may be": ({"deviation_days": 30}, [record(**until("2026-12-20"))], []),
    "a day longer": ({"deviation_days": 30}, [record(**until("2026-12-21"))], ["deviation_too_long"]),
    "expired, and taken back": ({}, [record(**until("2026-11-21")), record()], []),
    "author": ({"author_is_not_approver": True}, [record("Author@x")], ["author_approved"]),
    "author rejects": ({"author_is_not_approver": True}, [record("author@x", decision="rejected"), record()], ["rejected"]),
    "author, as the record has it": ({"author_is_not_approver": True}, [record(authors=("ada@x",))], ["author_approved"]),
    "author, not asked": ({}, [record("author@x")], []),
    "no gate": ({"gate": "release"}, [record()], ["gate_missing"]),
    "another gate": ({"gate": "release"}, [record(gate=gate(name="default"))], ["gate_missing"]),
    "the gate": ({"gate": "release"}, [record(gate=gate())], []),
    "a gate made weaker": ({}, [record(gate=gate(definition=Gate(max_regressions=9)))], ["gate_redefined"]),
    "a gate nobody has": ({}, [record(gate=gate(name="gone"))], ["gate_redefined"]),
    "failed": ({}, [record(gate=gate("fail"))], ["gate_not_passed"]),
    "inconclusive": ({}, [record(gate=gate("inconclusive"))], ["gate_not_passed"]),
    "all accepted": ({}, [record(review=review(accepted=3))], []),
    "one undecided": ({}, [record(review=review(accepted=2, undecided=1))], ["gate_not_passed"]),
    "one rejected": ({}, [record(gate=gate(), review=review(rejected=3))], ["gate_not_passed"]),
    "rejected and overridden": ({}, [record(review=review(rejected=3), override="known")], []),
    "rejected in review and by QA": ({}, [record(review=review(rejected=3), decision="rejected"), record("bob@x")], ["rejected"]),
    "overridden": ({}, [record(gate=gate("fail"), override="known")], []),
    "accepted with deviations": ({}, [record(gate=gate("fail"), **until("2026-12-01"))], []),
    "failed, no gate": ({}, [record(counts={**COUNTS, "errored": 1})], ["gate_not_passed"]),
    "rejected what failed": ({}, [record(gate=gate("fail"), decision="rejected"), record("bob@x", override="ok", gate=gate("fail"))], ["rejected"]),
}  # fmt: skip


def facts_of(records: list[Signoff], **fields: Any) -> PolicyFacts:
    defaults: dict[str, Any] = {
        "gates": {}, "prices": {}, "authors": frozenset(), "today": TODAY, "strength": None
    }  # fmt: skip
    return PolicyFacts(records=records, **defaults | fields)


@pytest.mark.parametrize(
    ("strength", "expected"), [(None, "found none"), (0.69, "found 69%"), (0.7, "")]
)
def test_a_required_strength(strength: float | None, expected: str) -> None:
    facts = facts_of([record()], strength=strength)
    problems = check_policy(SignoffPolicy(required_strength=0.7), facts)
    assert [one.code for one in problems] == (["too_weak"] if expected else [])
    assert all(expected in one.message for one in problems)


@pytest.mark.parametrize("name", CASES)
def test_rules(name: str) -> None:
    policy, records, expected = CASES[name]
    facts = facts_of(records, gates={"release": REPLAY}, authors=frozenset({"author@x"}))
    actual = check_policy(SignoffPolicy(**policy), facts)
    assert [one.code for one in actual] == expected
    assert all("expected" in one.message for one in actual)
    assert not any(one.is_integrity for one in actual)


def test_an_unknown_author() -> None:
    facts = facts_of([record()])
    assert [
        one.code for one in check_policy(SignoffPolicy(author_is_not_approver=True), facts)
    ] == ["author_unknown"]


def test_a_policy_over_real_records(
    project: Project, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write_run(project.run, [result("one", "failed"), result("two"), result("three")])
    project.config("  required: {qa: 1, lead: 1}\n  author_is_not_approver: true\n")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1800000000")
    more = ["--deviation", "slow; until 2027-02-01; a mirror is down"]
    assert sign(keys["ed25519"], *more, decision="approved-with-deviations").exit_code == 0
    code, actual = verify()
    assert (code, codes(actual)) == (1, ["role_missing", "author_unknown"])
    assert actual["records"][0]["deviations"] == [
        {"what": "slow", "until": "2027-02-01", "why": "a mirror is down"}
    ]
    done = sign(
        keys["ecdsa"],
        "--author",
        "ada@example.com",
        email="bob@example.com",
        role="lead",
        override="agreed",
    )
    assert done.exit_code == 0, done.output
    code, actual = verify()
    assert (code, codes(actual)) == (1, ["author_approved"])
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1900000000")
    code, actual = verify()
    assert (code, codes(actual)) == (1, ["deviation_expired", "author_approved"])


def test_a_gate_weakened_in_the_configuration(project: Project, keys: Keys) -> None:
    project.config(
        "  gate: release\ngates: {release: {max_regressions: 0, tokens: {max_increase: 0.1}}}\n"
    )
    more = ["--gate", "release", "--baseline", "reports/main"]
    assert sign(keys["ed25519"]).output.startswith(
        "evalkit: the policy requires gate 'release' for approvals"
    )
    assert sign(keys["ed25519"], *more).exit_code == 0
    assert verify()[0] == 0
    project.config("  gate: release\ngates: {release: {max_regressions: 9}}\n")
    code, actual = verify()
    assert (code, codes(actual)) == (1, ["gate_redefined"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "signoff: {signer: 2}",
            "evalkit.yaml:1:11 unknown key 'signer' (did you mean 'signers'?); valid: allowed_signers, roles, ",
        ),
        ("signoff: {signers: 0}", "signoff: 'signers' takes"),
        (
            "signoff: {required: {qa: no}}",
            "evalkit.yaml:1:26 signoff.required: 'qa' takes a whole number",
        ),
        ("signoff: []", "'signoff' takes a mapping"),
    ],
)
def test_mistakes_are_located(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "evalkit.yaml"
    path.write_text(text)
    with pytest.raises(Misconfigured) as caught:
        load_config(path)
    assert message.removeprefix("signoff: ") in str(caught.value)


def test_without_a_policy_one_approval_is_enough() -> None:
    assert Config().signoff == SignoffPolicy()
    assert SignoffPolicy().signers == 1
