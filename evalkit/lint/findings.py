"""What lint says: ``Found`` by a rule, ``LintFinding`` once it is known in which file and how much it matters. Values only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from evalkit._lib.json import JSON, MISSING
from evalkit.lint.rules import Severity


class Found(NamedTuple):
    """One thing a rule found in a file. ``exchange`` counts from 1 over the file's recordings, ``line`` over its lines.

    ``part`` says what the JSON Pointer ``pointer`` points into: the ``request`` or ``response`` body of the exchange, the list of its
    ``events``, or the cassette's ``metadata``. ``expected`` and ``got`` are JSON values or ``MISSING``.
    """

    code: str
    message: str
    exchange: int | None = None
    part: str | None = None
    pointer: str | None = None
    expected: Any = MISSING
    got: Any = MISSING
    line: int | None = None


@dataclass(frozen=True, slots=True)
class LintFinding:
    """One finding, as ``--json`` prints it. ``where`` holds what is known of ``line``, ``part`` and ``pointer``."""

    file: str
    exchange: int | None
    code: str
    severity: Severity
    message: str
    where: dict[str, JSON] = field(default_factory=dict)
    expected: Any = MISSING
    got: Any = MISSING

    def to_json(self) -> dict[str, JSON]:
        """Return the finding with all of its keys; what is not there, ``expected`` and ``got`` too, is null."""
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
