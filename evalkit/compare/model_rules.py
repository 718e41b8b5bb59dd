"""The rules of a gate about the model: regressions, rates, trials, budgets, tags. Pure.

A rule on a rate or a mean is inconclusive if the interval contains its bound.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from evalkit._lib.text import duration, plural, quoted
from evalkit.compare.clusters import rate_interval
from evalkit.compare.confidence_sequence import clusters_to_settle
from evalkit.compare.gate_input import GateInput, Rule, at_most, outcome_of
from evalkit.compare.gates import (
    Gate,
    GateOutcome,
    MetricBudget,
    NonInferiorityBound,
    PassHatBound,
    PassRateBound,
    RuleVerdict,
)
from evalkit.compare.intervals import POWER, Interval
from evalkit.compare.pairing import SYSTEMATIC_TRIALS
from evalkit.compare.sample_size import clusters_for_bound, clusters_needed

_LEAST_KNOWN = 0.9
"""A mean over a smaller share of the pairs is not a pass."""


def _max_regressions(name: str, most: int, _: Gate, facts: GateInput) -> Iterator[RuleVerdict]:
    table = facts.evidence.table
    if table.pairs:
        yield RuleVerdict(
            name,
            outcome_of(table.regressed <= most),
            f"{table.regressed} of {plural(table.pairs, 'pair')} regressed, {at_most(most)}",
        )


_OF_VERDICTS = ("max_regressions", "non_inferiority", "min_pass_rate", "pass_hat")
"""The other rules about verdicts."""


def _max_systematic(name: str, most: int, gate: Gate, facts: GateInput) -> Iterator[RuleVerdict]:
    variants, stable, unclear = facts.systematic
    # Where no other rule judges the verdicts, what may be systematic is not a pass.
    is_alone = all(getattr(gate, rule) is None for rule in _OF_VERDICTS)
    is_unclear = is_alone and len(variants) <= most < len(variants) + unclear
    message = (
        f"{len(variants)} of {stable} variants that always passed now always fail, {at_most(most)}"
    )
    if not stable:
        message = f"no variant has {SYSTEMATIC_TRIALS} trials that passed in the baseline"
    if unclear:
        message += (
            f"; {plural(unclear, 'variant')} regressed in fewer than {SYSTEMATIC_TRIALS} trials, "
            "which may be chance: run more with --evalkit-repeat"
        )
    outcome = "inconclusive" if is_unclear else outcome_of(len(variants) <= most)
    yield RuleVerdict(name, outcome, message)


def _non_inferiority(
    name: str, bound: NonInferiorityBound, _: Gate, facts: GateInput
) -> Iterator[RuleVerdict]:
    low, high = facts.evidence.interval
    if not facts.evidence.table.pairs:
        return
    outcome: GateOutcome = "inconclusive"
    conclusion = "neither shown non-inferior nor inferior"
    if low > -bound.margin:
        outcome, conclusion = "pass", "non-inferior"
    elif high < -bound.margin:
        outcome, conclusion = "fail", "inferior"
    advice = _settling(bound.margin, facts) if outcome == "inconclusive" else ""
    yield RuleVerdict(
        name,
        outcome,
        f"{conclusion}: the difference of {facts.evidence.table.pairs} pairs lies between "
        f"{facts.evidence.interval.points} points ({bound.confidence:.0%}), the margin is "
        f"{bound.margin * 100:.1f} points{advice}",
    )


def _settling(margin: float, facts: GateInput) -> str:
    """Return how much evidence would settle a margin: show that the drop is smaller, or larger."""
    found, mean, spread = facts.evidence, facts.evidence.mean, facts.evidence.spread
    if mean is None or spread is None:
        return ""
    if found.largest is not None:
        limits = found.confidence, POWER
        return _would_settle(clusters_to_settle(found.sums, found.largest, -margin, limits), facts)
    side = 1 if found.table.difference > -margin else -1
    mirrored = spread._replace(mean=side * spread.mean)
    needed = clusters_needed(side * margin, mirrored, POWER, found.confidence)
    if needed is None:
        return "; the difference is so near the margin that more evidence would hardly help"
    # Clusters of different size are worth fewer of one size.
    return _would_settle(math.ceil(needed * mean.clusters / mean.effective), facts)


def _would_settle(clusters: int | None, facts: GateInput) -> str:
    """Return the sentence on what would settle a rule: scenarios, tokens, cost, time of a run."""
    if clusters is None:
        return ""
    pairs = facts.evidence.table.pairs / max(1, facts.evidence.clusters)
    results = round(clusters * max(1.0, pairs))
    parts = [f"{results:,} results" if results > 1 else "1 result"]
    forms: Mapping[str, Callable[[float], str]] = {
        "tokens": "{:,.0f} tokens".format,
        "cost": "cost {:,.4g}".format,
        "elapsed_ms": duration,
    }
    for name, form in forms.items():
        if name in facts.metrics and name not in facts.unknown:
            parts.append(form(facts.metrics[name].candidate.mean * results))
    return (
        f"; about {clusters:,} {facts.unit}s like these would settle it with {POWER:.0%} power "
        f"({', '.join(parts)} in each run)"
    )


def _min_pass_rate(
    name: str, bound: float | PassRateBound, _: Gate, facts: GateInput
) -> Iterator[RuleVerdict]:
    if not isinstance(bound, PassRateBound):
        bound = PassRateBound(rate=bound)
    passed, scored = facts.candidate["passed"], facts.candidate["scored"]
    if not scored:
        yield RuleVerdict(name, "inconclusive", "no result was scored: the pass rate is unknown")
        return
    low, high = rate_interval(facts.passed, bound.confidence, facts.largest)
    rate = f"{passed} of {scored} scored results passed ({passed / scored:.1%}, between {low:.1%} "
    rate += f"and {high:.1%})"
    outcome = outcome_of(passed == scored)
    if bound.rate < 1:
        outcome = _outcome_of_interval(Interval(-high, -low), -bound.rate)
    advice = _advice(outcome, Interval(low, high), passed / scored, bound.rate, facts)
    yield RuleVerdict(name, outcome, f"{rate}, at least {bound.rate:.1%} must{advice}")
    if bound.lower_bound is not None:
        yield RuleVerdict(
            f"{name}.lower_bound",
            outcome_of(low >= bound.lower_bound, "inconclusive"),
            f"{rate}; that at least {bound.lower_bound:.1%} pass must be shown "
            f"({bound.confidence:.0%})",
        )


def _for_bound(interval: Interval | None, value: float, bound: float, facts: GateInput) -> str:
    if interval is None:
        return ""
    clusters = facts.evidence.clusters
    return _would_settle(clusters_for_bound(interval, value, bound, clusters, POWER), facts)


def _outcome_of_interval(interval: Interval | None, most: float) -> GateOutcome:
    """Return *pass* if all of the interval is allowed, *fail* if nothing of it is."""
    if interval is None or interval.low <= most < interval.high:
        return "inconclusive"
    return outcome_of(interval.high <= most)


def _pass_hat(name: str, bound: PassHatBound, _: Gate, facts: GateInput) -> Iterator[RuleVerdict]:
    share = facts.trials.pass_hat.get(bound.k)
    if share is None:
        yield RuleVerdict(
            name,
            "inconclusive",
            f"too few variants have {bound.k} scored trials, so pass^{bound.k} is not known; "
            f"record more with --evalkit-repeat {bound.k}",
        )
    else:
        yield RuleVerdict(
            name,
            outcome_of(share >= bound.min),
            f"pass^{bound.k} is {share:.1%} over {facts.trials.sampled} of "
            f"{plural(facts.trials.variants, 'variant')}, it must be at least {bound.min:.1%}",
        )


_METRIC_OF_RULE = {"latency": "elapsed_ms"}


def _budget(name: str, budget: MetricBudget, _: Gate, facts: GateInput) -> Iterator[RuleVerdict]:
    key = _METRIC_OF_RULE.get(name, name)
    metric = facts.metrics.get(key)
    if metric is None or key in facts.unknown:
        pairs = plural(facts.evidence.table.pairs, "pair")
        reason = facts.unknown.get(key, f"none of {pairs} has {name} on both sides")
        yield RuleVerdict(name, "inconclusive", reason)
        return
    known = f"over {metric.pairs} of {plural(metric.total, 'pair')}"
    is_known = metric.pairs >= _LEAST_KNOWN * metric.total
    if budget.max_mean is not None:
        between = _between(metric.mean_interval, "{:.6g}")
        outcome = _outcome_of_interval(metric.mean_interval, budget.max_mean)
        yield RuleVerdict(
            f"{name}.max_mean",
            outcome if is_known or outcome != "pass" else "inconclusive",
            f"the mean of {name} is {metric.candidate.mean:.6g}{between} {known}, at most "
            f"{budget.max_mean:.6g} is allowed"
            + _advice(outcome, metric.mean_interval, metric.candidate.mean, budget.max_mean, facts),
        )
    if budget.max_increase is not None:
        ratio, between = metric.ratio_interval, ""
        outcome = outcome_of(metric.candidate.mean <= 0)
        if metric.ratio is not None:
            outcome = _outcome_of_interval(ratio, 1 + budget.max_increase)
            change = ratio and Interval(ratio.low - 1, ratio.high - 1)
            between = f" by {metric.ratio - 1:+.1%}{_between(change, '{:+.1%}')}"
        yield RuleVerdict(
            f"{name}.max_increase",
            outcome if is_known or outcome != "pass" else "inconclusive",
            f"the mean of {name} went from {metric.baseline.mean:.6g} to "
            f"{metric.candidate.mean:.6g}{between} {known}, at most {budget.max_increase:+.1%} is "
            "allowed"
            + _advice(outcome, ratio, metric.ratio or 0.0, 1 + budget.max_increase, facts),
        )


def _advice(
    outcome: GateOutcome, interval: Interval | None, value: float, bound: float, facts: GateInput
) -> str:
    return _for_bound(interval, value, bound, facts) if outcome == "inconclusive" else ""


def _between(interval: Interval | None, form: str) -> str:
    if interval is None:
        return " (one scenario: its precision is unknown)"
    return f" (between {form.format(interval.low)} and {form.format(interval.high)})"


def _required_tags(
    name: str, tags: Sequence[str], _: Gate, facts: GateInput
) -> Iterator[RuleVerdict]:
    for tag in tags:
        counts = facts.tags.get(tag)
        if counts is None:
            message = f"none of {facts.candidate['results']} results of the candidate is tagged "
            yield RuleVerdict(f"{name}.{tag}", "fail", message + quoted(tag))
            continue
        # An error says nothing about the model, so it alone does not fail the gate.
        otherwise: GateOutcome = "fail" if counts["failed"] else "inconclusive"
        yield RuleVerdict(
            f"{name}.{tag}",
            outcome_of(counts["passed"] == counts["results"], otherwise),
            f"{counts['passed']} of {counts['results']} results tagged {quoted(tag)} passed, all "
            "must",
        )


MODEL_RULES: Mapping[str, Rule] = {
    "max_systematic_regressions": _max_systematic,
    "max_regressions": _max_regressions,
    "non_inferiority": _non_inferiority,
    "min_pass_rate": _min_pass_rate,
    "pass_hat": _pass_hat,
    "tokens": _budget,
    "cost": _budget,
    "latency": _budget,
    "required_tags": _required_tags,
}
"""The rules about the model by their key, in the order in which they are reported."""
