"""Scenarios over time: pass rate, flips, tokens and cost of each, run by run. Pure; what it is made from is ``results.index``.

A flip is a result whose verdict is not the one the same identity had in the run before that scored it; errors and skips tell nothing of the
model, so they neither flip nor count in a rate, and are counted by themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby, pairwise
from typing import Any, NamedTuple

from evalkit.compare.prices import Prices, cost_of
from evalkit.results.index import IndexedResult, IndexedRun


class Point(NamedTuple):
    """What one run says of a scenario, or of everything (means over the results that know the value; None where none does)."""

    run: str
    results: int
    scored: int
    passed: int
    errored: int
    tokens: float | None
    cost: float | None
    elapsed_ms: float | None

    @property
    def rate(self) -> float | None:
        """The pass rate; None where nothing was scored."""
        return self.passed / self.scored if self.scored else None


class Line(NamedTuple):
    """One scenario over time (or all of them: an empty ``family``). ``points`` has None for runs that do not have it."""

    family: str
    points: list[Point | None]
    flips: int

    @property
    def last(self) -> Point | None:
        """What the latest run that has it says."""
        return next((point for point in reversed(self.points) if point is not None), None)


class History(NamedTuple):
    """Runs, oldest first; everything together, then each scenario, those that flip most first."""

    runs: list[IndexedRun]
    total: Line
    lines: list[Line]

    def to_json(self) -> dict[str, Any]:
        """Return the history as ``evalkit history --json`` prints it."""
        return {
            "runs": [run._asdict() for run in self.runs],
            "total": _line(self.total),
            "scenarios": [{"scenario": line.family, **_line(line)} for line in self.lines],
        }


def history(
    runs: Iterable[IndexedRun],
    results: Iterable[IndexedResult],
    prices: Mapping[str, Prices] | None = None,
) -> History:
    """Return the history of runs. ``results`` come in the order of the index: by scenario, identity and time."""
    order = list(runs)
    everything: list[IndexedResult] = []
    lines = []
    for family, group in groupby(results, key=lambda result: result.family):
        held = list(group)
        everything += held
        lines.append(Line(family, _points(order, held, prices or {}), _flips(held)))
    total = Line("", _points(order, everything, prices or {}), sum(line.flips for line in lines))
    return History(
        order, total, sorted(lines, key=lambda line: (-line.flips, _rate(line), line.family))
    )


def _points(
    runs: Iterable[IndexedRun], results: Iterable[IndexedResult], prices: Mapping[str, Prices]
) -> list[Point | None]:
    by_run: dict[str, list[IndexedResult]] = {}
    for result in results:
        by_run.setdefault(result.run, []).append(result)
    return [
        _point(run.name, by_run[run.name], prices) if run.name in by_run else None for run in runs
    ]


def _point(run: str, results: list[IndexedResult], prices: Mapping[str, Prices]) -> Point:
    passed, failed, errored = (
        sum(result.verdict == verdict for result in results)
        for verdict in ("passed", "failed", "errored")
    )
    costs = [
        cost_of(result.tokens, prices[result.model]) for result in results if result.model in prices
    ]
    return Point(
        run,
        len(results),
        passed + failed,
        passed,
        errored,
        _mean([result.tokens.get("total_tokens") for result in results]),
        _mean(costs),
        _mean([result.elapsed_ms for result in results]),
    )


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _flips(results: Iterable[IndexedResult]) -> int:
    flips = 0
    for _, group in groupby(results, key=lambda result: result.id):
        verdicts = [result.verdict for result in group if result.verdict in ("passed", "failed")]
        flips += sum(before != after for before, after in pairwise(verdicts))
    return flips


def _rate(line: Line) -> float:
    rates = [point.rate for point in line.points if point is not None and point.rate is not None]
    return rates[-1] if rates else 2.0


def _line(line: Line) -> dict[str, Any]:
    return {
        "flips": line.flips,
        "points": [
            None if point is None else {**point._asdict(), "rate": point.rate}
            for point in line.points
        ],
    }
