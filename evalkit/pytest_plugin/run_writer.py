"""Write the run directory of a session: journal, media, manifest, reports."""

import os
import shlex
import shutil
from typing import TYPE_CHECKING, Any

from evalkit._lib.clock import timestamp
from evalkit._lib.files import display_path, file_errors, reason_of
from evalkit.compare.judges import run_judge_rates
from evalkit.errors import EvalkitError, Misconfigured, UsageError
from evalkit.plugins import reports_of
from evalkit.pytest_plugin.session_settings import usage_errors
from evalkit.pytest_plugin.state import SessionState
from evalkit.pytest_plugin.stored_results import stored_outcome
from evalkit.reports.ci import github
from evalkit.reports.line_reports import write_all
from evalkit.results import Journal, Run
from evalkit.results.bar import NAME as BAR
from evalkit.results.bar import file_digest, write_bar
from evalkit.results.calibrations import read_calibrations
from evalkit.results.early_stop import left_out_tests
from evalkit.results.judgments import NAME as JUDGES
from evalkit.results.judgments import judge_rate_text, write_judge_rates
from evalkit.results.media import FOLDER, write_files
from evalkit.results.result_line import with_pytest_outcome
from evalkit.results.run_directory import DERIVED, check_output
from evalkit.results.strength import NAME as STRENGTH

if TYPE_CHECKING:
    from evalkit.pytest_plugin.until_decided import UntilDecided


class RunWriter:
    """Writes the results of a session, in the process that the user started.

    ``until_decided`` orders the scenarios of a session that may stop early.
    """

    def __init__(self, state: SessionState) -> None:
        self._state = state
        self.until_decided: UntilDecided | None = None

    # Without a place for results the session is useless, so end it.
    @usage_errors()
    def add(self, nodeid: str, item: dict[str, Any]) -> None:
        """Append the results of a test, as its report carries them. Raises pytest.UsageError."""
        state = self._state
        if state.journal is None:
            state.journal = self._open_journal()
        outcome, reason = item["pytest"]
        for result in item["results"]:
            line, tally = result["line"], result["tally"]
            if line in state.uncounted:
                # A resumed result: the journal started with it.
                state.uncounted.discard(line)
            else:
                # Pytest's outcome is that of the whole test, not of each of its trials.
                is_own = result["verdict"] == item["verdict"] or tally["counts"]
                if is_own and outcome != tally["verdict"]:
                    line = with_pytest_outcome(line, outcome, state.runner.redact(reason))
                    tally["outcome"] = outcome
                media = {name: text.encode("latin-1") for name, text in result["media"].items()}
                write_files(state.directory, media)
                state.journal.append(line)
            state.has_judgments |= '"judgments":' in line
            state.manifest.totals.add(tally)
            if result["cassette"] is not None:
                state.manifest.cassettes[result["cassette"]] = None
            if tally["unplayed"]:
                state.unplayed.append(nodeid)
            state.warnings += [f"{nodeid}: {text}" for text in tally["warned"]]
            if tally["trials"]:
                state.flaky.append(f"{nodeid}: {tally['trials']}")
        if self.until_decided is not None:
            self.until_decided.add(nodeid, [result["line"] for result in item["results"]])

    def _open_journal(self) -> Journal:
        directory = self._state.directory
        check_output(directory, "--evalkit-report")
        with file_errors(directory, "cannot be written", "; name another with --evalkit-report"):
            for name in (*DERIVED, BAR, STRENGTH, JUDGES):
                (directory / name).unlink(missing_ok=True)
            if not self._state.resumed and (directory / FOLDER).is_dir():
                shutil.rmtree(directory / FOLDER)
        journal = Journal(directory, self._state.resumed.values())
        try:
            self._state.manifest.write(directory)
        except Misconfigured:
            journal.close()
            raise
        return journal

    def finish(self) -> None:
        """Complete the manifest and write the reports, if there is any result."""
        if self._state.journal is not None:
            self._state.journal.close()
            self._complete_manifest()
            self._write_reports()
            if self._state.collector:
                self._send_spans(self._state.collector)

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
        manifest.not_collected = sorted(state.not_collected)
        # If every worker crashed, nobody knows what was collected.
        is_known = bool(manifest.suites or manifest.modules) and not state.not_collected
        if self.until_decided is not None:
            self.until_decided.finish()
        accounted = totals.run + totals.deselected + left_out_tests(manifest.sequential)
        manifest.complete = is_known and accounted >= totals.collected
        totals.collected = max(totals.collected, totals.run + totals.deselected)

    def _write_judge_rates(self, run: Run) -> None:
        """Store how often judges passed answers, in a project that has calibrated any."""
        state = self._state
        try:
            calibrations = read_calibrations(state.settings.root) if state.has_judgments else []
        except Misconfigured as error:
            state.report_errors.append(f"judges are not corrected: {error}")
            return
        if calibrations:
            records = [rate.to_record() for rate in run_judge_rates(run, calibrations)]
            write_judge_rates(run.directory, records)
            state.judges = list(map(judge_rate_text, records))

    def _write_reports(self) -> None:
        state = self._state
        try:
            state.manifest.write(state.directory)
            suites = state.manifest.suites.values()
            write_bar(state.directory, state.settings.root, suites, state.runner.redact)
            run = Run(state.directory)
            self._write_judge_rates(run)
            write_all(run, reports_of(os.environ))
            if os.environ.get("GITHUB_ACTIONS") == "true":
                state.ci_commands = github.error_commands(run)
                github.append_summary(run, os.environ)
        except (OSError, Misconfigured) as error:
            if isinstance(error, OSError):
                error = UsageError(f"{display_path(state.directory)}: {reason_of(error)}")
            # The results are safe, and reports can be written from them again.
            command = shlex.join(["evalkit", "report", display_path(state.directory)])
            state.report_errors.append(f"cannot write all reports: {error}; then run: {command}")

    def _send_spans(self, endpoint: str) -> None:
        # Slow third-party library: only a session with this option needs the network at its end.
        from evalkit.reports.otlp import send_run

        directory = self._state.directory
        try:
            _, problems = send_run(Run(directory), endpoint, os.environ)
        except EvalkitError as error:
            problems = [str(error)]
        if problems:
            command = shlex.join(["evalkit", "export", display_path(directory), "--otlp", endpoint])
            text = f"cannot send all spans: {'; '.join(problems)}; then run: {command}"
            self._state.collector_error = text
