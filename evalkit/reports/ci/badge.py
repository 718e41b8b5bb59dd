"""``badge.json``: a run as the endpoint of a badge (the schema of shields.io's endpoint badge): one word and a colour, with its denominator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from evalkit._lib.files import write_atomic
from evalkit._lib.json import dumps
from evalkit.reports.line_reports import LineReport, Maker
from evalkit.reports.overview import Tally, overview
from evalkit.results import Run
from evalkit.results.records import ResultHead

COLOURS = {"passed": "brightgreen", "failed": "red", "errored": "orange", "skipped": "lightgrey"}
"""Colour by the style of a run's verdict."""


@LineReport
@contextmanager
def write(run: Run) -> Iterator[Maker]:
    """Write ``badge.json`` into the run's directory and return its path. Raises UsageError naming a result line that cannot be read."""
    yield _Badge(run)


class _Badge:
    def __init__(self, run: Run) -> None:
        self._run = run

    def take(self, head: ResultHead, line: str, number: int) -> None:
        """The counts are all it shows."""

    def finish(self, suites: Mapping[str, Tally]) -> Path:
        total = Tally.sum(suites.values())
        style = overview(self._run.manifest, total).style
        message = (
            f"{total.verdicts['passed']} of {total.scored} passed"
            if total.scored
            else "nothing scored"
        )
        if total.verdicts["errored"]:
            message += f", {total.verdicts['errored']} errored"
        path = self._run.directory / "badge.json"
        write_atomic(
            path,
            dumps(
                {
                    "schemaVersion": 1,
                    "label": "evalkit",
                    "message": message,
                    "color": COLOURS[style],
                }
            )
            + "\n",
        )
        return path
