"""Run one check: what it yields becomes a CheckResult.

| the check | plain | ``not`` |
|---|---|---|
| yields nothing, or only warnings | passed | failed: ``holds`` |
| yields an error | failed | passed |
| raises | errored | errored |

``severity: warn`` makes every finding a warning, so the check passes and its findings are reported.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from traceback import extract_tb

from evalkit._lib.text import shorten
from evalkit.checks.core.base import Check, View
from evalkit.errors import EvalkitError
from evalkit.verdict import CheckResult, Finding, Severity, Verdict, Where

_FRAMES = 4


def run_check(
    check: Check,
    view: View,
    *,
    name: str,
    negate: bool,
    severity: Severity,
    turn: int | None,
    declared: str,
) -> CheckResult:
    """Run a check over a view and return its result; never raises an Exception."""
    try:
        # A user's check may return a list, or None.
        yielded: Iterable[Finding] | None = check.run(view)
        findings = list(yielded or ())
        for finding in findings:
            if not isinstance(finding, Finding):
                raise TypeError(f"expected a Finding, got {shorten(repr(finding))}")
    except Exception as error:  # noqa: BLE001 - whatever a check raises is not the model's fault
        crash = _crash(name, error, turn)
        return CheckResult(name, Verdict.ERRORED, (crash,), turn=turn, declared=declared)
    has_failed = any(finding.severity is Severity.ERROR for finding in findings)
    if negate:
        findings = [] if has_failed else [Finding("holds", f"not {name}: the check passes")]
        has_failed = not has_failed
    if severity is Severity.WARN:
        findings, has_failed = [finding.as_warning() for finding in findings], False
    if turn is not None:
        findings = [_in_turn(finding, turn) for finding in findings]
    verdict = Verdict.FAILED if has_failed else Verdict.PASSED
    return CheckResult(name, verdict, tuple(findings), turn=turn, declared=declared)


def _in_turn(finding: Finding, turn: int) -> Finding:
    if finding.where.turn is not None:
        return finding
    return replace(finding, where=replace(finding.where, turn=turn))


def _crash(name: str, error: Exception, turn: int | None) -> Finding:
    where = Where(turn=turn)
    # A function of the View raises a plain LookupError; KeyError and IndexError are crashes.
    if isinstance(error, EvalkitError) or type(error) is LookupError:
        first, _, rest = str(error).partition("\n")
        return Finding("check_unusable", first, where, detail=rest)
    frames = [
        f"{frame.filename.rpartition('/')[2]}:{frame.lineno} in {frame.name}"
        for frame in extract_tb(error.__traceback__)[1:][-_FRAMES:]
    ]
    message = shorten(f"{type(error).__name__}: {error}", 300)
    return Finding(
        "check_crashed", f"the check {name} crashed: {message}", where, detail="\n".join(frames)
    )
