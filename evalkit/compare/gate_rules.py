"""Evaluate the rules of a gate on the figures of a comparison. Pure.

A gate fails if a rule fails; otherwise it is inconclusive if a rule is; otherwise it passes.
Terminal, exit code, JSON, HTML and CI show this one verdict. A rule on a rate or a mean is
inconclusive if the interval contains its bound. Every sentence says of how many the figure is.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalkit._lib.text import plural, quoted
from evalkit.compare.bar import (
    BarComparison,
    BarVerdicts,
    ExpectationChange,
    failing_checks,
    reason_of,
)
from evalkit.compare.clusters import ClusterSum, rate_interval
from evalkit.compare.evidence import Evidence, MetricDifference, TrialStatistics
from evalkit.compare.gates import (
    Gate,
    GateOutcome,
    GateVerdict,
    MetricBudget,
    NonInferiorityBound,
    PassHatBound,
    PassRateBound,
    RuleVerdict,
)
from evalkit.compare.intervals import POWER, Interval
from evalkit.compare.pairing import SYSTEMATIC_TRIALS, SystematicRegressions
from evalkit.compare.rows import ResultRow
from evalkit.compare.sample_size import clusters_for_bound, clusters_needed

_Rule = Callable[[str, Any, Gate, "GateInput"], Iterator[RuleVerdict]]
_LEAST_KNOWN = 0.9
"""A mean over a smaller share of the pairs is not a pass."""
_LISTED = 3
"""Names in a sentence; the rest is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingEvidence:
    """What a comparison should have had and has not.

    ``unfinished`` names the runs that did not end; ``left_out`` counts the collected variants of
    the candidate without a result; ``removed`` are variants of the baseline, the others results.
    ``totals`` has the number of which each is a part.
    """

    unfinished: Sequence[str]
    left_out: int
    deselected: int
    baseline_deselected: int
    duplicates: int
    removed: Sequence[ResultRow]
    skipped: Sequence[ResultRow]
    errored: Sequence[ResultRow]
    baseline_errored: Sequence[ResultRow]
    unmatched: Sequence[ResultRow]
    totals: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class GateInput:
    """The figures of a comparison that gates use.

    ``evidence`` has the gate's confidence; ``candidate`` and ``tags`` are counts of verdicts;
    ``passed`` are the candidate's scored results over clusters. ``unknown`` says why a metric is
    not known or not comparable.
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


def evaluate_gate(name: str, gate: Gate, facts: GateInput) -> GateVerdict:
    """Return the verdict of a gate over a comparison."""
    about_model = tuple(_verdicts(_RULES, gate, facts))
    rules = (*about_model, *_verdicts(_EVIDENCE_RULES, gate, facts))
    outcomes = {rule.verdict for rule in rules}
    order: tuple[GateOutcome, ...] = ("fail", "inconclusive", "pass")
    verdict = next(one for one in order if one in outcomes)
    # That nothing is missing is not worth a sentence.
    messages = [
        rule.message
        for rule in (about_model if verdict == "pass" else rules)
        if rule.verdict == verdict
    ]
    return GateVerdict(name, verdict, "; ".join(messages) or "nothing is missing", rules)


def allowed_names(row: ResultRow) -> tuple[str, str]:
    """Return the names by which ``allow`` may list a result: its scenario and its variant."""
    return f"{row.key[0]}::{row.key[1]}", row.id.partition("#")[0]


def _verdicts(rules: Mapping[str, _Rule], gate: Gate, facts: GateInput) -> Iterator[RuleVerdict]:
    for name, rule in rules.items():
        bound = getattr(gate, name)
        if bound is not None:
            yield from rule(name, bound, gate, facts)


def _complete(name: str, required: bool, _: Gate, facts: GateInput) -> Iterator[RuleVerdict]:
    missing = facts.missing
    if missing.duplicates:
        yield RuleVerdict(
            "duplicates",
            "fail",
            f"{plural(missing.duplicates, 'result')} more than once in a run; the last of each "
            "counts; run the suites again",
        )
    if not required:
        return
    message = "both runs ended"
    if missing.unfinished:
        message = f"the {' and the '.join(missing.unfinished)} run did not end"
    if missing.left_out:
        collected = missing.totals["collected"]
        message += f"; {missing.left_out} of {collected} variants of the candidate have no result"
    satisfied = not missing.unfinished and not missing.left_out
    yield RuleVerdict(name, _outcome(satisfied, "inconclusive"), message)


def _min_pairs(name: str, least: int, _: Gate, facts: GateInput) -> Iterator[RuleVerdict]:
    pairs = facts.evidence.table.pairs
    message = f"{plural(pairs, 'pair')} scored in both runs, at least {least} must be"
    if not pairs:
        message = "no pair was scored in both runs, so there is nothing to compare"
    yield RuleVerdict(name, _outcome(pairs >= max(least, 1), "inconclusive"), message)


_MISSING: Mapping[str, tuple[str, str, GateOutcome]] = {
    "max_removed": ("removed", "variants of the baseline are not in the candidate", "fail"),
    "max_skipped": ("skipped", "results of the candidate were skipped", "inconclusive"),
    "max_errors": ("errored", "results of the candidate errored", "inconclusive"),
    "max_baseline_errors": (
        "baseline_errored",
        "results of the baseline errored, or were skipped only there",
        "inconclusive",
    ),
    "max_unmatched": (
        "unmatched",
        "results are trials that only one of the runs has",
        "inconclusive",
    ),
}
"""For each rule the results it counts, what is wrong with them, and the outcome of too many."""


def _max_missing(name: str, most: int, gate: Gate, facts: GateInput) -> Iterator[RuleVerdict]:
    kind, sentence, otherwise = _MISSING[name]
    rows: Sequence[ResultRow] = getattr(facts.missing, kind)
    allowed, count = _split_allowed(rows, gate)
    if kind == "removed":
        # Variants that were deselected or did not run are counted by the rules about that.
        unexplained = count - facts.missing.deselected - facts.missing.left_out
        if most < count and unexplained <= most:
            otherwise = "inconclusive"
    message = f"{count} of {facts.missing.totals[kind]} {sentence}, {_at_most(most)}"
    yield RuleVerdict(name, _outcome(count <= most, otherwise), message + allowed)


def _max_deselected(name: str, most: int, gate: Gate, facts: GateInput) -> Iterator[RuleVerdict]:
    allowed, unexplained = _split_allowed(facts.missing.removed, gate)
    # Which variants were deselected is not known; those that are allowed to be missing may be.
    excused = len(facts.missing.removed) - unexplained
    count = max(0, facts.missing.deselected - excused)
    run, total = "candidate", facts.missing.totals["collected"]
    if facts.missing.baseline_deselected > count:
        run, total = "baseline", facts.missing.totals["baseline_collected"]
        count = facts.missing.baseline_deselected
    message = f"{count} of {total} variants were deselected in the {run}, {_at_most(most)}"
    yield RuleVerdict(name, _outcome(count <= most, "inconclusive"), message + allowed)


def _max_weakened(name: str, most: int, gate: Gate, facts: GateInput) -> Iterator[RuleVerdict]:
    bar, verdicts = facts.bar, facts.bar_verdicts
    if bar.unknown:
        yield RuleVerdict(name, "inconclusive", bar.unknown)
        return
    weakened = [change for change in bar.weakened if change.scenario not in gate.allow]
    allowed = dict.fromkeys(
        change.scenario for change in bar.weakened if change.scenario in gate.allow
    )
    reasons = [f"{scenario} ({gate.allow[scenario]})" for scenario in allowed]
    number = f"{len(weakened)} of {bar.expectations}" if bar.expectations else "none of the"
    message = f"{number} expectations of the baseline were removed or loosened, {_at_most(most)}"
    message += f": {_first(weakened)}" if weakened else ""
    message += f"; allowed: {', '.join(reasons)}" if reasons else ""
    yield RuleVerdict(name, _outcome(len(weakened) <= most), message)
    results = plural(facts.candidate["results"], "result")
    lenient = _unexcused(verdicts.lenient, gate)
    if lenient:
        failed = "; ".join(
            f"{row.id}: {', '.join(failing_checks(row))}" for row in lenient[:_LISTED]
        )
        yield RuleVerdict(
            f"{name}.verdicts",
            "fail",
            f"{len(lenient)} of {results} pass only by the candidate's own "
            f"expectations and fail by the baseline's: {failed}{_more(lenient)}",
        )
    unclear = _unexcused(verdicts.unclear, gate)
    if unclear:
        yield RuleVerdict(
            f"{name}.judged",
            "inconclusive",
            f"{len(unclear)} of {results} cannot be judged by the "
            f"baseline's expectations: {unclear[0].id}: {reason_of(unclear[0])}{_more(unclear, 1)}",
        )


def _unexcused(rows: Sequence[ResultRow], gate: Gate) -> list[ResultRow]:
    return [row for row in rows if gate.allow.keys().isdisjoint(allowed_names(row))]


def _first(changes: Sequence[ExpectationChange]) -> str:
    return "; ".join(map(str, changes[:_LISTED])) + _more(changes)


def _more(listed: Sequence[object], most: int = _LISTED) -> str:
    return f"; and {len(listed) - most} more" if len(listed) > most else ""


def _split_allowed(rows: Sequence[ResultRow], gate: Gate) -> tuple[str, int]:
    """Return the text about allowed results, and the number of the others."""
    names = [next((one for one in allowed_names(row) if one in gate.allow), "") for row in rows]
    reasons = [f"{name} ({gate.allow[name]})" for name in dict.fromkeys(names) if name]
    return f"; allowed: {', '.join(reasons)}" if reasons else "", names.count("")


def _max_regressions(name: str, most: int, _: Gate, facts: GateInput) -> Iterator[RuleVerdict]:
    table = facts.evidence.table
    if table.pairs:
        yield RuleVerdict(
            name,
            _outcome(table.regressed <= most),
            f"{table.regressed} of {table.pairs} pairs regressed, {_at_most(most)}",
        )


def _max_systematic(name: str, most: int, _: Gate, facts: GateInput) -> Iterator[RuleVerdict]:
    variants, stable, unclear = facts.systematic
    message = (
        f"{len(variants)} of {stable} variants that always passed now always fail, {_at_most(most)}"
    )
    if not stable:
        message = f"no variant has {SYSTEMATIC_TRIALS} trials that passed in the baseline"
    if unclear:
        message += (
            f"; {plural(unclear, 'variant')} regressed in fewer than {SYSTEMATIC_TRIALS} trials, "
            "which may be chance: run more with --evalkit-repeat"
        )
    yield RuleVerdict(name, _outcome(len(variants) <= most), message)


def _at_most(bound: int) -> str:
    return f"at most {bound} may" if bound else "none may"


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
        f"{low * 100:+.1f} and {high * 100:+.1f} points ({bound.confidence:.0%}), the margin is "
        f"{bound.margin * 100:.1f} points{advice}",
    )


def _settling(margin: float, facts: GateInput) -> str:
    """Return how much evidence would settle a margin."""
    found = facts.evidence
    needed, mean = None, found.mean
    if mean is not None and found.spread is not None and found.table.difference > -margin:
        needed = clusters_needed(margin, found.spread, POWER, found.confidence)
    if needed is None or mean is None:
        return "; the difference itself is beyond the margin, so more evidence would hardly help"
    # Clusters of different size are worth fewer of one size.
    return _would_settle(math.ceil(needed * mean.clusters / mean.effective), facts)


def _would_settle(clusters: int | None, facts: GateInput) -> str:
    """Return the sentence on what would settle a rule: scenarios, tokens and cost of a run."""
    if clusters is None:
        return ""
    pairs = facts.evidence.table.pairs / max(1, facts.evidence.clusters)
    results = round(clusters * max(1.0, pairs))
    parts = [f"{results:,} results" if results > 1 else "1 result"]
    for name, form in (("tokens", "{:,.0f} tokens"), ("cost", "cost {:,.4g}")):
        if name in facts.metrics and name not in facts.unknown:
            parts.append(form.format(facts.metrics[name].candidate.mean * results))
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
    low, high = rate_interval(facts.passed, bound.confidence)
    rate = f"{passed} of {scored} scored results passed ({passed / scored:.1%}, between {low:.1%} "
    rate += f"and {high:.1%})"
    outcome = _outcome(passed == scored)
    if bound.rate < 1:
        outcome = _outcome_of_interval(Interval(-high, -low), -bound.rate)
    advice = _advice(outcome, Interval(low, high), passed / scored, bound.rate, facts)
    yield RuleVerdict(name, outcome, f"{rate}, at least {bound.rate:.1%} must{advice}")
    if bound.lower_bound is not None:
        yield RuleVerdict(
            f"{name}.lower_bound",
            _outcome(low >= bound.lower_bound, "inconclusive"),
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
    return _outcome(interval.high <= most)


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
            _outcome(share >= bound.min),
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
        outcome = _outcome(metric.candidate.mean <= 0)
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
            _outcome(counts["passed"] == counts["results"], otherwise),
            f"{counts['passed']} of {counts['results']} results tagged {quoted(tag)} passed, all "
            "must",
        )


def _outcome(satisfied: bool, otherwise: GateOutcome = "fail") -> GateOutcome:
    return "pass" if satisfied else otherwise


_RULES: Mapping[str, _Rule] = {
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

_EVIDENCE_RULES: Mapping[str, _Rule] = {
    "complete": _complete,
    "min_pairs": _min_pairs,
    "max_removed": _max_missing,
    "max_weakened": _max_weakened,
    "max_deselected": _max_deselected,
    "max_skipped": _max_missing,
    "max_errors": _max_missing,
    "max_baseline_errors": _max_missing,
    "max_unmatched": _max_missing,
}
"""The rules about what must not be missing."""
