"""Verify offline that a run is what was signed, by the right people.

1. Every record: signature and key first, then payload, then whether the key was that person's then.
2. The chain: numbers without gaps, each record naming the file of the previous one, and the records
   that a git ref has.
3. Every signed file is hashed again; ``manifest.sha256`` is compared; results are counted again;
   the gate is evaluated again.
4. The policy, over the records that passed step 1.

All problems are reported; nothing is written.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from evalkit._lib.files import sha256
from evalkit._lib.json import JSON
from evalkit._lib.progress import tracked
from evalkit.compare.bar import CompareBars, compare_digests
from evalkit.compare.gate_decision import worst_outcome
from evalkit.compare.gates import Gate
from evalkit.compare.rows import Prices
from evalkit.compare.runs import compare
from evalkit.compare.turn_results import turn_runs
from evalkit.errors import UsageError
from evalkit.results import Run
from evalkit.results.calibrations import NAME as CALIBRATIONS
from evalkit.results.calibrations import read_calibrations
from evalkit.results.records import judged_by, schema_error
from evalkit.results.run_directory import SIGNOFFS, find_project_root
from evalkit.results.strength import read_strength
from evalkit.signoff import digest_manifest
from evalkit.signoff.digest_manifest import (
    BASELINE_FILES,
    CONVERTED,
    TOOL_VERSIONS,
    SignedPaths,
    added_files,
    file_digest,
    has_converted_line_ends,
)
from evalkit.signoff.in_toto import RESULTS, Signoff, result_predicate
from evalkit.signoff.policy import PolicyFacts, SignoffPolicy, check_policy
from evalkit.signoff.problems import (
    InvalidEvidence,
    VerificationProblem,
    describe_difference,
    sorted_problems,
)
from evalkit.signoff.records import (
    VerifiedRecord,
    chain_problems,
    list_records,
    verify_record,
)
from evalkit.signoff.result_evidence import (
    ResultEvidence,
    change_problems,
    count_problems,
    count_results,
    damage_problems,
    read_results,
)
from evalkit.signoff.ssh import AllowedSigners
from evalkit.signoff.times import expired_keys, time_problems


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustSettings:
    """What is trusted: allowed signers, policy, gates and prices.

    ``config`` names the file of policy, gates and prices, empty if there is none. ``ref_records``
    are the records of a git ref; ``authors`` made the change according to git. ``compare_bars``
    compares what two runs were judged by.
    """

    signers: AllowedSigners
    policy: SignoffPolicy
    gates: dict[str, Gate]
    prices: Mapping[str, Prices] = field(default_factory=dict)
    config: str = ""
    ref_records: Mapping[str, bytes] = field(default_factory=dict)
    authors: frozenset[str] = frozenset()
    compare_bars: CompareBars = compare_digests


class VerificationResult(NamedTuple):
    """The problems, and the records whose signature, key and person are valid.

    ``notes`` say what was not or could not be verified.
    """

    problems: list[VerificationProblem]
    records: list[Signoff]
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0: no problem.

        1: the policy is not satisfied; 3: something is not what was signed.
        """
        if any(problem.is_integrity for problem in self.problems):
            return 3
        return 1 if self.problems else 0


def verify(
    run: Path, trust: TrustSettings, *, now: datetime, root: Path | None = None
) -> VerificationResult:
    """Verify a run directory.

    Raises UsageError if it is not one, or a file cannot be read.
    """
    files, others = list_records(run)
    if not files and not (run / "manifest.json").is_file():
        raise UsageError(f"{run}: not a run directory, it has no manifest.json and no {SIGNOFFS}")
    problems = [
        VerificationProblem(
            "unexpected_file",
            f"{SIGNOFFS}/{name}",
            f"expected only records in {SIGNOFFS}, found {name}",
        )
        for name in others
    ]
    records = []
    for file in files:
        record, record_problems = verify_record(file, trust.signers)
        problems += record_problems
        if record is not None:
            records.append(record)
    problems += chain_problems(files, records, trust.ref_records)
    decisions = [record.decision for record in records]
    notes: list[str] = []
    if decisions:
        problems += _data_problems(run, root, records, trust.compare_bars, now, notes)
    strength = read_strength(run)
    facts = PolicyFacts(
        records=decisions,
        gates=trust.gates,
        prices=trust.prices,
        authors=trust.authors,
        today=now.date(),
        strength=strength and strength["strength"],
    )
    problems += check_policy(trust.policy, facts)
    notes += expired_keys(decisions, trust.signers, now)
    return VerificationResult(sorted_problems(problems), decisions, tuple(notes))


def _data_problems(
    run: Path,
    root: Path | None,
    records: list[VerifiedRecord],
    compare_bars: CompareBars,
    now: datetime,
    notes: list[str],
) -> Iterator[VerificationProblem]:
    newest = records[-1].decision
    manifest = _signed_manifest(run, newest.subjects.get(f"{newest.run}/manifest.json"))
    root = root or find_project_root(run, manifest, newest.run)
    paths = SignedPaths(root, run, newest.run)
    subjects: dict[str, str] = {}
    for record in records:
        yield from _unsigned_files(record.decision, manifest)
        for name, digest in record.decision.subjects.items():
            if subjects.setdefault(name, digest) != digest:
                earlier = describe_difference("as an earlier record has it", subjects[name], digest)
                yield VerificationProblem("file_changed", name, f"{name}: {earlier}")
    changed = set()
    for name, digest in tracked(subjects.items(), "verifying files", len(subjects)):
        actual = file_digest(paths.path(name))
        if actual != digest:
            changed.add(name)
            code = "file_missing" if actual is None else "file_changed"
            difference = describe_difference(name, digest, actual)
            if actual is not None and has_converted_line_ends(paths.path(name), digest):
                difference += CONVERTED
            yield VerificationProblem(code, name, difference)
    for name in added_files(paths, manifest.get("suites", []), subjects):
        message = f"{name}: expected no such file, it was added after signing"
        yield VerificationProblem("file_added", name, message)
    yield from time_problems(paths, [record.decision for record in records], now)
    yield from _manifest_problems(paths, subjects)
    results_name = f"{newest.run}/results.jsonl"
    path = paths.path(results_name)
    results = read_results(path.read_bytes()) if path.is_file() else []
    has_changed = results_name in changed
    yield from _result_problems(results, records, manifest, results_name, has_changed)
    for record in records:
        yield from _gate_problems(
            paths, record.decision, compare_bars, notes, has_changes=bool(changed)
        )


def _signed_manifest(run: Path, digest: str | None) -> dict[str, JSON]:
    """Return the run's manifest.

    Empty if it is not the signed one, whose digest is a problem.
    """
    try:
        data = (run / "manifest.json").read_bytes()
        value = json.loads(data) if digest in (None, sha256(data)) else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return {} if schema_error("evalkit.results", "manifest", value) else value


def _unsigned_files(
    decision: Signoff, manifest: Mapping[str, JSON]
) -> Iterator[VerificationProblem]:
    """Yield the files that a record must name and does not.

    A signature covers only what the record names. A decision must name the run's results and
    suites, and with a gate also the baseline's results.
    """
    names = [f"{decision.run}/{name}" for name in (*BASELINE_FILES, TOOL_VERSIONS)]
    names += judged_by(manifest)
    if decision.gate is not None:
        names += [f"{decision.gate.baseline}/{name}" for name in BASELINE_FILES]
    for name in names:
        if name not in decision.subjects:
            yield VerificationProblem(
                "file_unsigned",
                decision.path,
                f"{decision.path}: expected it to name {name}, found that it does not",
            )


def _manifest_problems(
    paths: SignedPaths, subjects: Mapping[str, str]
) -> Iterator[VerificationProblem]:
    name = f"{paths.signed_run}/{digest_manifest.NAME}"
    path = paths.run / digest_manifest.NAME
    if not path.is_file():
        yield VerificationProblem(
            "manifest_differs",
            name,
            f"{name}: expected the digests of {len(subjects)} files, found no such file",
        )
        return
    try:
        stated = digest_manifest.parse(path.read_bytes())
    except InvalidEvidence as error:
        hint = CONVERTED if b"\r\n" in path.read_bytes() else ""
        yield VerificationProblem(error.code, name, f"{name}: {error}{hint}")
        return
    for file in sorted(stated.keys() | subjects.keys()):
        if file not in subjects:
            message = f"{name}: lists {file}, which no record signs; sign again to write it anew"
            yield VerificationProblem("manifest_differs", name, message)
        elif stated.get(file) != subjects[file]:
            difference = describe_difference(file, subjects[file], stated.get(file))
            yield VerificationProblem("manifest_differs", name, f"{name}: {difference}")


def _result_problems(
    results: list[ResultEvidence],
    records: list[VerifiedRecord],
    manifest: Mapping[str, JSON],
    name: str,
    has_changed: bool,
) -> Iterator[VerificationProblem]:
    yield from damage_problems(results, name)
    totals = manifest.get("totals", {})
    counts = count_results(results, totals)
    if not manifest:
        # Only the manifest has the counts of collection.
        del counts["collected"], counts["deselected"]
    yield from count_problems(counts, totals, "manifest.json", name)
    for record in records:
        predicate, path = record.result, record.file.path
        yield from count_problems(counts, record.decision.counts, path, path)
        if predicate is None:
            continue
        if has_changed:
            signed = {entry["id"]: entry["digest"]["sha256"] for entry in predicate[RESULTS]}
            yield from change_problems(results, signed, name)
            continue
        suites = {file["name"]: file["digest"]["sha256"] for file in predicate["configuration"]}
        for key, value in sorted(result_predicate(results, suites).items()):
            if value != predicate.get(key):
                yield VerificationProblem(
                    "totals_differ", path, f"{path}: {key} does not match the results"
                )


def _gate_problems(
    paths: SignedPaths,
    decision: Signoff,
    compare_bars: CompareBars,
    notes: list[str],
    *,
    has_changes: bool,
) -> Iterator[VerificationProblem]:
    """Yield that the gate gives another verdict now; add what cannot be verified to the notes."""
    gate = decision.gate
    if gate is None:
        return
    try:
        comparison = compare(
            *turn_runs(Run(paths.root / gate.baseline), Run(paths.run)),
            gate_name=gate.name,
            gate=gate.definition,
            prices=gate.prices,
            compare_bars=compare_bars,
            calibrations=read_calibrations(paths.root) if CALIBRATIONS in decision.subjects else (),
        )
        verdict = comparison.verdict
    except (UsageError, RecursionError) as error:
        # Changed files explain the error, and are reported.
        if not has_changes:
            yield VerificationProblem(
                "gate_differs",
                decision.path,
                f"gate {gate.name!r} cannot be evaluated again: {error}",
            )
        return
    rules = {rule.rule: rule.verdict for rule in verdict.rules}
    differing = {rule.partition(".")[0] for rule, _ in rules.items() ^ gate.rules.items()}
    needs_code = bool(comparison.bar.unknown or comparison.bar_verdicts.unclear)
    is_coherent = gate.verdict == worst_outcome(gate.rules.values())
    if needs_code and is_coherent and differing == {"max_weakened"}:
        notes.append(
            f"{decision.path}: that the results meet the baseline's expectations is the signer's "
            f"statement (gate {gate.name!r}, max_weakened); to judge them again would run code of "
            "the project"
        )
    elif differing or verdict.verdict != gate.verdict:
        yield VerificationProblem(
            "gate_differs",
            decision.path,
            f"gate {gate.name!r}: expected {gate.verdict} ({gate.reason}), found {verdict.verdict} "
            f"({verdict.reason})",
        )
