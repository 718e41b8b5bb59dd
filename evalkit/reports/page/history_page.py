"""``history.html``: scenarios over many runs on one page that needs no script: a chart of pass rates, a table of runs, one cell a run and scenario.

Cells say in a sign and a word what the colour says, so that the page reads without colours and by ear. Values come from ``compare.history``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from evalkit._lib.files import atomic_writer
from evalkit.compare.history import HistoryPoint, RunHistory, ScenarioHistory
from evalkit.reports.page.embedded_data import policy
from evalkit.reports.page.templating import environment, resource

SIGNS = {"passed": "✓", "mixed": "±", "failed": "✗", "errored": "E", "absent": "·"}
"""What one run says of a scenario: all scored results passed, some, none, nothing was scored, the run does not have it."""

_HEIGHT, _STEP = 100.0, 40.0


class Dot(NamedTuple):
    """One run's place in the chart; what it says stands in the table below."""

    x: str
    y: str


class Cell(NamedTuple):
    """One run's word on a scenario."""

    style: str
    sign: str
    label: str


class Row(NamedTuple):
    """One scenario."""

    name: str
    cells: list[Cell]
    flips: int
    tokens: str
    cost: str


def word(point: HistoryPoint | None) -> str:
    """Return the word for what one run says of a scenario, a key of ``SIGNS``."""
    if point is None:
        return "absent"
    if not point.scored:
        return "errored"
    return "passed" if point.passed == point.scored else "mixed" if point.passed else "failed"


def rate(point: HistoryPoint) -> str:
    """Return a pass rate with its denominator."""
    return f"{point.rate:.1%} of {point.scored}" if point.rate is not None else "nothing scored"


def number(value: float | None) -> str:
    """Return a mean for people, ``-`` where it is not known."""
    return "-" if value is None else f"{value:,.4g}" if value < 1000 else f"{value:,.0f}"


def write(history: RunHistory, path: Path) -> Path:
    """Write the page and return its path."""
    style = (
        resource("css/report.css") + resource("css/comparison.css") + resource("css/history.css")
    )
    dots = _dots(history.total.points)
    stream = (
        environment()
        .get_template("history.html")
        .stream(
            runs=[
                (run, point, rate(point), number(point.tokens), number(point.cost))
                for run, point in _known(history)
            ],
            dots=dots,
            line=" ".join(f"{dot.x},{dot.y}" for dot in dots),
            width=f"{max(1, len(history.runs)) * _STEP:g}",
            rows=[_row(line) for line in history.scenarios],
            signs=SIGNS,
            style=style,
            policy=policy("", style),
        )
    )
    stream.enable_buffering(50)
    with atomic_writer(path) as file:
        for piece in stream:
            file.write(piece.encode())
    return path


def _known(history: RunHistory) -> list[tuple[object, HistoryPoint]]:
    return [
        (run, point)
        for run, point in zip(history.runs, history.total.points, strict=True)
        if point is not None
    ]


def _dots(points: Sequence[HistoryPoint | None]) -> list[Dot]:
    return [
        Dot(f"{(index + 0.5) * _STEP:g}", f"{_HEIGHT * (1 - point.rate):g}")
        for index, point in enumerate(points)
        if point is not None and point.rate is not None
    ]


def _row(line: ScenarioHistory) -> Row:
    last = line.last
    cells = [
        Cell(
            style := word(point),
            SIGNS[style],
            f"{point.run}: {style}, {rate(point)}" if point else "absent",
        )
        for point in line.points
    ]
    return Row(
        line.scenario,
        cells,
        line.flips,
        number(last.tokens if last else None),
        number(last.cost if last else None),
    )
