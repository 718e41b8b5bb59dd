"""One reading of a run's results for all reports that are made of them line by line.

A report is a function of a run. Most go through its results once, so they need not be read and parsed once for each: such a report says what
it does with a result, and :func:`write_all` hands every result to all of them. No result is kept for the next report, so memory does not grow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack
from functools import update_wrapper
from pathlib import Path
from typing import Any, Concatenate, Generic, ParamSpec, Protocol

from evalkit.errors import UsageError
from evalkit.reports.overview import Tally
from evalkit.results import Run
from evalkit.results.records import ResultHead
from evalkit.results.result_line import parse_head

More = ParamSpec("More")


class Maker(Protocol):
    """A report in the making."""

    def take(self, head: ResultHead, line: str, number: int) -> None:
        """Take in a result: its head (it is not to be changed), the whole line, the line's number."""

    def finish(self, suites: Mapping[str, Tally]) -> Path:
        """Write what came of all results, once the last one is taken, and return where. ``suites`` are their counts, for all reports alike."""


class LineReport(Generic[More]):
    """A report made line by line: the function ``(run, …) -> Path`` that every report is, and ``begin`` for those who share a reading.

    Decorates the context manager that holds the report's maker; what it put aside is dropped, and what it opened closed, at the context's end.
    """

    def __init__(
        self, begin: Callable[Concatenate[Run, More], AbstractContextManager[Maker]]
    ) -> None:
        self.begin = begin
        update_wrapper(self, begin)

    def __call__(self, run: Run, *more: More.args, **named: More.kwargs) -> Path:
        """Write this report alone. Raises UsageError naming a result line that cannot be read."""
        with self.begin(run, *more, **named) as maker:
            return maker.finish(_read(run, [maker]))


def write_all(run: Run, reports: Iterable[Callable[..., Any]]) -> list[Any]:
    """Write reports of a run, those made line by line in one reading and first. Returns what each returns, in that order.

    Raises UsageError naming a result line that cannot be read.
    """
    reports = list(reports)
    with ExitStack() as stack:
        makers = [
            stack.enter_context(report.begin(run))
            for report in reports
            if isinstance(report, LineReport)
        ]
        suites = _read(run, makers) if makers else {}
        written: list[Any] = [maker.finish(suites) for maker in makers]
    return written + [report(run) for report in reports if not isinstance(report, LineReport)]


def _read(run: Run, makers: Iterable[Maker]) -> dict[str, Tally]:
    takers = [maker.take for maker in makers]
    suites: dict[str, Tally] = {}
    for number, line in enumerate(run.lines(), 1):
        try:
            head = parse_head(line)
            suite = head["suite"]
            if suite not in suites:
                suites[suite] = Tally()
            suites[suite].add(head)
            for take in takers:
                take(head, line, number)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(
                f"{run.directory / 'results.jsonl'}:{number} cannot be read: {error}"
            ) from error
    return suites
