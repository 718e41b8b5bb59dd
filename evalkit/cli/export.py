"""``evalkit export``: write the results of a run as a table, or send them as spans."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, get_args

import click

from evalkit._lib.files import atomic_writer, file_errors
from evalkit._lib.text import plural
from evalkit.errors import UsageError
from evalkit.reports.otlp import send_run
from evalkit.results import Run
from evalkit.results.frame import Rows, frame, polars_library

if TYPE_CHECKING:
    import polars

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_EPILOG = """\b
Examples:
  evalkit export reports/latest --to results.parquet
  evalkit export reports/latest --rows checks --to checks.csv
  evalkit export reports/latest --otlp http://127.0.0.1:4318
"""


@click.command(epilog=_EPILOG)
@click.argument("run", type=click.Path(path_type=Path), default="reports/latest")
@click.option(
    "--to",
    "target",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="File to write; its ending is the format: .parquet, .csv or .jsonl.",
)
@click.option(
    "--rows",
    type=click.Choice(get_args(Rows)),
    default="variants",
    show_default=True,
    help="What a row is.",
)
@click.option("--force", is_flag=True, help="Replace a file that exists.")
@click.option(
    "--otlp",
    "endpoint",
    metavar="ENDPOINT",
    help="Send the conversations as OpenTelemetry spans to this address of a collector instead.",
)
def export(run: Path, target: Path | None, rows: Rows, force: bool, endpoint: str | None) -> None:
    """Write the results of a run as a table, or send them as spans.

    RUN is a run directory (default reports/latest). Tables need polars: pip install
    'pytest-evalkit[frame]'.
    """
    if (target is None) == (endpoint is None):
        raise UsageError("name either a file (--to results.parquet) or a collector (--otlp)")
    if endpoint is not None:
        _send(run, endpoint)
    elif target is not None:
        _write(run, target, rows, force=force)


def _send(run: Path, endpoint: str) -> None:
    sent, rejected = send_run(Run(run), endpoint, os.environ)
    click.echo(f"{plural(sent, 'result')} sent to {endpoint}")
    for message in rejected:
        click.echo(f"the collector rejected a part: {message}", err=True)


def _write(run: Path, target: Path, rows: Rows, *, force: bool) -> None:
    write = _WRITERS.get(target.suffix.lower())
    if write is None:
        raise UsageError(f"--to {target}: unknown ending; valid: {', '.join(_WRITERS)}")
    if target.exists() and not force:
        raise UsageError(f"--to {target}: the file exists; name another one, or add --force")
    table = frame(run, rows)
    with file_errors(target, "cannot be written"):
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_writer(target) as file:
            write(table, file)
    click.echo(f"{plural(table.height, 'row')} written to {target}")


def _write_csv(table: polars.DataFrame, file: BinaryIO) -> None:
    """Write CSV: lists joined by "; ", and no text that a spreadsheet would evaluate."""
    polars = polars_library()
    lists = [name for name, kind in table.schema.items() if kind == polars.List(polars.String)]
    table = table.with_columns(polars.col(lists).list.join("; "))
    guarded = [
        polars.when(polars.col(name).str.slice(0, 1).is_in(_FORMULA))
        .then(polars.concat_str(polars.lit("'"), polars.col(name)))
        .otherwise(polars.col(name))
        .alias(name)
        for name, kind in table.schema.items()
        if kind == polars.String
    ]
    table.with_columns(guarded).write_csv(file)


_WRITERS: dict[str, Callable[[polars.DataFrame, BinaryIO], None]] = {
    ".parquet": lambda table, file: table.write_parquet(file),
    ".csv": _write_csv,
    ".jsonl": lambda table, file: table.write_ndjson(file),
}
