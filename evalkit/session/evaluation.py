"""Judging a transcript: which checks run over what, and what a turn that did not complete means for them.

| the turn                              | its checks | besides                                                         |
|---------------------------------------|------------|-----------------------------------------------------------------|
| held                                  | run        |                                                                 |
| API error, an ``error`` check expects | run        |                                                                 |
| API error, nothing expects it         | skipped    | ``conversation`` says ``api_error``: errored or failed, below   |
| not held (miss, network, tool, rounds)| skipped    | ``conversation`` says why: errored, failed if the answer was to |
|                                       |            | be quoted by a later turn and cannot be (not JSON)              |
| not reached                           | skipped    |                                                                 |

An unexpected API error is the model's or the request's fault (*failed*), unless its status says that the key, the quota or the service was
at fault (*errored*), since that tells nothing about the model. Checks over the whole conversation run when every turn was held or expected
to end in an error; those that are on by default always run: a broken history is often why a later turn was refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, cast

from evalkit._lib.text import show
from evalkit.checks.core.base import Approved, View
from evalkit.checks.core.defaults import DEFAULT_CHECKS, defaults, unexpected_error
from evalkit.checks.core.runner import run_check
from evalkit.checks.snapshot.files import path_of
from evalkit.conversation import context
from evalkit.errors import (
    CassetteMiss,
    ConnectFailed,
    Disconnected,
    Failed,
    Misconfigured,
    SuiteErrors,
    TimedOut,
    ToolCrashed,
)
from evalkit.protocol.wire_facts import is_infrastructure_fault
from evalkit.session.check_requests import Asker, asks, may_ask
from evalkit.session.python_targets import resolve
from evalkit.transcript import Request, Response, Step, Transcript, Turn
from evalkit.verdict import CheckResult, Finding, Severity, Verdict, Where

if TYPE_CHECKING:
    from evalkit.checks.snapshot.files import Kind
    from evalkit.suite import Expectation, Variant

CONVERSATION = "conversation"
_SEVERITIES = {"error": Severity.ERROR, "warn": Severity.WARN}
_FAULTS: tuple[tuple[type[Exception], str, Verdict], ...] = (
    (CassetteMiss, "cassette_miss", Verdict.ERRORED),
    (TimedOut, "timed_out", Verdict.ERRORED),
    (ConnectFailed, "connect_failed", Verdict.ERRORED),
    (Disconnected, "disconnected", Verdict.ERRORED),
    (ToolCrashed, "tool_crashed", Verdict.ERRORED),
    (Misconfigured, "misconfigured", Verdict.ERRORED),
    (Failed, "answer_unusable", Verdict.FAILED),
    (Exception, "crashed", Verdict.ERRORED),
)
Sibling = Callable[[Mapping[str, Any]], Transcript | None]
_Called = tuple[Turn, int, Step]
"""A function call of the model: the turn, the step's number in it from 1, the step."""


class Evaluator:
    """Judges one variant. Turns may be judged as they end (``stop_on_failure``); each is judged once.

    Checks can ask between :meth:`open` and :meth:`close`, while the variant's transport is open, and not later.
    """

    def __init__(self, variant: Variant, root: Path, sibling: Sibling) -> None:
        self._variant = variant
        self._root = root
        self._sibling = sibling
        self._turns: dict[int, list[CheckResult]] = {}
        self._asker: Asker | None = None
        self._asked: dict[tuple[int | None, int], CheckResult] = {}
        self._label = variant.suite.label

    def turn(self, transcript: Transcript, turn: Turn) -> list[CheckResult]:
        """Return the results of a turn's own checks, and what its outcome itself has to say."""
        held = self._turns.get(turn.number)
        if held is None:
            held = self._turns[turn.number] = list(self._judge_turn(transcript, turn))
        return held

    def conversation(
        self, transcript: Transcript, taped: Transcript | None = None
    ) -> list[CheckResult]:
        """Return every check result of the variant: turn by turn, then the whole conversation's.

        ``taped`` is the conversation as the cassette alone tells it, given where a request was not found there: the checks that are on by
        default then judge that one, declared or not, since what is wrong with the file is what the user must know.
        """
        results = [result for turn in transcript.turns for result in self.turn(transcript, turn)]
        calls = _function_calls(transcript)
        if calls and self._variant.target is None:  # an application's tools are its own
            results += _undeclared_tools(self._variant, calls)
        if calls:
            results += _unanswered_calls(self._variant, calls)
        expect = self._variant.expect
        view = self._view(transcript if taped is None else taped, None)
        if all(map(self.in_order, transcript.turns)):
            results += self._run_all(expect, view)
        else:
            told = DEFAULT_CHECKS if taped is not None else ()
            results += [
                self._run(item, view) if item.name in told else self._skipped(item, None)
                for item in expect
            ]
        for check in defaults(view.transcript, [item.name for item in expect]):
            results.append(
                run_check(
                    check,
                    view,
                    name=check.name,
                    negate=False,
                    severity=Severity.ERROR,
                    turn=None,
                    declared="",
                )
            )
        return results

    def _judge_turn(self, transcript: Transcript, turn: Turn) -> Sequence[CheckResult]:
        expect = self._variant.turn_expect(turn.number)
        if self.in_order(turn):
            view = self._view(transcript, turn)
            return self._run_all(expect, view)
        skipped = [self._skipped(item, turn.number) for item in expect]
        if turn.outcome == "not_run":
            return skipped
        verdict, finding = _outcome_finding(transcript, turn)
        return [CheckResult(CONVERSATION, verdict, (finding,), turn=turn.number), *skipped]

    def open(self, send: Callable[[Request], Response]) -> None:
        """Let checks ask over an open transport, if one of them may."""
        if may_ask(self._variant):
            self._asker = Asker(send)

    def close(self) -> None:
        """Let no check ask any more."""
        self._asker = None

    def ask(self, transcript: Transcript) -> bool:
        """Run the checks that ask (``Check.sends_requests``), turn by turn, then the conversation's, and keep what they say until it is their turn.

        The others wait: a ``same_as`` must not hold another variant while this one's transport is open. Return whether every answer that was
        got is worth keeping.
        """
        if self._asker is None:
            return True
        views = [
            (self._view(transcript, turn), self._variant.turn_expect(turn.number))
            for turn in transcript.turns
            if turn.number not in self._turns and self.in_order(turn)
        ]
        if all(map(self.in_order, transcript.turns)):
            views.append((self._view(transcript, None), self._variant.expect))
        for view, expect in views:
            number = view.turn.number if view.turn is not None else None
            for index, item in enumerate(expect):
                if asks(item, _earlier(view)):
                    self._asked[number, index] = self._run(item, view)
        transcript.judge_exchanges = self._asker.exchanges
        return self._asker.in_order

    def in_order(self, turn: Turn) -> bool:
        """Whether a turn ended as it should: held, or in an API error that is expected."""
        if turn.outcome == "api_error":
            expect = (*self._variant.expect, *self._variant.turn_expect(turn.number))
            return any(item.name == "error" and not item.negate for item in expect)
        return turn.outcome == "completed"

    def _run_all(self, expect: Sequence[Expectation], view: View) -> list[CheckResult]:
        if self._asked:
            number, asked = view.turn.number if view.turn is not None else None, self._asked
            return [
                asked.get((number, index)) or self._run(item, view)
                for index, item in enumerate(expect)
            ]
        return [self._run(item, view) for item in expect]

    def _run(self, item: Expectation, view: View) -> CheckResult:
        number = view.turn.number if view.turn is not None else None
        name, negate, severity, line, _, built, late = item
        declared = f"{self._label}:{line}"
        try:
            # Most checks were built when the suite was loaded, and need not know what was said.
            check: Any = built if late is None else item.check(context(_earlier(view)))
        except SuiteErrors as error:
            finding = Finding(
                "misconfigured",
                "the check's arguments cannot be made",
                Where(turn=number),
                detail=str(error),
            )
            return CheckResult(name, Verdict.ERRORED, (finding,), turn=number, declared=declared)
        return run_check(
            check,
            view,
            name=name,
            negate=negate,
            severity=_SEVERITIES[severity],
            turn=number,
            declared=declared,
        )

    def _skipped(self, item: Expectation, turn: int | None) -> CheckResult:
        return CheckResult(
            item.name, Verdict.SKIPPED, (), turn=turn, declared=f"{self._label}:{item.line}"
        )

    def _view(self, transcript: Transcript, turn: Turn | None) -> View:
        if self._asker is None:
            return View(
                transcript,
                turn,
                resolve=self._resolve,
                read=self._read,
                sibling=self._sibling,
                approved=self._approved,
            )
        return View(
            transcript,
            turn,
            resolve=self._resolve,
            read=self._read,
            sibling=self._sibling,
            approved=self._approved,
            ask=self._asker.ask,
        )

    def _resolve(self, target: str) -> Any:
        return resolve(target, self._root)

    def _read(self, name: str) -> str:
        return self._variant.suite.file(name).read_text(encoding="utf-8")

    def _approved(self, turn: int | None, name: str, kind: str) -> Approved:
        variant = self._variant
        below = path_of(
            variant.suite.name, variant.scenario.id, variant.parts, turn, name, cast("Kind", kind)
        )
        shown = (PurePosixPath(self._label).parent / below).as_posix()
        path = variant.suite.path.parent / below
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return Approved(shown, None)
        except OSError as error:
            raise Misconfigured(f"{shown}:1 cannot be read: {error.strerror or error}") from error
        try:
            return Approved(shown, data.decode())
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise Misconfigured(f"{shown}:{line} is not UTF-8: {error.reason}") from None


def _earlier(view: View) -> list[Turn]:
    turns = view.transcript.turns
    return turns[: view.turn.number - 1] if view.turn is not None else turns


def _outcome_finding(transcript: Transcript, turn: Turn) -> tuple[Verdict, Finding]:
    if turn.outcome == "api_error" and turn.error is not None:
        status = turn.error.status
        return (
            Verdict.ERRORED if is_infrastructure_fault(status) else Verdict.FAILED,
            unexpected_error(turn),
        )
    where = Where(turn=turn.number, exchange=turn.exchanges[-1].number if turn.exchanges else None)
    fault = next((fault for fault in _FAULTS if isinstance(transcript.crash, fault[0])), None)
    code, verdict = (fault[1], fault[2]) if fault is not None else ("incomplete", Verdict.ERRORED)
    first, _, rest = (turn.reason or "the turn did not complete").partition("\n")
    return verdict, Finding(code, first, where, detail=rest)


def _function_calls(transcript: Transcript) -> list[_Called]:
    return [
        (turn, number, step)
        for turn in transcript.turns
        for number, step in enumerate(turn.steps, 1)
        if step.raw.get("type") == "function_call"
    ]


def _undeclared_tools(variant: Variant, calls: Sequence[_Called]) -> list[CheckResult]:
    """Say which calls went to functions the suite does not declare, where no ``tool_calls`` check says it."""
    tools = variant.tools
    unknown = [
        called
        for called in calls
        if not (isinstance(name := called[2].raw.get("name"), str) and name in tools)
    ]
    if not unknown or _judges_calls(variant.expect):
        return []
    findings = [
        Finding(
            "undeclared_tool",
            f"the model called {show(step.raw.get('name'))}, which the suite does not declare",
            Where(turn=turn.number, exchange=step.exchange, step=number),
            got=step.raw.get("name"),
        )
        for turn, number, step in unknown
        if not _judges_calls(variant.turn_expect(turn.number))
    ]
    return [CheckResult(CONVERSATION, Verdict.FAILED, tuple(findings))] if findings else []


def _unanswered_calls(variant: Variant, calls: Sequence[_Called]) -> list[CheckResult]:
    """Say which calls no answer of the suite fits: the model was told of an error, and the conversation took a path that nobody foresaw."""
    stubs = {
        name: tool for name, tool in variant.tools.items() if tool.answers and tool.answers[-1].when
    }
    if not stubs:
        return []
    findings = [
        Finding(
            "call_without_answer",
            f"the model called {show(name)} with {show(arguments, 80)}, for which the suite has no answer; it was told of an error",
            Where(turn=turn.number, exchange=step.exchange, step=number),
            got=arguments,
            severity=Severity.WARN,
        )
        for turn, number, step in calls
        if (name := step.raw.get("name")) in stubs
        and isinstance(arguments := step.raw.get("arguments"), dict)
        and not stubs[name].knows(arguments, variant.variables)
    ]
    return [CheckResult(CONVERSATION, Verdict.PASSED, tuple(findings))] if findings else []


def _judges_calls(expect: Sequence[Expectation]) -> bool:
    return any(item.name == "tool_calls" for item in expect)
