"""A gate judged over a run and its baseline, the same way when it is signed and when it is verified. Reads runs, writes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from evalkit.compare.gates import Gate, GateVerdict
from evalkit.compare.loading import RunSelection, compare
from evalkit.compare.prices import Prices
from evalkit.results import Run


def judge_gate(
    run: Path, baseline: Path, name: str, gate: Gate, prices: Mapping[str, Prices]
) -> GateVerdict:
    """Return a gate's verdict over all results of both runs. Raises UsageError: one is no run, or has a line that is no result."""
    return compare(
        RunSelection(Run(baseline)),
        RunSelection(Run(run)),
        gate_name=name,
        gate=gate,
        prices=prices,
    ).verdict
