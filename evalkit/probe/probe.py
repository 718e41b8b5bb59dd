"""Probe a run: change its recorded answers and see which expectations notice.

The checks are those of the project's suites today, evaluated as in a session. Nothing is sent, and
no Python tool of the project runs; Python checks do.

| result of a mutant | when |
|---|---|
| ``caught`` | the variant would not pass any more |
| ``survived`` | every check still passes |
| ``equivalent`` | the conversation is the same but for ids and times: there is nothing to notice |
| ``undecided`` | a check that asks a model has no recorded answer about this conversation |
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Literal

from evalkit._lib.exact_json import FINITE
from evalkit._lib.json import JSON, dumps, equal
from evalkit.conversation import Plan
from evalkit.probe.conversation import converse_again, message_sources
from evalkit.probe.operators import OPERATORS, mutants_of
from evalkit.probe.recorded import Mutant, Recorded
from evalkit.results.records import ResultLine
from evalkit.session.given_steps import given_steps
from evalkit.session.rejudge import Rejudge
from evalkit.suite import Expectation, Variant
from evalkit.suite.model.expectation_parser import (
    BadArguments,
    CheckCatalog,
    parse_expectation,
)
from evalkit.suite.model.templates import is_template
from evalkit.transcript import Step, Transcript
from evalkit.verdict import CheckResult, Verdict

MutantResult = Literal["caught", "survived", "equivalent", "undecided"]
_VOLATILE = frozenset({"id", "call_id", "signature"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbedMutant:
    """The result of a mutant, without its answers: a run has thousands of mutants.

    ``caught_by`` are the checks that noticed it, with their lines. ``suggestion`` is an expectation
    that passes the recorded conversation and catches the mutant; None for a mutant that was caught,
    or that no proposed expectation catches.
    """

    operator: str
    turn: int
    change: str
    result: MutantResult
    caught_by: Sequence[str] = ()
    suggestion: JSON = None


@dataclass(slots=True)
class ProbedScenario:
    """The mutants of one variant, and its checks. ``left_out`` says why it has no mutants.

    ``not_asked`` are the checks that ask a judge: they only get the recorded answers.
    """

    id: str
    path: str
    line: int
    checks: Sequence[str] = ()
    not_asked: Sequence[str] = ()
    mutants: list[ProbedMutant] = field(default_factory=list)
    left_out: str = ""

    def with_result(self, result: MutantResult) -> list[ProbedMutant]:
        """Return the mutants that have a result."""
        return [one for one in self.mutants if one.result == result]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeOptions:
    """Which operators are applied, at most how often each, and the seed of what is left out."""

    operators: Sequence[str] = tuple(OPERATORS)
    most: int = 3
    seed: int = 1


def probe(
    lines: Iterable[ResultLine], rejudge: Rejudge, catalog: CheckCatalog, options: ProbeOptions
) -> Iterator[ProbedScenario]:
    """Yield the results of each variant's mutants; of several trials the first is taken."""
    for line in lines:
        with rejudge.reading(line):
            scenario = ProbedScenario(line["id"], line["path"], line["line"])
            variant = None if "kind" in line else rejudge.find(line)
            scenario.left_out = _reason_to_leave_out(line, variant)
            is_first = line["trial"] == 1
            if is_first and variant is not None and not scenario.left_out:
                _Subject(variant, line, rejudge, catalog).probe(scenario, options)
        if is_first:
            yield scenario


def _reason_to_leave_out(line: ResultLine, variant: Variant | None) -> str:
    if "kind" in line or (variant is not None and variant.target is not None):
        return "an application's code runs the conversation; it cannot be run with other answers"
    if variant is None:
        return "it is not in the suites any more"
    return "" if line["verdict"] == "passed" else f"it {line['verdict']}"


class _Subject:
    """One variant with its recorded conversation."""

    def __init__(
        self, variant: Variant, line: ResultLine, rejudge: Rejudge, catalog: CheckCatalog
    ) -> None:
        self._catalog = catalog
        self._variant = variant
        self._line = line
        self._rejudge = rejudge
        self._transcript = rejudge.transcript(line)
        self._meaning = _meaning(self._transcript)
        self._plan = Plan(
            fields=variant.fields,
            turns=message_sources(self._transcript),
            history=variant.settings["history"],
            stream=variant.settings["stream"],
            background=variant.settings["background"],
            max_tool_rounds=variant.max_tool_rounds,
            stop_after={
                turn.number: variant.scenario.stop_after[turn.entry]
                for turn in self._transcript.turns
                if turn.entry in variant.scenario.stop_after
            },
            given=given_steps(variant),
            settings=variant.settings,
        )

    def probe(self, scenario: ProbedScenario, options: ProbeOptions) -> None:
        rejudged = self._rejudge.evaluate(self._variant, self._line, self._transcript)
        failing = sorted({_name(check) for check in rejudged.checks if _noticed(check)})
        if failing:
            scenario.left_out = f"it does not pass the present suites: {', '.join(failing)}"
            return
        declared = [check for check in rejudged.checks if check.declared]
        scenario.checks = [_name(check) for check in declared if not check.judgments]
        scenario.not_asked = [_name(check) for check in declared if check.judgments]
        recorded = Recorded(self._transcript, list(self._variant.tools))
        random = Random(  # noqa: S311 - a reproducible choice, nothing secret
            f"{options.seed} {self._line['id']}"
        )
        for mutant in mutants_of(recorded, options.operators, options.most, random):
            scenario.mutants.append(self._probed(mutant))

    def _probed(self, mutant: Mutant) -> ProbedMutant:
        probed = partial(
            ProbedMutant, operator=mutant.operator, turn=mutant.turn, change=mutant.change
        )
        transcript = converse_again(self._plan, self._transcript, mutant)
        if self._is_same(transcript, mutant):
            return probed(result="equivalent")
        rejudged = self._rejudge.evaluate(self._variant, self._line, transcript)
        noticed = [check for check in rejudged.checks if _noticed(check)]
        failed = [check for check in noticed if check.verdict is Verdict.FAILED]
        if not failed and rejudged.lacks_answer:
            return probed(result="undecided")
        noticed = failed or noticed
        if noticed:
            names = tuple(dict.fromkeys(map(_name, noticed)))
            return probed(result="caught", caught_by=names)
        return probed(result="survived", suggestion=self._suggestion(mutant, transcript))

    def _is_same(self, transcript: Transcript, mutant: Mutant) -> bool:
        is_of_the_wire = mutant.requests is not None or any(
            isinstance(answer, list) for answer in mutant.answers.values()
        )
        return not is_of_the_wire and equal(_meaning(transcript), self._meaning)

    def _suggestion(self, mutant: Mutant, transcript: Transcript) -> JSON:
        """Return what a mutant suggests if it passes the recording and fails the mutant.

        A template would be rendered, a turn within a simulated dialogue has no expectations, and
        an answer may contain what no argument of a check may.
        """
        is_inner = any(
            turn.number == mutant.turn and not turn.ends_entry for turn in self._transcript.turns
        )
        if mutant.suggestion is None or is_template(dumps(mutant.suggestion)) or is_inner:
            return None
        try:
            json.loads(dumps(mutant.suggestion), **FINITE)
            item = self._expectation(mutant.suggestion)
        # A suite has no numbers beyond floats, and no value that is nested hundreds of levels deep.
        except (BadArguments, ValueError, RecursionError):
            return None
        evaluator = self._rejudge.evaluator(self._variant, self._line)
        verdicts = [
            evaluator.try_expectation(item, one, mutant.turn)
            for one in (self._transcript, transcript)
        ]
        is_right = verdicts == [Verdict.PASSED, Verdict.FAILED]
        return mutant.suggestion if is_right else None

    def _expectation(self, entry: JSON) -> Expectation:
        parsed = parse_expectation(entry, dict.fromkeys(self._catalog.names()))
        built = self._catalog.build(parsed.name, parsed.argument, bare=parsed.bare)
        return Expectation(parsed, self._variant.line, built)


def _noticed(check: CheckResult) -> bool:
    return check.verdict in (Verdict.FAILED, Verdict.ERRORED)


def _name(check: CheckResult) -> str:
    return f"{check.name} ({check.declared})" if check.declared else check.name


def _meaning(transcript: Transcript) -> JSON:
    return [
        [turn.outcome, turn.text, [_without_volatile(step) for step in turn.steps]]
        for turn in transcript.turns
    ] + [one.interaction and one.interaction.get("usage") for one in transcript.exchanges]


def _without_volatile(step: Step) -> JSON:
    return {key: value for key, value in step.raw.items() if key not in _VOLATILE}
