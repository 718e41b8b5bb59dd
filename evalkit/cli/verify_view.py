"""What ``evalkit verify`` prints: one verdict first, then what is wrong, then who signed. Everything shown was made harmless for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evalkit._lib.text import plural, visible
from evalkit.signoff.in_toto import Signoff
from evalkit.signoff.verification import TrustSettings, VerificationResult

_WIDTH = 80
_MOST = 50


def lines(run: Path, found: VerificationResult, trust: TrustSettings) -> Iterator[str]:
    """Yield the lines to print, none wider than 80 columns unless a name is."""
    yield from _folded(_verdict(run, found, trust), "")
    for problem in found.problems[:_MOST]:
        yield from _folded(f"{problem.code}  {problem.message}", "  ")
    if len(found.problems) > _MOST:
        yield f"  … and {len(found.problems) - _MOST} more, with --json"
    if found.records:
        yield "Records"
    for record in found.records:
        yield from _record(record)


def _verdict(run: Path, found: VerificationResult, trust: TrustSettings) -> str:
    broken = sum(problem.integrity for problem in found.problems)
    missed = len(found.problems) - broken
    if broken:
        return f"CHANGED  {run}: {plural(broken, 'problem')} of integrity"
    if missed:
        return f"NOT ENOUGH  {run}: everything is what was signed; the policy misses {plural(missed, 'thing')}"
    files = len({name for record in found.records for name in record.subjects})
    return f"VERIFIED  {run}: {plural(len(found.records), 'record')}, {plural(files, 'file')} as signed; signers from {trust.signers.name}"


def _record(record: Signoff) -> Iterator[str]:
    yield from _folded(f"{record.number}  {record.who}", "  ")
    yield from _folded(
        f"{record.decision} ({record.meaning}) as {record.role}, {record.time}", "     "
    )
    yield from _folded(
        f"{record.counts['passed']} of {record.counts['results']} results passed; {_gate(record)}",
        "     ",
    )
    if record.override:
        yield from _folded(f"override: {record.override}", "     ")
    for one in record.deviations:
        yield from _folded(f"deviation until {one.until}: {one.what}; {one.why}", "     ")
    if record.comment:
        yield from _folded(f"comment: {' '.join(record.comment.split())}", "     ")
    yield from _folded(f"key {record.keyid}", "     ")


def _gate(record: Signoff) -> str:
    return "no gate" if record.gate is None else f"gate {record.gate.name}: {record.gate.verdict}"


def _folded(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        visible(text),
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def to_json(found: VerificationResult, trust: TrustSettings) -> dict[str, Any]:
    """Return what ``--json`` prints."""
    return {
        "ok": not found.problems,
        "problems": [problem.to_json() for problem in found.problems],
        "records": [_json_of(record) for record in found.records],
        "policy": {
            **trust.policy.model_dump(),
            "signers_from": trust.signers.name,
            "satisfied": not found.problems,
        },
    }


def _json_of(record: Signoff) -> dict[str, Any]:
    gate = record.gate
    return {
        "path": record.path,
        "number": record.number,
        "name": record.name,
        "email": record.email,
        "role": record.role,
        "time": record.time,
        "meaning": record.meaning,
        "decision": record.decision,
        "comment": record.comment,
        "counts": dict(record.counts),
        "gate": gate
        and {
            "name": gate.name,
            "verdict": gate.verdict,
            "reason": gate.reason,
            "baseline": gate.baseline,
        },
        "override": record.override,
        "deviations": [deviation._asdict() for deviation in record.deviations],
        "authors": list(record.authors),
        "tool": dict(record.tool),
        "key": record.keyid,
        "files": len(record.subjects),
    }
