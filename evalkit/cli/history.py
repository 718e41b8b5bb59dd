"""``evalkit history``: show scenarios over many runs.

The terminal shows one row per run, then the scenarios that flip or fail, with one sign per run.
"""

from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from evalkit._lib.files import file_errors
from evalkit._lib.text import plural, visible
from evalkit.cli.output import echo_json
from evalkit.cli.tables import grid
from evalkit.compare.history import RunHistory, ScenarioHistory, build_history, read_runs
from evalkit.config import find_config, load_config
from evalkit.errors import UsageError
from evalkit.reports.page.history_page import (
    SIGNS,
    run_rows,
    state_of,
    write,
)

_STYLES = {
    "passed": "green",
    "mixed": "yellow",
    "failed": "red",
    "errored": "magenta",
    "absent": "dim",
}
_COLUMNS = ("run", "started", "model", "prompt", "errored", "pass rate", "tokens", "cost")
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
    help="How many runs to read, counted from the newest.",
)
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="List all scenarios, not only those that flip or fail.",
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
    prices = load_config(config or find_config(Path.cwd())).prices
    runs, results, skipped = read_runs(reports, last)
    run_history = build_history(runs, results, prices)
    for line in skipped:
        click.echo(f"evalkit: left out {line}", err=True)
    if not runs:
        raise UsageError(
            f"{reports} has no run; make one: pytest suites --evalkit-report {reports}/<name>"
        )
    if as_json:
        echo_json(run_history.to_json())
        return
    page = out or reports / "history.html"
    with file_errors(page, "cannot be written", "; choose another file with --out"):
        write(run_history, page)
    _print_history(run_history, Console(highlight=False), everything)
    click.echo(f"written: {page}")


def _print_history(run_history: RunHistory, console: Console, everything: bool) -> None:
    _print_runs(run_history, console)
    listed = [
        scenario
        for scenario in run_history.scenarios
        if everything
        or scenario.flips
        or any(state_of(point) != "passed" for point in scenario.points if point is not None)
    ]
    for scenario in listed:
        signs = ((SIGNS[state_of(point)], _STYLES[state_of(point)]) for point in scenario.points)
        name = f"  {visible(scenario.scenario)}"
        text = Text.assemble("  ", *signs, name, (_scenario_figures(scenario), "dim"))
        console.print(text, soft_wrap=True)
    if listed:
        console.print()
        legend = "  ".join(f"{sign} {name}" for name, sign in SIGNS.items())
        console.print(Text(f"  {legend}", "dim"))
    rest = len(run_history.scenarios) - len(listed)
    if rest:
        line = f"  {plural(rest, 'scenario')} passed in every run (--all lists them)."
        console.print(Text(line, "dim"))


def _print_runs(run_history: RunHistory, console: Console) -> None:
    rows = run_rows(run_history)
    # A column without content has no room in 80 columns.
    names = [name for name in _COLUMNS if {row[name] for row in rows} - {"", "-", "0"}]
    table = grid(*names)
    for row in rows:
        texts = {**row, "started": row["started"][:10]}
        table.add_row(*(visible(texts[name]) for name in names))
    console.print(table)
    console.print()


def _scenario_figures(scenario: ScenarioHistory) -> str:
    last = scenario.last
    tokens = f", {last.tokens:,.0f} tokens" if last is not None and last.tokens is not None else ""
    return f"  {plural(scenario.flips, 'flip')}{tokens}"
