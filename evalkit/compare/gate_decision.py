"""What a gate decides when a run has ended, and before every scenario ran. Pure.

The verdict of a gate is that of its worst rule. Before the end, a rule with an always-valid
interval can be decided either way. Any other rule can at most fail early: a count of what ran says
nothing of what did not, and the intervals of means of tokens, cost and time are those of a fixed
sample. ``max_systematic_regressions`` is a count, too, and a safeguard: one such variant fails the
gate at once. Without one the gate passes by its interval, for the scenarios that ran.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from evalkit._lib.text import plural
from evalkit.compare.evidence_rules import EVIDENCE_RULES
from evalkit.compare.gate_input import GateInput, Rule
from evalkit.compare.gates import Gate, GateOutcome, GateVerdict, PassRateBound, RuleVerdict
from evalkit.compare.model_rules import MODEL_RULES

_BY_INTERVAL = ("non_inferiority", "min_pass_rate")
_DECIDABLE = (*_BY_INTERVAL, "max_systematic_regressions")
"""The rules that may decide a gate early."""
_MEAN = "its interval is that of a fixed number of scenarios"
_NEEDS_ALL: Mapping[str, str] = {
    "max_regressions": "it counts over all scenarios",
    "pass_hat": "it has no interval",
    "tokens": _MEAN,
    "cost": _MEAN,
    "latency": _MEAN,
    "required_tags": "all results with the tag must pass",
}
"""The rules that cannot pass before every scenario ran, and why."""
_ONLY_EVIDENCE = "the gate has no rule about the model, and its rules about the evidence are met"


def evaluate_gate(name: str, gate: Gate, facts: GateInput) -> GateVerdict:
    """Return the verdict of a gate over a comparison."""
    about_model = tuple(
        _without_early_passes(gate, _verdicts(MODEL_RULES, gate, facts), facts.left_out)
    )
    rules = (*about_model, *_verdicts(EVIDENCE_RULES, gate, facts))
    verdict = worst_outcome(rule.verdict for rule in rules)
    # That nothing is missing is not worth a sentence.
    messages = [
        rule.message
        for rule in (about_model if verdict == "pass" else rules)
        if rule.verdict == verdict
    ]
    reason = "; ".join(messages) or _ONLY_EVIDENCE
    return GateVerdict(name, verdict, "; ".join(filter(None, (reason, facts.stopped))), rules)


def worst_outcome(outcomes: Iterable[str]) -> GateOutcome:
    """Return the outcome of a gate by those of its rules."""
    found = set(outcomes)
    order: tuple[GateOutcome, ...] = ("fail", "inconclusive")
    return next((one for one in order if one in found), "pass")


def decide_early(gate: Gate, facts: GateInput) -> Literal["pass", "fail"] | None:
    """Return what has been decided that need not wait for every scenario, if anything."""
    verdicts = {
        name: {rule.verdict for rule in _verdicts({name: MODEL_RULES[name]}, gate, facts)}
        for name in _DECIDABLE
    }
    if any("fail" in found for found in verdicts.values()):
        return "fail"
    needed = [name for name in _BY_INTERVAL if getattr(gate, name) is not None]
    return "pass" if all(verdicts[name] == {"pass"} for name in needed) else None


def _rules_that_need_all(gate: Gate) -> Iterator[tuple[str, str]]:
    """Yield the rules of a gate that cannot pass before every scenario ran, and why."""
    for name, reason in _NEEDS_ALL.items():
        if getattr(gate, name) not in (None, []):
            yield name, reason
    if _least_rate(gate) == 1:
        yield "min_pass_rate", "no result may fail"


def undecidable(gate: Gate) -> str:
    """Return why a gate cannot be decided early, ``""`` if it can."""
    if rules := [f"{name} ({reason})" for name, reason in _rules_that_need_all(gate)]:
        return f"cannot pass before every scenario ran, because of {', '.join(rules)}"
    if all(getattr(gate, name) is None for name in _BY_INTERVAL):
        return f"has no rule with an interval (expected {' or '.join(_BY_INTERVAL)})"
    return ""


def _without_early_passes(
    gate: Gate, rules: Iterable[RuleVerdict], left_out: int
) -> Iterator[RuleVerdict]:
    """Yield the verdicts of rules, inconclusive where a pass needs the scenarios left out."""
    reasons = dict(_rules_that_need_all(gate)) if left_out else {}
    for rule in rules:
        reason = reasons.get(rule.rule.partition(".")[0])
        if reason is not None and rule.verdict == "pass":
            why = f"{rule.message}; {plural(left_out, 'scenario')} not run by plan, and {reason}"
            rule = rule._replace(verdict="inconclusive", message=why)
        yield rule


def _least_rate(gate: Gate) -> float | None:
    bound = gate.min_pass_rate
    return bound.rate if isinstance(bound, PassRateBound) else bound


def _verdicts(rules: Mapping[str, Rule], gate: Gate, facts: GateInput) -> Iterator[RuleVerdict]:
    for name, rule in rules.items():
        bound = getattr(gate, name)
        if bound is not None:
            yield from rule(name, bound, gate, facts)
