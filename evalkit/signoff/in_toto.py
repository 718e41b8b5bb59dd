"""The two in-toto statements of a sign-off (in-toto attestation, spec v1). Pure.

``test-result`` states how the run ended, for any tool that reads in-toto.
``urn:evalkit:signoff:v1`` states a person's decision about it (docs/signoff.md; JSON Schema:
``schemas/signoff.schema.json``).
Both name every file they are about with its digest. The first also lists each result's digest, so
that verification can name the results that changed.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import NamedTuple

from evalkit._lib.json import JSON
from evalkit._lib.text import plural, shorten
from evalkit.compare.gates import Gate
from evalkit.compare.rows import Prices
from evalkit.results.records import schema_error
from evalkit.signoff.problems import InvalidEvidence
from evalkit.signoff.result_evidence import ResultEvidence

STATEMENT = "https://in-toto.io/Statement/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
SIGNOFF = "urn:evalkit:signoff:v1"
RESULTS = "urn:evalkit:results:v1"
"""An extension field of the test-result predicate, named by a type URI as in-toto requires."""
APPROVALS = ("approved", "approved-with-deviations")
DECISIONS = ("approved", "rejected", "approved-with-deviations")
MEANINGS = ("review", "approval", "responsibility")
TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


class Deviation(NamedTuple):
    """A granted exception; ``until`` is its last day (``YYYY-MM-DD``, UTC)."""

    what: str
    until: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRecord:
    """A gate's verdict when it was signed, and everything to evaluate it again."""

    name: str
    verdict: str
    reason: str
    rules: Mapping[str, str]
    definition: Gate
    prices: Mapping[str, Prices]
    baseline: str


class ReviewComment(NamedTuple):
    """A decision of a review, the results it is about, and why it was made."""

    decision: str
    results: list[str]
    comment: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewRecord:
    """What reviewers had decided about the run's items when it was signed."""

    items: int
    accepted: int
    rejected: int
    undecided: int
    comments: tuple[ReviewComment, ...] = ()

    @property
    def is_settled(self) -> bool:
        """Whether every item was accepted."""
        return not self.rejected and not self.undecided

    @property
    def summary(self) -> str:
        """The counts as text."""
        return (
            f"{self.accepted} accepted, {self.rejected} rejected, {self.undecided} undecided of "
            f"{plural(self.items, 'review item')}"
        )


class RecordLink(NamedTuple):
    """Another record, and the SHA-256 of its file or of a payload in it."""

    name: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerDecision:
    """What a person decided, and as whom."""

    name: str
    email: str
    role: str
    meaning: str
    decision: str
    comment: str = ""
    override: str = ""
    deviations: tuple[Deviation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Signoff(SignerDecision):
    """A decision as it was signed.

    ``path`` is the record's file in the run directory, ``keyid`` the key's fingerprint, ``run`` the
    run directory's path from the project root. ``previous`` is the file of the previous record
    (None for the first), ``result`` the payload of the test-result. ``subjects`` are the digests of
    all files that the decision is about. ``bar`` says when the expectations were committed,
    ``stopped`` when a run that could stop early did.
    """

    path: str
    keyid: str
    number: int
    previous: RecordLink | None
    result: RecordLink
    time: str
    run: str
    counts: Mapping[str, int]
    gate: GateRecord | None
    review: ReviewRecord | None
    authors: tuple[str, ...]
    tool: Mapping[str, str]
    subjects: Mapping[str, str]
    bar: str = ""
    stopped: str = ""

    @property
    def signer(self) -> str:
        """The person as ``name <address>``."""
        return f"{self.name} <{self.email}>"

    @property
    def details(self) -> list[str]:
        """What every readable form says of the decision, one line each."""
        counts, gate = self.counts, self.gate
        not_run = max(0, counts["collected"] - counts["deselected"] - counts["results"])
        lines = [
            f"{counts['passed']} of {counts['results']} results passed, {counts['failed']} failed, "
            f"{counts['errored']} errored, {counts['skipped']} skipped; of {counts['collected']} "
            f"collected {counts['deselected']} deselected, {not_run} not run",
            "no gate",
        ]
        if gate is not None:
            lines[1] = f"gate {gate.name}: {gate.verdict} against {gate.baseline} ({gate.reason})"
            lines += [f"allowed: {name} ({why})" for name, why in gate.definition.allow.items()]
        lines += filter(None, (self.bar, self.stopped))
        if self.override:
            lines.append(f"override: {self.override}")
        lines += [f"deviation until {one.until}: {one.what}; {one.why}" for one in self.deviations]
        if self.comment:
            lines.append(f"comment: {' '.join(self.comment.split())}")
        if self.review is not None and self.review.items:
            lines.append(self.review.summary)
            for one in self.review.comments:
                why = f": {' '.join(one.comment.split())}" if one.comment else ""
                names = shorten(", ".join(one.results), 300)
                lines.append(f"{one.decision} {names}{why} ({one.by})")
        return lines

    @property
    def signed_at(self) -> datetime:
        """The time of signing."""
        return datetime.strptime(self.time, TIME_FORMAT).replace(tzinfo=UTC)


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


def result_predicate(
    results: Sequence[ResultEvidence], suites: Mapping[str, str]
) -> dict[str, JSON]:
    """Return the test-result predicate of results, in the order of the file.

    Of several trials that are one test, the lists have the one that represents it.
    """
    tests = [result for result in results if result.counts]
    passed = [result.id for result in tests if result.verdict == "passed" and not result.warned]
    warned = [result.id for result in tests if result.verdict == "passed" and result.warned]
    failed = [result.id for result in tests if result.verdict in ("failed", "errored")]
    return {
        "result": "FAILED" if failed else "WARNED" if warned else "PASSED",
        "configuration": _descriptors(suites),
        "passedTests": passed,
        "warnedTests": warned,
        "failedTests": failed,
        RESULTS: [{"id": result.id, "digest": {"sha256": result.digest}} for result in results],
    }


def signoff_predicate(record: Signoff) -> dict[str, JSON]:
    """Return the predicate of a decision."""
    return {
        "number": record.number,
        "previous": _descriptor(*record.previous) if record.previous else None,
        "testResult": _descriptor(*record.result),
        "signer": {"name": record.name, "email": record.email, "role": record.role},
        "time": record.time,
        "meaning": record.meaning,
        "decision": record.decision,
        "comment": record.comment,
        "scope": {"run": record.run, "counts": dict(record.counts)},
        "gate": _gate_json(record.gate) if record.gate else None,
        "review": review_json(record.review) if record.review else None,
        "override": record.override,
        "deviations": [deviation._asdict() for deviation in record.deviations],
        "authors": list(record.authors),
        "tool": dict(record.tool),
        "bar": record.bar,
        **({"stopped": record.stopped} if record.stopped else {}),
    }


def review_json(review: ReviewRecord) -> dict[str, JSON]:
    """Return a review as it is in the predicate."""
    return {**asdict(review), "comments": [one._asdict() for one in review.comments]}


def _gate_json(gate: GateRecord) -> dict[str, JSON]:
    # Definition and prices are text, so that the digest does not depend on how numbers are spelled.
    prices = {
        model: price.model_dump_json(exclude_defaults=True) for model, price in gate.prices.items()
    }
    return {
        "name": gate.name,
        "verdict": gate.verdict,
        "reason": gate.reason,
        "rules": dict(gate.rules),
        "definition": gate.definition.model_dump_json(exclude_defaults=True),
        "prices": prices,
        "baseline": gate.baseline,
    }


def read_statement(payload: bytes, kind: str) -> tuple[dict[str, JSON], dict[str, str]]:
    """Return predicate and subjects of a statement. Raises InvalidEvidence."""
    try:
        value = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise InvalidEvidence("payload_invalid", f"the payload is not JSON: {error}") from error
    if (
        not isinstance(value, dict)
        or value.get("_type") != STATEMENT
        or value.get("predicateType") != kind
    ):
        raise InvalidEvidence(
            "payload_invalid", f"the payload is not an in-toto Statement of {kind}"
        )
    schema = "signoff" if kind == SIGNOFF else "test-result"
    violation = schema_error("evalkit.signoff", schema, value)
    if violation:
        raise InvalidEvidence(
            "payload_invalid", f"the payload does not fit its schema at {shorten(violation, 300)}"
        )
    subjects = {subject["name"]: subject["digest"]["sha256"] for subject in value["subject"]}
    return value["predicate"], subjects


def read_signoff(payload: bytes, path: str, keyid: str) -> Signoff:
    """Return the decision in a payload. Raises InvalidEvidence."""
    value, subjects = read_statement(payload, SIGNOFF)
    try:
        record = Signoff(
            path=path,
            keyid=keyid,
            number=value["number"],
            previous=_read_link(value["previous"]) if value["previous"] else None,
            result=_read_link(value["testResult"]),
            **value["signer"],
            time=value["time"],
            meaning=value["meaning"],
            decision=value["decision"],
            comment=value["comment"],
            **value["scope"],
            gate=_read_gate(value["gate"]) if value["gate"] else None,
            review=_read_review(value["review"]) if value.get("review") else None,
            override=value["override"],
            deviations=tuple(Deviation(**deviation) for deviation in value["deviations"]),
            authors=tuple(value["authors"]),
            tool=value["tool"],
            bar=value.get("bar", ""),
            stopped=value.get("stopped", ""),
            subjects=subjects,
        )
        # The schema checks the format of times and days, not that they exist.
        _ = record.signed_at, [date.fromisoformat(one.until) for one in record.deviations]
    except ValueError as error:
        raise InvalidEvidence("payload_invalid", f"the payload contains {error}") from error
    return record


def _read_gate(value: Mapping[str, JSON]) -> GateRecord:
    prices = {model: Prices.model_validate_json(price) for model, price in value["prices"].items()}
    definition = Gate.model_validate_json(value["definition"])
    return GateRecord(**{**value, "definition": definition, "prices": prices})


def _read_review(value: Mapping[str, JSON]) -> ReviewRecord:
    comments = tuple(ReviewComment(**comment) for comment in value["comments"])
    return ReviewRecord(**{**value, "comments": comments})


def _read_link(value: Mapping[str, JSON]) -> RecordLink:
    return RecordLink(value["name"], value["digest"]["sha256"])


def _descriptors(digests: Mapping[str, str]) -> list[dict[str, JSON]]:
    return [_descriptor(name, digest) for name, digest in sorted(digests.items())]


def _descriptor(name: str, digest: str) -> dict[str, JSON]:
    return {"name": name, "digest": {"sha256": digest}}
