"""Tests with ``evalkit_tape`` as results of the run: what identifies them, and how they ended.

A test is a result if it names the fixture, directly or through another one, or asked for it while
it ran. Its result is complete with its teardown: there the cassette is written, and a fixture may
still fail.
"""

import os
from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path
from unittest import SkipTest

import pytest

from evalkit._lib.text import shorten
from evalkit.errors import CassetteMiss, ExpectationFailed, Misconfigured, ServiceFault
from evalkit.pytest_plugin.options import (
    IF_CRASHED,
    RESULT,
    TEST_TAPE,
    WORKER_NUMBER,
    is_worker,
    uses_tape,
)
from evalkit.pytest_plugin.outcome_reports import attach_outcome, counted_as
from evalkit.pytest_plugin.project import project_root
from evalkit.pytest_plugin.reporter import session_state
from evalkit.pytest_plugin.session_settings import usage_errors
from evalkit.pytest_plugin.state import SessionState
from evalkit.session.ledger import cassette_change, file_version
from evalkit.session.trials import ItemOutcome
from evalkit.taping import Tape
from evalkit.taping.application_results import (
    EXPECTATION_FAILED,
    ApplicationTest,
    Ending,
    application_outcome,
)
from evalkit.verdict import CONVERSATION, TEST, Verdict, worst

_PLUGIN = "evalkit-tape-results"
_READ = 50_000
_MESSAGE = 400
_DETAIL = 4_000
"""Characters of an exception's text that are read, of its first line and of the rest in a result.
"""
_ASSERTIONS = (AssertionError, pytest.fail.Exception, pytest.xfail.Exception)
_KINDS = {"setup": "setup_failed", "call": "application_crashed", "teardown": "teardown_failed"}
_PREFIXES = {
    "setup_failed": "the test did not run, because a fixture failed: ",
    "application_crashed": "the test failed outside the conversation: ",
    "assertion_failed": "the test failed outside the conversation: ",
    "teardown_failed": "a fixture failed after the test: ",
}
_NOT_TAGS = frozenset({"skip", "xfail", "anyio", "asyncio", "trio", "flaky", "usefixtures"})


class TestTape:
    """The tape of a test, and the endings of its phases that did not pass so far."""

    def __init__(self) -> None:
        self.tape: Tape | None = None
        self.endings: list[Ending] = []
        self.is_in_call = False
        self._before: tuple[int, int] | None = None

    def start(self, tape: Tape) -> None:
        """Take the tape that starts now."""
        self.tape = tape
        self._before = file_version(tape.path)

    def clean(self, text: str) -> str:
        """Replace the secrets that only the requests of this test showed."""
        return self.tape.redact(text) if self.tape is not None else text

    def count(self, state: SessionState) -> None:
        """Count in the session's ledger what was recorded."""
        if self.tape is not None and state.settings.may_record:
            path = None if self.tape.is_live else self.tape.path
            change = cassette_change(self._before, file_version(path))
            exchanges = [
                exchange for one in self.tape.conversations() for exchange in one.exchanges
            ]
            state.runner.ledger.add(exchanges, change)


class TapeResults:
    """Attaches the results of tests with tapes to pytest's reports."""

    def __init__(self, config: pytest.Config, state: SessionState) -> None:
        self._config = config
        self._state = state

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        """Note that a test function runs: reports meanwhile are those of its subtests."""
        test_tape = tape_of(item) if uses_tape(item) else TestTape()
        test_tape.is_in_call = True
        try:
            return (yield)
        finally:
            test_tape.is_in_call = False

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Attach the verdict of a test so far, and with its teardown its result."""
        report = yield
        if not uses_tape(item):
            return report
        test_tape = tape_of(item)
        ending = ending_of(item, call, report, self._state.runner.redact)
        if ending is not None and not (test_tape.is_in_call and ending.verdict is Verdict.SKIPPED):
            test_tape.endings.append(ending)
            show_first_finding(report, ending)
        if (
            report.when == "call"
            and report.passed
            and test_tape.endings
            and not test_tape.is_in_call
        ):
            # pytest decides so too, but only when it prints the test.
            report.outcome, report.longrepr = "failed", "a subtest failed"
        if report.when == "teardown":
            attach_outcome(report, outcome_of_test(self._state, item))
        elif report.when == "call" or not report.passed:
            verdict = worst(one.verdict for one in test_tape.endings)
            attach_outcome(report, ItemOutcome(verdict=verdict, message="", results=()))
            counted, reason = counted_as(report, str(verdict))
            # Only here the secrets of its requests are known.
            getattr(report, RESULT)["pytest"] = counted, test_tape.clean(reason)
        elif is_worker(self._config):
            attach_outcome(report, outcome_if_crashed(self._state, item), IF_CRASHED)
        return report


@usage_errors()
def collect_tests(config: pytest.Config, items: Iterable[pytest.Item]) -> None:
    """Count the tests that use tapes. Raises pytest.UsageError for options that cannot be used."""
    state = session_state(config)
    if not config.pluginmanager.has_plugin(_PLUGIN):
        config.pluginmanager.register(TapeResults(config, state), _PLUGIN)
    for item in items:
        if uses_tape(item):
            state.count_test(item.nodeid, module_path(item))


def tape_of(item: pytest.Item) -> TestTape:
    """Return the tape of a test and its endings so far; from the first call on, it is a result."""
    tape: TestTape = item.stash.setdefault(TEST_TAPE, TestTape())
    return tape


def module_path(item: pytest.Item) -> str:
    """Return the path of a test's module from the project's root, with ``/``."""
    return Path(os.path.relpath(item.path, project_root(item.config))).as_posix()


def name_in_module(item: pytest.Item) -> str:
    """Return the part of a node id after the file.

    For ``--dist loadgroup`` pytest-xdist appends the test's group, ``@database``, to it.
    """
    name = item.nodeid.partition("::")[2]
    group = name.rpartition("@")[2]
    return name if item.name.endswith(f"@{group}") else name.removesuffix(f"@{group}")


def application_test(item: pytest.Item) -> ApplicationTest:
    """Return what identifies a test."""
    name, bracket, parameters = name_in_module(item).partition("[")
    marks = [mark for mark in item.iter_markers() if not mark.args and not mark.kwargs]
    title = getattr(getattr(item, "function", None), "__doc__", None) or ""
    return ApplicationTest(
        module=module_path(item),
        name=name,
        parts=(parameters.removesuffix("]"),) if bracket else (),
        trial=getattr(item.config, "workerinput", {}).get(WORKER_NUMBER, 0) + 1,
        line=(item.reportinfo()[1] or 0) + 1,
        title=shorten(title.strip().partition("\n")[0], _MESSAGE),
        tags=tuple(dict.fromkeys(mark.name for mark in marks if mark.name not in _NOT_TAGS)),
    )


def ending_of(
    item: pytest.Item,
    call: pytest.CallInfo[None],
    report: pytest.TestReport,
    redact: Callable[[str], str],
) -> Ending | None:
    """Return why a phase of a test did not pass; None if it did, or only pytest says so."""
    if call.excinfo is None:
        return None
    test_tape, error = tape_of(item), call.excinfo.value

    def clean(text: str) -> str:
        # Before a text is shortened: half a secret is not recognized.
        return redact(test_tape.clean(text[:_READ]))

    if isinstance(error, pytest.skip.Exception | SkipTest) or (
        call.when == "setup" and isinstance(error, pytest.xfail.Exception)
    ):
        reason = shorten(clean(str(error)), _MESSAGE) or "no reason given"
        return Ending(code="skipped", verdict=Verdict.SKIPPED, message=reason)
    faults = test_tape.tape.faults if test_tape.tape is not None else []
    fault = error if isinstance(error, CassetteMiss) else faults[0] if faults else None
    if fault is not None and call.when != "teardown":
        is_miss = isinstance(fault, CassetteMiss)
        first, _, detail = clean(str(fault)).partition("\n")
        return Ending(
            code="cassette_miss" if is_miss else "misconfigured",
            verdict=Verdict.ERRORED,
            message=first,
            detail=detail,
            check=CONVERSATION,
        )
    is_doctest = isinstance(item, pytest.DoctestItem)
    is_expectation = call.when == "call" and _is_expectation(error)
    code, verdict = _KINDS[call.when], Verdict.ERRORED
    if call.when == "call" and (isinstance(error, _ASSERTIONS) or is_doctest):
        code, verdict = "assertion_failed", Verdict.FAILED
    elif isinstance(error, Misconfigured):
        code = "misconfigured"
    if is_expectation:
        code, text = EXPECTATION_FAILED, str(error)
    elif is_doctest:
        text = f"the output differs\n{report.longreprtext}"
    else:
        # Safe for an exception whose text cannot be made.
        text = call.excinfo.exconly()
    first, _, detail = clean(text).partition("\n")
    return Ending(
        code=code,
        verdict=verdict,
        message=_PREFIXES.get(code, "") + shorten(first, _MESSAGE),
        detail=detail[:_DETAIL],
        location=_location(call.excinfo, project_root(item.config)),
        check=CONVERSATION if is_expectation else TEST,
    )


def show_first_finding(report: pytest.TestReport, ending: Ending) -> None:
    """Let pytest's short summary say what ``expect`` reports, not which conversation it read."""
    crash = getattr(report.longrepr, "reprcrash", None)
    finding = next(filter(None, ending.detail.split("\n")), "")
    if ending.code == EXPECTATION_FAILED and crash is not None and finding:
        crash.message = finding


def outcome_of_test(state: SessionState, item: pytest.Item) -> ItemOutcome:
    """Return the outcome of a test whose teardown has ended, and forget its tape."""
    test_tape = tape_of(item)
    del item.stash[TEST_TAPE]
    test_tape.count(state)
    return _outcome(state, item, test_tape.tape, test_tape.endings)


def outcome_if_crashed(state: SessionState, item: pytest.Item) -> ItemOutcome:
    """Return the outcome of a test in which its worker crashes."""
    message = "the test did not end, because its worker crashed"
    ending = Ending(code="worker_crashed", verdict=Verdict.ERRORED, message=message)
    return _outcome(state, item, None, [ending])


def _outcome(
    state: SessionState, item: pytest.Item, tape: Tape | None, endings: Sequence[Ending]
) -> ItemOutcome:
    result = application_outcome(
        application_test(item),
        tape,
        endings,
        cassettes=state.settings.cassettes,
        redact=state.runner.redact,
    )
    return ItemOutcome(verdict=result.verdict, message=result.message, results=[result])


def _is_expectation(error: BaseException) -> bool:
    """Return whether an exception is one of ``expect``, or has one in it."""
    if isinstance(error, BaseExceptionGroup):
        return any(map(_is_expectation, error.exceptions))
    if isinstance(error, ExpectationFailed | ServiceFault):
        return True
    return error.__cause__ is not None and _is_expectation(error.__cause__)


def _location(excinfo: pytest.ExceptionInfo[BaseException], root: Path) -> str:
    """Return the last line of the project's own code that an exception went through."""
    for entry in reversed(excinfo.traceback):
        path = Path(entry.path)
        if path.is_relative_to(root) and "site-packages" not in path.parts:
            return f"{path.relative_to(root).as_posix()}:{entry.lineno + 1}"
    return ""
