"""From run directories to a Comparison: rows read line by line, models told apart, costs by declared prices. Reads runs, writes nothing.

Two ways to compare. Two runs: everything of one against everything of the other. One run in which suites listed several models, or two
models of any runs: then only the rows of the models named count, and the model's part is left out of what is paired by. It is left out,
too, where each run asked one model only and not the same: the model is what differs then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from evalkit._lib.text import did_you_mean, quoted
from evalkit.compare.comparison import Comparison, Side
from evalkit.compare.configuration import request_changes, run_changes, warnings
from evalkit.compare.gates import DEFAULT, Gate
from evalkit.compare.pairing import pair
from evalkit.compare.prices import Prices, cost_of
from evalkit.compare.rows import Row, row_of, without_model
from evalkit.errors import UsageError
from evalkit.results import Run


class Chosen(NamedTuple):
    """A run, and the one of its models that is compared (None: all of them)."""

    run: Run
    model: str | None = None

    @property
    def name(self) -> str:
        """What people call it: the run's directory, and the model where one was chosen."""
        return f"{self.run.directory} ({self.model})" if self.model else str(self.run.directory)


def compare(
    baseline: Chosen,
    candidate: Chosen,
    *,
    gate_name: str = "default",
    gate: Gate = DEFAULT,
    prices: Mapping[str, Prices] | None = None,
) -> Comparison:
    """Compare two runs, or two models of one. Raises UsageError: a line that is no result, a model that no result was made with."""
    old = _rows(baseline, prices or {})
    # One run is read once, however many of its models are compared.
    new = _rows(
        candidate,
        prices or {},
        old
        if candidate.run is baseline.run and baseline.model is candidate.model is None
        else None,
    )
    if baseline.model or candidate.model or _one_each(old, new):
        old, new = ([without_model(row) for row in rows] for rows in (old, new))
    pairing = pair(old, new)
    manifests = baseline.run.manifest, candidate.run.manifest
    changes = [*run_changes(*manifests), *request_changes(pairing)]
    return Comparison(
        Side(baseline.name, old),
        Side(candidate.name, new),
        gate_name,
        gate,
        [str(change) for change in changes],
        warnings(pairing, changes, *manifests),
    )


def _rows(
    chosen: Chosen, prices: Mapping[str, Prices], known: list[Row] | None = None
) -> list[Row]:
    if known is not None:
        return known
    rows = []
    models = set()
    for number, line in enumerate(chosen.run.results(), 1):
        try:
            row = row_of(line)
            models.add(row.model)
            if chosen.model is None or row.model == chosen.model:
                rows.append(row._replace(cost=_cost(line, row, prices)))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UsageError(
                f"{chosen.run.directory / 'results.jsonl'}:{number} is no result: {error!r}"
            ) from error
    if chosen.model is not None and not rows:
        there = (
            f"there are: {', '.join(sorted(filter(None, models)))}"
            if models
            else "it has no results"
        )
        raise UsageError(
            f"{chosen.run.directory} has no result of {quoted(chosen.model)}{did_you_mean(chosen.model, sorted(models))}; {there}"
        )
    return rows


def _cost(line: Mapping[str, Any], row: Row, prices: Mapping[str, Prices]) -> float | None:
    declared = prices.get(row.model)
    return row.cost if declared is None else cost_of(line["metrics"].get("tokens", {}), declared)


def _one_each(old: list[Row], new: list[Row]) -> bool:
    models = [{row.model for row in rows} for rows in (old, new)]
    return len(models[0]) == len(models[1]) == 1 and models[0] != models[1]
