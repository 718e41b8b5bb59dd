"""Build projects with runs to review."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from evalkit._lib.json import MISSING
from evalkit.checks.snapshot import Kind, path_of
from evalkit.results import Run
from evalkit.review.decisions import Choice, Decision
from evalkit.review.session import DecisionRequest, Reviewer, ReviewSession
from evalkit.verdict import CheckResult, Finding, Judgment, Severity, Verdict, Where
from tests.reports.sample import line, make_run, weather

ADA = Reviewer("Ada", "ada@example.org")
PASSED = Verdict.PASSED
BOB = Reviewer("Bob", "bob@example.org")
SUITE = "suites/weather.yaml"


def passes(scenario: str = "london") -> str:
    """Return a result that passed."""
    return line(scenario, [weather()], [CheckResult("text", Verdict.PASSED, (), turn=1)])


def fails(scenario: str = "london", *findings: Finding, check: str = "text") -> str:
    """Return a result that failed a check, by default with one finding."""
    actual = findings or (
        Finding("not_contained", "the text does not contain '23'", Where(turn=1), expected="23"),
    )
    return line(
        scenario,
        [weather()],
        [CheckResult(check, Verdict.FAILED, actual, turn=1)],
        verdict=Verdict.FAILED,
        message=actual[0].message,
    )


def errs(scenario: str = "rome", message: str = "no answer came") -> str:
    """Return a result that errored."""
    return line(
        scenario,
        checks=[CheckResult("text", Verdict.ERRORED, (), turn=1)],
        verdict=Verdict.ERRORED,
        message=message,
    )


def judged(scenario: str = "london", *confidences: float, verdict: Verdict = PASSED) -> str:
    """Return a result of which a judge gave verdicts; below 0.8 they are uncertain."""
    judgments = tuple(
        Judgment(
            kind="yes_no",
            rubric="It names \x1b[31mthe weather.",
            rubric_digest="a" * 64,
            model="gemini-decision-1",
            model_version="gemini-decision-1-001",
            verdict=verdict,
            expected={"min": 0.5, "min_confidence": 0.8},
            question=f"q{number}" if number else None,
            score=confidence,
            probability=confidence,
            confidence=confidence,
            uncertain=confidence < 0.8,
        )
        for number, confidence in enumerate(confidences or (0.6,))
    )
    findings = (Finding("judge_below", "too low", Where(turn=1)),) * (verdict is Verdict.FAILED)
    check = CheckResult("judge", verdict, findings, turn=1, judgments=judgments)
    return line(scenario, [weather()], [check], verdict=verdict)


def file_of(scenario: str, kind: Kind = "text") -> str:
    """Return a snapshot's file from the project root."""
    return f"suites/{path_of('weather', scenario, ['stateless'], 1, kind, kind)}"


def snapshot(
    scenario: str,
    got: Any,
    expected: Any = MISSING,
    kind: Kind = "text",
    *,
    severity: Severity = Severity.ERROR,
    file: str = "",
    trial: int = 1,
) -> str:
    """Return a result with a snapshot that is new, or differs from what is expected."""
    code = "snapshot_new" if expected is MISSING else "snapshot_differs"
    where = Where(turn=1, file=file or file_of(scenario, kind), kind=kind)
    finding = Finding(
        code, "it is not what was approved", where, expected=expected, got=got, severity=severity
    )
    verdict = Verdict.FAILED if severity is Severity.ERROR else Verdict.PASSED
    checks = [CheckResult("snapshot", verdict, (finding,), turn=1)]
    return line(
        scenario, [weather()], checks, verdict=verdict, message=finding.message, trial=trial
    )


def project(root: Path, lines: Sequence[str], name: str = "latest") -> Run:
    """Make a project with its suite and a run of these results, ``reports/latest``."""
    (root / "suites").mkdir(parents=True, exist_ok=True)
    (root / SUITE).write_text("suite: weather\n")
    return make_run(root / "reports" / name, lines)


def session(root: Path, lines: Sequence[str], **more: Any) -> ReviewSession:
    """Return a session over such a project."""
    return ReviewSession(project(root, lines), lambda: root, **more)


def decide(
    session: ReviewSession,
    keys: Sequence[str],
    choice: Choice | Literal["keep"],
    reviewer: Reviewer,
    comment: str = "",
    *,
    seen: str | None = None,
    group: str = "",
) -> list[Decision]:
    """Make one decision about items."""
    request = DecisionRequest(choice, keys, group)
    return session.decide([request], reviewer, comment, seen=seen)
