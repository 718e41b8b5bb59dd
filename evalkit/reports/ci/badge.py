"""``badge.json``: a run as a shields.io endpoint badge with its passed and scored variants."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from evalkit._lib.files import write_atomic
from evalkit._lib.json import dumps
from evalkit.reports.line_reports import LineReport
from evalkit.reports.overview import EXPECTED, ResultCounts, overview
from evalkit.results.records import ResultHead

COLORS = {"passed": "brightgreen", "failed": "red", "errored": "orange", "skipped": "lightgrey"}
"""Color by the style of a run's verdict."""


class Badge(LineReport):
    """Writes ``badge.json`` into the run directory."""

    def add(self, head: ResultHead, line: str, number: int) -> None:
        """Do nothing: the badge shows the counts of all results."""

    def finish(self, suites: Mapping[str, ResultCounts], total: ResultCounts) -> Path:
        """Write the badge."""
        message = "nothing scored"
        if total.scored:
            message = f"{total.verdicts['passed']} of {total.scored} passed"
        counts = total.outcomes + Counter(errored=len(self.run.manifest.get("not_collected", ())))
        for name in ("errored", *EXPECTED):
            if counts[name]:
                message += f", {counts[name]} {name}"
        if self.run.manifest.get("complete") is False:
            message += ", not finished"
        color = COLORS[overview(self.run.manifest, total).style]
        badge = {"schemaVersion": 1, "label": "evalkit", "message": message, "color": color}
        path = self.run.directory / "badge.json"
        write_atomic(path, dumps(badge) + "\n")
        return path
