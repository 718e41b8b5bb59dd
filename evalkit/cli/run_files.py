"""Add a file to a run that is written already, as ``evalkit probe`` and ``calibrate`` do."""

import os
from collections.abc import Callable

import click

from evalkit.plugins import reports_of
from evalkit.reports.line_reports import write_all
from evalkit.results import Run
from evalkit.results.run_directory import SIGNOFFS


def add_to_run(run: Run, what: str, write: Callable[[], object]) -> None:
    """Write a file into a run, and its reports again, unless that would break a signature."""
    if (run.directory / SIGNOFFS).is_dir():
        click.echo(f"{run.directory} is signed, so {what} is not added to it", err=True)
        return
    write()
    write_all(run, reports_of(os.environ))
