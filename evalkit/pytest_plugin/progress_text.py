"""The lines of a session's progress: a bar and a line of numbers. Loaded where it is shown."""

from collections.abc import Callable, Iterator
from typing import TextIO

from rich.console import Console, ConsoleDimensions
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from evalkit._lib.text import plural
from evalkit.session.ledger import Ledger, RecordingTotals


class ProgressText:
    """Renders what a ledger counts for a terminal; ``label`` returns what the session does."""

    def __init__(self, ledger: Ledger, label: Callable[[], str], stream: TextIO) -> None:
        self._ledger = ledger
        self._label = label
        self._console = Console(file=stream, highlight=False)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[numbers]}"),
            console=self._console,
            auto_refresh=False,
            expand=True,
        )
        self._task = self._bar.add_task("", total=None, numbers="")

    def __call__(self, width: int) -> list[str]:
        """Return the lines for a width, none when all conversations have ended."""
        totals = self._ledger.totals
        planned = max(totals.planned, totals.started)
        if totals.ended >= planned:
            return []
        self._bar.update(
            self._task, description=self._label(), completed=totals.ended, total=planned
        )
        numbers = f"{totals.ended:,} of {planned:,}"
        seconds = self._bar.tasks[0].time_remaining
        self._bar.update(
            self._task, numbers=f"{numbers}, {duration(seconds)} left" if seconds else numbers
        )
        console = self._console
        console.size = ConsoleDimensions(width, 25)
        with console.capture() as capture:
            console.print(self._bar.get_renderable())
            parts = (Text(*part) for part in numbers_of(totals))
            console.print(Text(", ").join(parts), overflow="fold")
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
