"""Reports that are built from results line by line, in one reading of the run.

:func:`write_all` reads results once and hands each to every such report. No result is stored for
the next report, so memory does not grow with the run.
"""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from evalkit._lib.files import file_errors
from evalkit.errors import UsageError
from evalkit.reports.overview import ResultCounts
from evalkit.results import Run
from evalkit.results.records import ResultHead
from evalkit.results.result_line import parse_head


class LineReport(ABC):
    """A report built line by line; the class is what the entry point names."""

    def __init__(self, run: Run) -> None:
        self.run = run

    @abstractmethod
    def add(self, head: ResultHead, line: str, number: int) -> None:
        """Add a result: its head (shared, not to be changed), its line, its line number."""

    @abstractmethod
    def finish(self, suites: Mapping[str, ResultCounts], total: ResultCounts) -> Path:
        """Write the report and return its path; the counts are those of all results."""

    def close(self) -> None:  # noqa: B027 - most reports have no temporary files
        """Release temporary files, whether the report was written or not."""


def write_all(run: Run, reports: Iterable[Callable[[Run], Any]]) -> list[Any]:
    """Write reports of a run, line reports in one reading and first; return their results.

    Raises UsageError naming a result line that cannot be read, or a file that cannot be written.
    """
    line_reports: list[Callable[[Run], LineReport]] = []
    others: list[Callable[[Run], Any]] = []
    for report in reports:
        is_line_report = isinstance(report, type) and issubclass(report, LineReport)
        (line_reports if is_line_report else others).append(report)
    with file_errors(run.directory, "reports cannot be written"), ExitStack() as stack:
        opened = [stack.enter_context(closing(report(run))) for report in line_reports]
        suites, total = _read(run, opened) if opened else ({}, ResultCounts())
        written: list[Any] = [report.finish(suites, total) for report in opened]
        return written + [report(run) for report in others]


def _read(run: Run, reports: Sequence[LineReport]) -> tuple[dict[str, ResultCounts], ResultCounts]:
    suites: dict[str, ResultCounts] = defaultdict(ResultCounts)
    for number, line in enumerate(run.lines(), 1):
        try:
            head = parse_head(line)
            suites[head["suite"]].add(head)
            for report in reports:
                report.add(head, line, number)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(
                f"{run.directory / 'results.jsonl'}:{number} cannot be read: {error}"
            ) from error
    total = ResultCounts()
    for counts in suites.values():
        total.include(counts)
    return suites, total
