"""A history in the terminal: one row for each run, then the scenarios that flip or fail, one sign for each run."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from evalkit._lib.text import plural, visible
from evalkit.cli.tables import grid
from evalkit.compare.history import History, Line
from evalkit.reports.page.history_page import SIGNS, number, rate, word

_STYLES = {
    "passed": "green",
    "mixed": "yellow",
    "failed": "red",
    "errored": "magenta",
    "absent": "dim",
}


def show(history: History, console: Console, everything: bool) -> None:
    """Print a history."""
    if not history.runs:
        console.print("No run yet: pytest suites --evalkit-report reports/<name> makes one.")
        return
    table = grid("run", "started", "results", "errored", "pass rate", "tokens", "cost")
    for run, point in zip(history.runs, history.total.points, strict=True):
        if point is not None:
            name = visible(run.name) + ("" if run.complete else " (did not end)")
            table.add_row(
                name,
                run.started[:16].replace("T", " "),
                str(point.results),
                str(point.errored),
                rate(point),
                number(point.tokens),
                number(point.cost),
            )
    console.print(table)
    console.print()
    told = [line for line in history.lines if everything or line.flips or not _steady(line)]
    for line in told:
        console.print(
            Text.assemble(
                "  ",
                *((SIGNS[word(point)], _STYLES[word(point)]) for point in line.points),
                f"  {visible(line.family)}",
                (_tail(line), "dim"),
            ),
            soft_wrap=True,
        )
    if told:
        console.print()
        console.print(
            Text("  " + "  ".join(f"{mark} {name}" for name, mark in SIGNS.items()), "dim")
        )
    steady = len(history.lines) - len(told)
    if steady:
        console.print(
            Text(
                f"  {plural(steady, 'scenario')} passed in every run{'' if everything else ' (--all lists them)'}.",
                "dim",
            )
        )


def _steady(line: Line) -> bool:
    return all(point is None or word(point) == "passed" for point in line.points)


def _tail(line: Line) -> str:
    last = line.last
    tokens = f", {last.tokens:,.0f} tokens" if last is not None and last.tokens is not None else ""
    return f"  {plural(line.flips, 'flip')}{tokens}"
