"""The gate of a session (``--evalkit-gate``): its verdict is the session's exit status.

Single failures are expected of live runs; whether there are too many is what a gate decides. A gate
that compares needs the run of ``--evalkit-baseline``. Any other looks at the session's run alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.compare.compared_run import compared_run
from evalkit.compare.comparison import Comparison
from evalkit.compare.gates import Gate
from evalkit.compare.runs import compare
from evalkit.config import find_config, load_config
from evalkit.errors import UsageError
from evalkit.project import project_bars
from evalkit.results import Run

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
        self._name, gate = self._config.gate(config.getoption("evalkit_gate"))
        assert gate is not None, "an unknown gate is refused"
        self._gate: Gate = gate
        baseline: str | None = config.getoption("evalkit_baseline")
        self._baseline = None
        if baseline is not None:
            self._baseline = Run(config.invocation_params.dir / baseline)
        elif rules := list(_comparing_rules(gate)):
            raise UsageError(
                f"gate {self._name!r} compares ({', '.join(rules)}); name the run to compare with: "
                "--evalkit-baseline RUN"
            )

    def evaluate(self, run: Run) -> Comparison:
        """Return the comparison with the baseline; without one, the run beside itself."""
        if self._baseline is not None:
            return compare(
                self._baseline,
                run,
                gate_name=self._name,
                gate=self._gate,
                prices=self._config.prices,
                compare_bars=project_bars,
            )
        alone = compared_run(run, (), self._config.prices)
        return Comparison(
            baseline=alone, candidate=alone, gate_name=self._name, named_gate=self._gate
        )


def _comparing_rules(gate: Gate) -> list[str]:
    rules = [name for name in _COMPARING if getattr(gate, name) is not None]
    budgets = ((name, getattr(gate, name)) for name in _BUDGETS)
    return rules + [
        f"{name}.max_increase"
        for name, budget in budgets
        if budget is not None and budget.max_increase is not None
    ]
