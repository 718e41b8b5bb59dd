"""``evalkit compare``: compare a baseline run with a candidate run under a gate."""

import json
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console

from evalkit._lib.files import file_errors, write_atomic
from evalkit.cli.compare_terminal import print_comparison
from evalkit.cli.main import VERDICT_CODES
from evalkit.cli.output import echo_json
from evalkit.compare.comparison_json import comparison_json
from evalkit.compare.runs import compare as compare_runs
from evalkit.compare.selection import AxisChoice, parse_choice
from evalkit.compare.turn_results import TurnRun
from evalkit.config import find_config, load_config
from evalkit.errors import UsageError
from evalkit.project import project_bars, root_of
from evalkit.reports.ci.comparison_markdown import write_comment, write_summary
from evalkit.reports.page import comparison_page
from evalkit.results import Run
from evalkit.results.calibrations import read_calibrations

_EPILOG = """\b
Exit codes: 0 pass, 1 fail, 2 usage, 4 inconclusive.

\b
Examples:
  evalkit compare reports/main reports/latest --gate release
  evalkit compare reports/latest --baseline prompt=current --candidate prompt=shorter
"""


@click.command(epilog=_EPILOG)
@click.argument("baseline", type=click.Path(path_type=Path))
@click.argument("candidate", type=click.Path(path_type=Path), required=False)
@click.option(
    "--gate",
    "gate_name",
    metavar="NAME",
    help="Gate of evalkit.yaml; default: its gate 'default', or one that fits the runs.",
)
@click.option(
    "--baseline",
    "baseline_choices",
    metavar="AXIS=CHOICE",
    multiple=True,
    help="Compare only these results of BASELINE: model=A, prompt=current.",
)
@click.option(
    "--candidate",
    "candidate_choices",
    metavar="AXIS=CHOICE",
    multiple=True,
    help="Compare only these results of CANDIDATE (default: BASELINE).",
)
@click.option("--baseline-model", metavar="MODEL", help="The same as --baseline model=MODEL.")
@click.option("--candidate-model", metavar="MODEL", help="The same as --candidate model=MODEL.")
@click.option(
    "--locked",
    is_flag=True,
    help="Compare turn by turn; CANDIDATE was run with --evalkit-locked BASELINE.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="Gates and prices; default: the nearest evalkit.yaml.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for the page, comment.md, summary.md and comparison.json; default: "
    "CANDIDATE/comparison.",
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
    baseline_choices: Sequence[str],
    candidate_choices: Sequence[str],
    baseline_model: str | None,
    candidate_model: str | None,
    locked: bool,
    config: Path | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Compare two runs and decide whether the gate passes.

    BASELINE and CANDIDATE are run directories. With --baseline and --candidate one run is enough:
    variants that differ only in what the options name are paired.
    """
    old, new = (
        [*map(parse_choice, choices), *([AxisChoice("model", model)] if model else [])]
        for choices, model in (
            (baseline_choices, baseline_model),
            (candidate_choices, candidate_model),
        )
    )
    if candidate is None and not (old and new):
        raise UsageError(
            "CANDIDATE is missing; to compare two models or other choices of one run, give "
            "--baseline AXIS=CHOICE and --candidate AXIS=CHOICE"
        )
    if locked and candidate is None:
        raise UsageError(
            "--locked compares two runs; name the one that was run with --evalkit-locked BASELINE "
            "as CANDIDATE"
        )
    settings = load_config(config or find_config(Path.cwd()))
    name, gate = settings.gate(gate_name)
    baseline_run = Run(baseline)
    candidate_run = Run(candidate) if candidate is not None else baseline_run
    if locked:
        baseline_run, candidate_run = TurnRun(baseline_run), TurnRun(candidate_run)
    comparison = compare_runs(
        baseline_run,
        candidate_run,
        baseline_choices=old,
        candidate_choices=new,
        gate_name=name,
        gate=gate,
        prices=settings.prices,
        currency=settings.currency,
        compare_bars=project_bars,
        calibrations=read_calibrations(root_of(candidate_run)),
    )
    text = json.dumps(comparison_json(comparison), indent=2)
    folder = out or candidate_run.directory / "comparison"
    path = folder / "comparison.json"
    with file_errors(path, "cannot be written", "; choose another folder with --out"):
        write_atomic(path, text + "\n")
        page = comparison_page.write(comparison, baseline_run, candidate_run, folder)
        write_comment(comparison, folder)
        summary = write_summary(comparison, folder)
    if as_json:
        echo_json(comparison_json(comparison))
    else:
        print_comparison(comparison, Console(highlight=False))
        click.echo(f"written: {page}\n         {summary}")
    context.exit(VERDICT_CODES[comparison.verdict.verdict])
