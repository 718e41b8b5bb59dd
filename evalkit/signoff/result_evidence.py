"""Count the results of a run and compare them with the signed ones. Pure.

A line's digest is the SHA-256 of the line without its ``digest`` member. So a changed line is
recognized even without a signature. The signed list of results shows which lines are missing, new,
moved, or rewritten with a matching digest.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from evalkit._lib.files import sha256
from evalkit._lib.json import JSON
from evalkit._lib.text import plural
from evalkit.results.result_line import (
    count_verdicts,
    counts_as_test,
    line_digests,
    verdict_of,
)
from evalkit.signoff.problems import VerificationProblem, describe_difference

_ID = re.compile(rb'"id":"((?:[^"\\]|\\.)*)"')
_VERDICTS = ("passed", "failed", "errored", "skipped")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultEvidence:
    """One line, numbered from 1.

    ``verdict`` is that of its test; of several trials that are one test, one ``counts``. ``digest``
    is computed here. ``damage`` says why the line is not a result as evalkit writes it.
    """

    number: int
    id: str
    verdict: str
    warned: bool
    digest: str
    counts: bool = True
    damage: str = ""


def read_results(data: bytes) -> list[ResultEvidence]:
    """Return the lines of a ``results.jsonl``, damaged ones included."""
    *rows, rest = data.replace(b"\r\n", b"\n").split(b"\n")
    lines = [_read_line(number, row) for number, row in enumerate(rows, 1)]
    if rest:
        lines.append(_damaged(len(lines) + 1, rest, "the line is not complete"))
    return lines


def _read_line(number: int, row: bytes) -> ResultEvidence:
    digests = line_digests(row)
    if digests is None:
        return _damaged(number, row, "it does not end with its digest")
    stated, digest = digests
    try:
        value = json.loads(row)
        findings = [finding for check in value["checks"] for finding in check["findings"]]
        line = ResultEvidence(
            number=number,
            id=value["id"],
            verdict=verdict_of(value),
            warned=any(finding["severity"] == "warn" for finding in findings),
            digest=digest,
            counts=counts_as_test(value),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        return _damaged(number, row, f"not a result: {error!r}"[:120])
    if not isinstance(line.id, str) or line.verdict not in _VERDICTS:
        return _damaged(number, row, "not a result: its id or verdict is not valid")
    if stated != digest:
        return replace(line, damage=describe_difference("its digest", digest, stated))
    return line


def _damaged(number: int, row: bytes, reason: str) -> ResultEvidence:
    match = _ID.search(row)
    return ResultEvidence(
        number=number,
        id=match[1].decode("ascii", "replace") if match else "",
        verdict="",
        warned=False,
        digest=sha256(row),
        damage=reason,
    )


def count_results(lines: Sequence[ResultEvidence], totals: Mapping[str, JSON]) -> dict[str, int]:
    """Return the counts of results.

    ``totals`` of the run's manifest has those of collection.
    """
    return {
        "collected": int(totals.get("collected", 0)),
        "deselected": int(totals.get("deselected", 0)),
        **count_verdicts(line.verdict for line in lines if line.counts),
    }


def count_problems(
    counts: Mapping[str, int], stated: Mapping[str, JSON], source: str, path: str
) -> Iterator[VerificationProblem]:
    """Yield the numbers that ``source`` states and that counting does not confirm."""
    for name, count in counts.items():
        if name in stated and stated[name] != count:
            yield VerificationProblem(
                "totals_differ",
                path,
                f"{source} says {stated[name]} {name}, counting the results gives {count}",
            )


def damage_problems(lines: Sequence[ResultEvidence], path: str) -> Iterator[VerificationProblem]:
    """Yield the lines that are recognized as changed without a signature."""
    for line in lines:
        if line.damage:
            yield VerificationProblem(
                "result_changed",
                path,
                f"{path}:{line.number} {line.id or 'a result'} was changed: {line.damage}",
                line.id,
            )


def change_problems(
    lines: Sequence[ResultEvidence], signed: Mapping[str, str], path: str
) -> Iterator[VerificationProblem]:
    """Yield the differences from the signed results, given as digests by id."""
    by_id = {line.id: line for line in lines}
    for id_, digest in signed.items():
        line = by_id.get(id_)
        if line is None:
            yield VerificationProblem(
                "result_missing", path, f"{path}: expected the result of {id_}, found none", id_
            )
        elif line.digest != digest and not line.damage:
            yield VerificationProblem(
                "result_changed",
                path,
                f"{path}:{line.number} {describe_difference(id_, digest, line.digest)}",
                id_,
            )
    seen: set[str] = set()
    for line in lines:
        if line.id and (line.id not in signed or line.id in seen):
            reason = "found twice" if line.id in seen else "not signed"
            yield VerificationProblem(
                "result_added",
                path,
                f"{path}:{line.number} {line.id}: {reason}; {plural(len(signed), 'result')} were "
                "signed",
                line.id,
            )
        seen.add(line.id)
    order = [line.id for line in lines]
    if sorted(order) == sorted(signed):
        for number, (expected, actual) in enumerate(zip(signed, order, strict=True), 1):
            if expected != actual:
                yield VerificationProblem(
                    "results_reordered",
                    path,
                    f"{path}:{number} expected {expected}, found {actual}",
                    actual,
                )
                return
