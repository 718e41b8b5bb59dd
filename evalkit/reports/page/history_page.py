"""``history.html``: scenarios over many runs on one page without a script.

A chart of pass rates, a table of runs, and for each scenario one cell per run. Cells have a sign
and a label besides their color, so that the page reads without colors and with a screen reader.
"""

from collections.abc import Sequence
from pathlib import Path

from evalkit.compare.history import HistoryPoint, RunHistory
from evalkit.reports.page.templating import content_policy, resource, write_page

SIGNS = {"passed": "✓", "mixed": "±", "failed": "✗", "errored": "E", "absent": "·"}
"""State of a scenario in a run: all scored results passed, some, none; nothing scored; not in it.
"""

_HEIGHT, _STEP = 100.0, 40.0
_STYLES = ("css/report.css", "css/comparison.css", "css/history.css")


def state_of(point: HistoryPoint | None) -> str:
    """Return the state of a scenario in a run, a key of ``SIGNS``."""
    if point is None:
        return "absent"
    if not point.scored:
        return "errored"
    if point.passed == point.scored:
        return "passed"
    return "mixed" if point.passed else "failed"


def rate_text(point: HistoryPoint) -> str:
    """Return a pass rate with its denominator."""
    return f"{point.rate:.1%} of {point.scored}" if point.rate is not None else "nothing scored"


def names_text(names: Sequence[str]) -> str:
    """Return the models or prompts of a run, or their number if there are more than two."""
    return ", ".join(names) if len(names) < 3 else f"{len(names)} different"


def mean_text(value: float | None) -> str:
    """Return a mean, ``-`` where it is not known."""
    if value is None:
        return "-"
    return f"{value:,.4g}" if value < 1000 else f"{value:,.0f}"


def run_rows(history: RunHistory) -> list[dict[str, str]]:
    """Return each run with results as texts by column, the same on the page and in the terminal."""
    return [
        {
            "run": run.name + ("" if run.complete else " (did not end)"),
            "started": run.started[:16].replace("T", " "),
            "model": names_text(point.models),
            "prompt": names_text(point.prompts),
            "results": f"{point.results:,}",
            "errored": str(point.errored),
            "pass rate": rate_text(point),
            "tokens": mean_text(point.tokens),
            "cost": mean_text(point.cost),
        }
        for run, point in zip(history.runs, history.total.points, strict=True)
        if point is not None
    ]


def write(history: RunHistory, path: Path) -> Path:
    """Write the page and return its path."""
    style = "".join(map(resource, _STYLES))
    return write_page(
        path,
        "history.html",
        history=history,
        runs=run_rows(history),
        points=_chart(history.total.points),
        width=f"{max(1, len(history.runs)) * _STEP:g}",
        rows=[
            (scenario, map(_cell, scenario.points), *_spent(scenario.last))
            for scenario in history.scenarios
        ],
        signs=SIGNS,
        style=style,
        policy=content_policy("", style),
    )


def _chart(points: Sequence[HistoryPoint | None]) -> list[tuple[str, str]]:
    """Return the position of each run in the chart."""
    return [
        (f"{(index + 0.5) * _STEP:g}", f"{_HEIGHT * (1 - point.rate):g}")
        for index, point in enumerate(points)
        if point is not None and point.rate is not None
    ]


def _spent(last: HistoryPoint | None) -> tuple[str, str]:
    return (mean_text(last.tokens), mean_text(last.cost)) if last else ("-", "-")


def _cell(point: HistoryPoint | None) -> tuple[str, str, str]:
    """Return the state of a scenario in a run, its sign and its label."""
    state = state_of(point)
    label = f"{point.run}: {state}, {rate_text(point)}" if point is not None else state
    return state, SIGNS[state], label
