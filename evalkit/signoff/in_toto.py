"""The two in-toto statements of a sign-off, made and read (in-toto attestation, spec v1). Pure.

``test-result`` says how the run ended, for any tool that reads in-toto; ``urn:evalkit:signoff:v1`` says what a person decided about it
(docs/signoff.md; its JSON Schema is ``schemas/signoff.schema.json``). Both name every file they speak of with its digest. The first also
lists each result's digest, so that of a changed ``results.jsonl`` the scenario can be named.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from evalkit._lib.json import JSON
from evalkit.compare.gates import Gate
from evalkit.compare.prices import Prices

STATEMENT = "https://in-toto.io/Statement/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
SIGNOFF = "urn:evalkit:signoff:v1"
RESULTS = "urn:evalkit:results:v1"
"""An extension field of the test-result predicate, named as in-toto asks: by a type URI."""
APPROVALS = ("approved", "approved-with-deviations")
DECISIONS = ("approved", "rejected", "approved-with-deviations")
MEANINGS = ("review", "approval", "responsibility")
TIME = "%Y-%m-%dT%H:%M:%SZ"


class StatementError(ValueError):
    """A payload is no statement of the kind that was expected."""


class Deviation(NamedTuple):
    """An exception that was granted: what is accepted, until which day (``YYYY-MM-DD``, UTC, included), and why."""

    what: str
    until: str
    why: str


class GateRecord(NamedTuple):
    """What a gate said when it was signed, and all that is needed to judge again: its rules, the prices, the baseline's name."""

    name: str
    verdict: str
    reason: str
    rules: Mapping[str, str]
    definition: Gate
    prices: Mapping[str, Prices]
    baseline: str


class RecordLink(NamedTuple):
    """Another record, by its file's name and the SHA-256 of what is meant of it."""

    name: str
    digest: str


class Signoff(NamedTuple):
    """A person's decision, as it was signed.

    ``path`` is the record's file in the run directory, ``keyid`` the fingerprint of the key, ``run`` the run directory's name from the
    project's root, ``counts`` the results with their denominators. ``previous`` is the whole file of the record before (None: the first),
    ``result`` the payload of the test-result. ``subjects`` are the digests of everything decided about. ``problem`` is empty but where a
    reader of unverified records (:func:`evalkit.signoff.records.read`) found something wrong.
    """

    path: str
    keyid: str
    number: int
    previous: RecordLink | None
    result: RecordLink
    name: str
    email: str
    role: str
    time: str
    meaning: str
    decision: str
    comment: str
    run: str
    counts: Mapping[str, int]
    gate: GateRecord | None
    override: str
    deviations: tuple[Deviation, ...]
    authors: tuple[str, ...]
    tool: Mapping[str, str]
    subjects: Mapping[str, str]
    problem: str = ""

    @property
    def who(self) -> str:
        """The person, as printed."""
        return f"{self.name} <{self.email}>"

    @property
    def when(self) -> datetime:
        """The time of signing."""
        return datetime.strptime(self.time, TIME).replace(tzinfo=UTC)


def statement(
    kind: str, predicate: Mapping[str, JSON], subjects: Mapping[str, str]
) -> dict[str, JSON]:
    """Return an in-toto Statement, version 1."""
    return {
        "_type": STATEMENT,
        "subject": _descriptors(subjects),
        "predicateType": kind,
        "predicate": dict(predicate),
    }


def outcome(
    lines: Sequence[tuple[str, str, bool, str]], suites: Mapping[str, str]
) -> dict[str, JSON]:
    """Return the test-result predicate of results given as ``(id, verdict, warned, digest)``, in the order of the file."""
    passed = [id_ for id_, verdict, warned, _ in lines if verdict == "passed" and not warned]
    warned_ = [id_ for id_, verdict, warned, _ in lines if verdict == "passed" and warned]
    failed = [id_ for id_, verdict, _, _ in lines if verdict in ("failed", "errored")]
    return {
        "result": "FAILED" if failed else "WARNED" if warned_ else "PASSED",
        "configuration": _descriptors(suites),
        "passedTests": passed,
        "warnedTests": warned_,
        "failedTests": failed,
        RESULTS: [{"id": id_, "digest": {"sha256": digest}} for id_, _, _, digest in lines],
    }


def signoff(record: Signoff) -> dict[str, JSON]:
    """Return the predicate of a decision."""
    gate, previous = record.gate, record.previous
    return {
        "number": record.number,
        "previous": _link(previous) if previous else None,
        "testResult": _link(record.result),
        "signer": {"name": record.name, "email": record.email, "role": record.role},
        "time": record.time,
        "meaning": record.meaning,
        "decision": record.decision,
        "comment": record.comment,
        "scope": {"run": record.run, "counts": dict(record.counts)},
        "gate": gate and {
            "name": gate.name,
            "verdict": gate.verdict,
            "reason": gate.reason,
            "rules": dict(gate.rules),
            # As text: a digest must not depend on how a number is spelled.
            "definition": gate.definition.model_dump_json(exclude_defaults=True),
            "prices": {model: price.model_dump_json(exclude_defaults=True) for model, price in gate.prices.items()},
            "baseline": gate.baseline,
        },
        "override": record.override,
        "deviations": [deviation._asdict() for deviation in record.deviations],
        "authors": list(record.authors),
        "tool": dict(record.tool),
    }  # fmt: skip


def read_statement(payload: bytes, kind: str) -> tuple[dict[str, JSON], dict[str, str]]:
    """Return predicate and subjects of a statement. Raises StatementError saying where it is none."""
    try:
        value = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise StatementError(f"the payload is not JSON: {error}") from error
    if (
        not isinstance(value, dict)
        or value.get("_type") != STATEMENT
        or value.get("predicateType") != kind
    ):
        raise StatementError(f"the payload is no in-toto Statement of {kind}")
    _validate(value, "signoff" if kind == SIGNOFF else "test-result")
    return value["predicate"], {
        subject["name"]: subject["digest"]["sha256"] for subject in value["subject"]
    }


def read_signoff(payload: bytes, path: str, keyid: str) -> Signoff:
    """Return the decision in a payload. Raises StatementError."""
    value, subjects = read_statement(payload, SIGNOFF)
    signer, scope, previous = value["signer"], value["scope"], value["previous"]
    try:
        record = Signoff(
            path,
            keyid,
            value["number"],
            RecordLink(previous["name"], previous["digest"]["sha256"]) if previous else None,
            RecordLink(value["testResult"]["name"], value["testResult"]["digest"]["sha256"]),
            signer["name"],
            signer["email"],
            signer["role"],
            value["time"],
            value["meaning"],
            value["decision"],
            value["comment"],
            scope["run"],
            scope["counts"],
            _gate(value["gate"]) if value["gate"] else None,
            value["override"],
            tuple(Deviation(**deviation) for deviation in value["deviations"]),
            tuple(value["authors"]),
            value["tool"],
            subjects,
        )
        _ = (
            record.when,
            [datetime.fromisoformat(deviation.until) for deviation in record.deviations],
        )
    except ValueError as error:
        raise StatementError(f"the payload holds {error}") from error
    return record


def _gate(value: Mapping[str, JSON]) -> GateRecord:
    return GateRecord(
        value["name"],
        value["verdict"],
        value["reason"],
        value["rules"],
        Gate.model_validate_json(value["definition"]),
        {model: Prices.model_validate_json(price) for model, price in value["prices"].items()},
        value["baseline"],
    )


def _descriptors(digests: Mapping[str, str]) -> list[dict[str, JSON]]:
    return [{"name": name, "digest": {"sha256": digests[name]}} for name in sorted(digests)]


def _link(link: RecordLink) -> dict[str, JSON]:
    return {"name": link.name, "digest": {"sha256": link.digest}}


def _validate(value: JSON, name: str) -> None:
    import jsonschema

    error = jsonschema.exceptions.best_match(_validator(name).iter_errors(value))
    if error is not None:
        raise StatementError(
            f"the payload is not as its schema says, at {error.json_path}: {error.message[:200]}"
        )


@cache
def _validator(name: str) -> Any:
    import jsonschema

    text = (files("evalkit.signoff") / "schemas" / f"{name}.schema.json").read_text(
        encoding="utf-8"
    )
    return jsonschema.Draft202012Validator(json.loads(text))
