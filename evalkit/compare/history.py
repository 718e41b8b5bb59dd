"""Follow scenarios over many runs: pass rate, flips, tokens and cost.

Pure. A flip is a result whose verdict differs from that of the same identity in the previous run
that scored it. Errors and skips say nothing about the model: they neither flip nor count in a rate,
and errors are counted separately.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby, pairwise
from typing import NamedTuple

from evalkit._lib.json import JSON
from evalkit.compare.prices import Prices, cost_of
from evalkit.compare.rows import grouped
from evalkit.results.index import IndexedResult, IndexedRun


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryPoint:
    """One scenario (or all of them) in one run.

    ``tokens``, ``cost`` and ``elapsed_ms`` are means over the results that have the value, or None.
    """

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
        """The pass rate; None if nothing was scored."""
        return self.passed / self.scored if self.scored else None


class ScenarioHistory(NamedTuple):
    """One scenario over many runs, or all of them (an empty ``scenario``).

    ``points`` has None for runs without the scenario.
    """

    scenario: str
    points: list[HistoryPoint | None]
    flips: int

    @property
    def last(self) -> HistoryPoint | None:
        """The point of the latest run that has the scenario."""
        return next((point for point in reversed(self.points) if point is not None), None)

    @property
    def last_rate(self) -> float | None:
        """The latest pass rate."""
        rates = (point.rate for point in reversed(self.points) if point is not None)
        return next((rate for rate in rates if rate is not None), None)

    def to_json(self) -> dict[str, JSON]:
        """Return flips and points."""
        points = [
            None if point is None else {**asdict(point), "rate": point.rate}
            for point in self.points
        ]
        return {"flips": self.flips, "points": points}


class RunHistory(NamedTuple):
    """Runs, oldest first.

    All scenarios together; then each scenario, most flips first.
    """

    runs: list[IndexedRun]
    total: ScenarioHistory
    scenarios: list[ScenarioHistory]

    def to_json(self) -> dict[str, JSON]:
        """Return the history as ``evalkit history --json`` prints it."""
        return {
            "runs": [run._asdict() for run in self.runs],
            "total": self.total.to_json(),
            "scenarios": [
                {"scenario": entry.scenario, **entry.to_json()} for entry in self.scenarios
            ],
        }


def build_history(
    runs: Sequence[IndexedRun],
    results: Iterable[IndexedResult],
    prices: Mapping[str, Prices] | None = None,
) -> RunHistory:
    """Return the history of runs.

    ``results`` are in the order of the index: by scenario, identity and time.
    """
    everything: list[IndexedResult] = []
    scenarios = []
    for scenario, group in groupby(results, key=lambda result: result.scenario):
        entries = list(group)
        everything += entries
        points = _points(runs, entries, prices or {})
        scenarios.append(ScenarioHistory(scenario, points, _flips(entries)))
    flips = sum(scenario.flips for scenario in scenarios)
    total = ScenarioHistory("", _points(runs, everything, prices or {}), flips)
    scenarios.sort(key=_sort_key)
    return RunHistory(list(runs), total, scenarios)


def _sort_key(scenario: ScenarioHistory) -> tuple[int, float, str]:
    rate = scenario.last_rate
    # Scenarios that were never scored come last.
    return -scenario.flips, 2.0 if rate is None else rate, scenario.scenario


def _points(
    runs: Iterable[IndexedRun], results: Iterable[IndexedResult], prices: Mapping[str, Prices]
) -> list[HistoryPoint | None]:
    by_run = grouped((result.run, result) for result in results)
    return [
        _point(run.name, by_run[run.name], prices) if run.name in by_run else None for run in runs
    ]


def _point(run: str, results: list[IndexedResult], prices: Mapping[str, Prices]) -> HistoryPoint:
    verdicts = [result.verdict for result in results]
    costs = [
        cost_of(result.tokens, prices[result.model]) for result in results if result.model in prices
    ]
    return HistoryPoint(
        run=run,
        results=len(results),
        scored=verdicts.count("passed") + verdicts.count("failed"),
        passed=verdicts.count("passed"),
        errored=verdicts.count("errored"),
        tokens=_mean(result.tokens.get("total_tokens") for result in results),
        cost=_mean(costs),
        elapsed_ms=_mean(result.elapsed_ms for result in results),
    )


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _flips(results: Iterable[IndexedResult]) -> int:
    verdicts = (
        [result.verdict for result in group if result.verdict in ("passed", "failed")]
        for _, group in groupby(results, key=lambda result: result.id)
    )
    return sum(before != after for series in verdicts for before, after in pairwise(series))
