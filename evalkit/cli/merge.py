"""``evalkit merge``: merge the runs of several jobs into one run."""

import os
from pathlib import Path

import click

from evalkit._lib.text import plural
from evalkit.plugins import reports_of
from evalkit.reports.line_reports import write_all
from evalkit.results import Run
from evalkit.results.merge import merge_runs, output_directory

_EPILOG = """\b
Exit codes: 0 merged, whatever the verdicts are; 2 usage, or the runs do not
fit together; 3 a result was changed or lost.

\b
Example:
  pytest suites -k stateful --evalkit-report shards/1
  pytest suites -k "not stateful" --evalkit-report shards/2
  evalkit merge shards/* --output reports/latest
"""


@click.command(epilog=_EPILOG)
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Run directory to write; an existing run is replaced.",
)
@click.option(
    "--allow-deselected",
    is_flag=True,
    help="Complete even if all runs deselected some variants (-m 'not slow').",
)
def merge(runs: tuple[Path, ...], output: Path, allow_deselected: bool) -> None:
    """Merge partial runs into one run directory.

    Each run directory holds the results of a part of the suites.
    """
    with output_directory(output, runs, "--output") as folder:
        merged = merge_runs(runs, folder, allow_deselected=allow_deselected)
        write_all(Run(folder), reports_of(os.environ))
    for gap in merged.gaps:
        click.echo(f"evalkit: not complete: {gap}", err=True)
    click.echo(f"{plural(merged.runs, 'run')}, {merged.totals.summary}")
    click.echo(f"report: {output / 'index.html'}")
