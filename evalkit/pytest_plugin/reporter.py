"""Results of a session: journal, manifest, reports and the terminal summary.

One stream of results, one writer: a result travels on pytest's own test report, in one process or
from a worker of pytest-xdist, and the process that the user started appends it to the journal.
"""

import os
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from evalkit._lib.clock import timestamp
from evalkit._lib.text import escape_log_commands, plural
from evalkit.errors import Misconfigured
from evalkit.plugins import reports_of
from evalkit.pytest_plugin.collection import OUTCOME, VariantItem
from evalkit.pytest_plugin.options import RESULT, WORKER_OUTPUT, is_worker
from evalkit.pytest_plugin.state import SessionState, stored_outcome, stored_results
from evalkit.reports.ci import github
from evalkit.reports.line_reports import write_all
from evalkit.results import Journal, Run
from evalkit.results.manifest import file_digest
from evalkit.results.run_directory import DERIVED, check_output
from evalkit.session.prefetch import Prefetcher
from evalkit.verdict import Verdict

_STATE: pytest.StashKey[SessionState] = pytest.StashKey()
_LISTED = 5


def session_state(config: pytest.Config) -> SessionState:
    """Return the session's state; the first call creates it and registers the reporter.

    Raises UsageError for options that cannot be used.
    """
    state = config.stash.get(_STATE, None)
    if state is None:
        state = config.stash[_STATE] = SessionState(config, os.environ)
        config.pluginmanager.register(Reporter(config, state), "evalkit-reporter")
    return state


class Reporter:
    """The hooks of a session that has suites."""

    def __init__(self, config: pytest.Config, state: SessionState) -> None:
        self._config = config
        self._state = state

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Count the variants that -k and -m removed."""
        variants = sum(isinstance(item, VariantItem) for item in items)
        self._state.manifest.totals.deselected += variants

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Find unused cassettes, load results to resume, refuse to record without a key."""
        state = self._state
        state.find_unused_cassettes()
        if session.config.option.collectonly:
            return
        items = [item for item in session.items if isinstance(item, VariantItem)]
        if session.config.getoption("evalkit_resume"):
            self._load_results(items)
        if is_worker(session.config) or not items or not state.settings.may_record:
            return
        if (
            state.settings.live
            or state.settings.mode in ("all", "new_episodes")
            or any(not state.runner.cassette(item.variant).exists() for item in items)
        ):
            try:
                state.settings.live_key()
            except Misconfigured as error:
                raise pytest.UsageError(str(error)) from error
        if state.concurrency > 1:
            variants = [item.variant for item in items if item.variant.id not in state.resumed]
            state.prefetcher = Prefetcher(state.runner, variants, state.concurrency)

    def _load_results(self, items: Sequence[VariantItem]) -> None:
        if is_worker(self._config) or self._config.getoption("numprocesses", None):
            raise pytest.UsageError(
                "--evalkit-resume and -n exclude each other; resume in one process"
            )
        state = self._state
        try:
            lines = stored_results(state.directory, state.manifest.suites)
        except Misconfigured as error:
            raise pytest.UsageError(str(error)) from error
        selected = {item.variant.id for item in items}
        state.resumed = {id_: line for id_, line in lines.items() if id_ in selected}
        state.uncounted = set(state.resumed.values())

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Attach a variant's outcome to its last report: the call, or a setup that did not pass."""
        report = yield
        if isinstance(item, VariantItem) and (
            call.when == "call" or (call.when == "setup" and not report.passed)
        ):
            outcome = item.stash.get(OUTCOME, None)
            if outcome is None:
                verdict = Verdict.SKIPPED if report.skipped else Verdict.ERRORED
                outcome = self._state.runner.not_run(item.variant, verdict, _reason(call))
            else:
                del item.stash[OUTCOME]
            # pytest carries extra attributes with plain values from a worker to the controller.
            result = {
                "verdict": str(outcome.verdict),
                "line": outcome.line,
                "tally": outcome.tally,
                "cassette": outcome.cassette,
            }
            setattr(report, RESULT, result)
        return report

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Show an errored variant as an error, because it says nothing about the model."""
        result = getattr(report, RESULT, None)
        if result and result["verdict"] == "errored" and report.failed and report.when == "call":
            return "error", "E", "ERROR"
        return None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Append a result to the journal, unless this process is a worker."""
        result = getattr(report, RESULT, None)
        if result is None or is_worker(self._config):
            return
        try:
            self._add(report.nodeid, result)
        except Misconfigured as error:
            # Without a place for results the session is useless, so end it.
            raise pytest.UsageError(str(error)) from error
        # pytest keeps all reports until the session ends; results are too large for that.
        setattr(report, RESULT, {"verdict": result["verdict"]})

    def _add(self, nodeid: str, result: dict[str, Any]) -> None:
        state, line, tally = self._state, result["line"], result["tally"]
        if state.journal is None:
            state.journal = self._open_journal()
        if line in state.uncounted:
            # A resumed result: the journal started with it.
            state.uncounted.discard(line)
        else:
            state.journal.append(line)
        state.manifest.totals.add(tally)
        if result["cassette"] is not None:
            state.manifest.cassettes[result["cassette"]] = None
        if tally["unplayed"]:
            state.unplayed.append(nodeid)
        state.warnings += [f"{nodeid}: {text}" for text in tally["warned"]]

    def _open_journal(self) -> Journal:
        directory = self._state.directory
        check_output(directory, "--evalkit-report")
        for name in DERIVED:
            (directory / name).unlink(missing_ok=True)
        journal = Journal(directory, self._state.resumed.values())
        self._state.manifest.write(directory)
        return journal

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Complete the manifest and write the reports; ``--evalkit-strict`` fails on leftovers."""
        state = self._state
        if is_worker(self._config):
            config: Any = self._config
            config.workeroutput[WORKER_OUTPUT] = state.worker_output()
            return
        if state.prefetcher is not None:
            state.prefetcher.close()
        if state.journal is not None:
            state.journal.close()
            self._complete_manifest()
            self._write_reports()
        failed = state.report_errors or (
            state.strict and (state.unplayed or state.unused_cassettes)
        )
        if failed and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _complete_manifest(self) -> None:
        state = self._state
        manifest, totals = state.manifest, state.manifest.totals
        # Resumed results count even if the session ended before their turn.
        for line in state.uncounted:
            totals.add(stored_outcome(line).tally)
        totals.orphans = len(state.unused_cassettes)
        for name in manifest.cassettes:
            manifest.cassettes[name] = file_digest(state.settings.cassettes / name)
        manifest.ended = timestamp()
        manifest.complete = totals.run + totals.deselected >= totals.collected

    def _write_reports(self) -> None:
        state = self._state
        try:
            state.manifest.write(state.directory)
            run = Run(state.directory)
            write_all(run, reports_of(os.environ))
            if os.environ.get("GITHUB_ACTIONS") == "true":
                state.ci_commands = github.error_commands(run)
                github.append_summary(run, os.environ)
        except (OSError, Misconfigured) as error:
            # The results are safe, and reports can be written from them again.
            state.report_errors.append(
                f"cannot write all reports: {error}; then run: evalkit report {state.directory}"
            )

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print what was run with denominators, what is unused, and where the report is."""
        state = self._state
        if state.journal is None or is_worker(self._config):
            return
        terminalreporter.section("evalkit", sep="=")
        for text in _summary(state):
            terminalreporter.write_line(escape_log_commands(text))
        if state.strict and (state.unplayed or state.unused_cassettes):
            terminalreporter.write_line(
                "failed by --evalkit-strict: the recordings and cassettes above are not used",
                red=True,
            )
        for text in state.report_errors:
            terminalreporter.write_line(escape_log_commands(text), red=True)
        page = state.directory / "index.html"
        start = Path(self._config.invocation_params.dir)
        shown = page.relative_to(start) if page.is_relative_to(start) else page
        terminalreporter.write_line(f"report: {shown}")
        for command in state.ci_commands:
            terminalreporter.write_line(command)


def _summary(state: SessionState) -> Iterator[str]:
    totals = state.manifest.totals
    yield totals.summary
    yield (
        f"{totals.scored} scored by {plural(totals.checks, 'check')}, "
        f"{plural(totals.warnings, 'warning')}, {totals.tokens:,} tokens"
    )
    yield from _first("", state.warnings)
    yield (
        f"{plural(totals.unplayed, 'recording')} left unplayed, "
        f"{plural(len(state.unused_cassettes), 'cassette')} used by no variant"
    )
    yield from _first("unplayed in ", state.unplayed)
    yield from _first("unused ", state.unused_cassettes)


def _first(label: str, names: Sequence[str]) -> Iterator[str]:
    for name in names[:_LISTED]:
        yield f"  {label}{name}"
    if len(names) > _LISTED:
        yield f"  … and {len(names) - _LISTED} more"


def _reason(call: pytest.CallInfo[None]) -> str:
    if call.excinfo is None:
        return "not run"
    return str(call.excinfo.value) or call.excinfo.typename
