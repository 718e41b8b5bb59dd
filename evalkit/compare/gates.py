"""Evaluate the gates of ``evalkit.yaml`` on a comparison. Pure.

    gates:
      release:
        max_regressions: 0
        non_inferiority: {margin: 0.05, confidence: 0.95}
        min_pass_rate: {rate: 0.9, lower_bound: 0.85}
        pass_hat: {k: 3, min: 0.8}
        tokens: {max_increase: 0.1}
        required_tags: [smoke]

Each key is a rule. It gives *pass*, *fail*, or *inconclusive* if the runs are too small or have too
many errors to tell. A gate fails if a rule fails; otherwise it is inconclusive if a rule is;
otherwise it passes. Terminal, exit code, JSON, HTML and CI show this one verdict. Without a gate,
``DEFAULT`` applies: nothing may regress, nothing may error.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from evalkit.compare.evidence import Evidence, MetricDifference, TrialStatistics
from evalkit.compare.intervals import wilson

GateOutcome = Literal["pass", "fail", "inconclusive"]
Share = Annotated[float, Field(ge=0, le=1)]
Confidence = Annotated[float, Field(gt=0.5, lt=1)]


class _GateModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NonInferiorityBound(_GateModel):
    """The candidate may be worse by less than ``margin``.

    That is, the low end of the interval must be above ``-margin``.
    """

    margin: float = Field(
        gt=0,
        lt=1,
        description="Largest acceptable drop of the pass rate, as a share: 0.05 is five points.",
    )
    confidence: Confidence = Field(0.95, description="Confidence of the two-sided interval.")


class PassRateBound(_GateModel):
    """The candidate's least pass rate, and the certainty of it."""

    rate: Share = Field(description="Least share of scored results that pass.")
    lower_bound: Share | None = Field(
        None, description="Least lower end of Wilson's interval of that share."
    )
    confidence: Confidence = Field(0.95, description="Confidence of the interval.")


class PassHatBound(_GateModel):
    """A bound on pass^k, the chance that several trials in a row pass."""

    k: int = Field(ge=1, description="Number of trials that must all pass.")
    min: Share = Field(description="Least mean over the variants.")


class MetricBudget(_GateModel):
    """A bound on the mean of a measured value, over pairs where both runs have it."""

    max_mean: float | None = Field(None, ge=0, description="Highest mean of the candidate.")
    max_increase: float | None = Field(
        None,
        description="Highest growth of the mean over the baseline's, as a share: 0.1 is a tenth.",
    )


class Gate(_GateModel):
    """One gate: every rule that is set must be satisfied."""

    description: str = ""
    max_regressions: int | None = Field(
        None,
        ge=0,
        description="Most pairs that may pass in the baseline and fail in the candidate.",
    )
    max_errors: int | None = Field(
        0,
        ge=0,
        description="Most errored results of the candidate; with more, the gate is inconclusive.",
    )
    non_inferiority: NonInferiorityBound | None = None
    min_pass_rate: Share | PassRateBound | None = None
    pass_hat: PassHatBound | None = None
    tokens: MetricBudget | None = None
    cost: MetricBudget | None = None
    required_tags: list[str] = Field(
        default=[],
        description="Tags that must exist in the candidate and whose results must all pass.",
    )


DEFAULT = Gate(description="nothing regressed, nothing errored", max_regressions=0)
"""The gate that applies if none is named."""


class RuleVerdict(NamedTuple):
    """The outcome of one rule, and a sentence with the figure and the bound."""

    rule: str
    verdict: GateOutcome
    message: str


class GateVerdict(NamedTuple):
    """The verdict of a comparison.

    ``reason`` has the messages of the rules that decided it.
    """

    gate: str
    verdict: GateOutcome
    reason: str
    rules: tuple[RuleVerdict, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GateInput:
    """The figures of a comparison that gates use.

    ``evidence`` has the gate's confidence; ``candidate`` and ``tags`` are counts of verdicts.
    """

    evidence: Evidence
    candidate: Mapping[str, int]
    trials: TrialStatistics
    metrics: dict[str, MetricDifference]
    tags: Mapping[str, Mapping[str, int]]


def evaluate_gate(name: str, gate: Gate, facts: GateInput) -> GateVerdict:
    """Return the verdict of a gate over a comparison."""
    rules = tuple(_rule_verdicts(gate, facts))
    outcomes = {rule.verdict for rule in rules}
    order: tuple[GateOutcome, ...] = ("fail", "inconclusive", "pass")
    verdict: GateOutcome = next((one for one in order if one in outcomes), "inconclusive")
    messages = [rule.message for rule in rules if rule.verdict == verdict]
    return GateVerdict(name, verdict, "; ".join(messages) or "the gate has no rule", rules)


def _rule_verdicts(gate: Gate, facts: GateInput) -> Iterator[RuleVerdict]:
    if not facts.evidence.table.pairs:
        yield RuleVerdict(
            "pairs",
            "inconclusive",
            "no pair was scored in both runs, so there is nothing to compare",
        )
    for name, rule in _RULES.items():
        bound = getattr(gate, name)
        if bound is not None:
            yield from rule(name, bound, facts)


def _max_errors(name: str, most: int, facts: GateInput) -> Iterator[RuleVerdict]:
    errored, results = facts.candidate["errored"], facts.candidate["results"]
    yield RuleVerdict(
        name,
        _outcome(errored <= most, "inconclusive"),
        f"{errored} of {results} results errored, {_at_most(most)}",
    )


def _max_regressions(name: str, most: int, facts: GateInput) -> Iterator[RuleVerdict]:
    table = facts.evidence.table
    yield RuleVerdict(
        name,
        _outcome(table.regressed <= most),
        f"{table.regressed} of {table.pairs} pairs regressed, {_at_most(most)}",
    )


def _at_most(bound: int) -> str:
    return f"at most {bound} may" if bound else "none may"


def _non_inferiority(
    name: str, bound: NonInferiorityBound, facts: GateInput
) -> Iterator[RuleVerdict]:
    low, high = facts.evidence.interval
    outcome: GateOutcome = "inconclusive"
    conclusion = "neither shown non-inferior nor inferior"
    if low > -bound.margin:
        outcome, conclusion = "pass", "non-inferior"
    elif high < -bound.margin:
        outcome, conclusion = "fail", "inferior"
    yield RuleVerdict(
        name,
        outcome,
        f"{conclusion}: the difference lies between {low:+.1%} and {high:+.1%} "
        f"({bound.confidence:.0%}), the margin is {bound.margin:.1%}",
    )


def _min_pass_rate(
    name: str, bound: float | PassRateBound, facts: GateInput
) -> Iterator[RuleVerdict]:
    if not isinstance(bound, PassRateBound):
        bound = PassRateBound(rate=bound)
    passed, scored = facts.candidate["passed"], facts.candidate["scored"]
    if not scored:
        yield RuleVerdict(name, "inconclusive", "no result was scored: the pass rate is unknown")
        return
    rate = passed / scored
    yield RuleVerdict(
        name,
        _outcome(rate >= bound.rate),
        f"{passed} of {scored} scored results passed ({rate:.1%}), at least {bound.rate:.1%} must",
    )
    if bound.lower_bound is not None:
        low = wilson(passed, scored, bound.confidence).low
        yield RuleVerdict(
            f"{name}.lower_bound",
            _outcome(low >= bound.lower_bound, "inconclusive"),
            f"the pass rate is at least {low:.1%} ({bound.confidence:.0%}), "
            f"{bound.lower_bound:.1%} must be shown",
        )


def _pass_hat(name: str, bound: PassHatBound, facts: GateInput) -> Iterator[RuleVerdict]:
    share = facts.trials.pass_hat.get(bound.k)
    if share is None:
        yield RuleVerdict(
            name,
            "inconclusive",
            f"no variant has {bound.k} scored trials, so pass^{bound.k} is not known; record more "
            f"with --evalkit-repeat {bound.k}",
        )
    else:
        yield RuleVerdict(
            name,
            _outcome(share >= bound.min),
            f"pass^{bound.k} is {share:.1%}, it must be at least {bound.min:.1%}",
        )


def _budget(name: str, budget: MetricBudget, facts: GateInput) -> Iterator[RuleVerdict]:
    metric = facts.metrics.get(name)
    if metric is None:
        yield RuleVerdict(name, "inconclusive", f"no pair has {name} on both sides")
        return
    if budget.max_mean is not None:
        yield RuleVerdict(
            f"{name}.max_mean",
            _outcome(metric.candidate <= budget.max_mean),
            f"the mean of {name} is {metric.candidate:.6g}, at most {budget.max_mean:.6g} is "
            "allowed",
        )
    if budget.max_increase is not None:
        # A product, not a ratio: a baseline of 0 has no ratio, and any increase is too much.
        allowed = metric.baseline * (1 + budget.max_increase)
        yield RuleVerdict(
            f"{name}.max_increase",
            _outcome(metric.candidate <= allowed),
            f"the mean of {name} went from {metric.baseline:.6g} to {metric.candidate:.6g}, at "
            f"most {allowed:.6g} is allowed",
        )


def _required_tags(name: str, tags: list[str], facts: GateInput) -> Iterator[RuleVerdict]:
    for tag in tags:
        counts = facts.tags.get(tag)
        if counts is None:
            yield RuleVerdict(
                f"{name}.{tag}", "fail", f"no result of the candidate is tagged {tag!r}"
            )
            continue
        # An error says nothing about the model, so it alone does not fail the gate.
        otherwise: GateOutcome = "fail" if counts["failed"] else "inconclusive"
        yield RuleVerdict(
            f"{name}.{tag}",
            _outcome(counts["passed"] == counts["results"], otherwise),
            f"{counts['passed']} of {counts['results']} results tagged {tag!r} passed, all must",
        )


def _outcome(satisfied: bool, otherwise: GateOutcome = "fail") -> GateOutcome:
    return "pass" if satisfied else otherwise


_RULES: dict[str, Callable[[str, Any, GateInput], Iterator[RuleVerdict]]] = {
    "max_regressions": _max_regressions,
    "non_inferiority": _non_inferiority,
    "min_pass_rate": _min_pass_rate,
    "pass_hat": _pass_hat,
    "tokens": _budget,
    "cost": _budget,
    "required_tags": _required_tags,
    "max_errors": _max_errors,
}
"""The rules by their key, in the order in which they are reported."""
