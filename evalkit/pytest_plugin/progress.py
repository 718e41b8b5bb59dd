"""Progress of a session that records or is live: how many conversations, what they cost, how long.

Shown only where pytest itself writes to a terminal: by the process that the user started, for all
workers of pytest-xdist. The numbers are those of the session's ledger.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import pytest

from evalkit._lib.terminal import can_redraw
from evalkit.pytest_plugin.collection import VariantItem
from evalkit.pytest_plugin.options import WORKER_NUMBER, is_worker
from evalkit.pytest_plugin.status_area import StatusArea
from evalkit.session.ledger import Ledger

if TYPE_CHECKING:
    from evalkit.suite import Variant


class SessionProgress:
    """Counts the conversations that a session will run, and shows the area while it runs them."""

    def __init__(
        self,
        config: pytest.Config,
        ledger: Ledger,
        is_stored: Callable[[Variant], bool] = lambda _: False,
    ) -> None:
        self._config = config
        self._ledger = ledger
        self._is_stored = is_stored
        self._label = "live" if config.getoption("evalkit_live") else "recording"
        self._planned: dict[str, int] = {}
        self._area: StatusArea | None = None

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Count the conversations of all tests whose results are not stored.

        All workers of pytest-xdist collect the same tests, so one of them counts, unless each runs
        them all.
        """
        if session.config.option.collectonly:
            return
        self._planned = {
            item.nodeid: sum(not self._is_stored(variant) for variant in item.variants)
            for item in session.items
            if isinstance(item, VariantItem)
        }
        worker = getattr(self._config, "workerinput", {})
        if worker.get("workerid", "gw0") == "gw0" or worker[WORKER_NUMBER]:
            self._ledger.count(planned=sum(self._planned.values()))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Expect no conversation of a test that is skipped or fails before it."""
        if report.when == "setup" and not report.passed and report.nodeid in self._planned:
            self._ledger.count(planned=-self._planned.pop(report.nodeid))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Show the area while tests run."""
        self._area = open_area(self._config, self._ledger, lambda: self._label)
        if self._area is not None:
            self._area.start()
        try:
            return (yield)
        finally:
            # After Ctrl-C, say, the session waits for conversations that run in threads.
            self._label = "stopping"

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self) -> Generator[None, object, object]:
        """Erase the area before pytest prints failures and counts."""
        try:
            return (yield)
        finally:
            self._end()

    def pytest_enter_pdb(self) -> None:
        """Leave the terminal to the debugger, for good."""
        self._end()

    def _end(self) -> None:
        if self._area is not None:
            self._area.end()
            self._area = None


def open_area(config: pytest.Config, ledger: Ledger, label: Callable[[], str]) -> StatusArea | None:
    """Return the area of a session's terminal; None where nothing may be drawn."""
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    if (
        config.option.collectonly
        or is_worker(config)
        # Other plugins draw a progress of their own.
        or type(reporter) is not pytest.TerminalReporter
        or config.option.verbose < -1
        # Tests write to the terminal themselves.
        or config.getoption("capture", "no") == "no"
        or not can_redraw(sys.stdout)
    ):
        return None
    # Slow third-party library, needed only where something is drawn.
    from evalkit.pytest_plugin.progress_text import ProgressText

    stream = open(  # noqa: PTH123, SIM115 - a descriptor; the area closes it
        os.dup(sys.stdout.fileno()),
        "w",
        encoding=sys.stdout.encoding,
        errors="replace",
        newline="",
    )
    text = ProgressText(ledger, label, stream)
    return StatusArea(config.get_terminal_writer(), stream, text)
