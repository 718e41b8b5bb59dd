"""Build results that a judge judged."""

from __future__ import annotations

from evalkit.verdict import CheckResult, Finding, Judgment, Severity, Verdict, Where
from tests.reports.sample import line, says, turn

RUBRIC = "The answer is polite."
VERSION = "gemini-3.5-flash-001"


def judgment(
    passes: bool,
    *,
    rubric: str = RUBRIC,
    digest: str = "a" * 64,
    least: float = 0.7,
    version: str | None = VERSION,
    uncertain: bool = False,
) -> Judgment:
    """Return what a judge answered."""
    return Judgment(
        kind="text",
        rubric=rubric,
        rubric_digest=digest,
        model="gemini-3.5-flash",
        model_version=version,
        verdict=Verdict.PASSED if passes else Verdict.FAILED,
        expected={"min": least},
        score=float(passes),
        uncertain=uncertain,
    )


def judged(scenario: str, *judgments: Judgment, text: str = "", trial: int = 1) -> str:
    """Return a result with one turn, and one judge check for each judgment."""
    checks = []
    for number, one in enumerate(judgments, 1):
        below = Finding("judge_below", "too low", Where(turn=1), severity=Severity.ERROR)
        checks.append(
            CheckResult(
                "judge",
                one.verdict,
                () if one.verdict is Verdict.PASSED else (below,),
                turn=1,
                declared=f"suites/weather.yaml:{20 + number}",
                judgments=(one,),
            )
        )
    has_failed = any(one.verdict is Verdict.FAILED for one in judgments)
    return line(
        scenario,
        [turn(1, "Hello?", [says(text or f"Hello from {scenario}.")])],
        checks,
        verdict=Verdict.FAILED if has_failed else Verdict.PASSED,
        message="too low" if has_failed else "",
        trial=trial,
    )
