"""``evalkit plan``: what a comparison would need, from a pilot run."""

from pathlib import Path

import click
from rich.console import Console

from evalkit._lib.text import duration, plural, quoted
from evalkit.cli.main import EXIT_INCONCLUSIVE
from evalkit.cli.output import echo_json
from evalkit.cli.tables import grid
from evalkit.compare.compared_run import compared_run
from evalkit.compare.intervals import CONFIDENCE, POWER
from evalkit.compare.pairing import pair_runs
from evalkit.compare.plan import (
    Pilot,
    PlanRow,
    Spending,
    pilot_of,
    plan_rows,
    trials_needed,
)
from evalkit.config import find_config, load_config
from evalkit.errors import UsageError
from evalkit.results import Run

_EPILOG = """\b
Exit codes: 0 planned, 2 usage, 4 no plan: a million scenarios would not do.

\b
Examples:
  evalkit plan reports/pilot --margin 0.05
  evalkit plan reports/baseline reports/candidate --margin 0.03 --power 0.9
"""
_SHARE = click.FloatRange(0, 1, min_open=True, max_open=True)


@click.command(epilog=_EPILOG)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("candidate", type=click.Path(path_type=Path), required=False)
@click.option(
    "--margin", type=_SHARE, required=True, help="Largest acceptable drop: 0.05 is five points."
)
@click.option("--power", type=_SHARE, default=POWER, show_default=True, help="Chance of an answer.")
@click.option(
    "--confidence",
    type=click.FloatRange(0.5, 1, min_open=True, max_open=True),
    default=CONFIDENCE,
    show_default=True,
    help="Confidence of the interval.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="Prices; default: the nearest evalkit.yaml.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
@click.pass_context
def plan(
    context: click.Context,
    run: Path,
    candidate: Path | None,
    margin: float,
    power: float,
    confidence: float,
    config: Path | None,
    as_json: bool,
) -> None:
    """Plan how many scenarios and trials a comparison needs.

    RUN is a pilot run. With the run of a CANDIDATE the plan also knows how differently scenarios
    change.
    """
    if not 0 < margin < 1:  # also for nan, which click accepts
        raise UsageError(f"--margin {margin:g} is not a share between 0 and 1, such as 0.05")
    prices = load_config(config or find_config(Path.cwd())).prices
    pilot_run = compared_run(Run(run), (), prices)
    other = compared_run(Run(candidate), (), prices) if candidate is not None else None
    pairs = pair_runs(pilot_run.rows, other.rows).scored if other is not None else []
    if other is not None and not pairs:
        raise UsageError(f"{run} and {candidate} have no scored pair; name runs of the same suites")
    pilot = pilot_of(pilot_run, pairs)
    if pilot is None:
        raise UsageError(f"{run}: no result passed or failed, so nothing can be planned from it")
    rows = plan_rows(pilot, margin, power, confidence)
    enough = trials_needed(pilot, margin, power, confidence)
    if as_json:
        echo_json(
            {
                "margin": margin,
                "power": power,
                "confidence": confidence,
                "pilot": {name: getattr(pilot, name) for name in Pilot.__slots__ if name != "each"},
                "trials_of_these_scenarios": enough,
                "plans": [{**row._asdict(), "spending": row.spending._asdict()} for row in rows],
            }
        )
    else:
        _print(pilot, rows, enough, margin, power)
        unpriced = [model for model in pilot_run.models if model not in prices]
        if unpriced:
            names = ", ".join(map(quoted, unpriced))
            click.echo(f"The cost is unknown: evalkit.yaml has no price of {names}.")
    context.exit(0 if rows else EXIT_INCONCLUSIVE)


def _print(
    pilot: Pilot, rows: list[PlanRow], enough: int | None, margin: float, power: float
) -> None:
    points = f"{margin * 100:g} points"
    click.echo(
        f"To show with a chance of {power:.0%} that a candidate as good as this run is not worse "
        f"by {points} or more:\n"
    )
    table = grid("trials", "scenarios", "results", "tokens", "cost", "recorded time")
    for row in rows:
        table.add_row(
            str(row.trials), f"{row.scenarios:,}", f"{row.results:,}", *_spent(row.spending)
        )
    Console(highlight=False).print(table)
    if not rows:
        click.echo("A million scenarios would not do; choose a larger margin.")
    click.echo("Results, tokens, cost and time are those of one run; a comparison has two.")
    unit = plural(pilot.scenarios, "scenario")
    if enough is not None:
        click.echo(f"With the {unit} of this run: {plural(enough, 'trial')} each.")
    else:
        click.echo(f"The {unit} of this run are too few, whatever the number of trials.")
    click.echo(
        f"The pilot: {pilot.rate:.1%} passed, {pilot.variants:.3g} variants of a scenario; "
        f"variance {pilot.between:.3f} between scenarios, {pilot.within:.3f} between trials."
    )
    if not pilot.knows_trials:
        click.echo(
            "One trial per variant: every failure is treated as chance. A pilot with "
            "--evalkit-repeat 3 plans better."
        )
    if not pilot.knows_change:
        click.echo(
            "How differently scenarios change is not known from one run: name a second one, of "
            "another model, if you have it."
        )


def _spent(spending: Spending) -> list[str]:
    return [
        "-" if spending.tokens is None else f"{spending.tokens:,.0f}",
        "-" if spending.cost is None else f"{spending.cost:,.2f}",
        "-" if spending.elapsed_ms is None else duration(spending.elapsed_ms),
    ]
