"""``evalkit report``: write the reports of a run directory again from its results."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(epilog="Example:  evalkit report reports/latest")
@click.argument("run", type=click.Path(path_type=Path), default="reports/latest")
def report(run: Path) -> None:
    """Write the reports of RUN (a run directory, default reports/latest) again from its results.jsonl."""
    from evalkit.plugins import REPORTS
    from evalkit.results import Run

    opened = Run(run)
    for name in REPORTS:
        path = REPORTS.get(name)(opened)
        if path is not None:
            click.echo(path)
