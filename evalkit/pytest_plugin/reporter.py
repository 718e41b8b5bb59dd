"""The hooks through which the results of a session pass, and its terminal summary.

One stream of results, one writer: a result travels on pytest's own test report, in one process or
from a worker of pytest-xdist, and the process that the user started appends it to the journal.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from evalkit._lib.files import check_folder
from evalkit._lib.text import escape_log_commands, visible
from evalkit.errors import Misconfigured
from evalkit.pytest_plugin.collection import OUTCOME, VariantItem
from evalkit.pytest_plugin.folded_misses import FoldedMisses
from evalkit.pytest_plugin.options import (
    CRASHED,
    IF_CRASHED,
    PROGRESS,
    REPORTER,
    RESULT,
    WORKER_OUTPUT,
    has_workers,
    is_worker,
    uses_tape,
)
from evalkit.pytest_plugin.outcome_reports import (
    attach_outcome,
    counted_as,
    crash_message,
    outcome_of_setup,
    plain_outcome,
)
from evalkit.pytest_plugin.run_writer import RunWriter
from evalkit.pytest_plugin.session_settings import usage_errors
from evalkit.pytest_plugin.state import SessionState
from evalkit.pytest_plugin.summary import summary_lines
from evalkit.results import Run
from evalkit.results.run_directory import check_writable_output
from evalkit.session.trials import item_outcome
from evalkit.verdict import Verdict

if TYPE_CHECKING:
    from evalkit.pytest_plugin.gating import SessionGate
    from evalkit.session.prefetch import Prefetcher

_INCONCLUSIVE = 4
_STATE: pytest.StashKey[SessionState] = pytest.StashKey()


def session_state(config: pytest.Config) -> SessionState:
    """Return the session's state; the first call creates it and registers the reporter.

    Raises UsageError for options that cannot be used.
    """
    state = config.stash.get(_STATE, None)
    if state is None:
        state = config.stash[_STATE] = SessionState(config, os.environ)
        folded = FoldedMisses(config)
        config.pluginmanager.register(folded, "evalkit-folded-misses")
        config.pluginmanager.register(Reporter(config, state, folded), REPORTER)
        if state.settings.may_record and not config.pluginmanager.has_plugin(PROGRESS):
            # Start-up cost: few sessions record.
            from evalkit.pytest_plugin.progress import SessionProgress

            progress = SessionProgress(config, state.runner.ledger, state.is_stored)
            config.pluginmanager.register(progress, PROGRESS)
        if config.getoption("evalkit_changed_since") and not has_workers(config):
            # Start-up cost: few sessions have the option.
            from evalkit.pytest_plugin.changed_since import ChangedSelection

            config.pluginmanager.register(ChangedSelection(config, state))
        if config.getoption("allure_report_dir", None):
            # Optional third-party library.
            from evalkit.pytest_plugin.allure import AllureParameters

            config.pluginmanager.register(AllureParameters())
    return state


class Reporter:
    """The hooks of a session that has suites, or tests with tapes."""

    def __init__(self, config: pytest.Config, state: SessionState, folded: FoldedMisses) -> None:
        self._config = config
        self._state = state
        self._folded = folded
        self._writer = RunWriter(state)
        # By node id and worker: with --dist each, several workers run the same test.
        self._waiting: dict[tuple[str, str], dict[str, Any]] = {}
        self._running: dict[tuple[str, str], dict[str, Any]] = {}
        self._gate: SessionGate | None = None
        self._has_other_failures = False

    @usage_errors()
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Find unused cassettes, load results to resume, refuse to record without a key."""
        state = self._state
        state.find_unused_cassettes()
        items = [item for item in session.items if isinstance(item, VariantItem)]
        selected = len(items) + sum(map(uses_tape, session.items))
        # By -k and -m, but also by --last-failed and by node ids, which pytest does not report.
        state.manifest.totals.deselected = max(0, state.manifest.totals.collected - selected)
        if session.config.option.collectonly:
            return
        if selected and not is_worker(session.config):
            self.start()
            if session.config.getoption("evalkit_until_decided"):
                items = self._order(session)
        if session.config.getoption("evalkit_resume"):
            state.resume(item.variants for item in items)
        if self._writer.until_decided is not None:
            self._writer.until_decided.start_at(items)
        # A skipped variant must not be recorded ahead.
        to_run = [item for item in items if item.get_closest_marker("skip") is None]
        if is_worker(session.config) or not to_run or not state.settings.may_record:
            return
        if (
            state.settings.live
            or state.settings.mode in ("all", "new_episodes")
            or any(
                not state.runner.cassette(variant).exists()
                for item in to_run
                for variant in item.variants
            )
        ):
            state.settings.live_key()
        variants = [one for item in to_run for one in item.variants if not state.is_stored(one)]
        state.prefetch(variants)

    def _order(self, session: pytest.Session) -> list[VariantItem]:
        """Order the scenarios at random, and return the tests in this order."""
        # Start-up cost: few sessions have the option.
        from evalkit.pytest_plugin.until_decided import UntilDecided

        assert self._gate is not None, "the option names a gate"
        state = UntilDecided(session, self._state, self._gate)
        self._writer.until_decided, self._state.manifest.sequential = state, state.record
        terminal: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        for line in state.introduction if terminal is not None else ():
            terminal.ensure_newline()
            terminal.write_line(line)
        return [item for item in session.items if isinstance(item, VariantItem)]

    @usage_errors()
    def start(self) -> None:
        """Refuse outputs and a gate that cannot be used, and warn of a weak key, before any test.

        The process that the user started calls it once.
        """
        settings = self._state.settings
        check_writable_output(self._state.directory, "--evalkit-report")
        if settings.may_record and not settings.live:
            check_folder(settings.cassettes, "; name another one with --evalkit-cassettes")
        if self._config.getoption("evalkit_gate"):
            self._gate = _session_gate(self._config, self._state)
        warning = self._state.runner.key_warning
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if warning and terminal is not None:
            terminal.ensure_newline()
            terminal.write_line(f"warning: {warning}", yellow=True)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Remember what could not be collected: the run is not complete."""
        if report.failed and not report.nodeid.endswith(".py"):
            self._state.not_collected.add(report.nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        """End the session instead of starting a conversation that must not start."""
        state = self._state
        variants = item.variants if isinstance(item, VariantItem) else ()
        if (
            self._writer.until_decided is not None
            and isinstance(item, VariantItem)
            and not self._writer.until_decided.may_start(item)
        ):
            state.runner.ledger.count(planned=-len(variants))
            return True
        if (variants or uses_tape(item)) and not state.may_run(variants):
            item.session.shouldstop = state.runner.ledger.stop_reason
            return True
        return None

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Remember that the user interrupted the session."""
        # pytest's own way to stop, such as after errors of collection, is a subclass.
        self._state.is_interrupted = excinfo.type is KeyboardInterrupt

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Attach a variant's outcome to its call, or to a setup that did not pass."""
        report = yield
        if isinstance(item, VariantItem) and (
            call.when == "call" or (call.when == "setup" and not report.passed)
        ):
            outcome = item.stash.get(OUTCOME, None)
            if outcome is None:
                outcome = self._state.not_run(item.variants, *outcome_of_setup(call))
            else:
                del item.stash[OUTCOME]
            xfailed = report.skipped and hasattr(report, "wasxfail")
            if xfailed and outcome.verdict is Verdict.ERRORED and call.excinfo:
                # An xfail mark expects a failure of the model. It must not hide that nothing was
                # tested.
                report.outcome, report.longrepr = "failed", item.repr_failure(call.excinfo)
                del report.wasxfail
            attach_outcome(report, outcome)
        if report.sections and isinstance(item, VariantItem):
            # An application may print what a model wrote.
            report.sections = [
                (title, escape_log_commands(visible(self._state.runner.redact(text))))
                for title, text in report.sections
            ]
        return report

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Show an errored variant as an error, because it says nothing about the model."""
        result = getattr(report, RESULT, None)
        if result and result["verdict"] == "errored" and report.failed and report.when != "setup":
            return "error", "E", "ERROR"
        return None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Append a result to the journal when its test has ended, unless this is a worker."""
        if is_worker(self._config):
            return
        node: Any = getattr(report, "node", None)
        key = report.nodeid, node.gateway.id if node else ""
        if hasattr(report, IF_CRASHED):
            self._running[key] = getattr(report, IF_CRASHED)
            delattr(report, IF_CRASHED)
        elif report.when == CRASHED and key in self._running:
            setattr(report, RESULT, self._running[key])
        elif report.when == CRASHED:
            variants = self._state.find_variants(self._config.rootpath, report.nodeid)
            if variants:
                reason = str(report.longrepr)
                attach_outcome(report, self._state.not_run(variants, Verdict.ERRORED, reason))
        result = getattr(report, RESULT, None)
        self._has_other_failures |= report.failed and result is None
        if result is not None:
            # pytest keeps all reports until the session ends; results are too large for that.
            names = ("verdict", "miss") if result["miss"] is not None else ("verdict",)
            setattr(report, RESULT, {name: result[name] for name in names})
            counted = result.get("pytest") or counted_as(report, result["verdict"])
            if report.when != "teardown":
                self._waiting[key] = result | {"pytest": counted}
            elif key in self._waiting:
                # The result of a test with a tape; another attempt follows one that is not waiting.
                self._waiting[key] = result | {"pytest": self._waiting[key]["pytest"]}
        if report.outcome not in ("passed", "failed", "skipped"):
            # Another plugin will run the test again ("rerun"); the last attempt is its result.
            self._waiting.pop(key, None)
        elif report.when in ("teardown", CRASHED) and key in self._waiting:
            self._running.pop(key, None)
            result = self._waiting.pop(key)
            if report.when == "teardown" and report.failed:
                result["pytest"] = "errored", crash_message(report)
            self._writer.add(report.nodeid, result)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Complete the manifest and write the reports; ``--evalkit-strict`` fails on leftovers."""
        state = self._state
        if is_worker(self._config):
            config: Any = self._config
            config.workeroutput[WORKER_OUTPUT] = state.worker_output()
            return
        if state.prefetcher is not None:
            # A second Ctrl-C ends the wait for running conversations, not what follows.
            with suppress(KeyboardInterrupt):
                if state.cluster is not None:
                    state.cluster.stop()
                state.prefetcher.close()
            if state.cluster is not None:
                state.cluster.close()
        for (nodeid, _), result in self._waiting.items():
            # The session ended within the test's teardown.
            self._writer.add(nodeid, result)
        if state.is_interrupted and state.prefetcher is not None:
            self._add_completed(state.prefetcher, session.items)
        self._writer.finish()
        failed = state.report_errors or (
            state.strict and (state.unplayed or state.unused_cassettes)
        )
        if self._config.getoption("evalkit_gate") and state.journal is not None:
            self._apply_gate(session)
        if state.unaffected and session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
            # Nothing to test is a success, but nothing that a gate could pass.
            has_gate = self._config.getoption("evalkit_gate")
            session.exitstatus = _INCONCLUSIVE if has_gate else pytest.ExitCode.OK
        if failed and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _add_completed(self, prefetcher: Prefetcher, items: Sequence[pytest.Item]) -> None:
        """Store conversations that ended before pytest asked for them, so that none is paid twice.

        Not those whose result depends on what pytest makes of it, or on its position.
        """
        if self._writer.until_decided is not None:
            return
        for item in items:
            if isinstance(item, VariantItem) and item.get_closest_marker("xfail") is None:
                outcomes = [prefetcher.take(variant) for variant in item.variants]
                results = [one for one in outcomes if one is not None]
                if len(results) == len(outcomes):
                    result = plain_outcome(item_outcome(item.variants, results))
                    self._writer.add(item.nodeid, result | {"pytest": (result["verdict"], "")})

    def _apply_gate(self, session: pytest.Session) -> None:
        """Let the gate decide, unless something else than a conversation failed."""
        try:
            # With pytest-xdist, tests with tapes are known only by their results.
            gate = self._gate or _session_gate(self._config, self._state)
            verdict = gate.evaluate(Run(self._state.directory)).verdict
        except Misconfigured as error:
            self._state.report_errors.append(f"the gate cannot be evaluated: {error}")
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
            return
        self._state.gate_text = f"gate {verdict.gate}: {verdict.verdict}: {verdict.reason}"
        decidable = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        if session.exitstatus in decidable and not self._has_other_failures:
            session.exitstatus = gate.exit_codes[verdict.verdict]

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print what was run with denominators, what is unused, and where the report is."""
        state = self._state
        for text in self._folded.restore(terminalreporter):
            terminalreporter.write_line(escape_log_commands(text), red=True)
        if not is_worker(self._config):
            if state.journal is not None:
                terminalreporter.section("evalkit", sep="=")
            for text, markup in summary_lines(state, Path(self._config.invocation_params.dir)):
                terminalreporter.write_line(escape_log_commands(text), **markup)
            for command in state.ci_commands:
                terminalreporter.write_line(command)


def _session_gate(config: pytest.Config, state: SessionState) -> SessionGate:
    # Start-up cost: few sessions have a gate, and comparing needs many modules.
    from evalkit.pytest_plugin.gating import SessionGate

    return SessionGate(config, state.settings.root)
