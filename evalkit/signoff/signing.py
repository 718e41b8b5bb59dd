"""Making a record: what a person decided, checked, bound to everything it is about, signed, appended. The only writer of ``signoffs/``.

Nothing is signed that is not whole: a run that did not end, results that do not add up, suites or cassettes that are not those of the run,
a run that changed since an earlier record. What is written, in this order, lies in the run directory: the versions of the tools (once),
``manifest.sha256``, the record. Killed in between, the record is not there, and what is there is true.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from evalkit._lib.files import sha256, write_atomic
from evalkit._lib.text import did_you_mean, quoted
from evalkit._lib.version import VERSION
from evalkit.compare.gates import Gate
from evalkit.compare.prices import Prices
from evalkit.errors import IntegrityError, UsageError
from evalkit.results import Run
from evalkit.signoff import digest_manifest, result_digests
from evalkit.signoff.digest_manifest import SignedPaths
from evalkit.signoff.dsse import EnvelopeError, encode_payload
from evalkit.signoff.gating import judge_gate
from evalkit.signoff.in_toto import (
    SIGNOFF,
    TEST_RESULT,
    TIME,
    Deviation,
    GateRecord,
    RecordLink,
    Signoff,
    StatementError,
    outcome,
    signoff,
    statement,
)
from evalkit.signoff.policy import SignoffPolicy, needs_reason, too_long
from evalkit.signoff.records import RecordFile, append, list_records, read_record, record_name
from evalkit.signoff.signatures import Signer

_TOOLS = (
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


class SignoffRequest(NamedTuple):
    """What a person wants signed. ``gate`` is its name and rules, with the baseline's run directory and the prices it is judged by."""

    name: str
    email: str
    role: str
    meaning: str
    decision: str
    comment: str = ""
    override: str = ""
    deviations: tuple[Deviation, ...] = ()
    gate: tuple[str, Gate] | None = None
    baseline: Path | None = None
    prices: Mapping[str, Prices] = {}
    authors: frozenset[str] = frozenset()


def deviation(text: str) -> Deviation:
    """Read ``what; until YYYY-MM-DD; why``. Raises UsageError."""
    parts = [part.strip() for part in text.split(";", 2)]
    if len(parts) == 3 and all(parts) and parts[1].startswith("until "):
        day = parts[1].removeprefix("until ").strip()
        try:
            return Deviation(parts[0], date.fromisoformat(day).isoformat(), parts[2])
        except ValueError as error:
            raise UsageError(
                f"--deviation: {quoted(day)} is no day; write until YYYY-MM-DD"
            ) from error
    raise UsageError(f"--deviation {quoted(text)} is not 'what; until YYYY-MM-DD; why'")


def sign(
    run: Run,
    places: SignedPaths,
    asked: SignoffRequest,
    policy: SignoffPolicy,
    signer: Signer,
    now: datetime,
) -> Signoff:
    """Append a record and return it.

    Raises UsageError for what a person can put right (a field, a role, a reason that is missing, a key), IntegrityError for a run that is
    not whole or not what it was.
    """
    _check_fields(asked, policy, now.date())
    lines = _whole(run)
    files, strangers = list_records(run.directory)
    if strangers:
        raise IntegrityError(
            f"{run.directory}/signoffs holds {strangers[0]}, which is no record; move it away"
        )
    earlier = [_earlier(file) for file in files]
    baseline = Run(asked.baseline) if asked.baseline is not None else None
    tools = _tools(run.directory)
    # What earlier records are about, this one is about too: so one manifest speaks for all of them.
    signed = _unchanged(earlier, places)
    subjects = (
        signed
        | digest_manifest.covered_digests(run, places, baseline)
        | {f"{places.signed_run}/{digest_manifest.TOOL_VERSIONS}": sha256(tools)}
    )
    gate = _gate(run, places, asked)
    counts = result_digests.counts(lines, run.manifest)
    _check_reason(asked, gate, counts)
    if earlier and now.strftime(TIME) < earlier[-1].time:
        raise UsageError(
            f"the clock says {now.strftime(TIME)}, and {earlier[-1].path} was signed at {earlier[-1].time}; set the clock"
        )
    number = files[-1].number + 1 if files else 1
    suites = {suite["path"]: subjects[suite["path"]] for suite in run.manifest.get("suites", [])}
    rows = [(line.id, line.verdict, line.warned, line.digest) for line in lines]
    result = encode_payload(statement(TEST_RESULT, outcome(rows, suites), subjects))
    held = next((one.result for one in earlier if one.result.digest == sha256(result)), None)
    record = Signoff(
        path="",
        keyid="",
        number=number,
        previous=RecordLink(files[-1].name, sha256(files[-1].data)) if files else None,
        result=held or RecordLink(record_name(number), sha256(result)),
        name=asked.name.strip(),
        email=asked.email.strip(),
        role=asked.role.strip(),
        time=now.strftime(TIME),
        meaning=asked.meaning,
        decision=asked.decision,
        comment=asked.comment,
        run=places.signed_run,
        counts=counts,
        gate=gate,
        override=asked.override.strip(),
        deviations=asked.deviations,
        authors=tuple(sorted(asked.authors)),
        tool={"evalkit": VERSION, "python": platform.python_version()},
        subjects=subjects,
    )
    payloads = [
        encode_payload(statement(SIGNOFF, signoff(record), subjects)),
        *([] if held else [result]),
    ]
    envelopes = [signer(payload) for payload in payloads]
    _write(run.directory / digest_manifest.TOOL_VERSIONS, tools)
    _write(run.directory / digest_manifest.NAME, digest_manifest.render(subjects))
    path = append(run.directory, number, envelopes)
    return record._replace(
        path=path.relative_to(run.directory).as_posix(), keyid=envelopes[0].keyid
    )


def _check_fields(asked: SignoffRequest, policy: SignoffPolicy, today: date) -> None:
    for field in ("name", "email", "role"):
        value = getattr(asked, field)
        if not value.strip():
            raise UsageError(f"--{field} is empty; a record needs it")
        if not value.isprintable():
            raise UsageError(f"--{field} {quoted(value)} holds a line break or a control character")
    if asked.email.count("@") != 1 or any(sign in asked.email.strip() for sign in ' ,"*?!'):
        raise UsageError(
            f"--email {quoted(asked.email)} is no address; it is the one the allowed signers have for the key"
        )
    if policy.known_roles and asked.role.strip() not in policy.known_roles:
        near = did_you_mean(asked.role, policy.known_roles)
        raise UsageError(
            f"--role {quoted(asked.role)} is none of the policy's{near}; there are: {', '.join(policy.known_roles)}"
        )
    if (asked.decision == "approved-with-deviations") != bool(asked.deviations):
        raise UsageError(
            "--decision approved-with-deviations and --deviation 'what; until YYYY-MM-DD; why' go together"
        )
    for one in asked.deviations:
        until = date.fromisoformat(one.until)
        if until < today:
            raise UsageError(
                f"--deviation {quoted(one.what)} ends on {until}, and today is {today}"
            )
        if too_long(policy, today, until):
            raise UsageError(
                f"--deviation {quoted(one.what)} lasts until {until}; the policy allows {policy.deviation_days} days"
            )
    if (
        policy.gate
        and asked.decision != "rejected"
        and (asked.gate is None or asked.gate[0] != policy.gate)
    ):
        raise UsageError(
            f"the policy wants approvals by gate {quoted(policy.gate)}: --gate {policy.gate} --baseline RUN"
        )


def _whole(run: Run) -> list[result_digests.Line]:
    head, path = run.manifest, run.directory / "results.jsonl"
    if head.get("complete") is not True:
        raise IntegrityError(
            f"{run.directory} is not complete: the run did not end, or left variants out; run the suites to their end, then sign"
        )
    if not path.is_file():
        raise IntegrityError(
            f"{run.directory} has no results.jsonl; run the suites again, then sign"
        )
    lines = result_digests.read(path.read_bytes())
    wrong = [
        *result_digests.faults(lines, str(path)),
        *result_digests.miscounts(
            result_digests.counts(lines, head), head.get("totals", {}), "manifest.json", ""
        ),
    ]
    if wrong:
        raise IntegrityError(f"{wrong[0].message}; run the suites again, then sign")
    return lines


def _earlier(file: RecordFile) -> Signoff:
    try:
        return read_record(file)
    except (EnvelopeError, StatementError) as fault:
        raise IntegrityError(
            f"{file.path} is damaged ({fault}); 'evalkit verify' tells more, and nothing is signed on top of it"
        ) from fault


def _unchanged(earlier: Sequence[Signoff], places: SignedPaths) -> dict[str, str]:
    """Return what earlier records are about; nothing of it may have changed."""
    signed: dict[str, str] = {}
    for record in earlier:
        if record.run != places.signed_run:
            raise IntegrityError(
                f"{record.path} was signed as {record.run}, and this is {places.signed_run}; sign where it was signed first"
            )
        signed |= record.subjects
    for name, digest in signed.items():
        found = places.digest(name)
        if found != digest:
            what = (
                "is gone"
                if found is None
                else f"changed: expected {digest[:16]}…, found {found[:16]}…"
            )
            raise IntegrityError(
                f"{name} {what} since {earlier[-1].path}; sign a new run (--evalkit-report), this one's records are void"
            )
    return signed


def _gate(run: Run, places: SignedPaths, asked: SignoffRequest) -> GateRecord | None:
    if asked.gate is None or asked.baseline is None:
        return None
    name, definition = asked.gate
    found = judge_gate(run.directory, asked.baseline, name, definition, asked.prices)
    rules = {rule.rule: rule.verdict for rule in found.rules}
    baseline = digest_manifest.relative_name(places.root, asked.baseline)
    return GateRecord(name, found.verdict, found.reason, rules, definition, asked.prices, baseline)


def _check_reason(
    asked: SignoffRequest, gate: GateRecord | None, counts: Mapping[str, int]
) -> None:
    if needs_reason(asked.decision, gate.verdict if gate else None, counts):
        if asked.override.strip():
            return
        what = (
            f"gate {gate.name!r}: {gate.verdict} ({gate.reason})"
            if gate
            else f"{counts['failed']} of {counts['results']} results failed and {counts['errored']} errored"
        )
        raise UsageError(
            f"{what}; to approve all the same give --override REASON, or decide approved-with-deviations"
        )
    if asked.override.strip():
        raise UsageError(
            "--override has nothing to override: this decision needs no reason; say it with --comment"
        )


def _tools(run: Path) -> bytes:
    """Return the versions of the tools the first record was signed with, or those of now."""
    try:
        return (run / digest_manifest.TOOL_VERSIONS).read_bytes()
    except FileNotFoundError:
        own = {
            "evalkit": VERSION,
            "python": platform.python_version(),
            "platform": f"{platform.system()} {platform.machine()}",
        }
        return (json.dumps({**own, **_versions(_TOOLS)}, indent=2) + "\n").encode()
    except OSError as error:
        raise UsageError(
            f"{run / digest_manifest.TOOL_VERSIONS} cannot be read: {error.strerror or error}"
        ) from error


def _versions(names: Iterable[str]) -> dict[str, Any]:
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _write(path: Path, data: bytes) -> None:
    try:
        write_atomic(path, data)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from error
