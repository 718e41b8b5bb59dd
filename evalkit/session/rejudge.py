"""Judge stored conversations by the expectations of other suites, without any request.

A result keeps its identity, conversation and figures; its checks, verdict and message are new. The
evaluation is that of a session. What it would send comes from the recording:

* A check that asks a model gets the answers that were recorded for the same request; where the
  rubric, the judge's model or the conversation differ, it is errored.
* A ``python`` check or tool runs the project's present function, never code of another revision.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any, NamedTuple, cast

from evalkit._lib.json import JSON, equal
from evalkit._lib.text import plural, show
from evalkit.compare.bar import NO_CHOICES, ComparedChoices
from evalkit.errors import CheckCrashed, UsageError
from evalkit.results import Run
from evalkit.results.records import ResultLine, VerdictName
from evalkit.results.stored_transcript import transcript_with_media
from evalkit.session.evaluation import Evaluator, overall_verdict, recorded_crash
from evalkit.session.failure_text import failure_text
from evalkit.session.python_targets import PythonTargets
from evalkit.session.siblings import compares_siblings
from evalkit.session.trials import verdict_of_trials
from evalkit.suite import Suite, Variant, expand
from evalkit.suite.model.policies import TrialPolicy
from evalkit.suite.model.variants import AXES
from evalkit.transcript import Exchange, Request, Response, Transcript
from evalkit.verdict import CONVERSATION, CheckResult, Finding, Verdict

_Key = tuple[str, str, tuple[str, ...]]
"""Suite, scenario, parts of the variant's name."""


class RejudgedChecks(NamedTuple):
    """The results of checks. ``lacks_answer``: a check asked a model what is not recorded."""

    checks: list[CheckResult]
    lacks_answer: bool


class Rejudge:
    """The results of one run, judged by given suites.

    ``python`` resolves the functions that checks name.
    """

    def __init__(self, run: Run, suites: Iterable[Suite], python: PythonTargets) -> None:
        self._run = run
        self._python = python
        models = run.manifest.get("options", {}).get("model")
        variants = [
            variant
            for suite in suites
            for variant in expand(suite, models=models if isinstance(models, list) else ())
            if variant.trial == 1
        ]
        self._variants = {(one.suite.name, one.scenario.id, one.parts): one for one in variants}
        # The models of a suite may have changed: then its variants have other parts.
        self._without_model = {_key_without_model(variant): variant for variant in variants}
        self._families: dict[tuple[str, str], list[ResultLine]] = {}
        comparing = {
            (variant.suite.name, variant.scenario.id)
            for variant in variants
            if compares_siblings(variant)
        }
        if comparing:
            for line in run.results():
                family = line["suite"], line["scenario"]
                if family in comparing:
                    self._families.setdefault(family, []).append(line)

    @property
    def variants(self) -> Mapping[_Key, Variant]:
        """The variants of the suites, by suite, scenario and parts."""
        return self._variants

    def find(self, line: ResultLine, choices: ComparedChoices = NO_CHOICES) -> Variant | None:
        """Return the variant by which a result is judged; None if the suites have none.

        It has the baseline's choices where the axes of a matrix are compared.
        """
        axes = choices.axes.difference(AXES)
        if axes:
            settings = {name: value for name, value in line["variant"].items() if name not in axes}
            settings |= {axis: one for axis, one in choices.baseline.items() if axis in axes}
            return self._with_settings(line, settings)
        parts = tuple(map(str, line["parts"]))
        found = self._variants.get((line["suite"], line["scenario"], parts))
        if found is None:
            model = line["variant"].get("model") or line["variant"].get("agent")
            others = tuple(part for part in parts if part != model)
            found = self._without_model.get((line["suite"], line["scenario"], others))
        return found

    def _with_settings(self, line: ResultLine, settings: Mapping[str, JSON]) -> Variant | None:
        """Return a scenario's variant by its settings, or one with another model."""
        scenario = line["suite"], line["scenario"]
        variants = [one for key, one in self._variants.items() if key[:2] == scenario]
        found = next((one for one in variants if one.settings == settings), None)
        like = _other_settings(settings)
        others = (one for one in variants if _other_settings(one.settings) == like)
        return found or next(others, None)

    def judge_all(
        self, lines: Iterable[ResultLine]
    ) -> Iterator[tuple[ResultLine, ResultLine | None]]:
        """Yield each result with its new one; trials that are one test are judged together."""
        for key, group in groupby(lines, _test_of):
            pairs = [(line, self.judge(line)) for line in group]
            if key[-1]:
                _judge_test(self.find(pairs[0][0]), [one for _, one in pairs if one is not None])
            yield from pairs

    def judge(self, line: ResultLine, choices: ComparedChoices = NO_CHOICES) -> ResultLine | None:
        """Return a result with new checks and verdict; None if the suites do not have its variant.

        A result without a conversation stays as it is; so does a test of an application, which is
        judged by its Python code. Raises UsageError for a line that is not a result.
        """
        with self.reading(line):
            if "kind" in line:
                return _without_digest(line)
            variant = self.find(line, choices)
            return self._judged(variant, line) if variant is not None else None

    @contextmanager
    def reading(self, line: ResultLine) -> Iterator[None]:
        """Raise UsageError where the block finds that a line is not a result."""
        try:
            yield
        except (KeyError, TypeError, AttributeError) as error:
            raise UsageError(
                f"{self._run.directory}: {line.get('id')} is not a valid result ({error!r}); run "
                "its suites again"
            ) from error

    def _judged(self, variant: Variant, line: ResultLine) -> ResultLine:
        record = cast("dict[str, JSON]", _without_digest(line))
        if not line["turns"]:
            return cast("ResultLine", record)
        checks = self._checks(variant, line)
        verdict = overall_verdict(checks)
        location = f"{variant.suite.label}:{variant.line}"
        has_message = verdict not in (Verdict.PASSED, Verdict.SKIPPED)
        record |= {
            "title": variant.title,
            "tags": list(variant.tags),
            "path": variant.suite.label,
            "line": variant.line,
            "verdict": str(verdict),
            "message": failure_text(line["id"], location, checks) if has_message else "",
            "checks": [check.to_json() for check in checks],
        }
        outcome = record.pop("pytest", None)
        if outcome is not None and outcome["outcome"] in ("xfailed", "xpassed"):
            expected = "xfailed" if verdict is Verdict.FAILED else "xpassed"
            record = {"pytest": {**outcome, "outcome": expected}, **record}
        return cast("ResultLine", record)

    def _checks(self, variant: Variant, line: ResultLine) -> list[CheckResult]:
        last = line["turns"][-1]
        expected, actual = len(variant.scenario.turns), last.get("entry", last["number"])
        if variant.target is None and actual < expected:
            message = (
                f"the scenario has {plural(expected, 'turn')} there, the recorded conversation "
                f"has {actual}"
            )
            return [CheckResult(CONVERSATION, Verdict.ERRORED, (Finding("turns_differ", message),))]
        transcript = self.transcript(line)
        return self.evaluate(variant, line, transcript).checks

    def evaluate(
        self, variant: Variant, line: ResultLine, transcript: Transcript
    ) -> RejudgedChecks:
        """Evaluate a conversation as that of a result, whose recorded answers its checks get."""
        recorded = _RecordedAnswers(transcript.judge_exchanges)
        evaluator = self.evaluator(variant, line)
        with evaluator.requests_over(recorded.send):
            evaluator.run_requesting_checks(transcript)
        return RejudgedChecks(evaluator.evaluate(transcript), recorded.lacks_answer)

    def evaluator(self, variant: Variant, line: ResultLine) -> Evaluator:
        """Return an evaluator of a result; ``same_as`` finds the other results of the run."""
        return Evaluator(variant, self._python, lambda selector: self._sibling(line, selector))

    def transcript(self, line: ResultLine) -> Transcript:
        """Return the stored conversation of a result, with its media."""
        transcript = transcript_with_media(line, self._run.directory)
        transcript.crash = recorded_crash(line["checks"])
        return transcript

    def _sibling(self, line: ResultLine, selector: Mapping[str, Any]) -> Transcript | None:
        settings = {**line["variant"], **selector}
        family = self._families.get((line["suite"], line["scenario"]), [])
        for other in family:
            if other["variant"] == settings and other["trial"] == line["trial"]:
                break
        else:
            raise LookupError(f"the run has no result of this scenario with {show(dict(selector))}")
        if other["id"] == line["id"]:
            return None
        variant, transcript = self.find(other), self.transcript(other)
        fault = variant and self.evaluator(variant, other).find_fault(transcript)
        if fault or not transcript.turns:
            reason = fault.message if fault else "it has no conversation"
            raise LookupError(f"{other['id']} cannot be compared: {reason}")
        return transcript


def _without_digest(line: ResultLine) -> ResultLine:
    return cast("ResultLine", {name: one for name, one in line.items() if name != "digest"})


class _RecordedAnswers:
    """The recorded answers to the requests of checks, each given once."""

    def __init__(self, exchanges: Iterable[Exchange]) -> None:
        self._left = list(exchanges)
        self.lacks_answer = False

    def send(self, request: Request) -> Response:
        """Return the answer that was recorded for the same request. Raises CheckCrashed."""
        for exchange in self._left:
            if exchange.response is not None and equal(exchange.request.body, request.body):
                self._left.remove(exchange)
                return exchange.response
        self.lacks_answer = True
        raise CheckCrashed(
            "no answer is recorded for what this check asks: its rubric, its model or the "
            "conversation is another one than in the run; run the suites again to ask"
        )


def _test_of(line: ResultLine) -> tuple[str, str, tuple[str, ...], bool]:
    """Return what the trials of one test have in common; the last item says that they are one."""
    return line["suite"], line["scenario"], tuple(map(str, line["parts"])), "repeat" in line


def _judge_test(variant: Variant | None, trials: Sequence[ResultLine]) -> None:
    """Set the outcome of a test in each of its trials; one of them represents the test."""
    if variant is None or not trials:
        return
    policy = variant.policy or TrialPolicy(len(trials), len(trials))
    policy = policy.with_trials(len(trials))
    verdicts = [Verdict(trial["verdict"]) for trial in trials]
    verdict = verdict_of_trials(verdicts, policy.require)
    like = verdict if verdict in verdicts else Verdict.SKIPPED
    for number, trial in enumerate(trials):
        trial["repeat"] = {
            "trials": policy.trials,
            "require": policy.require,
            "passed": verdicts.count(Verdict.PASSED),
            "verdict": cast("VerdictName", str(verdict)),
            "counts": like in verdicts and number == verdicts.index(like),
        }


def _key_without_model(variant: Variant) -> _Key:
    model = variant.settings.get("model") or variant.settings.get("agent")
    parts = tuple(part for part in variant.parts if part != model)
    return variant.suite.name, variant.scenario.id, parts


def _other_settings(settings: Mapping[str, JSON]) -> dict[str, JSON]:
    """Return settings without the model."""
    return {name: one for name, one in settings.items() if name not in ("model", "agent")}
