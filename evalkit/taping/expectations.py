"""``expect``: run checks over a taped conversation, written as in a suite.

    conversation.expect(steps="function_call function_result model_output", history="exact")
    conversation.expect("history", {"text": "!", "severity": "warn"}, not_={"text": "goodbye"})

A keyword is a check's name with its argument as in YAML; ``not_`` takes an entry to negate, or a
list of them. A positional argument is an entry of ``expect`` as in YAML: a bare name, or a mapping
that may contain ``not`` and ``severity``. Without arguments the checks run that are on by default.
"""

import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, cast

from evalkit._lib.json import JSON
from evalkit._lib.text import escape_log_commands, visible
from evalkit.checks.core.base import Check, View
from evalkit.checks.core.ending import fault_advice, is_expected_end
from evalkit.checks.core.runner import defaults, run_check, unexpected_error
from evalkit.errors import ExpectationFailed, ServiceFault, UsageError
from evalkit.session.failure_text import failure_text
from evalkit.suite import CheckCatalog
from evalkit.suite.model.expectation_parser import BadExpectation, build_check, parse_expectation
from evalkit.transcript import Turn
from evalkit.verdict import CONVERSATION, CheckResult, Finding, Severity, Verdict, Where, worst

CheckEntry = str | Mapping[str, JSON]


class ExpectationWarning(UserWarning):
    """A check of ``severity: warn`` reports a finding."""


class TapeCheck(NamedTuple):
    """A check to run over a taped conversation."""

    check: Check
    name: str
    negate: bool = False
    severity: Severity = Severity.ERROR


def read_checks(
    entries: Sequence[CheckEntry], keywords: Mapping[str, JSON], catalog: CheckCatalog
) -> list[TapeCheck]:
    """Return the checks of the arguments of ``expect``.

    Raises UsageError that lists all wrong names and arguments at once.
    """
    names = dict.fromkeys(catalog.names())
    checks, problems = [], []
    items: list[JSON] = [*entries]
    for name, argument in keywords.items():
        if name == "not_":
            negated = argument if isinstance(argument, list | tuple) else [argument]
            items += [{"not": item} for item in negated]
        else:
            items.append({name: argument})
    for item in items:
        try:
            entry = parse_expectation(item, names)
            check = cast("Check", build_check(entry, entry.argument, catalog))
            checks.append(TapeCheck(check, entry.name, entry.negate, Severity(entry.severity)))
        except BadExpectation as error:
            for problem in error.problems:
                problems += [problem.message, *(f"  {hint}" for hint in problem.hints)]
    if problems:
        raise UsageError("expect: " + "\n".join(problems))
    return checks


def check_results(view: View, checks: Sequence[TapeCheck]) -> list[CheckResult]:
    """Run checks over a view, or the default checks if there are none."""
    results = list(_unexpected_outcomes(view.turns, checks))
    for item in checks or [TapeCheck(c, c.name) for c in defaults(view.transcript, ())]:
        results.append(
            run_check(
                item.check,
                view,
                name=item.name,
                negate=item.negate,
                severity=item.severity,
                turn=view.turn.number if view.turn is not None else None,
                declared="",
            )
        )
    return results


def raise_failures(results: Sequence[CheckResult], title: str, location: str) -> None:
    """Raise ExpectationFailed with every finding, or ServiceFault where the service is to blame.

    Findings of a check of severity ``warn`` become ExpectationWarnings.
    """
    __tracebackhide__ = True
    if worst(result.verdict for result in results) is not Verdict.PASSED:
        text = failure_text(title, location, results)
        if any(r.name == CONVERSATION and r.verdict is Verdict.ERRORED for r in results):
            raise ServiceFault(text)
        raise ExpectationFailed(text)
    for result in results:
        for finding in result.findings:
            message = escape_log_commands(f"{title}: {result.name}: {visible(finding.message)}")
            warnings.warn(message, ExpectationWarning, stacklevel=user_stacklevel())


def user_location(root: Path) -> str:
    """Return ``file:line`` of the user's line that calls evalkit; ``""`` if it is not in a file."""
    frame = sys._getframe(user_stacklevel() - 1)
    path = Path(frame.f_code.co_filename)
    is_relative = path.is_relative_to(root)
    name = path.relative_to(root).as_posix() if is_relative else path.name
    return f"{name}:{frame.f_lineno}"


def user_stacklevel() -> int:
    """Return the ``stacklevel`` of a warning that the caller gives about the user's own line."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).startswith(
        "evalkit."
    ):
        level, frame = level + 1, frame.f_back
    return level


def _unexpected_outcomes(
    turns: Iterable[Turn], checks: Sequence[TapeCheck]
) -> Iterator[CheckResult]:
    """Report turns that ended in an error which no check expects, as a suite does."""
    for turn in turns:
        advice = fault_advice(turn)
        if is_expected_end(turn, ((each.name, each.check) for each in checks if not each.negate)):
            continue
        if turn.outcome == "api_error" or advice is not None:
            finding = unexpected_error(turn)
        elif turn.outcome == "incomplete":
            first, _, rest = (turn.reason or "no usable response arrived").partition("\n")
            number = turn.exchanges[-1].number if turn.exchanges else None
            where = Where(turn=turn.number, exchange=number)
            finding = Finding("answer_unusable", first, where, detail=rest)
        else:
            continue
        verdict = Verdict.FAILED if advice is None else Verdict.ERRORED
        yield CheckResult(CONVERSATION, verdict, (finding,), turn=turn.number)
