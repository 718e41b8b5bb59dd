"""Verdicts and findings: what a check says, and what follows from it. Values only.

A check yields Findings. No finding: it passed. Findings of severity ``error``: it failed. Findings of severity ``warn`` alone: it
passed and says something. A check that raised is ``errored``: never a low score, never in an average (design section 2).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, NamedTuple

from evalkit._lib.json import MISSING


class Verdict(StrEnum):
    """What became of a check or a variant."""

    PASSED = "passed"
    FAILED = "failed"
    ERRORED = "errored"
    SKIPPED = "skipped"


class Severity(StrEnum):
    """How much a finding matters: ``error`` fails its check, ``warn`` is told and counted only."""

    ERROR = "error"
    WARN = "warn"


_GRAVEST_FIRST = (Verdict.ERRORED, Verdict.FAILED, Verdict.PASSED, Verdict.SKIPPED)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the gravest verdict: errored over failed over passed over skipped; of none, ``passed``."""
    found = list(verdicts)
    for verdict in _GRAVEST_FIRST:
        if verdict in found:
            return verdict
    return Verdict.PASSED


@dataclass(frozen=True, slots=True)
class Where:
    """The place a finding speaks of. Numbers count from 1, as people read them; ``pointer`` is a JSON Pointer (RFC 6901).

    ``exchange`` counts over the whole conversation, ``step`` over the turn's timeline (``Turn.steps``). ``part`` says what the pointer
    points into: ``request`` or ``response`` body of the exchange, ``output`` (the parsed output text) or ``step``. ``file`` is a file of the
    project that the finding is about, from the project's root; ``kind`` says what it holds: of a snapshot ``text``, ``json`` or ``steps``.
    """

    turn: int | None = None
    exchange: int | None = None
    step: int | None = None
    pointer: str | None = None
    part: str | None = None
    file: str | None = None
    kind: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the fields that are set."""
        named = (
            ("turn", self.turn),
            ("exchange", self.exchange),
            ("step", self.step),
            ("pointer", self.pointer),
            ("part", self.part),
            ("file", self.file),
            ("kind", self.kind),
        )
        return {key: value for key, value in named if value is not None}

    def __str__(self) -> str:
        words = [
            f"{name} {number}"
            for name, number in (
                ("turn", self.turn),
                ("exchange", self.exchange),
                ("step", self.step),
            )
            if number is not None
        ]
        if self.pointer is not None:
            words.append(f"{self.part or 'at'} {self.pointer or '(whole)'}")
        if self.file is not None:
            words.append(self.file)
        return ", ".join(words)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing a check has to say.

    ``code`` is stable and made for machines (``step_missing``); ``message`` is one line for people; ``detail`` is what a good test failure
    shows below it (an aligned table, a list), lines without trailing spaces. ``expected``/``got`` are JSON values or ``MISSING``.
    """

    code: str
    message: str
    where: Where = Where()
    expected: Any = MISSING
    got: Any = MISSING
    severity: Severity = Severity.ERROR
    detail: str = ""

    def soften(self) -> Finding:
        """Return the same finding as a warning."""
        return replace(self, severity=Severity.WARN)

    def to_json(self) -> dict[str, Any]:
        """Return the finding as it stands in a result line; absent ``expected``/``got`` are left out, never null."""
        out: dict[str, Any] = {
            "code": self.code,
            "severity": str(self.severity),
            "message": self.message,
            "where": self.where.to_json(),
        }
        if self.expected is not MISSING:
            out["expected"] = self.expected
        if self.got is not MISSING:
            out["got"] = self.got
        if self.detail:
            out["detail"] = self.detail
        return out


class CheckResult(NamedTuple):
    """What one check said of one turn (``turn`` from 1) or of the whole conversation (``turn`` is None).

    ``declared`` is ``file:line`` of the check in the suite, empty for checks that are on by default.
    """

    name: str
    verdict: Verdict
    findings: tuple[Finding, ...] = ()
    turn: int | None = None
    declared: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the check result as it stands in a result line."""
        out: dict[str, Any] = {
            "name": self.name,
            "verdict": str(self.verdict),
            "findings": [finding.to_json() for finding in self.findings] if self.findings else [],
        }
        if self.turn is not None:
            out["turn"] = self.turn
        if self.declared:
            out["declared"] = self.declared
        return out
