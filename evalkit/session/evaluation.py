"""Evaluate a transcript: run the checks of a variant and report how its turns ended.

| outcome of a turn                     | its checks | reported as check ``conversation``      |
|---------------------------------------|------------|-----------------------------------------|
| completed                             | run        |                                         |
| API error that an ``error`` check     | run        |                                         |
| expects                               |            |                                         |
| any other API error                   | skipped    | ``api_error``: failed, or errored where |
|                                       |            | the fault table excuses the model       |
| completed, but the run's own errors   | skipped    | ``run_failed``: errored                 |
| say nothing about the model; and no   |            |                                         |
| ``error`` or ``status`` check expects |            |                                         |
| that end                              |            |                                         |
| incomplete (miss, network, tool, …)   | skipped    | the reason: errored, or failed where a  |
|                                       |            | template could not use the model's text |
| not run                               | skipped    |                                         |

Checks of the whole conversation run if every turn completed or ended in an expected error. Checks
that are on by default always run: a broken history is often why a later turn was refused.

In a locked conversation the checks of a turn read the turns that it continues, and then itself.
Several turns are not one conversation, so checks of the whole are skipped, and those that are on by
default run for each turn.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath
from typing import Any, cast

from evalkit._lib.files import read_file
from evalkit._lib.json import JSON
from evalkit.checks.core.base import Approved, Check, View
from evalkit.checks.core.ending import fault_advice, is_expected_end
from evalkit.checks.core.runner import DEFAULT_CHECKS, defaults, run_check, unexpected_error
from evalkit.conversation import context
from evalkit.conversation.locked import continued_conversation
from evalkit.errors import (
    CassetteMiss,
    ConnectFailed,
    Disconnected,
    Failed,
    Misconfigured,
    SimulatorFailed,
    SuiteErrors,
    TargetError,
    TimedOut,
    ToolCrashed,
)
from evalkit.results.records import CheckRecord
from evalkit.session.call_results import call_results
from evalkit.session.check_requests import CheckRequests
from evalkit.session.python_targets import PythonTargets
from evalkit.suite import Expectation, Variant
from evalkit.transcript import Request, Response, Transcript, Turn
from evalkit.verdict import CONVERSATION, CheckResult, Finding, Severity, Verdict, Where, worst

_FAULTS: tuple[tuple[type[Exception], str, Verdict], ...] = (
    (CassetteMiss, "cassette_miss", Verdict.ERRORED),
    (TimedOut, "timed_out", Verdict.ERRORED),
    (ConnectFailed, "connect_failed", Verdict.ERRORED),
    (Disconnected, "disconnected", Verdict.ERRORED),
    (ToolCrashed, "tool_crashed", Verdict.ERRORED),
    (SimulatorFailed, "simulator_invalid", Verdict.ERRORED),
    (Misconfigured, "misconfigured", Verdict.ERRORED),
    (Failed, "answer_unusable", Verdict.FAILED),
    (Exception, "crashed", Verdict.ERRORED),
)


def overall_verdict(checks: Sequence[CheckResult]) -> Verdict:
    """Return the verdict of a variant from those of its checks."""
    verdict = worst([check.verdict for check in checks])
    return Verdict.PASSED if verdict is Verdict.SKIPPED and len(checks) > 1 else verdict


def recorded_crash(checks: Iterable[CheckRecord]) -> Exception | None:
    """Return an exception like the one that ended a stored conversation, None without one."""
    codes = {
        finding["code"]
        for check in checks
        if check["name"] == CONVERSATION
        for finding in check["findings"]
    }
    return next((kind(code) for kind, code, _ in _FAULTS if code in codes), None)


class Evaluator:
    """Evaluates one variant. Turns may be evaluated as they end; each is evaluated once.

    ``find_sibling`` returns the transcript of another variant of the scenario.
    """

    def __init__(
        self,
        variant: Variant,
        python: PythonTargets,
        find_sibling: Callable[[Mapping[str, Any]], Transcript | None],
    ) -> None:
        self._variant = variant
        self._python = python
        self._find_sibling = find_sibling
        self._requests: CheckRequests | None = None
        self._miss: CassetteMiss | None = None
        self._turn_results: dict[int, list[CheckResult]] = {}
        self._expected_turns: dict[int, bool] = {}
        self._request_results: dict[tuple[int | None, int], CheckResult] = {}

    @contextmanager
    def requests_over(self, send: Callable[[Request], Response]) -> Iterator[None]:
        """Let checks send requests over an open transport while the block runs, and not later."""
        self._requests = CheckRequests(send)
        try:
            yield
        finally:
            self._requests = None

    def miss_of(self, transcript: Transcript) -> CassetteMiss | None:
        """Return the first miss of a conversation or of the checks that send requests."""
        crash = transcript.crash
        return crash if isinstance(crash, CassetteMiss) else self._miss

    def run_requesting_checks(self, transcript: Transcript) -> bool:
        """Run the checks that send requests; return whether the recording is worth storing.

        Their results wait for :meth:`evaluate`. All other checks run there, when the transport is
        closed: a ``same_as`` must not run another variant before. A recording with an unexpected
        turn (the quota is used up, say) must not replace a good one.
        """
        assert self._requests is not None
        parts: list[tuple[Turn | None, Sequence[Expectation]]] = [
            (turn, self._variant.turn_expect(turn.entry))
            for turn in transcript.turns
            if turn.number not in self._turn_results and turn.ends_entry and self._is_expected(turn)
        ]
        if _is_one_conversation(transcript) and all(map(self._is_expected, transcript.turns)):
            parts.append((None, self._variant.expect))
        for turn, expect in parts:
            view = self._view(transcript, turn)
            for index, item in enumerate(expect):
                if _sends_requests(item, view):
                    self._request_results[_number(view), index] = self._run(item, view)
        transcript.judge_exchanges = self._requests.exchanges
        self._miss = self._requests.miss
        return self._requests.complete and all(
            turn.outcome == "not_run" or self._is_expected(turn) for turn in transcript.turns
        )

    def evaluate_turn(self, transcript: Transcript, turn: Turn) -> list[CheckResult]:
        """Return the results of a turn's own checks and of its outcome.

        Those of a simulated dialogue are run with its last turn.
        """
        if turn.number not in self._turn_results:
            expect = self._variant.turn_expect(turn.entry) if turn.ends_entry else ()
            if self._is_expected(turn):
                results = self._run_all(expect, self._view(transcript, turn))
            else:
                results = [self._skipped(item, turn.number) for item in expect]
                if turn.outcome != "not_run":
                    results.insert(0, _outcome_result(transcript, turn))
            self._turn_results[turn.number] = results
        return self._turn_results[turn.number]

    def evaluate(
        self, transcript: Transcript, reconstructed: Transcript | None = None
    ) -> list[CheckResult]:
        """Return all check results of the variant: turn by turn, then the whole conversation's.

        ``reconstructed`` is the conversation according to the cassette alone, passed after a miss.
        The default checks then read that one, because what is wrong with the file explains the
        miss.
        """
        results = [
            result for turn in transcript.turns for result in self.evaluate_turn(transcript, turn)
        ]
        results += call_results(self._variant, transcript, self._signature_misfit)
        expect = self._variant.expect
        view = self._view(reconstructed or transcript, None)
        views = [view]
        if not _is_one_conversation(transcript):
            results += map(partial(self._skipped, turn=None), expect)
            views = [self._view(transcript, turn) for turn in transcript.turns]
        elif all(map(self._is_expected, transcript.turns)):
            results += self._run_all(expect, view)
        else:
            for item in expect:
                runs = reconstructed is not None and item.name in DEFAULT_CHECKS
                results.append(self._run(item, view) if runs else self._skipped(item, None))
        declared = {item.name for item in expect}
        if any(item.name == "simulator" for item in self._variant.turn_expectations):
            declared.add("simulator")
        for check in defaults(view.transcript, declared):
            for one in views:
                result = run_check(
                    check,
                    one,
                    name=check.name,
                    negate=False,
                    severity=Severity.ERROR,
                    turn=_number(one),
                    declared="",
                )
                results.append(self._without_expected_errors(result, transcript))
        if transcript.locked is not None and transcript.locked["history"] == "unsigned":
            results.append(_unsigned_history(transcript.locked["model"]))
        if self._variant.target is not None:
            # Start-up cost: only an application can lose what evalkit itself sends again.
            from evalkit.checks.history.continuity import continuity_warnings

            known = {finding.code for result in results for finding in result.findings}
            losses = continuity_warnings(list(transcript.exchanges))
            if warned := tuple(loss for loss in losses if loss.code not in known):
                results.append(CheckResult(CONVERSATION, Verdict.PASSED, warned))
        return results

    def _signature_misfit(self, target: str, arguments: dict[str, Any], parameters: JSON) -> str:
        try:
            return self._python.signature_misfit(target, arguments, parameters)
        except TargetError:
            # The call itself failed with it, and the turn says so.
            return ""

    def try_expectation(
        self, item: Expectation, transcript: Transcript, turn: int | None
    ) -> Verdict:
        """Return the verdict of an expectation that the suite does not have.

        ``turn`` is the number of the turn that it is about, None for the conversation.
        """
        view = next((one for one in transcript.turns if one.number == turn), None)
        return self._run(item, self._view(transcript, view)).verdict

    def find_fault(self, transcript: Transcript) -> Finding | None:
        """Return why a conversation says nothing about the model, None where it says something."""
        for turn in transcript.turns:
            if turn.outcome != "not_run" and not self._is_expected(turn):
                result = _outcome_result(transcript, turn)
                if result.verdict is Verdict.ERRORED:
                    return result.findings[0]
        return None

    def _without_expected_errors(self, result: CheckResult, transcript: Transcript) -> CheckResult:
        """Return a result without the events in a stream of errors that the scenario expects."""
        expected = {
            turn.number
            for turn in transcript.turns
            if turn.outcome == "api_error" and self._is_expected(turn)
        }
        findings = tuple(
            finding
            for finding in result.findings
            if finding.code != "error_event" or finding.where.turn not in expected
        )
        if result.verdict is Verdict.FAILED and findings != result.findings:
            has_failed = any(finding.severity is Severity.ERROR for finding in findings)
            verdict = Verdict.FAILED if has_failed else Verdict.PASSED
            return replace(result, verdict=verdict, findings=findings)
        return result

    def _is_expected(self, turn: Turn) -> bool:
        if turn.outcome not in ("completed", "api_error"):
            return False
        if turn.number not in self._expected_turns:
            is_usual = turn.outcome == "completed" and fault_advice(turn) is None
            expect = (*self._variant.expect, *self._variant.turn_expect(turn.entry))
            self._expected_turns[turn.number] = is_usual or is_expected_end(
                turn, ((item.name, item.built) for item in expect if not item.negate)
            )
        return self._expected_turns[turn.number]

    def _run_all(self, expect: Sequence[Expectation], view: View) -> list[CheckResult]:
        number, stored = _number(view), self._request_results
        return [
            stored.get((number, index)) or self._run(item, view)
            for index, item in enumerate(expect)
        ]

    def _run(self, item: Expectation, view: View) -> CheckResult:
        number, declared = _number(view), f"{self._variant.suite.label}:{item.line}"
        try:
            check = _check_of(item, view)
        except SuiteErrors as error:
            message = "the check's arguments cannot be rendered"
            finding = Finding("misconfigured", message, Where(turn=number), detail=str(error))
            return CheckResult(
                item.name, Verdict.ERRORED, (finding,), turn=number, declared=declared
            )
        return run_check(
            check,
            view,
            name=item.name,
            negate=item.negate,
            severity=item.severity,
            turn=number,
            declared=declared,
        )

    def _skipped(self, item: Expectation, turn: int | None) -> CheckResult:
        declared = f"{self._variant.suite.label}:{item.line}"
        return CheckResult(item.name, Verdict.SKIPPED, turn=turn, declared=declared)

    def _view(self, transcript: Transcript, turn: Turn | None) -> View:
        if turn is not None and transcript.locked is not None:
            transcript = continued_conversation(transcript, turn)
        return View(
            transcript,
            turn,
            predefined=frozenset(
                name for name, tool in self._variant.tools.items() if tool.marked_predefined
            ),
            resolve=self._python.resolve,
            read=lambda name: self._variant.suite.file(name).read_text(encoding="utf-8-sig"),
            sibling=self._find_sibling,
            approved=self._approved,
            ask=self._send_request,
        )

    def _send_request(self, request: Request) -> Response:
        if self._requests is None:
            raise LookupError("the transport is closed; a check that sends requests must say so")
        return self._requests.send(request)

    def _approved(self, entry: int | None, name: str, kind: str) -> Approved:
        variant = self._variant
        # Start-up cost: few suites have snapshots.
        from evalkit.checks.snapshot import Kind, path_of

        below = path_of(
            variant.suite.name, variant.scenario.id, variant.parts, entry, name, cast("Kind", kind)
        )
        shown = (PurePosixPath(variant.suite.label).parent / below).as_posix()
        try:
            data = read_file(variant.suite.path.parent / below)
        except FileNotFoundError:
            return Approved(shown, None)
        except OSError as error:
            raise Misconfigured(f"{shown}:1 cannot be read: {error.strerror or error}") from error
        try:
            return Approved(shown, data.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise Misconfigured(f"{shown}:{line} is not UTF-8: {error.reason}") from None


def _number(view: View) -> int | None:
    return view.turn.number if view.turn is not None else None


def _is_one_conversation(transcript: Transcript) -> bool:
    """Return whether no turn continues another conversation than the one before it."""
    return transcript.locked is None or len(transcript.turns) < 2


def _unsigned_history(model: JSON) -> CheckResult:
    """Return a warning that locked turns got a history without thoughts."""
    message = (
        f"each turn continues the turns of {model} without thoughts and signatures, which bind "
        "that model"
    )
    finding = Finding("unsigned_history", message, severity=Severity.WARN)
    return CheckResult(CONVERSATION, Verdict.PASSED, (finding,))


def _check_of(item: Expectation, view: View) -> Check:
    """Return the check of an entry. Raises SuiteErrors if it reads earlier turns and cannot."""
    check: Check = item.built
    if item.deferred is not None:
        before: Sequence[Turn] = view.transcript.turns
        if view.turn is not None:
            before = [one for one in before if one.entry < view.turn.entry]
        check = item.check(context(before))
    return check


def _sends_requests(item: Expectation, view: View) -> bool:
    try:
        return _check_of(item, view).sends_requests
    except SuiteErrors:
        # Reported when the check is run.
        return False


def _outcome_result(transcript: Transcript, turn: Turn) -> CheckResult:
    if turn.outcome != "incomplete":
        verdict = Verdict.FAILED if fault_advice(turn) is None else Verdict.ERRORED
        return CheckResult(CONVERSATION, verdict, (unexpected_error(turn),), turn=turn.number)
    where = Where(turn=turn.number, exchange=turn.exchanges[-1].number if turn.exchanges else None)
    _, code, verdict = next(
        (fault for fault in _FAULTS if isinstance(transcript.crash, fault[0])),
        (Exception, "incomplete", Verdict.ERRORED),
    )
    first, _, rest = (turn.reason or "the turn did not complete").partition("\n")
    finding = Finding(code, first, where, detail=rest)
    return CheckResult(CONVERSATION, verdict, (finding,), turn=turn.number)
