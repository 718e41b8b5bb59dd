"""The lines of ``results.jsonl`` as evidence: counted again, and held against what was signed, result by result. Pure.

A line's digest is the SHA-256 of the line without its ``digest`` member (:mod:`evalkit.results.line`), so a changed line can be named
even where nothing was signed; what was signed names the lines that are gone, new, moved or written anew with a fitting digest.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from evalkit._lib.files import sha256
from evalkit._lib.text import plural
from evalkit.results.result_line import line_digests
from evalkit.signoff.problems import VerificationProblem, describe_difference

_ID = re.compile(rb'"id":"((?:[^"\\]|\\.)*)"')
_VERDICTS = ("passed", "failed", "errored", "skipped")


class Line(NamedTuple):
    """One line. ``fault`` says why it is no result as evalkit writes it, empty where it is one; ``digest`` is computed here."""

    number: int
    id: str
    verdict: str
    warned: bool
    digest: str
    fault: str = ""


def read(data: bytes) -> list[Line]:
    """Return the lines of a ``results.jsonl``, whatever was done to it."""
    rows = data.split(b"\n")
    lines = [_line(number, row) for number, row in enumerate(rows[:-1], 1)]
    return lines if not rows[-1] else [*lines, _broken(len(rows), rows[-1], "it does not end")]


def _line(number: int, row: bytes) -> Line:
    found = line_digests(row)
    if found is None:
        return _broken(number, row, "it does not end with its digest")
    stated, digest = found
    try:
        value = json.loads(row)
        warned = any(
            finding["severity"] == "warn"
            for check in value["checks"]
            for finding in check["findings"]
        )
        line = Line(number, value["id"], value["verdict"], warned, digest)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        return _broken(number, row, f"it is no result: {error!r}"[:120])
    if not isinstance(line.id, str) or line.verdict not in _VERDICTS:
        return _broken(number, row, "it is no result: its id or verdict is none")
    return (
        line
        if stated == digest
        else line._replace(fault=describe_difference("its digest", digest, stated))
    )


def _broken(number: int, row: bytes, fault: str) -> Line:
    found = _ID.search(row)
    return Line(
        number, found[1].decode("ascii", "replace") if found else "", "", False, sha256(row), fault
    )


def counts(lines: Sequence[Line], manifest: Mapping[str, Any]) -> dict[str, int]:
    """Return the counts of results with their denominators; how many were collected only the manifest knows."""
    by_verdict = {verdict: sum(line.verdict == verdict for line in lines) for verdict in _VERDICTS}
    totals = manifest.get("totals", {})
    collected = {name: int(totals.get(name, 0)) for name in ("collected", "deselected")}
    return {
        **collected,
        "results": len(lines),
        "scored": by_verdict["passed"] + by_verdict["failed"],
        **by_verdict,
    }


def miscounts(
    counted: Mapping[str, int], stated: Mapping[str, Any], who: str, path: str
) -> Iterator[VerificationProblem]:
    """Yield every number that somebody states and that counting does not give."""
    for name, count in counted.items():
        if name in stated and stated[name] != count:
            yield VerificationProblem(
                "totals_differ",
                path,
                "",
                f"{who} says {stated[name]} {name}, counting the results gives {count}",
            )


def faults(lines: Sequence[Line], path: str) -> Iterator[VerificationProblem]:
    """Yield the lines that are not as they were written, told by themselves."""
    for line in lines:
        if line.fault:
            yield VerificationProblem(
                "result_changed",
                path,
                line.id,
                f"{path}:{line.number} {line.id or 'a result'} was changed: {line.fault}",
            )


def changes(
    lines: Sequence[Line], signed: Sequence[tuple[str, str]], path: str
) -> Iterator[VerificationProblem]:
    """Yield what became of the results that were signed, given as ``(id, digest)`` in the order of the file."""
    known = dict(signed)
    there = {line.id: line for line in lines}
    for id_, digest in known.items():
        line = there.get(id_)
        if line is None:
            yield VerificationProblem(
                "result_missing", path, id_, f"{path}: expected the result of {id_}, found none"
            )
        elif line.digest != digest and not line.fault:
            yield VerificationProblem(
                "result_changed",
                path,
                id_,
                f"{path}:{line.number} {describe_difference(id_, digest, line.digest)}",
            )
    seen = set()
    for line in lines:
        if line.id and (line.id not in known or line.id in seen):
            found = "found twice" if line.id in seen else "found, and not signed"
            yield VerificationProblem(
                "result_added",
                path,
                line.id,
                f"{path}:{line.number} {line.id}: {found}; {plural(len(known), 'result')} were signed",
            )
        seen.add(line.id)
    order = [line.id for line in lines]
    wanted = list(known)
    if sorted(order) == sorted(wanted) and order != wanted:
        number, (expected, found) = next(
            (at, both)
            for at, both in enumerate(zip(wanted, order, strict=True), 1)
            if both[0] != both[1]
        )
        yield VerificationProblem(
            "results_reordered", path, found, f"{path}:{number} expected {expected}, found {found}"
        )
