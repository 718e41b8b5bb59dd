"""Evaluate the rules of a gate on the figures of a comparison. Pure.

A gate fails if a rule fails; otherwise it is inconclusive if a rule is; otherwise it passes.
Terminal, exit code, JSON, HTML and CI show this one verdict. Every sentence says of how many the
figure is.
"""

from collections.abc import Iterator, Mapping

from evalkit.compare.evidence_rules import EVIDENCE_RULES
from evalkit.compare.gate_input import GateInput, Rule
from evalkit.compare.gates import Gate, GateOutcome, GateVerdict, RuleVerdict
from evalkit.compare.model_rules import MODEL_RULES

_ONLY_EVIDENCE = "the gate has no rule about the model, and its rules about the evidence are met"


def evaluate_gate(name: str, gate: Gate, facts: GateInput) -> GateVerdict:
    """Return the verdict of a gate over a comparison."""
    about_model = tuple(_verdicts(MODEL_RULES, gate, facts))
    rules = (*about_model, *_verdicts(EVIDENCE_RULES, gate, facts))
    outcomes = {rule.verdict for rule in rules}
    order: tuple[GateOutcome, ...] = ("fail", "inconclusive", "pass")
    verdict = next(one for one in order if one in outcomes)
    # That nothing is missing is not worth a sentence.
    messages = [
        rule.message
        for rule in (about_model if verdict == "pass" else rules)
        if rule.verdict == verdict
    ]
    return GateVerdict(name, verdict, "; ".join(messages) or _ONLY_EVIDENCE, rules)


def _verdicts(rules: Mapping[str, Rule], gate: Gate, facts: GateInput) -> Iterator[RuleVerdict]:
    for name, rule in rules.items():
        bound = getattr(gate, name)
        if bound is not None:
            yield from rule(name, bound, gate, facts)
