"""What lint reports: ``RuleFinding`` from a rule, ``LintFinding`` with its file and severity."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from evalkit._lib.json import JSON, MISSING
from evalkit.lint.rules import LintSeverity
from evalkit.verdict import Finding


@dataclass(frozen=True, slots=True)
class RuleFinding:
    """One thing that a rule reports about a file.

    ``exchange`` counts from 1 over the file's recordings, ``line`` over its lines. ``part`` says
    what the JSON Pointer ``pointer`` points into: the ``request`` or ``response`` body of the
    exchange, the list of its ``events``, or the cassette's ``metadata``. ``expected`` and ``got``
    are JSON values or ``MISSING``.
    """

    code: str
    message: str
    exchange: int | None = None
    part: str | None = None
    pointer: str | None = None
    expected: Any = MISSING
    got: Any = MISSING
    line: int | None = None

    @classmethod
    def of_check(cls, finding: Finding) -> RuleFinding:
        """Return the finding of a check as one of lint."""
        where = finding.where
        return cls(
            finding.code,
            finding.message,
            exchange=where.exchange,
            part=where.part,
            pointer=where.pointer,
            expected=finding.expected,
            got=finding.got,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LintFinding:
    """One finding, as ``--json`` prints it.

    ``where`` contains what is known of ``line``, ``part`` and ``pointer``.
    """

    file: str
    exchange: int | None
    code: str
    severity: LintSeverity
    message: str
    where: dict[str, JSON] = field(default_factory=dict)
    expected: Any = MISSING
    got: Any = MISSING

    def to_json(self) -> dict[str, JSON]:
        """Return the finding with all of its keys; absent values are null."""
        return {
            "file": self.file,
            "exchange": self.exchange,
            "code": self.code,
            "severity": self.severity,
            "where": self.where,
            "message": self.message,
            "expected": None if self.expected is MISSING else self.expected,
            "got": None if self.got is MISSING else self.got,
        }
