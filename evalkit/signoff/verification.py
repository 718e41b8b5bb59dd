"""Verification: is everything still what was signed, by whom it says, and is that enough? Offline, and in this order.

1. Every record: the signature and the key first, then the payload, then whether the key is that person's at that time.
2. The chain: numbers without gaps, each record naming the whole file of the one before; records a git ref still has.
3. Every file a record names, hashed again; ``manifest.sha256``; the results counted again; the gate judged again.
4. The policy, over the records that survived 1.

A problem never hides another: all are told. Nothing is written.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from evalkit._lib.files import sha256
from evalkit.compare.gates import Gate
from evalkit.errors import UsageError
from evalkit.results.project_root import find_project_root
from evalkit.signoff import digest_manifest, policy, record_chain, result_digests
from evalkit.signoff.allowed_signers import AllowedSigners
from evalkit.signoff.digest_manifest import SignedPaths
from evalkit.signoff.gating import judge_gate
from evalkit.signoff.in_toto import RESULTS, Signoff, outcome
from evalkit.signoff.problems import VerificationProblem, describe_difference, sorted_problems
from evalkit.signoff.record_check import VerifiedRecord, verify_record
from evalkit.signoff.records import FOLDER, list_records


class TrustSettings(NamedTuple):
    """What is believed without proof: who may sign, the policy, its gates; the records a git ref has, and whom git calls author."""

    signers: AllowedSigners
    policy: policy.SignoffPolicy
    gates: dict[str, Gate]
    kept: Mapping[str, bytes] = {}
    authors: frozenset[str] = frozenset()


class VerificationResult(NamedTuple):
    """What was found; ``records`` are those whose signature, key and person hold."""

    problems: list[VerificationProblem]
    records: list[Signoff]

    @property
    def exit_code(self) -> int:
        """0: all is well; 1: the policy is not satisfied; 3: something is not what was signed."""
        return (
            3 if any(problem.integrity for problem in self.problems) else 1 if self.problems else 0
        )


def verify(
    run: Path, trust: TrustSettings, *, now: datetime, root: Path | None = None
) -> VerificationResult:
    """Verify a run directory. Raises UsageError: it is none, or something cannot be read."""
    files, strangers = list_records(run)
    if not files and not (run / "manifest.json").is_file():
        raise UsageError(f"{run} is not a run directory: it has no manifest.json and no {FOLDER}")
    problems = [
        VerificationProblem(
            "unexpected_file",
            f"{FOLDER}/{name}",
            "",
            f"expected only records in {FOLDER}, found {name}",
        )
        for name in strangers
    ]
    opened = []
    for file in files:
        record, wrong = verify_record(file, trust.signers)
        problems += wrong
        if record is not None:
            opened.append(record)
    problems += record_chain.problems(files, opened, trust.kept)
    records = [record.decision for record in opened]
    if records:
        signed_run = records[-1].run
        head = _manifest(run, records[-1].subjects.get(f"{signed_run}/manifest.json"))
        places = SignedPaths(root or find_project_root(run, head, signed_run), run, signed_run)
        problems += _data(places, opened, head)
    problems += policy.judge(
        trust.policy, policy.PolicyFacts(records, trust.gates, trust.authors, now.date())
    )
    return VerificationResult(sorted_problems(problems), records)


def _manifest(run: Path, digest: str | None) -> dict[str, Any]:
    """Return the run's manifest, empty where it is not the one that was signed: that is told by its digest."""
    try:
        data = (run / "manifest.json").read_bytes()
        value = json.loads(data) if digest in (None, sha256(data)) else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return value if digest_manifest.is_valid_run_manifest(value) else {}


def _data(
    places: SignedPaths, opened: list[VerifiedRecord], head: Mapping[str, Any]
) -> Iterator[VerificationProblem]:
    signed: dict[str, str] = {}
    for record in opened:
        for name, digest in record.decision.subjects.items():
            if signed.setdefault(name, digest) != digest:
                message = f"{name}: {describe_difference('as an earlier record has it', signed[name], digest)}"
                yield VerificationProblem("file_changed", name, "", message)
    for record in opened:
        yield from _unsigned(record.decision, head)
    changed = set()
    for name, digest in signed.items():
        found = places.digest(name)
        if found != digest:
            changed.add(name)
            yield VerificationProblem(
                "file_missing" if found is None else "file_changed",
                name,
                "",
                describe_difference(name, digest, found),
            )
    yield from _manifest_file(places, signed)
    results = f"{places.signed_run}/results.jsonl"
    path = places.path(results)
    lines = result_digests.read(path.read_bytes()) if path.is_file() else []
    yield from _results(lines, opened, results, results in changed)
    yield from _totals(lines, opened, head, results)
    for record in opened:
        yield from _gate(places, record.decision, changed)


def _unsigned(decision: Signoff, head: Mapping[str, Any]) -> Iterator[VerificationProblem]:
    """A signature binds only what it names: a decision about a run is about its results and suites, and by a gate about the baseline's."""
    needed = [
        f"{decision.run}/{name}"
        for name in (*digest_manifest.BASELINE_FILES, digest_manifest.TOOL_VERSIONS)
    ]
    needed += [str(suite["path"]) for suite in head.get("suites", [])]
    if decision.gate is not None:
        needed += [f"{decision.gate.baseline}/{name}" for name in digest_manifest.BASELINE_FILES]
    for name in needed:
        if name not in decision.subjects:
            yield VerificationProblem(
                "file_unsigned",
                decision.path,
                "",
                f"{decision.path}: expected it to be about {name}, found that it is not",
            )


def _manifest_file(places: SignedPaths, signed: Mapping[str, str]) -> Iterator[VerificationProblem]:
    name = f"{places.signed_run}/{digest_manifest.NAME}"
    path = places.run / digest_manifest.NAME
    if not path.is_file():
        yield VerificationProblem(
            "manifest_differs",
            name,
            "",
            f"{name}: expected the digests of {len(signed)} files, found no such file",
        )
        return
    try:
        stated = digest_manifest.parse(path.read_bytes())
    except digest_manifest.DigestManifestError as fault:
        yield VerificationProblem("manifest_differs", name, "", f"{name}: {fault}")
        return
    for file in sorted(stated.keys() | signed.keys()):
        # A line beyond what was signed is what a kill leaves between manifest and record: it has to be true.
        expected = signed.get(file) or places.digest(file)
        if stated.get(file) != expected or expected is None:
            yield VerificationProblem(
                "manifest_differs",
                name,
                "",
                f"{name}: {describe_difference(file, expected, stated.get(file))}",
            )


def _results(
    lines: list[result_digests.Line], opened: list[VerifiedRecord], path: str, changed: bool
) -> Iterator[VerificationProblem]:
    yield from result_digests.faults(lines, path)
    for record in opened:
        if record.result is None:
            continue
        listed_ = [(one["id"], one["digest"]["sha256"]) for one in record.result[RESULTS]]
        if changed:
            yield from result_digests.changes(lines, listed_, path)
            continue
        suites = {one["name"]: one["digest"]["sha256"] for one in record.result["configuration"]}
        again = outcome(
            [(line.id, line.verdict, line.warned, line.digest) for line in lines], suites
        )
        for field in sorted(key for key in again if again[key] != record.result.get(key)):
            yield VerificationProblem(
                "totals_differ",
                record.file.path,
                "",
                f"{record.file.path}: {field} is not what the results give",
            )


def _totals(
    lines: list[result_digests.Line],
    opened: list[VerifiedRecord],
    head: Mapping[str, Any],
    path: str,
) -> Iterator[VerificationProblem]:
    counted = result_digests.counts(lines, head)
    if not head:
        del counted["collected"], counted["deselected"]  # which only the manifest knows
    yield from result_digests.miscounts(counted, head.get("totals", {}), "manifest.json", path)
    for record in opened:
        yield from result_digests.miscounts(counted, record.decision.counts, record.file.path, path)


def _gate(
    places: SignedPaths, decision: Signoff, changed: set[str]
) -> Iterator[VerificationProblem]:
    gate = decision.gate
    if gate is None:
        return
    try:
        found = judge_gate(
            places.run, places.root / gate.baseline, gate.name, gate.definition, gate.prices
        )
    except (UsageError, RecursionError) as error:
        if not changed:  # else that is why, and was told
            yield VerificationProblem(
                "gate_differs",
                decision.path,
                "",
                f"gate {gate.name!r} cannot be judged again: {error}",
            )
        return
    again = {rule.rule: rule.verdict for rule in found.rules}
    if (found.verdict, again) != (gate.verdict, dict(gate.rules)):
        message = f"gate {gate.name!r}: expected {gate.verdict} ({gate.reason}), found {found.verdict} ({found.reason})"
        yield VerificationProblem("gate_differs", decision.path, "", message)
