"""Progress of a command that takes longer than a second, on the terminal behind stderr."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO, TypeVar

from evalkit._lib.progress import observer
from evalkit._lib.text import visible
from evalkit.cli.output import SafeStream

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

T = TypeVar("T")
_SECONDS_BEFORE = 1.0
_SECONDS_BETWEEN = 0.1


@contextmanager
def shown_progress(stream: SafeStream) -> Iterator[None]:
    """Show the loops of the block, one at a time; erase what was shown, whatever happened."""
    display = _Display(stream.terminal)
    token = observer.set(display)
    try:
        yield
    finally:
        observer.reset(token)
        display.end()


class _Display:
    def __init__(self, terminal: TextIO) -> None:
        self._terminal = terminal
        self._begin = time.monotonic()
        self._bar: Progress | None = None

    def __call__(
        self, items: Iterable[T], label: str, total: int, size: Callable[[T], int] | None
    ) -> Iterator[T]:
        next_update = self._begin + _SECONDS_BEFORE
        done = 0
        task: TaskID | None = None
        try:
            for item in items:
                yield item
                done += 1 if size is None else size(item)
                now = time.monotonic()
                if now < next_update:
                    continue
                next_update = now + _SECONDS_BETWEEN
                if task is None and self._bar is None:
                    task = self._start(label, total)
                if task is not None and self._bar is not None:
                    self._bar.update(task, completed=done)
        finally:
            if task is not None:
                self.end()

    def _start(self, label: str, total: int) -> TaskID:
        # Start-up cost: few commands take so long.
        from rich import console, progress

        columns = (
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(bar_width=None),
            progress.TextColumn("{task.percentage:>3.0f}%"),
            progress.TimeRemainingColumn(),
        )
        # What the command prints must reach its own streams.
        self._bar = progress.Progress(
            *columns,
            console=console.Console(file=self._terminal),
            transient=True,
            refresh_per_second=5,
            expand=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._bar.start()
        return self._bar.add_task(visible(label), total=total)

    def end(self) -> None:
        """Erase what is shown."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
