"""Read many runs, and follow scenarios over them: pass rate, flips, tokens and cost.

A flip is a result whose verdict differs from that of the same identity in the previous run that
scored it. Errors and skips say nothing about the model: they neither flip nor count in a rate, and
errors are counted separately.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby, pairwise
from pathlib import Path
from typing import NamedTuple, cast

from evalkit._lib.json import JSON
from evalkit.checks.core.pricing import cost_of
from evalkit.compare.rows import Prices, grouped, prompt_name, token_counts
from evalkit.errors import EvalkitError, UsageError
from evalkit.results import Run
from evalkit.results.records import ResultHead
from evalkit.results.result_line import amount, parse_head
from evalkit.results.run_directory import MANIFEST, RESULTS

_INVALID = (EvalkitError, KeyError, TypeError, ValueError, AttributeError)


class PastRun(NamedTuple):
    """A run: its folder's name below the folder of runs, its start, whether it is complete."""

    name: str
    started: str
    evalkit: str
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PastResult:
    """A result. ``tokens`` by the API's field names; ``elapsed_ms`` is None without a time.

    ``prompt`` is the choice of a prompt that the variant is named by, else the beginning of the
    digest of its system instruction; empty without one.
    """

    run: str
    id: str
    scenario: str
    model: str
    prompt: str
    verdict: str
    tokens: Mapping[str, int]
    elapsed_ms: float | None


def read_runs(folder: Path, last: int) -> tuple[list[PastRun], list[PastResult], list[str]]:
    """Return the newest runs below a folder, oldest first, and their results.

    The results are ordered by scenario, id and time. The third list says which folders were left
    out, and why. Runs in hidden folders are unfinished (``evalkit merge``) and are ignored.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder of runs")
    opened: list[tuple[PastRun, Run]] = []
    runs: list[PastRun] = []
    results: list[PastResult] = []
    skipped = []
    for manifest in sorted(folder.rglob(MANIFEST)):
        path, name = manifest.parent, manifest.parent.relative_to(folder)
        if (path / RESULTS).is_file() and not any(part.startswith(".") for part in name.parts):
            try:
                run = Run(path)
                opened.append((_past_run(name.as_posix(), run.manifest), run))
            except _INVALID as error:
                skipped.append(_skipped(path, error))
    for past, run in sorted(opened, key=lambda entry: (entry[0].started, entry[0].name))[::-1]:
        if len(runs) < last:
            try:
                heads = (parse_head(line, with_settings=True) for line in run.lines())
                # If a result appears twice in a run, the last one counts.
                results += {one["id"]: _past_result(past.name, one) for one in heads}.values()
                runs.insert(0, past)
            except _INVALID as error:
                skipped.append(_skipped(run.directory, error))
    position = {run.name: number for number, run in enumerate(runs)}
    results.sort(key=lambda result: (result.scenario, result.id, position[result.run]))
    return runs, results, skipped


def _skipped(path: Path, error: Exception) -> str:
    reason = error if isinstance(error, EvalkitError) else f"not a run of evalkit ({error!r})"
    return f"{path}: {reason}"


def _past_run(name: str, manifest: Mapping[str, JSON]) -> PastRun:
    started, version = (str(manifest.get(key) or "") for key in ("started", "evalkit"))
    return PastRun(name, started, version, manifest.get("complete") is not False)


def _past_result(run: str, result: ResultHead) -> PastResult:
    variant, metrics = result["variant"], result["metrics"]
    return PastResult(
        run=run,
        id=result["id"],
        scenario=f"{result['suite']}::{result['scenario']}",
        model=str(variant.get("model") or variant.get("agent") or ""),
        prompt=prompt_name(cast("Mapping[str, JSON]", result)),
        verdict=result["verdict"],
        tokens=token_counts(metrics.get("tokens", {})),
        elapsed_ms=amount(metrics.get("elapsed_ms")),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryPoint:
    """One scenario (or all of them) in one run.

    ``tokens``, ``cost`` and ``elapsed_ms`` are means over the results that have the value, or None.
    ``models`` and ``prompts`` are those of the results, sorted.
    """

    run: str
    results: int
    scored: int
    passed: int
    errored: int
    tokens: float | None
    cost: float | None
    elapsed_ms: float | None
    models: Sequence[str]
    prompts: Sequence[str]

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

    runs: list[PastRun]
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
    runs: Sequence[PastRun],
    results: Iterable[PastResult],
    prices: Mapping[str, Prices] | None = None,
) -> RunHistory:
    """Return the history of runs.

    ``results`` are in the order of :func:`read_runs`: by scenario, identity and time.
    """
    everything: list[PastResult] = []
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
    runs: Iterable[PastRun], results: Iterable[PastResult], prices: Mapping[str, Prices]
) -> list[HistoryPoint | None]:
    by_run = grouped((result.run, result) for result in results)
    return [
        _point(run.name, by_run[run.name], prices) if run.name in by_run else None for run in runs
    ]


def _point(run: str, results: list[PastResult], prices: Mapping[str, Prices]) -> HistoryPoint:
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
        models=sorted({result.model for result in results if result.model}),
        prompts=sorted({result.prompt for result in results if result.prompt}),
    )


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _flips(results: Iterable[PastResult]) -> int:
    verdicts = (
        [result.verdict for result in group if result.verdict in ("passed", "failed")]
        for _, group in groupby(results, key=lambda result: result.id)
    )
    return sum(before != after for series in verdicts for before, after in pairwise(series))
