"""From outcomes to the run directory and the terminal.

One stream of results, one writer: a result rides on pytest's own test report, in one process or from a worker of pytest-xdist, and is
journalled by the process that the user started. Registered with the first suite; other sessions never see it.

It rides in a single attribute, which then keeps the verdict only: pytest holds every report to the end of the session, and an object that is
given more attributes than its siblings costs it half a KiB (Python lets the instances of a class share their keys, with room for one more).
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from evalkit._lib.clock import timestamp
from evalkit.errors import Misconfigured
from evalkit.pytest_plugin.collection import OUTCOME, SuiteFile, VariantItem
from evalkit.pytest_plugin.options import RESULT, WORKER_OUTPUT, is_worker
from evalkit.pytest_plugin.summary import summary
from evalkit.results import Journal
from evalkit.results.manifest import file_digest
from evalkit.results.run_directory import DERIVED, check_output
from evalkit.verdict import Verdict

if TYPE_CHECKING:
    from evalkit.pytest_plugin.state import State

_NO_RESULT: dict[str, Any] = {"verdict": None}
_JOURNALLED = {str(verdict): {"verdict": str(verdict)} for verdict in Verdict}


class Reporter:
    """The hooks of a session that has suites."""

    def __init__(self, config: pytest.Config, state: State) -> None:
        self._config = config
        self._state = state

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Put a variant's outcome on the report that ends it: the call, or a setup that skipped or broke it."""
        report = yield
        if not isinstance(item, VariantItem):
            return report
        item.share_keywords(report)
        if call.when == "call" or (call.when == "setup" and not report.passed):
            outcome = item.stash.get(OUTCOME, None)
            if outcome is None:
                verdict = Verdict.SKIPPED if report.skipped else Verdict.ERRORED
                outcome = self._state.runner.not_run(item.variant, verdict, _reason(call))
            else:
                del item.stash[OUTCOME]
            # pytest carries further attributes of a report from a worker to the controller, as long as they are plain values.
            told = {
                "verdict": str(outcome.verdict),
                "line": outcome.line,
                "tally": outcome.tally,
                "cassette": outcome.cassette,
            }
            setattr(report, RESULT, told)
        return report

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Show an errored variant as an error: it tells nothing about the model."""
        if (
            report.failed
            and report.when == "call"
            and getattr(report, RESULT, _NO_RESULT)["verdict"] == "errored"
        ):
            return "error", "E", "ERROR"
        return None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Journal a result, unless this process is a worker."""
        told = getattr(report, RESULT, _NO_RESULT)
        if "line" in told and not is_worker(self._config):
            try:
                self._take(report.nodeid, told)
            except Misconfigured as error:  # no place to write to: nothing is gained by going on
                raise pytest.UsageError(str(error)) from error
            setattr(report, RESULT, _JOURNALLED[told["verdict"]])

    def _take(self, nodeid: str, told: dict[str, Any]) -> None:
        state = self._state
        if state.journal is None:
            state.journal = self._open()
        if (
            told["line"] in state.uncounted
        ):  # kept of an earlier session, so it stands in the journal already
            state.uncounted.discard(told["line"])
        else:
            state.journal.append(told["line"])
        tally = told["tally"]
        state.manifest.totals.add(tally)
        if told["cassette"] is not None:
            state.manifest.cassettes[told["cassette"]] = None
        if tally["unplayed"]:
            state.unplayed.append(nodeid)
        state.warned += [f"{nodeid}: {text}" for text in tally["warned"]]

    def _open(self) -> Journal:
        folder = self._state.directory
        check_output(folder, "--evalkit-report")
        for name in DERIVED:
            (folder / name).unlink(missing_ok=True)
        journal = Journal(folder, self._state.kept.values())
        self._state.manifest.write(folder)
        return journal

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        """Count what -k and -m left out."""
        self._state.manifest.totals.deselected += sum(
            isinstance(item, VariantItem) for item in items
        )

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Refuse to start recording without a key; look for cassettes no variant uses."""
        state = self._state
        state.orphans = state.find_orphans()
        state.used.clear()  # a text for each variant, and not needed again
        items = [item for item in session.items if isinstance(item, VariantItem)]
        for suite in {item.parent for item in items}:
            assert isinstance(suite, SuiteFile)
            suite.hooks = suite.ihook
        self._go_on(session, items)
        if (
            session.config.option.collectonly
            or is_worker(session.config)
            or not items
            or not state.settings.may_record
        ):
            return
        mode = state.settings.mode
        if (
            state.settings.live
            or mode in ("all", "new_episodes")
            or any(not state.runner.cassette(item.variant).exists() for item in items)
        ):
            try:
                state.settings.live_key()
            except Misconfigured as error:
                raise pytest.UsageError(str(error)) from error
        if state.concurrency > 1:
            from evalkit.session.prefetch import Prefetcher

            state.ahead = Prefetcher(
                state.runner,
                [item.variant for item in items if item.variant.id not in state.kept],
                state.concurrency,
            )

    def _go_on(self, session: pytest.Session, items: list[VariantItem]) -> None:
        """With ``--evalkit-resume``, keep what the run directory holds of the variants that are to run."""
        if not session.config.getoption("evalkit_resume") or session.config.option.collectonly:
            return
        if is_worker(session.config) or session.config.getoption("numprocesses", None):
            raise pytest.UsageError(
                "--evalkit-resume and -n exclude each other: go on in one process"
            )
        from evalkit.pytest_plugin.resume import kept_results

        try:
            found = kept_results(self._state.directory, self._state.manifest.suites)
        except Misconfigured as error:
            raise pytest.UsageError(str(error)) from error
        wanted = {item.variant.id for item in items}
        self._state.kept = {id_: line for id_, line in found.items() if id_ in wanted}
        self._state.uncounted = set(self._state.kept.values())

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Close the journal, complete the manifest, write the reports; with ``--evalkit-strict`` fail on what was left over."""
        state = self._state
        if is_worker(self._config):
            self._config.workeroutput[WORKER_OUTPUT] = state.to_worker_output()  # type: ignore[attr-defined]
            return
        if state.ahead is not None:
            state.ahead.close()
        if state.journal is not None:
            self._write(state)
        if (
            state.unwritten or (state.strict and (state.unplayed or state.orphans))
        ) and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _write(self, state: State) -> None:
        from evalkit.plugins import reports_of
        from evalkit.reports.line_reports import write_all
        from evalkit.results import Run

        assert state.journal is not None
        state.journal.close()
        totals = state.manifest.totals
        if (
            state.uncounted
        ):  # the session ended before their turn came; they are results all the same
            from evalkit.pytest_plugin.resume import outcome_of

            for line in state.uncounted:
                totals.add(outcome_of(line).tally)
        totals.orphans = len(state.orphans)
        for name in state.manifest.cassettes:
            state.manifest.cassettes[name] = file_digest(f"{state.settings.cassettes}/{name}")
        state.manifest.ended, state.manifest.complete = (
            timestamp(),
            totals.run + totals.deselected >= totals.collected,
        )
        try:
            state.manifest.write(state.directory)
            run = Run(state.directory)
            write_all(run, reports_of(os.environ))
            if os.environ.get("GITHUB_ACTIONS") == "true":
                from evalkit.reports.ci import github

                state.commands = github.error_commands(run)
                github.append_summary(run, os.environ)
        except (
            OSError,
            Misconfigured,
        ) as error:  # the results are safe, and reports can be made from them again
            state.unwritten.append(
                f"reports are not all written: {error}; once that is mended: evalkit report {state.directory}"
            )

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say what was run, with denominators, what was left over, and where the report is."""
        state = self._state
        if state.journal is None or is_worker(self._config):
            return
        terminalreporter.section("evalkit", sep="=")
        for line in summary(state, Path(self._config.invocation_params.dir)):
            terminalreporter.write_line(line.text, red=line.alarming)
        for command in state.commands:
            terminalreporter.write_line(command)


def _reason(call: pytest.CallInfo[None]) -> str:
    return (
        str(call.excinfo.value) or call.excinfo.typename if call.excinfo is not None else "not run"
    )
