"""Progress of a session that records or is live: how many conversations, what they cost, how long.

Shown only where pytest itself writes to a terminal: by the process that the user started, for all
workers of pytest-xdist. The numbers are those of the session's ledger.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any, TextIO

import pytest

from evalkit._lib.text import plural
from evalkit.pytest_plugin.collection import VariantItem
from evalkit.pytest_plugin.options import is_worker
from evalkit.pytest_plugin.status_area import StatusArea
from evalkit.session.ledger import Ledger, RecordingTotals

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

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
        label = "live" if config.getoption("evalkit_live") else "recording"
        self._text = ProgressText(ledger, label)
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
        worker = getattr(self._config, "workerinput", {}).get("workerid", "gw0")
        if worker == "gw0" or self._config.getoption("dist", "no") == "each":
            self._ledger.count(planned=sum(self._planned.values()))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Expect no conversation of a test that is skipped or fails before it."""
        if report.when == "setup" and not report.passed and report.nodeid in self._planned:
            self._ledger.count(planned=-self._planned.pop(report.nodeid))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Show the area while tests run."""
        self._area = open_area(self._config, self._text)
        if self._area is not None:
            self._area.start()
        try:
            return (yield)
        finally:
            # After Ctrl-C, say, the session waits for conversations that run in threads.
            self._text.label = "stopping"

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


def open_area(config: pytest.Config, text: ProgressText) -> StatusArea | None:
    """Return the area of a session's terminal; None where nothing may be drawn."""
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    if (
        config.option.collectonly
        or is_worker(config)
        # Other plugins draw a progress of their own.
        or type(reporter) is not pytest.TerminalReporter
        or config.option.verbose < -1
        # Tests write to the terminal themselves.
        or config.option.capture == "no"
        or not can_redraw(sys.stdout)
    ):
        return None
    stream = open(  # noqa: PTH123, SIM115 - a descriptor; the area closes it
        os.dup(sys.stdout.fileno()),
        "w",
        encoding=sys.stdout.encoding,
        errors="replace",
        newline="",
    )
    return StatusArea(config.get_terminal_writer(), stream, text)


def can_redraw(stream: TextIO) -> bool:
    """Return whether a stream is a terminal that moves its cursor, and not the log of a CI."""
    if not stream.isatty() or os.environ.get("CI") or os.environ.get("BUILD_NUMBER"):
        return False
    if os.environ.get("TERM", "").lower() in ("dumb", "unknown"):
        return False
    # Start-up cost: only sessions with a progress need rich.
    from rich.console import Console

    return not Console(file=stream).legacy_windows


class ProgressText:
    """Renders what a ledger counts as a bar and a line of numbers."""

    def __init__(self, ledger: Ledger, label: str) -> None:
        self._ledger = ledger
        self.label = label
        self._console: Console | None = None
        self._bar: Progress | None = None

    def __call__(self, stream: TextIO, width: int) -> list[str]:
        """Return the lines for a terminal of this width."""
        totals = self._ledger.totals
        planned = max(totals.planned, totals.started)
        if totals.ended >= planned:
            return []
        # Start-up cost: only sessions with a progress need rich.
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn
        from rich.text import Text

        if self._console is None or self._bar is None:
            self._console = Console(file=stream, highlight=False)
            columns = (
                TextColumn("{task.description}"),
                BarColumn(bar_width=None),
                TextColumn("{task.fields[numbers]}"),
            )
            self._bar = Progress(*columns, console=self._console, auto_refresh=False, expand=True)
            self._bar.add_task(self.label, total=None, numbers="")
        console, bar = self._console, self._bar
        console.size = console.size.__class__(width, 25)
        task = bar.tasks[0]
        bar.update(task.id, description=self.label, completed=totals.ended, total=planned)
        numbers = f"{totals.ended:,} of {planned:,}"
        if task.time_remaining:
            numbers += f", {duration(task.time_remaining)} left"
        bar.update(task.id, numbers=numbers)
        with console.capture() as capture:
            console.print(bar.get_renderable())
            console.print(Text.assemble(*_joined(numbers_of(totals))), overflow="fold")
        return capture.get().splitlines()


def numbers_of(totals: RecordingTotals) -> Iterator[tuple[str, str]]:
    """Yield the numbers that a user waits for, each with a style; zeros only where they matter."""
    yield f"{totals.started - totals.ended:,} running", ""
    if totals.failed:
        yield f"{totals.failed:,} failed", "red"
    if totals.errored:
        yield f"{totals.errored:,} errored", "red"
    if totals.retries:
        yield plural(totals.retries, "retry", "retries"), "yellow"
    yield f"{totals.tokens:,} tokens", ""
    if totals.cost:
        yield f"cost {totals.cost:,.4g}", ""


def duration(seconds: float) -> str:
    """Return seconds as ``m:ss`` or ``h:mm:ss``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _joined(parts: Iterator[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for number, part in enumerate(parts):
        yield from ([(", ", ""), part] if number else [part])
