"""Findings beside what they speak of.

A finding stands twice: in a list at the top of its variant, and in full beside the step it names, else the exchange, else the turn. One
that names nothing, or a place that is not there, stands in full in the list: none is ever out of sight. Values only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from evalkit._lib.json import JSON
from evalkit.reports.formatting import clipped, place, pretty


class Finding(NamedTuple):
    """A finding to show; ``home`` is the anchor of what it stands beside, ``""`` where it has no place but the list."""

    anchor: str
    check: str
    code: str
    severity: str
    message: str
    place: str
    expected: str
    got: str
    detail: str
    home: str


def find(
    checks: Iterable[Mapping[str, JSON]], turns: Iterable[Mapping[str, JSON]], variant: str
) -> tuple[list[Finding], dict[str, list[Finding]]]:
    """Return every finding of a result in order, and the same by the anchor of their homes; ``variant`` is the variant's anchor."""
    places = _places(turns, variant)
    pairs = [(check, finding) for check in checks for finding in check["findings"]]
    findings = [
        _finding(check, finding, variant, number, places)
        for number, (check, finding) in enumerate(pairs, 1)
    ]
    beside: dict[str, list[Finding]] = {}
    for finding in findings:
        beside.setdefault(finding.home, []).append(finding)
    return findings, beside


def _places(turns: Iterable[Mapping[str, JSON]], variant: str) -> set[str]:
    found = set()
    for turn in turns:
        here = f"{variant}.t{turn['number']}"
        found.add(here)
        found.update(f"{here}.s{number}" for number in range(1, len(turn["steps"]) + 1))
        found.update(f"{variant}.x{exchange['number']}" for exchange in turn["exchanges"])
    return found


def _finding(
    check: Mapping[str, JSON],
    finding: Mapping[str, JSON],
    variant: str,
    number: int,
    places: set[str],
) -> Finding:
    where = finding["where"]
    turn = where.get("turn", check.get("turn"))
    homes = (
        f"{variant}.t{turn}.s{where.get('step')}",
        f"{variant}.x{where.get('exchange')}",
        f"{variant}.t{turn}",
    )
    return Finding(
        f"{variant}.f{number}",
        check["name"],
        finding["code"],
        finding["severity"],
        clipped(finding["message"]),
        place({"turn": turn, **where} if turn is not None else where),
        clipped(pretty(finding["expected"])) if "expected" in finding else "",
        clipped(pretty(finding["got"])) if "got" in finding else "",
        clipped(finding.get("detail", "")),
        next((home for home in homes if home in places), ""),
    )
