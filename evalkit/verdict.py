"""Findings, verdicts and check results: what a check reports, and what follows from it.

| a check | its verdict |
|---|---|
| yields no finding | ``passed`` |
| yields a finding of severity ``error`` | ``failed``; ``errored`` if it is not about the model |
| yields findings of severity ``warn`` only | ``passed``, with warnings |
| raises | ``errored``: it says nothing about the model and is never part of an average |

A check that asks a judge also yields what it was answered, as a :class:`Judgment`.
"""

from collections.abc import Iterable
from dataclasses import KW_ONLY, asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Literal, Self

from evalkit._lib.json import MISSING


class Verdict(StrEnum):
    """The outcome of a check or of a variant."""

    PASSED = "passed"
    FAILED = "failed"
    ERRORED = "errored"
    SKIPPED = "skipped"


class Severity(StrEnum):
    """How much a finding matters: ``error`` fails its check, ``warn`` is only reported."""

    ERROR = "error"
    WARN = "warn"


CONVERSATION = "conversation"
"""The name under which results report what no check of the suite covers."""
TEST = "test"
"""The name under which results report how a test ended outside its conversations."""

_WORST_FIRST = (Verdict.ERRORED, Verdict.FAILED, Verdict.PASSED, Verdict.SKIPPED)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the worst verdict: errored, failed, passed, skipped; ``passed`` for none at all."""
    return min(verdicts, key=_WORST_FIRST.index, default=Verdict.PASSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """The location a finding is about. Numbers count from 1.

    * ``exchange`` counts over the whole conversation, ``step`` over the turn's timeline
      (``Turn.steps``).
    * ``pointer`` is a JSON Pointer (RFC 6901). ``part`` names the document it points into: the
      ``request`` or ``response`` body of the exchange, the ``output`` (the parsed output text) or
      the ``step``.
    * ``file`` is a file of the project, relative to its root. ``kind`` is the kind of a snapshot
      file: ``text``, ``json`` or ``steps``.
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
        return {key: value for key, value in asdict(self).items() if value is not None}

    def __str__(self) -> str:
        numbers = {"turn": self.turn, "exchange": self.exchange, "step": self.step}
        parts = [f"{name} {number}" for name, number in numbers.items() if number is not None]
        if self.pointer is not None:
            parts.append(f"{self.part or 'at'} {self.pointer or '(whole)'}")
        if self.file is not None:
            parts.append(self.file)
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check reports.

    ``code`` is stable and meant for programs (``step_missing``), ``message`` is one line for
    people, ``detail`` is what a test failure shows below it, such as an aligned table.
    ``expected`` and ``got`` are JSON values, or ``MISSING`` where there is none.
    """

    code: str
    message: str
    where: Where = Where()
    _: KW_ONLY
    expected: Any = MISSING
    got: Any = MISSING
    severity: Severity = Severity.ERROR
    detail: str = ""

    def as_warning(self) -> Self:
        """Return the same finding with the severity ``warn``."""
        return replace(self, severity=Severity.WARN)

    def to_json(self) -> dict[str, Any]:
        """Return the finding as result lines contain it.

        An absent ``expected`` or ``got`` is left out, since null is a value.
        """
        out: dict[str, Any] = {
            "code": self.code,
            "severity": str(self.severity),
            "message": self.message,
            "where": self.where.to_json(),
        }
        optional = {"expected": self.expected, "got": self.got, "detail": self.detail or MISSING}
        return out | {key: value for key, value in optional.items() if value is not MISSING}


JudgmentKind = Literal["text", "yes_no", "choice", "score"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgment:
    """What a judge answered to one question about a conversation.

    * ``rubric`` is the text of the question, ``rubric_digest`` the SHA-256 of all that defines it:
      the rubric and the answers that it offers, without the limit of ``expected``.
    * ``model`` is as requested; ``model_version`` is the model that the response names.
    * ``verdict`` is the judge's, also where the check is inverted by ``not``.
    * ``question`` is its name, where a check asks several.
    * ``score`` is on the rubric's own scale: what is compared with other runs. For ``yes_no`` it is
      the probability of yes; of a choice, the position of the option from 0 if the options are
      ordered.
    * ``probability`` is that of a passing answer; ``confidence`` is that of the verdict.
    * ``uncertain``: the confidence is lower than the check accepts.

    A number that the judge's answer does not have is None.
    """

    kind: JudgmentKind
    rubric: str
    rubric_digest: str
    model: str
    verdict: Verdict
    expected: dict[str, Any]
    model_version: str | None = None
    question: str | None = None
    score: float | None = None
    choice: str | None = None
    probability: float | None = None
    confidence: float | None = None
    uncertain: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the judgment as result lines contain it, without what it does not have."""
        fields = {**asdict(self), "verdict": str(self.verdict), "uncertain": self.uncertain or None}
        return {name: value for name, value in fields.items() if value is not None}


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The outcome of one check of one turn, or of the whole conversation (``turn`` is None).

    ``declared`` is ``file:line`` of the check in the suite, ``""`` for a default check.
    ``judgments`` are the answers of a judge; a check that errored has none.
    """

    name: str
    verdict: Verdict
    findings: tuple[Finding, ...] = ()
    _: KW_ONLY
    turn: int | None = None
    declared: str = ""
    judgments: tuple[Judgment, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the check result as result lines contain it."""
        out: dict[str, Any] = {
            "name": self.name,
            "verdict": str(self.verdict),
            "findings": [finding.to_json() for finding in self.findings],
        }
        if self.turn is not None:
            out["turn"] = self.turn
        if self.declared:
            out["declared"] = self.declared
        if self.judgments:
            out["judgments"] = [judgment.to_json() for judgment in self.judgments]
        return out
