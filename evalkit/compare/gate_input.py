"""What the rules of a gate read: the figures of a comparison, and the evidence it lacks. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.compare.bar import BarComparison, BarVerdicts
from evalkit.compare.clusters import ClusterSum
from evalkit.compare.evidence import Evidence
from evalkit.compare.gates import Gate, GateOutcome, RuleVerdict
from evalkit.compare.judges import JudgeRate
from evalkit.compare.metrics import MetricDifference
from evalkit.compare.pairing import SystematicRegressions
from evalkit.compare.rows import ResultRow
from evalkit.compare.trials import TrialStatistics


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingEvidence:
    """What a comparison should have had and has not.

    ``unfinished`` names the runs that did not end; ``left_out`` and ``baseline_left_out`` count the
    collected variants of a run without a result; ``removed`` are variants of the baseline, the
    others results. ``added_failures`` counts those that failed and have no partner. ``totals`` has
    the number of which each is a part.
    """

    unfinished: Sequence[str]
    left_out: int
    baseline_left_out: int
    deselected: int
    baseline_deselected: int
    duplicates: int
    removed: Sequence[ResultRow]
    skipped: Sequence[ResultRow]
    errored: Sequence[ResultRow]
    baseline_errored: Sequence[ResultRow]
    unmatched: Sequence[ResultRow]
    added_failures: int
    totals: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class GateInput:
    """The figures of a comparison that gates use.

    ``evidence`` has the gate's confidence; ``candidate`` and ``tags`` are counts of verdicts;
    ``passed`` are the candidate's scored results over clusters. ``unknown`` says why a metric is
    not known or not comparable. ``largest`` is the most results of a cluster if the candidate
    could stop early, else None; ``left_out`` counts its clusters that were not run by plan,
    ``stopped`` is the sentence about both runs.
    """

    evidence: Evidence
    unit: str
    candidate: Mapping[str, int]
    passed: Sequence[ClusterSum]
    trials: TrialStatistics
    metrics: Mapping[str, MetricDifference]
    unknown: Mapping[str, str]
    tags: Mapping[str, Mapping[str, int]]
    systematic: SystematicRegressions
    missing: MissingEvidence
    bar: BarComparison
    bar_verdicts: BarVerdicts
    largest: int | None = None
    left_out: int = 0
    stopped: str = ""
    judges: Sequence[JudgeRate]
    started: str


Rule = Callable[[str, Any, Gate, GateInput], Iterator[RuleVerdict]]
"""A rule: its key, its bound, the gate and the figures give its verdicts."""


def allowed_names(row: ResultRow) -> tuple[str, str]:
    """Return the names by which ``allow`` may list a result: its scenario and its variant."""
    return f"{row.key[0]}::{row.key[1]}", row.id.partition("#")[0]


def outcome_of(is_satisfied: bool, otherwise: GateOutcome = "fail") -> GateOutcome:
    """Return *pass* if a rule is satisfied, else the other outcome."""
    return "pass" if is_satisfied else otherwise


def at_most(bound: int) -> str:
    """Return the bound of a count as the end of a sentence."""
    return f"at most {bound} may" if bound else "none may"
