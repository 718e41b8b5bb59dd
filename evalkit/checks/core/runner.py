"""Run checks: what a check yields becomes a CheckResult; which checks are on by default.

| the check | plain | ``not`` |
|---|---|---|
| yields nothing, or only warnings | passed | failed: ``holds`` |
| yields an error | failed | passed |
| yields an error of its ``fault_codes`` | errored | errored |
| raises | errored | errored |

Warnings of a check are reported in every case. ``severity: warn`` makes every finding a warning, so
the check passes and its findings are reported.
By default ``history`` runs in stateless variants, ``stream`` in streamed ones, and ``simulator``
where a user is simulated.
"""

from collections.abc import Container, Iterable
from dataclasses import replace
from traceback import extract_tb

from evalkit._lib.json import MISSING
from evalkit._lib.text import shorten, show
from evalkit.checks.core.base import Check, View
from evalkit.checks.core.ending import describe_ending, fault_advice
from evalkit.checks.core.formatting import against, lookalike_notes, shows_difference
from evalkit.checks.history.check import History
from evalkit.checks.simulator import Simulator
from evalkit.checks.stream import Stream
from evalkit.errors import EvalkitError
from evalkit.protocol.wire_facts import BLOCKED_CODES
from evalkit.transcript import Transcript, Turn
from evalkit.verdict import CheckResult, Finding, Judgment, Severity, Verdict, Where

DEFAULT_CHECKS = ("history", "stream", "simulator")
"""The names of the checks that are on by default somewhere."""

_HISTORY = History()
_STREAM = Stream()
_SIMULATOR = Simulator()

_FRAMES = 4


def default_checks() -> tuple[Check, ...]:
    """Return the checks that are on by default somewhere."""
    return _HISTORY, _STREAM, _SIMULATOR


def defaults(transcript: Transcript, declared: Container[str]) -> list[Check]:
    """Return the checks that run over a conversation without being ``declared`` in the suite."""
    checks: list[Check] = []
    if transcript.stateless and "history" not in declared:
        checks.append(_HISTORY)
    if transcript.settings.get("stream") is True and "stream" not in declared:
        checks.append(_STREAM)
    if transcript.simulator_exchanges and "simulator" not in declared:
        checks.append(_SIMULATOR)
    return checks


def unexpected_error(turn: Turn) -> Finding:
    """Return the finding for an API error, or the error of a run, that no check expects."""
    error = turn.error
    last = turn.exchanges[-1] if turn.exchanges else None
    where = Where(turn=turn.number, exchange=last.number if last is not None else None)
    if error is None:
        return Finding("run_failed", f"{describe_ending(turn)}; {fault_advice(turn)}", where)
    what = "the API answered" if error.status >= 300 else "the response ended in the error"
    if error.code.lower() in BLOCKED_CODES:
        what = "the output was blocked:"
    message, advice = f"{what} {error.summary}", fault_advice(turn)
    if advice is not None:
        message += f"; {advice}"
    return Finding("api_error", message, where, got=error.to_json())


def run_check(
    check: Check,
    view: View,
    *,
    name: str,
    negate: bool,
    severity: str,
    turn: int | None,
    declared: str,
) -> CheckResult:
    """Run a check over a view and return its result; never raises an Exception."""
    try:
        # A user's check may return a list, or None.
        yielded: Iterable[Finding | Judgment] | None = check.run(view)
        findings: list[Finding] = []
        judgments: tuple[Judgment, ...] = ()
        for item in yielded or ():
            if isinstance(item, Judgment):
                judgments += (item,)
            elif isinstance(item, Finding):
                findings.append(item)
            else:
                raise TypeError(f"expected a Finding, got {shorten(repr(item))}")
    except Exception as error:  # noqa: BLE001 - whatever a check raises is not the model's fault
        crash = _crash(name, error, turn)
        return CheckResult(name, Verdict.ERRORED, (crash,), turn=turn, declared=declared)
    if not findings and not negate:
        return CheckResult(name, Verdict.PASSED, turn=turn, declared=declared, judgments=judgments)
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    has_failed = bool(errors)
    has_fault = severity != Severity.WARN and any(
        finding.code in check.fault_codes for finding in errors
    )
    if negate and not has_fault:
        # What a check could not see, it could not refute either.
        warnings = [finding for finding in findings if finding.severity is Severity.WARN]
        findings = warnings if has_failed else [_holds(check, view), *warnings]
        has_failed = not has_failed
    if severity == Severity.WARN:
        findings, has_failed = [finding.as_warning() for finding in findings], False
    findings = list(map(_with_lookalikes, findings))
    if turn is not None:
        findings = [
            replace(finding, where=replace(finding.where, turn=finding.where.turn or turn))
            for finding in findings
        ]
    if has_failed and not negate and name not in DEFAULT_CHECKS:
        _name_ending(findings, view, name)
    verdict = Verdict.FAILED if has_failed else Verdict.PASSED
    if has_fault:
        verdict = Verdict.ERRORED
    return CheckResult(
        name, verdict, tuple(findings), turn=turn, declared=declared, judgments=judgments
    )


def _holds(check: Check, view: View) -> Finding:
    """Return the finding of a check that must not pass: the options given, and what they match."""
    options = check.model_dump(mode="json", by_alias=True, exclude_unset=True, fallback=str)
    message = f"must not pass, but does{f': {show(options)}' if options else ''}"
    return Finding("holds", message, detail=check.matched(view))


def _with_lookalikes(finding: Finding) -> Finding:
    """Add to a finding which texts only look like the expected ones, unless it says so itself."""
    if MISSING in (finding.expected, finding.got) or shows_difference(finding.detail):
        return finding
    notes = lookalike_notes(finding.expected, finding.got)
    detail = finding.detail or against(finding.expected, finding.got)
    return replace(finding, detail="\n".join([detail, *notes])) if notes else finding


def _name_ending(findings: list[Finding], view: View, check: str) -> None:
    """Say in the first finding how the turn ended, where it has no whole answer."""
    ending = describe_ending(view.last, check) if view.last is not None else ""
    for index, finding in enumerate(findings):
        if ending and finding.severity is Severity.ERROR:
            findings[index] = replace(finding, message=f"{finding.message} ({ending})")
            return


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
