"""``evalkit compare``: a baseline run against a candidate run, judged by a gate."""

from __future__ import annotations

import json
from pathlib import Path

import click

from evalkit.errors import UsageError

_EPILOG = """\b
Examples:
  evalkit compare reports/main reports/latest --gate release
  evalkit compare reports/latest --baseline-model A --candidate-model B

\b
Exit codes: 0 pass, 1 fail, 2 usage, 4 inconclusive.
"""


@click.command(epilog=_EPILOG)
@click.argument("baseline", type=click.Path(path_type=Path))
@click.argument("candidate", type=click.Path(path_type=Path), required=False)
@click.option(
    "--gate",
    "gate_name",
    metavar="NAME",
    help="Gate of evalkit.yaml; without one, 'default', or nothing may regress.",
)
@click.option(
    "--baseline-model", metavar="MODEL", help="Compare only what this model of BASELINE answered."
)
@click.option(
    "--candidate-model",
    metavar="MODEL",
    help="Compare only what this model of CANDIDATE (default: BASELINE) answered.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="Gates and prices; default: the nearest evalkit.yaml.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for comparison.json, index.html and comment.md; default: CANDIDATE/comparison.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print comparison.json instead of the tables."
)
@click.pass_context
def compare(
    context: click.Context,
    baseline: Path,
    candidate: Path | None,
    gate_name: str | None,
    baseline_model: str | None,
    candidate_model: str | None,
    config: Path | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Compare two runs and decide whether the gate passes.

    BASELINE and CANDIDATE are run directories.
    """
    from evalkit._lib.files import write_atomic
    from evalkit.cli.main import VERDICT_CODES
    from evalkit.compare.loading import Chosen
    from evalkit.compare.loading import compare as compare_runs
    from evalkit.config import find_config, load_config
    from evalkit.reports.ci import comment
    from evalkit.reports.page.comparison_page import write
    from evalkit.results import Run

    if candidate is None and not (baseline_model and candidate_model):
        raise UsageError(
            "give a CANDIDATE run, or --baseline-model and --candidate-model to compare two models of one run"
        )
    loaded = load_config(config or find_config(Path.cwd()))
    name, gate = loaded.gate(gate_name)
    first = Run(baseline)
    second = Run(candidate) if candidate is not None else first
    found = compare_runs(
        Chosen(first, baseline_model),
        Chosen(second, candidate_model),
        gate_name=name,
        gate=gate,
        prices=loaded.prices,
    )
    value = found.to_json()
    folder = out or second.directory / "comparison"
    path = folder / "comparison.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps(value, indent=2) + "\n")
        page = write(found, first, second, folder)
        comment.write(found, folder)
    except OSError as error:
        raise UsageError(
            f"cannot write {path}: {error.strerror or error}; choose another place with --out"
        ) from error
    if as_json:
        click.echo(json.dumps(value, indent=2))
    else:
        from rich.console import Console

        from evalkit.cli.comparison_view import show

        show(found, Console(highlight=False))
        click.echo(f"written: {path}\n         {page}")
    context.exit(VERDICT_CODES[found.verdict.verdict])
