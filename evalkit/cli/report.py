"""``evalkit report``: write the reports of a run directory again from its results."""

from __future__ import annotations

from pathlib import Path

import click

from evalkit.plugins import REPORTS
from evalkit.reports.line_reports import write_all
from evalkit.results import Run


@click.command(epilog="Example:  evalkit report reports/latest")
@click.argument("run", type=click.Path(path_type=Path), default="reports/latest")
def report(run: Path) -> None:
    """Write the reports of a run again.

    RUN is a run directory (default reports/latest); its results.jsonl is read.
    """
    for path in write_all(Run(run), [REPORTS.get(name) for name in REPORTS]):
        if path is not None:
            click.echo(path)
