"""Running one check: what it yields becomes a CheckResult. A check that raises is ``errored``, never ``failed``.

| the check | plain | ``not`` |
|---|---|---|
| yields nothing, or warnings only | passed | failed: ``holds`` |
| yields an error | failed | passed |
| raises | errored | errored |

``severity: warn`` makes every finding a warning, so the check passes and its findings are told.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from evalkit._lib.text import shorten
from evalkit.checks.core.base import Check, View
from evalkit.errors import EvalkitError
from evalkit.verdict import CheckResult, Finding, Severity, Verdict, Where

_FRAMES = 4
_PASSED = (
    Verdict.PASSED
)  # nearly every check comes to this, and looking a member up takes ten times as long as a name


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
    """Run a check over a view and return what it says; never raises an Exception."""
    try:
        # The built-in checks are generators, but a user's may return a list, or nothing at all where there is nothing to say.
        found: Iterable[Finding] | None = check.run(view)
        findings = list(found) if found is not None else []
        if findings and not all(isinstance(item, Finding) for item in findings):
            raise TypeError(f"it gave {shorten(repr(findings[0]))} where a Finding must stand")
    except Exception as error:  # noqa: BLE001 - whatever a check raises is the check's fault, not the model's
        return CheckResult(
            name, Verdict.ERRORED, (_crash(name, error, turn),), turn=turn, declared=declared
        )
    if not findings and not negate:
        return CheckResult(name, _PASSED, (), turn=turn, declared=declared)
    failed = any(finding.severity is Severity.ERROR for finding in findings)
    if negate:
        findings = (
            []
            if failed
            else [Finding("holds", f"not {name}: it must not hold, but it does", Where(turn=turn))]
        )
        failed = not failed
    if severity is Severity.WARN:
        findings, failed = [finding.as_warning() for finding in findings], False
    if turn is not None:
        findings = [_placed(finding, turn) for finding in findings]
    return CheckResult(
        name,
        Verdict.FAILED if failed else Verdict.PASSED,
        tuple(findings),
        turn=turn,
        declared=declared,
    )


def _placed(finding: Finding, turn: int) -> Finding:
    return (
        finding
        if finding.where.turn is not None
        else replace(finding, where=replace(finding.where, turn=turn))
    )


def _crash(name: str, error: Exception, turn: int | None) -> Finding:
    where = Where(turn=turn)
    # A port of the View says what is missing with a plain LookupError; its subclasses KeyError and IndexError are crashes.
    if isinstance(error, EvalkitError) or type(error) is LookupError:
        first, _, rest = str(error).partition("\n")
        return Finding("check_unusable", first, where, detail=rest)
    from traceback import extract_tb

    frames = [
        f"{frame.filename.rpartition('/')[2]}:{frame.lineno} in {frame.name}"
        for frame in extract_tb(error.__traceback__)[1:][-_FRAMES:]
    ]
    message = shorten(f"{type(error).__name__}: {error}", 300)
    return Finding(
        "check_crashed", f"the check {name} crashed: {message}", where, detail="\n".join(frames)
    )
