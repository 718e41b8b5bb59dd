"""The gate of a session (``--evalkit-gate``): its verdict is the session's exit status.

Single failures are expected of live runs; whether there are too many is what a gate decides. A gate
that compares needs the run of ``--evalkit-baseline``. Any other looks at the session's run alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from evalkit.checks.core.pricing import cost_of
from evalkit.compare.compared_run import ComparedRun, compared_run
from evalkit.compare.comparison import Comparison
from evalkit.compare.gates import Gate
from evalkit.compare.rows import ResultRow
from evalkit.compare.runs import compare, pairable_runs
from evalkit.compare.turn_results import turn_runs
from evalkit.config import find_config, load_config
from evalkit.errors import UsageError
from evalkit.project import project_bars
from evalkit.results import Run
from evalkit.results.calibrations import read_calibrations
from evalkit.results.records import SavingsRecord, SequentialRecord

if TYPE_CHECKING:
    import pytest

    from evalkit.config import Config

_COMPARING = ("max_regressions", "max_systematic_regressions", "non_inferiority")
_BUDGETS = ("tokens", "cost", "latency")


class SessionGate:
    """The gate that a session was started with. Raises UsageError if it cannot be used."""

    exit_codes: Mapping[str, int] = {"pass": 0, "fail": 1, "inconclusive": 4}

    def __init__(self, config: pytest.Config, root: Path) -> None:
        self._config: Config = load_config(find_config(root))
        self.name, gate = self._config.gate(config.getoption("evalkit_gate"))
        assert gate is not None, "an unknown gate is refused"
        self.gate: Gate = gate
        self._calibrations = read_calibrations(root)
        locked: str | None = config.getoption("evalkit_locked")
        baseline: str | None = config.getoption("evalkit_baseline") or locked
        if locked and baseline != locked:
            raise UsageError(
                f"--evalkit-baseline {baseline} and --evalkit-locked {locked} are different runs; "
                "a locked run is compared with the one that it continues: name only that"
            )
        self._baseline = None
        if baseline is not None:
            self._baseline = Run(config.invocation_params.dir / baseline)
        elif rules := list(_comparing_rules(gate)):
            raise UsageError(
                f"gate {self.name!r} compares ({', '.join(rules)}); name the run to compare with: "
                "--evalkit-baseline RUN"
            )

    def evaluate(self, run: Run) -> Comparison:
        """Return the comparison with the baseline; without one, the run beside itself."""
        if self._baseline is not None:
            return compare(
                *turn_runs(self._baseline, run),
                gate_name=self.name,
                gate=self.gate,
                prices=self._config.prices,
                compare_bars=project_bars,
                calibrations=self._calibrations,
            )
        alone = compared_run(run, (), self._config.prices)
        return Comparison(
            baseline=alone,
            candidate=alone,
            gate_name=self.name,
            named_gate=self.gate,
            calibrations=self._calibrations,
        )

    def early_decision(
        self, rows: Sequence[ResultRow], record: SequentialRecord
    ) -> Literal["pass", "fail"] | None:
        """Return what the gate has decided by some results, None if it has not."""
        candidate = ComparedRun(name="", rows=rows, sequential=record)
        old, new = self._baseline_run or candidate, candidate
        old, new = pairable_runs(old, new, {})
        comparison = Comparison(
            baseline=old, candidate=new, gate_name=self.name, named_gate=self.gate
        )
        return comparison.early_decision

    def savings(
        self, clusters: Collection[str], results: int, rows: Sequence[ResultRow]
    ) -> SavingsRecord:
        """Return about what so many results of some clusters would have cost.

        They are taken to cost as much as the baseline's, or as ``rows`` if it has none of them.
        """
        known = [
            row
            for row in (self._baseline_run.rows if self._baseline_run is not None else ())
            if row.cluster in clusters and row.tokens is not None
        ]
        rows = known or [row for row in rows if row.tokens is not None]
        prices = self._config.prices
        costs = [cost_of(row.usage, prices[row.model]) for row in rows if row.model in prices]
        tokens = sum(row.tokens or 0 for row in rows)
        is_priced = bool(rows) and len(costs) == len(rows) and None not in costs
        return {
            "results": results,
            "tokens": round(tokens * results / len(rows)) if rows else None,
            "cost": sum(filter(None, costs)) * results / len(rows) if is_priced else None,
            "currency": self._config.currency,
            "source": "the baseline" if known else "this run",
        }

    @cached_property
    def _baseline_run(self) -> ComparedRun | None:
        if self._baseline is None:
            return None
        return compared_run(self._baseline, (), self._config.prices)


def _comparing_rules(gate: Gate) -> list[str]:
    rules = [name for name in _COMPARING if getattr(gate, name) is not None]
    budgets = ((name, getattr(gate, name)) for name in _BUDGETS)
    return rules + [
        f"{name}.max_increase"
        for name, budget in budgets
        if budget is not None and budget.max_increase is not None
    ]
