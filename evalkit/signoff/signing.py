"""Check a person's decision, bind it to its files, sign it and append it.

Only a complete run is signed: one that ended, whose results add up, whose suites and cassettes have
not changed, and that has not changed since an earlier record. Written to the run directory are, in
this order, the versions of the tools (once), ``manifest.sha256`` and the record. If the process is
killed in between, there is no record, and the files that exist are true.
"""

import json
import platform
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from evalkit._lib.files import file_errors, sha256, write_atomic
from evalkit._lib.json import JSON
from evalkit._lib.text import did_you_mean, quoted
from evalkit._lib.version import VERSION
from evalkit.compare.bar import CompareBars, compare_digests
from evalkit.compare.gates import Gate
from evalkit.compare.rows import Prices
from evalkit.compare.runs import compare
from evalkit.compare.turn_results import turn_runs
from evalkit.errors import IntegrityError, UsageError
from evalkit.results import Run
from evalkit.results.calibrations import NAME as CALIBRATIONS
from evalkit.results.calibrations import read_calibrations
from evalkit.results.early_stop import early_stop_text, sequential_of
from evalkit.results.records import judged_by
from evalkit.results.run_directory import SIGNOFFS
from evalkit.signoff import digest_manifest
from evalkit.signoff.bar_history import bar_history
from evalkit.signoff.digest_manifest import (
    TOOL_VERSIONS,
    SignedPaths,
    added_files,
    file_digest,
    relative_name,
)
from evalkit.signoff.dsse import PayloadSigner, encode_payload
from evalkit.signoff.in_toto import (
    SIGNOFF,
    TEST_RESULT,
    TIME_FORMAT,
    Deviation,
    GateRecord,
    RecordLink,
    ReviewRecord,
    SignerDecision,
    Signoff,
    result_predicate,
    signoff_predicate,
    statement,
)
from evalkit.signoff.policy import SignoffPolicy, deviation_problems, needs_reason
from evalkit.signoff.problems import InvalidEvidence, describe_difference
from evalkit.signoff.records import (
    RecordFile,
    append_record,
    list_records,
    read_record,
    record_name,
)
from evalkit.signoff.result_evidence import (
    ResultEvidence,
    count_problems,
    count_results,
    damage_problems,
    read_results,
)
from evalkit.signoff.times import is_before

_PACKAGES = (
    "pytest",
    "pydantic",
    "jsonschema",
    "referencing",
    "jmespath",
    "jinja2",
    "pyyaml",
    "vcrpy",
    "httpx",
    "click",
    "cryptography",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignoffRequest(SignerDecision):
    """A decision to sign.

    ``review`` reads what reviewers have decided; it is called when the run is known to be complete.
    ``gate`` is a name and its rules (None: those that fit the runs); it needs ``baseline`` and
    ``prices``.
    """

    gate: tuple[str, Gate | None] | None = None
    baseline: Path | None = None
    review: Callable[[], ReviewRecord] | None = None
    prices: Mapping[str, Prices] = field(default_factory=dict)
    compare_bars: CompareBars = compare_digests
    authors: frozenset[str] = frozenset()


def parse_deviation(text: str) -> Deviation:
    """Read ``what; until YYYY-MM-DD; why``. Raises UsageError."""
    parts = [part.strip() for part in text.split(";", 2)]
    if len(parts) != 3 or not all(parts) or not parts[1].startswith("until "):
        raise UsageError(f"--deviation {quoted(text)}: expected 'what; until YYYY-MM-DD; why'")
    what, until, why = parts
    day = until.removeprefix("until ").strip()
    try:
        return Deviation(what, date.fromisoformat(day).isoformat(), why)
    except ValueError as error:
        raise UsageError(f"--deviation: {quoted(day)} is not a day (YYYY-MM-DD)") from error


def sign(
    run: Run,
    paths: SignedPaths,
    request: SignoffRequest,
    policy: SignoffPolicy,
    signer: PayloadSigner,
    now: datetime,
) -> Signoff:
    """Append a record and return it.

    Raises UsageError for what the person can correct (a field, a role, a missing reason, a key),
    IntegrityError for a run that is not complete or has changed.
    """
    _check_request(request, policy, now.date())
    results, sequential = _read_complete_run(run), sequential_of(run.manifest)
    files, others = list_records(run.directory)
    if others:
        raise IntegrityError(
            f"{run.directory / SIGNOFFS}: contains {others[0]}, which is not a record; move it away"
        )
    earlier = [_read_earlier(file) for file in files]
    time = now.strftime(TIME_FORMAT)
    if earlier and time < earlier[-1].time:
        raise UsageError(
            f"the clock says {time}, but {earlier[-1].path} was signed at {earlier[-1].time}; set "
            "the clock"
        )
    ended = str(run.manifest.get("ended") or "")
    if is_before(now, ended):
        raise UsageError(f"the clock says {time}, but the run ended at {ended}; set the clock")
    baseline = Run(request.baseline) if request.baseline is not None else None
    tool_versions = _tool_versions(run.directory)
    subjects = _earlier_subjects(earlier, paths, run.manifest.get("suites", []))
    subjects |= digest_manifest.covered_digests(run, paths, baseline)
    subjects[f"{paths.signed_run}/{TOOL_VERSIONS}"] = sha256(tool_versions)
    if added := added_files(paths, run.manifest.get("suites", []), subjects):
        raise IntegrityError(f"{added[0]}: is not a file; replace it by one, or move it away")
    judge_bound = request.gate is not None and request.gate[1] and request.gate[1].judge
    if judge_bound and (calibrated := file_digest(paths.path(CALIBRATIONS))) is not None:
        subjects[CALIBRATIONS] = calibrated
    gate = _evaluate_gate(run, paths, request, baseline)
    counts = count_results(results, run.manifest.get("totals", {}))
    review = request.review() if request.review is not None else None
    _check_reason(request, gate, counts, review)
    number = files[-1].number + 1 if files else 1
    suites = {path: subjects[path] for path in judged_by(run.manifest)}
    result = encode_payload(statement(TEST_RESULT, result_predicate(results, suites), subjects))
    link = RecordLink(record_name(number), sha256(result))
    existing = next((one.result for one in earlier if one.result.digest == link.digest), None)
    record = Signoff(
        path="",
        keyid="",
        number=number,
        previous=RecordLink(files[-1].name, sha256(files[-1].data)) if files else None,
        result=existing or link,
        name=request.name.strip(),
        email=request.email.strip(),
        role=request.role.strip(),
        time=time,
        meaning=request.meaning,
        decision=request.decision,
        comment=request.comment,
        run=paths.signed_run,
        counts=counts,
        gate=gate,
        review=review,
        override=request.override.strip(),
        deviations=request.deviations,
        authors=tuple(sorted(request.authors)),
        tool={"evalkit": VERSION, "python": platform.python_version()},
        subjects=subjects,
        bar=bar_history(run, paths.root),
        stopped=early_stop_text(sequential) if sequential is not None else "",
    )
    decision = encode_payload(statement(SIGNOFF, signoff_predicate(record), subjects))
    envelopes = [signer(payload) for payload in ([decision] if existing else [decision, result])]
    with file_errors(run.directory, "cannot be written"):
        write_atomic(run.directory / TOOL_VERSIONS, tool_versions)
        write_atomic(run.directory / digest_manifest.NAME, digest_manifest.render(subjects))
    path = append_record(run.directory, number, envelopes).relative_to(run.directory)
    return replace(record, path=path.as_posix(), keyid=envelopes[0].keyid)


def _check_request(request: SignoffRequest, policy: SignoffPolicy, today: date) -> None:
    for option, value in (
        ("--name", request.name),
        ("--email", request.email),
        ("--role", request.role),
    ):
        if not value.strip():
            raise UsageError(f"{option} is empty; a record needs it")
        if not value.isprintable():
            raise UsageError(
                f"{option} {quoted(value)} contains a line break or a control character"
            )
    if request.email.count("@") != 1 or any(char in request.email.strip() for char in ' ,"*?!'):
        raise UsageError(
            f"--email {quoted(request.email)} is not an address; give the one that the allowed "
            "signers have for the key"
        )
    roles = policy.valid_roles
    if roles and request.role.strip() not in roles:
        near = did_you_mean(request.role, roles)
        raise UsageError(
            f"--role {quoted(request.role)} is not a role of the policy{near}; valid: "
            f"{', '.join(roles)}"
        )
    if (request.decision == "approved-with-deviations") != bool(request.deviations):
        raise UsageError(
            "--decision approved-with-deviations and --deviation 'what; until YYYY-MM-DD; why' "
            "need each other"
        )
    for deviation in request.deviations:
        for _, message in deviation_problems(policy, deviation, today, today):
            raise UsageError(f"--deviation: {message}")
    gate = request.gate[0] if request.gate else ""
    if policy.gate and request.decision != "rejected" and gate != policy.gate:
        raise UsageError(
            f"the policy requires gate {quoted(policy.gate)} for approvals; give --gate "
            f"{policy.gate} --baseline RUN"
        )


def _read_complete_run(run: Run) -> list[ResultEvidence]:
    manifest, path = run.manifest, run.directory / "results.jsonl"
    if manifest.get("complete") is not True:
        raise IntegrityError(
            f"{run.directory}: not complete, the run did not end or left variants out; run the "
            "suites to their end, then sign"
        )
    if not path.is_file():
        raise IntegrityError(f"{path}: missing; run the suites again, then sign")
    results = read_results(path.read_bytes())
    totals = manifest.get("totals", {})
    problems = [
        *damage_problems(results, str(path)),
        *count_problems(count_results(results, totals), totals, "manifest.json", ""),
    ]
    if problems:
        raise IntegrityError(f"{problems[0].message}; run the suites again, then sign")
    return results


def _read_earlier(file: RecordFile) -> Signoff:
    try:
        return read_record(file)
    except InvalidEvidence as error:
        raise IntegrityError(
            f"{file.path}: damaged ({error}), so nothing can be signed after it; see 'evalkit "
            "verify'"
        ) from error


def _earlier_subjects(
    earlier: Sequence[Signoff], paths: SignedPaths, suites: Sequence[Mapping[str, JSON]]
) -> dict[str, str]:
    """Return the subjects of earlier records: none may have changed, and no file was added.

    They are subjects of the new record too, so that one manifest covers all records.
    """
    subjects: dict[str, str] = {}
    for record in earlier:
        if record.run != paths.signed_run:
            raise IntegrityError(
                f"{record.path}: signed as {record.run}, but this is {paths.signed_run}; sign in "
                "the same directory as before"
            )
        subjects |= record.subjects
    for name, digest in subjects.items():
        actual = file_digest(paths.path(name))
        if actual != digest:
            raise IntegrityError(
                f"{describe_difference(name, digest, actual)}; it changed since "
                f"{earlier[-1].path}, so the records of this run are void; sign a new run "
                "(--evalkit-report)"
            )
    if subjects and (added := added_files(paths, suites, subjects)):
        raise IntegrityError(
            f"{added[0]}: was added after {earlier[-1].path}, so the records of this run are void; "
            "move it away, or sign a new run (--evalkit-report)"
        )
    return subjects


def _evaluate_gate(
    run: Run, paths: SignedPaths, request: SignoffRequest, baseline: Run | None
) -> GateRecord | None:
    if request.gate is None or baseline is None:
        return None
    name, gate = request.gate
    comparison = compare(
        *turn_runs(baseline, run),
        gate_name=name,
        gate=gate,
        prices=request.prices,
        compare_bars=request.compare_bars,
        calibrations=read_calibrations(paths.root) if gate and gate.judge else (),
    )
    verdict = comparison.verdict
    return GateRecord(
        name=name,
        verdict=verdict.verdict,
        reason=verdict.reason,
        rules={rule.rule: rule.verdict for rule in verdict.rules},
        definition=comparison.gate,
        prices=request.prices,
        baseline=relative_name(paths.root, baseline.directory),
    )


def _check_reason(
    request: SignoffRequest,
    gate: GateRecord | None,
    counts: Mapping[str, int],
    review: ReviewRecord | None,
) -> None:
    has_reason = bool(request.override.strip())
    needs_one = needs_reason(request.decision, gate, counts, review)
    if needs_one and not has_reason:
        outcome = (
            f"{counts['passed']} of {counts['results']} results passed, {counts['failed']} failed "
            f"and {counts['errored']} errored"
        )
        if gate is not None:
            outcome = f"gate {gate.name!r}: {gate.verdict} ({gate.reason})"
        if review is not None and not review.is_settled:
            outcome += f"; {review.summary} ('evalkit review')"
        raise UsageError(
            f"{outcome}; to approve nevertheless give --override REASON, or decide "
            "approved-with-deviations"
        )
    if has_reason and not needs_one:
        raise UsageError("--override is not needed for this decision; use --comment")


def _tool_versions(directory: Path) -> bytes:
    """Return the versions of the tools when the first record was written."""
    path = directory / TOOL_VERSIONS
    if path.exists():
        with file_errors(path, "cannot be read"):
            return path.read_bytes()
    versions = {
        "evalkit": VERSION,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
    }
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return (json.dumps(versions, indent=2) + "\n").encode()
