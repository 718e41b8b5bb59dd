"""Build a Comparison from run directories. Reads runs, writes nothing.

Either two runs are compared in full, or one model of each (of the same run, if its suites listed
several). Then only the rows of those models count, and the model is left out of the identity by
which results are paired. It is also left out where each run has one model and they differ, because
then the model is what is compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from evalkit._lib.text import did_you_mean, quoted
from evalkit.compare.comparison import ComparedRun, Comparison
from evalkit.compare.configuration import request_changes, run_changes, warnings
from evalkit.compare.gates import DEFAULT, Gate
from evalkit.compare.pairing import pair_runs
from evalkit.compare.prices import Prices, cost_of
from evalkit.compare.rows import ResultRow, result_row, without_model
from evalkit.errors import UsageError
from evalkit.results import Run


class RunSelection(NamedTuple):
    """A run and the model of it that is compared (None: all models)."""

    run: Run
    model: str | None = None

    @property
    def name(self) -> str:
        """The run's directory, with the model if one is selected."""
        return f"{self.run.directory} ({self.model})" if self.model else str(self.run.directory)


def compare(
    baseline: RunSelection,
    candidate: RunSelection,
    *,
    gate_name: str = "default",
    gate: Gate = DEFAULT,
    prices: Mapping[str, Prices] | None = None,
) -> Comparison:
    """Compare two runs, or two models of one run.

    Raises UsageError for a line that is not a result and for a model without results.
    """
    old, new = _rows(baseline, prices or {}), _rows(candidate, prices or {})
    old_models, new_models = {row.model for row in old}, {row.model for row in new}
    differing_models = len(old_models) == len(new_models) == 1 and old_models != new_models
    if baseline.model or candidate.model or differing_models:
        old, new = ([without_model(row) for row in rows] for rows in (old, new))
    pairing = pair_runs(old, new)
    manifests = baseline.run.manifest, candidate.run.manifest
    changes = [*run_changes(*manifests), *request_changes(pairing)]
    return Comparison(
        baseline=ComparedRun(baseline.name, old),
        candidate=ComparedRun(candidate.name, new),
        gate_name=gate_name,
        gate=gate,
        configuration=[str(change) for change in changes],
        warnings=warnings(pairing, changes, *manifests),
    )


def _rows(selection: RunSelection, prices: Mapping[str, Prices]) -> list[ResultRow]:
    run, model = selection
    rows = []
    models = set()
    for number, line in enumerate(run.results(), 1):
        try:
            row = result_row(line)
            models.add(row.model)
            if model is None or row.model == model:
                if row.model in prices:
                    tokens = line["metrics"].get("tokens", {})
                    row = replace(row, cost=cost_of(tokens, prices[row.model]))
                rows.append(row)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UsageError(
                f"{run.directory / 'results.jsonl'}:{number}: not a result ({error!r})"
            ) from error
    if model is not None and not rows:
        names = sorted(filter(None, models))
        valid = f"valid: {', '.join(names)}" if names else "it has no results"
        raise UsageError(
            f"{run.directory}: no result of model {quoted(model)}{did_you_mean(model, names)}; "
            f"{valid}"
        )
    return rows
