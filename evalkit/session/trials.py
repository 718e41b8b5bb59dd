"""Judge the trials of one test together: ``repeat: {trials, require}``.

| of the trials                                      | the test |
|----------------------------------------------------|----------|
| at least ``require`` passed                        | passed   |
| so many failed that ``require`` could not pass     | failed   |
| all were skipped                                   | skipped  |
| else: those that errored could have decided        | errored  |

Every trial stays a result of its own, with the outcome of the test. One of them represents the test
where tests are counted: the first with the test's verdict.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import cast

from evalkit._lib.text import plural
from evalkit.results.records import RepeatRecord, VerdictName
from evalkit.results.result_line import parse_head, tally_of, trials_text, with_repeat
from evalkit.session.outcomes import VariantOutcome
from evalkit.suite import Variant
from evalkit.verdict import Verdict

_SHOWN = 3
"""Trials of which the message of a test shows the failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemOutcome:
    """The outcome of one test, which has one result or those of several trials."""

    verdict: Verdict
    message: str
    results: Sequence[VariantOutcome]


def item_outcome(variants: Sequence[Variant], results: Sequence[VariantOutcome]) -> ItemOutcome:
    """Return the outcome of a test from the results of its variants, in the same order."""
    policy = variants[0].policy
    if policy is None:
        (only,) = results
        return ItemOutcome(verdict=only.verdict, message=only.message, results=results)
    verdicts = [result.verdict for result in results]
    verdict = verdict_of_trials(verdicts, policy.require)
    like = verdict if verdict in verdicts else Verdict.SKIPPED
    record: RepeatRecord = {
        "trials": policy.trials,
        "require": policy.require,
        "passed": verdicts.count(Verdict.PASSED),
        "verdict": cast("VerdictName", str(verdict)),
        "counts": False,
    }
    trials = [
        _as_trial(result, {**record, "counts": number == verdicts.index(like)})
        for number, result in enumerate(results)
    ]
    message = ""
    if verdict not in (Verdict.PASSED, Verdict.SKIPPED):
        message = "\n".join(_message(variants[0], record, results))
    return ItemOutcome(verdict=verdict, message=message, results=trials)


def verdict_of_trials(verdicts: Sequence[Verdict], require: int) -> Verdict:
    """Return the verdict of a test from those of its trials."""
    if verdicts.count(Verdict.PASSED) >= require:
        return Verdict.PASSED
    if verdicts.count(Verdict.SKIPPED) == len(verdicts):
        return Verdict.SKIPPED
    may_pass = len(verdicts) - verdicts.count(Verdict.FAILED)
    return Verdict.FAILED if may_pass < require else Verdict.ERRORED


def _as_trial(result: VariantOutcome, record: RepeatRecord) -> VariantOutcome:
    line = with_repeat(result.line, record)
    tally = tally_of(parse_head(line))
    tally["warned"] = result.tally["warned"]
    return replace(result, line=line, tally=tally)


def _message(
    variant: Variant, record: RepeatRecord, results: Sequence[VariantOutcome]
) -> Iterator[str]:
    yield f"{variant.id}  ({variant.suite.label}:{variant.line})"
    errored = sum(result.verdict is Verdict.ERRORED for result in results)
    note = f", {errored} errored" if errored else ""
    messages = [result.message for result in results if result.message]
    # The first finding is below the title and an empty line.
    first = next((line for line in messages[0].split("\n")[1:] if line), "") if messages else ""
    yield f"\n{trials_text(record)}{note}{': ' * bool(first)}{first}"
    for message in messages[:_SHOWN]:
        yield f"\n{message}"
    if len(messages) > _SHOWN:
        yield f"\n… and {plural(len(messages) - _SHOWN, 'more trial')} that did not pass"
