"""Gates: what a comparison must hold to be let through, declared by name in ``evalkit.yaml``; and the one verdict that follows. Pure.

    gates:
      release:
        max_regressions: 0
        non_inferiority: {margin: 0.05, confidence: 0.95}
        min_pass_rate: {rate: 0.9, lower_bound: 0.85}
        pass_hat: {k: 3, min: 0.8}
        tokens: {max_increase: 0.1}
        required_tags: [smoke]

Each key is a rule, and says *pass*, *fail*, or *inconclusive* where the runs are too small or too broken to tell. A gate fails if a rule
fails, else it is inconclusive if a rule is, else it passes. Terminal, exit code, JSON, HTML and CI print this one verdict.
Without a gate the rules of ``DEFAULT`` hold: nothing may regress, nothing may end in an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from evalkit.compare.evidence import Counts, Evidence, MetricDifference, Trials
from evalkit.compare.pairing import Pairing
from evalkit.compare.proportions import wilson

Judgement = Literal["pass", "fail", "inconclusive"]
Share = Annotated[float, Field(ge=0, le=1)]
Confidence = Annotated[float, Field(gt=0.5, lt=1)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NonInferiority(_Model):
    """The candidate may be worse by less than ``margin``: the interval's lower end must lie above ``-margin``."""

    margin: float = Field(
        gt=0,
        lt=1,
        description="Largest drop of the pass rate that is acceptable, as a share: 0.05 is five points.",
    )
    confidence: Confidence = Field(0.95, description="Confidence of the two-sided interval.")


class PassRate(_Model):
    """The candidate's pass rate, and how sure one must be of it."""

    rate: Share = Field(description="Least share of scored results that pass.")
    lower_bound: Share | None = Field(
        None, description="Least lower end of Wilson's interval of that share."
    )
    confidence: Confidence = Field(0.95, description="Confidence of the interval.")


class AllOf(_Model):
    """Several trials in a row: a bound on pass^k."""

    k: int = Field(ge=1, description="Number of trials that must all pass.")
    min: Share = Field(description="Least mean over the variants.")


class Budget(_Model):
    """A bound on the mean of a measured value, over pairs where both runs have it."""

    max_mean: float | None = Field(None, ge=0, description="Highest mean of the candidate.")
    max_increase: float | None = Field(
        None,
        description="Highest growth of the mean over the baseline's, as a share: 0.1 is a tenth.",
    )


class Gate(_Model):
    """One gate: every rule that is given must hold."""

    description: str = ""
    max_regressions: int | None = Field(
        None,
        ge=0,
        description="Most pairs that may pass in the baseline and fail in the candidate.",
    )
    max_errors: int | None = Field(
        0,
        ge=0,
        description="Most results of the candidate that may be errored before nothing can be said.",
    )
    non_inferiority: NonInferiority | None = None
    min_pass_rate: Share | PassRate | None = None
    pass_hat: AllOf | None = None
    tokens: Budget | None = None
    cost: Budget | None = None
    required_tags: list[str] = Field(
        default=[], description="Tags that scenarios must carry, all of whose results must pass."
    )


DEFAULT = Gate(description="nothing regressed, nothing errored", max_regressions=0)
"""What holds where no gate is named."""


class RuleVerdict(NamedTuple):
    """What one rule says, in a sentence that gives the figure and the bound."""

    rule: str
    verdict: Judgement
    message: str


class GateVerdict(NamedTuple):
    """The one verdict of a comparison; ``reason`` is what the rules that decided it say."""

    gate: str
    verdict: Judgement
    reason: str
    rules: tuple[RuleVerdict, ...]


class Basis(NamedTuple):
    """What gates look at."""

    pairing: Pairing
    candidate: Counts
    evidence_at: Callable[[float], Evidence]
    metrics: dict[str, MetricDifference]
    trials: Trials
    tags: dict[str, Counts]


def judge(name: str, gate: Gate, basis: Basis) -> GateVerdict:
    """Return the verdict of a gate over a comparison."""
    rules = tuple(verdict for rule in RULES for verdict in rule(gate, basis))
    order: tuple[Judgement, ...] = ("fail", "inconclusive", "pass")
    verdict: Judgement = next(
        (kind for kind in order if any(rule.verdict == kind for rule in rules)), "inconclusive"
    )
    told = [rule.message for rule in rules if rule.verdict == verdict]
    return GateVerdict(
        name, verdict, "; ".join(told) or "no rule of this gate says anything", rules
    )


def _paired(gate: Gate, basis: Basis) -> Iterator[RuleVerdict]:
    if not basis.pairing.scored:
        yield RuleVerdict(
            "pairs",
            "inconclusive",
            "no pair was scored in both runs, so there is nothing to compare",
        )


def _errors(gate: Gate, basis: Basis) -> Iterator[RuleVerdict]:
    if gate.max_errors is None:
        return
    count, of = basis.candidate.errored, basis.candidate.results
    bound = "none may" if gate.max_errors == 0 else f"at most {gate.max_errors} may"
    yield RuleVerdict(
        "max_errors",
        _is(count <= gate.max_errors, "inconclusive"),
        f"{count} of {of} results errored, {bound}",
    )


def _regressions(gate: Gate, basis: Basis) -> Iterator[RuleVerdict]:
    if gate.max_regressions is None:
        return
    table = basis.evidence_at(0.95).table
    bound = "none may" if gate.max_regressions == 0 else f"at most {gate.max_regressions} may"
    yield RuleVerdict(
        "max_regressions",
        _is(table.regressed <= gate.max_regressions),
        f"{table.regressed} of {table.pairs} pairs regressed, {bound}",
    )


def _non_inferiority(gate: Gate, basis: Basis) -> Iterator[RuleVerdict]:
    rule = gate.non_inferiority
    if rule is None:
        return
    low, high = basis.evidence_at(rule.confidence).interval
    verdict: Judgement = (
        "pass" if low > -rule.margin else "fail" if high < -rule.margin else "inconclusive"
    )
    word = {
        "pass": "non-inferior",
        "fail": "inferior",
        "inconclusive": "neither shown non-inferior nor inferior",
    }[verdict]
    message = f"{word}: the difference lies between {low:+.1%} and {high:+.1%} ({rule.confidence:.0%}), the margin is {rule.margin:.1%}"
    yield RuleVerdict("non_inferiority", verdict, message)


def _pass_rate(gate: Gate, basis: Basis) -> Iterator[RuleVerdict]:
    rule = (
        PassRate(rate=gate.min_pass_rate)
        if isinstance(gate.min_pass_rate, float | int)
        else gate.min_pass_rate
    )
    if rule is None:
        return
    passed, scored = basis.candidate.passed, basis.candidate.scored
    if not scored:
        yield RuleVerdict(
            "min_pass_rate", "inconclusive", "no result was scored, so there is no pass rate"
        )
        return
    share = passed / scored
    yield RuleVerdict(
        "min_pass_rate",
        _is(share >= rule.rate),
        f"{passed} of {scored} scored results passed ({share:.1%}), at least {rule.rate:.1%} must",
    )
    if rule.lower_bound is not None:
        low = wilson(passed, scored, rule.confidence).low
        message = f"the pass rate is at least {low:.1%} ({rule.confidence:.0%}), {rule.lower_bound:.1%} must be shown"
        yield RuleVerdict(
            "min_pass_rate.lower_bound", _is(low >= rule.lower_bound, "inconclusive"), message
        )


def _pass_hat(gate: Gate, basis: Basis) -> Iterator[RuleVerdict]:
    rule = gate.pass_hat
    if rule is None:
        return
    found = basis.trials.pass_hat.get(rule.k)
    if found is None:
        message = f"no variant has {rule.k} scored trials, so pass^{rule.k} is not known; record more with --evalkit-repeat {rule.k}"
        yield RuleVerdict("pass_hat", "inconclusive", message)
    else:
        yield RuleVerdict(
            "pass_hat",
            _is(found >= rule.min),
            f"pass^{rule.k} is {found:.1%}, at least {rule.min:.1%} must be",
        )


def _budgets(gate: Gate, basis: Basis) -> Iterator[RuleVerdict]:
    for name, budget in (("tokens", gate.tokens), ("cost", gate.cost)):
        if budget is None:
            continue
        found = basis.metrics.get(name)
        if found is None:
            yield RuleVerdict(name, "inconclusive", f"no pair has {name} on both sides")
            continue
        if budget.max_mean is not None:
            message = f"the mean of {name} is {found.candidate:.6g}, at most {budget.max_mean:.6g} is allowed"
            yield RuleVerdict(f"{name}.max_mean", _is(found.candidate <= budget.max_mean), message)
        if budget.max_increase is not None:
            # Compared as a product: a baseline of nothing has no ratio, and anything above it is growth without bound.
            allowed = found.baseline * (1 + budget.max_increase)
            message = f"the mean of {name} went from {found.baseline:.6g} to {found.candidate:.6g}, at most {allowed:.6g} is allowed"
            yield RuleVerdict(f"{name}.max_increase", _is(found.candidate <= allowed), message)


def _required_tags(gate: Gate, basis: Basis) -> Iterator[RuleVerdict]:
    for tag in gate.required_tags:
        count = basis.tags.get(tag)
        if count is None:
            yield RuleVerdict(
                f"required_tags.{tag}", "fail", f"no result of the candidate is tagged {tag!r}"
            )
        else:
            message = f"{count.passed} of {count.results} results tagged {tag!r} passed, all must"
            # An error tells nothing of the model, so it alone does not fail the gate.
            verdict: Judgement = (
                "fail"
                if count.failed
                else "pass"
                if count.passed == count.results
                else "inconclusive"
            )
            yield RuleVerdict(f"required_tags.{tag}", verdict, message)


def _is(holds: bool, otherwise: Judgement = "fail") -> Judgement:
    return "pass" if holds else otherwise


RULES: tuple[Callable[[Gate, Basis], Iterator[RuleVerdict]], ...] = (
    _paired,
    _regressions,
    _non_inferiority,
    _pass_rate,
    _pass_hat,
    _budgets,
    _required_tags,
    _errors,
)
"""The rules, in the order they are told."""
