"""``evalkit history``: scenarios over many runs, in the terminal or as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import click

from evalkit.errors import UsageError

_EPILOG = """\b
Examples:
  pytest suites --evalkit-report reports/2026-11-22
  evalkit history reports
"""


@click.command(epilog=_EPILOG)
@click.argument("reports", type=click.Path(path_type=Path), default="reports")
@click.option(
    "--last",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    help="How many runs to look at, counted from the newest.",
)
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="List steady scenarios too, not only those that flip or fail.",
)
@click.option(
    "--config", type=click.Path(path_type=Path), help="Prices; default: the nearest evalkit.yaml."
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Page to write; default: REPORTS/history.html."
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def history(
    reports: Path, last: int, everything: bool, config: Path | None, out: Path | None, as_json: bool
) -> None:
    """Show pass rates, flips, tokens and cost over many runs.

    REPORTS is the directory that contains the run directories (default reports).
    """
    from evalkit.compare.history import history as history_of
    from evalkit.config import find_config, load_config
    from evalkit.results.index import RunIndex

    prices = load_config(config or find_config(Path.cwd())).prices
    with RunIndex(reports) as index:
        index.refresh()
        runs = index.runs()[-last:]
        names = {run.name for run in runs}
        found = history_of(
            runs, (result for result in index.results() if result.run in names), prices
        )
    for line in index.skipped:
        click.echo(f"evalkit: left out {line}", err=True)
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=2))
        return
    from evalkit.reports.page.history_page import write

    page = out or reports / "history.html"
    try:
        write(found, page)
    except OSError as error:
        raise UsageError(
            f"cannot write {page}: {error.strerror or error}; choose another place with --out"
        ) from error
    from rich.console import Console

    from evalkit.cli.history_view import show

    show(found, Console(highlight=False), everything)
    click.echo(f"written: {page}")
