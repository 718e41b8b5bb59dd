"""The hooks and the fixture that pytest calls in every session.

A session without suites must not pay for evalkit, so this module and ``options`` import only
pytest and the standard library. The functions here import the other modules of the package when
the first suite, tape or worker result needs them. Those modules import freely at their top.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from tempfile import mkstemp
from typing import TYPE_CHECKING, Any

import pytest

from evalkit.pytest_plugin.options import (
    CHANGES,
    IF_CRASHED,
    LEDGER,
    LEDGER_FILE,
    PROGRESS,
    REPORTER,
    RESULT,
    UNKNOWN_TESTS,
    WORKER_NUMBER,
    WORKER_OUTPUT,
    has_workers,
    uses_tape,
)
from evalkit.pytest_plugin.project import check_suite_folders, is_suite

if TYPE_CHECKING:
    from evalkit.pytest_plugin.state import SessionState
    from evalkit.taping import Tape

# Why an option is refused: in a replay, with workers of pytest-xdist, in a locked session.
_REASONS = {
    "--evalkit-cluster": (
        "a replay needs no cluster; leave the option out, or add --evalkit-live or "
        "--evalkit-record",
        "workers of pytest-xdist cannot share a cluster; leave -n out",
        "workers do not have the run of --evalkit-locked; leave one of them out",
    ),
    "--evalkit-until-decided": (
        "a replay costs nothing that could be saved; add --evalkit-live, or --evalkit-record all",
        "workers of pytest-xdist cannot decide together; leave -n out, and run conversations at "
        "once with --evalkit-concurrency",
        "a locked session is compared turn by turn when it has ended; leave --evalkit-locked out, "
        "or use --evalkit-gate",
    ),
}


@pytest.fixture
def evalkit_tape(request: pytest.FixtureRequest) -> Iterator[Tape]:
    """Record or replay the HTTP traffic of a test: ``cassettes/<module>/<test>.yaml``."""
    # Start-up cost: most sessions use no tape.
    from evalkit.pytest_plugin.tape_fixture import run_tape

    yield from run_tape(request.node)


def pytest_configure(config: pytest.Config) -> None:
    """Refuse options that exclude each other; with pytest-xdist, listen for results of workers."""
    if config.getoption("evalkit_live") and config.getoption("evalkit_record") != "none":
        raise pytest.UsageError(
            "--evalkit-live writes no cassettes, so it cannot be combined with --evalkit-record"
        )
    if config.getoption("evalkit_resume") and config.getoption("numprocesses", None):
        raise pytest.UsageError(
            "--evalkit-resume and -n exclude each other; resume in one process: leave -n out, or "
            "add -n 0"
        )
    _check_live_options(config)
    _check_gate(config)
    if has_workers(config):
        config.pluginmanager.register(WorkerListener(config), "evalkit-worker-listener")


def _check_live_options(config: pytest.Config) -> None:
    """Refuse what options of live sessions cannot be combined with."""
    refused = (
        not config.getoption("evalkit_live") and config.getoption("evalkit_record") == "none",
        config.getoption("numprocesses", None) or has_workers(config),
        config.getoption("evalkit_locked"),
    )
    for option, reasons in _REASONS.items():
        value: str | None = config.getoption(option)
        for is_refused, reason in zip(refused, reasons, strict=True):
            if value is not None and is_refused:
                raise pytest.UsageError(f"{option} {value}: {reason}")


def _check_gate(config: pytest.Config) -> None:
    """Refuse a second gate beside that of ``--evalkit-until-decided``; set it."""
    gate: str | None = config.getoption("evalkit_until_decided")
    if gate is None:
        if config.getoption("evalkit_seed") is not None:
            raise pytest.UsageError(
                "--evalkit-seed is the order of --evalkit-until-decided; add it"
            )
        return
    if config.getoption("evalkit_gate") not in (None, gate):
        raise pytest.UsageError(
            f"--evalkit-until-decided {gate} and --evalkit-gate {config.getoption('evalkit_gate')} "
            "name two gates; leave --evalkit-gate out"
        )
    vars(config.option)["evalkit_gate"] = gate


def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse folders of suites that do not exist."""
    check_suite_folders(session.config)


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Add to pytest's errors which tests of suites are like those that were not found."""
    try:
        return (yield)
    except pytest.UsageError as error:
        raise pytest.UsageError(
            *error.args, *session.config.stash.get(UNKNOWN_TESTS, ())
        ) from error


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect a suite; ``is_suite`` says which YAML files are suites."""
    if not file_path.name.endswith((".yaml", ".yml")) or not is_suite(file_path, parent):
        return None
    # Start-up cost: only a session with suites imports evalkit.
    from evalkit.pytest_plugin.collection import SuiteFile

    return SuiteFile.from_parent(parent, path=file_path, get_state=_session_state)


def _session_state(config: pytest.Config) -> SessionState:
    # Start-up cost: only a session with suites imports evalkit.
    from evalkit.pytest_plugin.reporter import session_state

    return session_state(config)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Count the tests with tapes, which are results of the run, before any is deselected."""
    if any(map(uses_tape, items)):
        # Start-up cost: only a session with suites or tapes imports evalkit.
        from evalkit.pytest_plugin.tape_results import collect_tests

        collect_tests(config, items)


@pytest.hookimpl(optionalhook=True)
def pytest_recording_configure(config: pytest.Config, vcr: Any) -> None:
    """Teach pytest-recording to read cassettes with metadata, which it calls damaged."""
    # Start-up cost: only sessions with pytest-recording call this.
    from evalkit.cassette import for_pytest_recording

    for_pytest_recording(vcr)


class WorkerListener:
    """Start evalkit on the controller of pytest-xdist, which collects no suites itself."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._is_each = config.getoption("dist") == "each"
        self._changes = ""
        self._workers = 0

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """With ``--dist each``, number the workers: every one runs all variants."""
        node.workerinput[WORKER_NUMBER] = self._workers
        self._workers += self._is_each
        if (
            self._config.getoption("evalkit_live")
            or self._config.getoption("evalkit_record") != "none"
        ):
            node.workerinput[LEDGER] = self._ledger()
        if self._config.getoption("evalkit_changed_since"):
            if not self._changes:
                # Start-up cost: few sessions have the option.
                from evalkit.pytest_plugin.changed_since import read_changes

                self._changes = read_changes(self._config)
            node.workerinput[CHANGES] = self._changes

    def _ledger(self) -> str:
        """Return the file that all workers share, deleted when the session ends."""
        stash = self._config.stash
        if LEDGER_FILE not in stash:
            number, stash[LEDGER_FILE] = mkstemp(prefix="evalkit-", suffix=".jsonl")
            os.close(number)
            self._config.add_cleanup(lambda: Path(stash[LEDGER_FILE]).unlink(missing_ok=True))
            # Start-up cost: few sessions record.
            from evalkit.pytest_plugin.progress import SessionProgress
            from evalkit.session.ledger import Ledger

            progress = SessionProgress(self._config, Ledger(shared=Path(stash[LEDGER_FILE])))
            self._config.pluginmanager.register(progress, PROGRESS)
        return stash[LEDGER_FILE]

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """Start the reporter before any test runs, once the first worker has collected a suite."""
        if any(".yaml::" in nodeid or ".yml::" in nodeid for nodeid in ids) and (
            reporter := self._new_reporter()
        ):
            reporter.start()

    def _new_reporter(self) -> Any:
        """Return the session's reporter if it was not registered before, else None."""
        if self._config.pluginmanager.has_plugin(REPORTER):
            return None
        _session_state(self._config)
        return self._config.pluginmanager.get_plugin(REPORTER)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Register the reporter when the first result of a test with a tape arrives."""
        if any(hasattr(report, name) for name in (RESULT, IF_CRASHED)) and (
            reporter := self._new_reporter()
        ):
            # pytest does not pass the current report to a plugin that is registered only now.
            reporter.pytest_runtest_logreport(report)

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Merge what a worker collected."""
        output = getattr(node, "workeroutput", {}).get(WORKER_OUTPUT)
        if output is not None:
            _session_state(self._config).merge_worker_output(output, each=self._is_each)
