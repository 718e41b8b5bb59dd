"""``expect``: checks over what an application said, in the words of the suite language.

    conversation.expect(steps="function_call function_result model_output", history="exact")
    conversation.expect("history", {"text": "!", "severity": "warn"}, not_={"text": "goodbye"})

Each keyword is a check's name with the argument it has in YAML; each positional argument is an entry of ``expect`` as YAML has it: a bare name,
or a mapping with ``not`` and ``severity``. ``not_`` takes such an entry, or a list of them. With nothing at all the checks run that are on by
default: ``history`` where the client keeps it, ``stream`` where an answer was streamed.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, cast

from evalkit._lib.json import JSON
from evalkit._lib.text import visible
from evalkit.checks.core.base import Check, View
from evalkit.checks.core.defaults import defaults, unexpected_error
from evalkit.checks.core.runner import run_check
from evalkit.errors import ExpectationFailed, UsageError
from evalkit.session.evaluation import CONVERSATION
from evalkit.session.failure_text import failure_text
from evalkit.suite import CheckCatalog
from evalkit.suite.entries import BadEntry, build, read_entry
from evalkit.transcript import Turn
from evalkit.verdict import CheckResult, Finding, Severity, Verdict, Where, worst

Entry = str | Mapping[str, JSON]


class ExpectationWarning(UserWarning):
    """A check of ``severity: warn`` found something."""


class Wanted(NamedTuple):
    """A check that is to run."""

    check: Check
    name: str
    negate: bool
    severity: Severity


def wanted_of(
    entries: Sequence[Entry], checks: Mapping[str, JSON], catalog: CheckCatalog
) -> list[Wanted]:
    """Return the checks that ``expect`` was given. Raises UsageError: everything that is wrong with names and arguments, at once."""
    names = dict.fromkeys(catalog.names())
    wanted, wrong = [], []
    for item in _spelled(entries, checks):
        try:
            entry = read_entry(item, names)
            check = cast("Check", build(entry, entry.argument, catalog))
            severity = Severity.WARN if entry.severity == "warn" else Severity.ERROR
            wanted.append(Wanted(check, entry.name, entry.negate, severity))
        except BadEntry as bad:
            wrong += [
                line
                for fault in bad.faults
                for line in (fault.message, *(f"  {hint}" for hint in fault.hints))
            ]
    if wrong:
        raise UsageError("expect: " + "\n".join(wrong))
    return wanted


def judge(view: View, wanted: Sequence[Wanted], label: str, place: str) -> list[CheckResult]:
    """Run checks over a view and return what they said; with none, those that are on by default.

    Raises ExpectationFailed, whose message holds every finding. What a check of severity ``warn`` found is an ExpectationWarning.
    """
    __tracebackhide__ = True
    number = view.turn.number if view.turn is not None else None
    results = list(_broken(view.turns, wanted))
    if wanted:
        for check, name, negate, severity in wanted:
            results.append(
                run_check(
                    check,
                    view,
                    name=name,
                    negate=negate,
                    severity=severity,
                    turn=number,
                    declared="",
                )
            )
    else:
        for check in defaults(view.transcript, ()):
            results.append(
                run_check(
                    check,
                    view,
                    name=check.name,
                    negate=False,
                    severity=Severity.ERROR,
                    turn=number,
                    declared="",
                )
            )
    if worst(result.verdict for result in results) is not Verdict.PASSED:
        raise ExpectationFailed(failure_text(label, place, results))
    for result in results:
        for finding in result.findings:
            warnings.warn(
                f"{label}: {result.name}: {visible(finding.message)}",
                ExpectationWarning,
                stacklevel=outside(),
            )
    return results


def outside() -> int:
    """Return the ``stacklevel`` at which a warning given by the caller speaks of the user's own line."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).startswith(
        "evalkit."
    ):
        level, frame = level + 1, frame.f_back
    return level


def _spelled(entries: Iterable[Entry], checks: Mapping[str, JSON]) -> Iterator[JSON]:
    yield from entries
    for name, argument in checks.items():
        if name == "not_":
            for item in argument if isinstance(argument, list | tuple) else [argument]:
                yield {"not": item}
        else:
            yield {name: argument}


def _broken(turns: Iterable[Turn], wanted: Sequence[Wanted]) -> Iterator[CheckResult]:
    """Say which turns ended in an error that no ``error`` check expects, as a suite would."""
    if any(item.name == "error" and not item.negate for item in wanted):
        return
    for turn in turns:
        if turn.outcome == "api_error":
            yield CheckResult(
                CONVERSATION, Verdict.FAILED, (unexpected_error(turn),), turn=turn.number
            )
        elif turn.outcome == "incomplete":
            first, _, rest = (turn.reason or "no usable answer came").partition("\n")
            where = Where(
                turn=turn.number, exchange=turn.exchanges[-1].number if turn.exchanges else None
            )
            yield CheckResult(
                CONVERSATION,
                Verdict.FAILED,
                (Finding("answer_unusable", first, where, detail=rest),),
                turn=turn.number,
            )
