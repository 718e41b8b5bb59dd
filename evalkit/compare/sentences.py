"""Write what a comparison found as sentences for people.

They are built here only, so that terminal, HTML and CI say the same.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from evalkit._lib.text import plural
from evalkit.compare.compared_run import ComparedRun
from evalkit.compare.evidence import Evidence
from evalkit.compare.gate_input import MissingEvidence
from evalkit.compare.gates import GateVerdict
from evalkit.compare.intervals import CONFIDENCE, points
from evalkit.compare.pairing import SystematicRegressions
from evalkit.compare.trials import TrialStatistics


class RuleTexts(NamedTuple):
    """What is wrong where a rule decided, and what to do about it."""

    why: str
    step: str


_MORE_EVIDENCE = "Record more scenarios or trials: evalkit plan says how many."
_TEXTS: Mapping[str, RuleTexts] = {
    "duplicates": RuleTexts(
        "results appear twice in a run", "Run the suites again, into an empty folder."
    ),
    "complete": RuleTexts(
        "a run did not end, or variants have no result",
        "Let both runs end: repeat their commands with --evalkit-resume.",
    ),
    "min_pairs": RuleTexts(
        "too few pairs were scored in both runs", "Run the same suites in both runs."
    ),
    "max_removed": RuleTexts(
        "variants of the baseline are not in the candidate",
        "Restore the scenarios (also renamed ones), or list them under 'allow'.",
    ),
    "max_weakened": RuleTexts(
        "less is expected of the candidate than of the baseline",
        "Restore the expectations, or list the scenarios under 'allow'.",
    ),
    "max_weakened inconclusive": RuleTexts(
        "whether the candidate meets the baseline's expectations is not known",
        "Run the suites of both runs again, so that both store what they expect.",
    ),
    "max_deselected": RuleTexts(
        "variants were deselected", "Run all variants, without -k, -m or node ids."
    ),
    "max_skipped": RuleTexts(
        "results of the candidate were skipped",
        "Run what was skipped, or list it under 'allow' with the reason.",
    ),
    "max_errors": RuleTexts(
        "results of the candidate errored",
        "Remove the cause of the errors, which is not the model, and run again.",
    ),
    "max_baseline_errors": RuleTexts(
        "results of the baseline errored or were skipped",
        "Run the baseline again, without errors and skips.",
    ),
    "max_unmatched": RuleTexts(
        "the runs have different numbers of trials",
        "Run both with the same number of trials (--evalkit-repeat).",
    ),
    "judge": RuleTexts(
        "the error of a judge is not known, or too large",
        "Label answers that it judged, then run 'evalkit calibrate'.",
    ),
    "max_systematic_regressions": RuleTexts(
        "variants that always passed now always fail",
        "Read the regressions of all trials: they are not chance.",
    ),
    "max_systematic_regressions inconclusive": RuleTexts(
        "variants regressed in too few trials to rule out chance",
        "Run more trials of each variant with --evalkit-repeat.",
    ),
    "max_regressions": RuleTexts(
        "too many pairs regressed",
        "Read the regressions; accept what is intended with evalkit review.",
    ),
    "max_regressions inconclusive": RuleTexts(
        "not every scenario ran", "Run all scenarios, without --evalkit-until-decided."
    ),
    "non_inferiority": RuleTexts(
        "the candidate is worse by more than the margin",
        "Read the regressions and what they have in common.",
    ),
    "non_inferiority inconclusive": RuleTexts(
        "a drop beyond the margin is not ruled out", _MORE_EVIDENCE
    ),
    "min_pass_rate": RuleTexts("too few results pass", "Read the failures of the candidate."),
    "min_pass_rate inconclusive": RuleTexts(
        "it is not shown that enough results pass", _MORE_EVIDENCE
    ),
    "pass_hat": RuleTexts(
        "too few variants pass in all trials", "Read the variants whose trials disagree."
    ),
    "pass_hat inconclusive": RuleTexts(
        "there are too few trials", "Record more trials with --evalkit-repeat."
    ),
    "required_tags": RuleTexts(
        "results with a required tag failed, or no result has it",
        "Read the failures with the required tags.",
    ),
    "required_tags inconclusive": RuleTexts(
        "results with a required tag errored or were skipped",
        "Remove the cause, which is not the model, and run again.",
    ),
    "tokens": RuleTexts(
        "the candidate needs too many tokens", "Read which variants need more tokens."
    ),
    "cost": RuleTexts("the candidate costs too much", "Compare tokens and prices of both models."),
    "latency": RuleTexts("the candidate takes too long", "Read which variants take longer."),
    "tokens unknown": RuleTexts(
        "tokens are not known", "Run suites whose responses have usage, or remove the rule."
    ),
    "cost unknown": RuleTexts("the cost is not known", "Name the missing prices in evalkit.yaml."),
    "latency unknown": RuleTexts(
        "times cannot be compared", "Compare two live runs, or two replayed ones."
    ),
    **dict.fromkeys(
        ("tokens inconclusive", "cost inconclusive", "latency inconclusive"),
        RuleTexts("it is not shown that the budget is met", _MORE_EVIDENCE),
    ),
}
"""By rule; where it matters, by whether it is inconclusive, or its figure unknown."""
_ABOUT_PAIRS = {"max_systematic_regressions", "max_regressions", "non_inferiority"}
_EXPLAINED = {"max_removed", "min_pairs"}
"""Rules that only count what another one explains, if there is another one."""


def conclusion(
    verdict: GateVerdict,
    found: Evidence,
    systematic: SystematicRegressions,
    *,
    unit: str,
    is_replayed: bool,
) -> str:
    """Return the verdict as a sentence for somebody who decides."""
    table, rule = found.table, _deciding_rule(verdict)
    parts = [_facts(found, systematic, unit, verdict.verdict == "pass", is_replayed)]
    if verdict.verdict == "pass":
        start = "Nothing found that speaks against shipping"
        if _is_worse(found, systematic):
            start = "The gate passes in spite of this"
        parts += [f"{table.both_failed} failed in both runs"] * bool(table.both_failed)
    else:
        start = "Do not ship yet" if verdict.verdict == "fail" else "Not decided yet"
        if not table.regressed:
            parts = [_texts(verdict, rule).why]
        elif rule not in _ABOUT_PAIRS:
            parts = [_texts(verdict, rule).why, *parts]
    if not table.pairs:
        parts.append("there is nothing to compare")
    return f"{start}: {'; '.join(parts)}."


def _is_worse(found: Evidence, systematic: SystematicRegressions) -> bool:
    """Return whether the regressions are not chance, whatever the gate allows."""
    return bool(systematic.variants) or (found.is_significant and found.table.difference < 0)


def _facts(
    found: Evidence,
    systematic: SystematicRegressions,
    unit: str,
    passes: bool,
    is_replayed: bool,
) -> str:
    """Return how many pairs regressed, and what that may be due to."""
    table = found.table
    facts = f"{table.regressed} of {plural(table.pairs, 'pair')} regressed"
    rest = "the difference is within noise"
    if found.is_out_of_reach and not passes:
        verb = "differs" if found.differing == 1 else "differ"
        rest = f"only {plural(found.differing, unit)} {verb}, too few to rule out chance"
    if systematic.variants:
        facts = (
            f"{len(systematic.variants)} of {plural(systematic.stable, 'variant')} that always "
            "passed now always fail"
        )
        rest = "the rest is within noise"
    if found.is_significant:
        rest = f"all in all the candidate is {'better' if table.difference > 0 else 'worse'}"
    return facts if not table.differing or is_replayed else f"{facts}; {rest}"


def next_step(verdict: GateVerdict, found: Evidence) -> str:
    """Return what to do now about the first rule that decided."""
    if verdict.verdict == "pass":
        return "Review what changed, then sign the candidate: evalkit review, evalkit signoff."
    step = _texts(verdict, _deciding_rule(verdict)).step
    if step == _MORE_EVIDENCE and found.table.regressed:
        return f"Read the regressions, then {step[0].lower()}{step[1:]}"
    return step


def _texts(verdict: GateVerdict, name: str) -> RuleTexts:
    is_unknown = any(one.rule == name for one in verdict.rules)
    kind = "unknown" if is_unknown and f"{name} unknown" in _TEXTS else verdict.verdict
    return _TEXTS.get(f"{name} {kind}") or _TEXTS[name]


def _deciding_rule(verdict: GateVerdict) -> str:
    """Return the name of the first rule that decided, of those that explain themselves."""
    rules = [one.rule.partition(".")[0] for one in verdict.rules if one.verdict == verdict.verdict]
    others = [name for name in rules if name not in _EXPLAINED]
    return next(iter((others if verdict.verdict == "inconclusive" else rules) or rules), "")


def interval_text(found: Evidence, unit: str) -> str:
    """Return the difference of the pass rates with its interval, in a sentence."""
    mean = found.mean
    size = ""
    if mean is not None and mean.effective < 0.95 * mean.clusters:
        size = f" of different size, worth {mean.effective:.1f}"
    how = "" if found.largest is None else ", valid at any time of stopping"
    return (
        f"Difference {points(found.table.difference)} points, between {found.interval.points} "
        f"({found.confidence:.0%}{how}, {plural(found.clusters, unit)}{size})."
    )


def significance(found: Evidence, unit: str) -> str:
    """Return a sentence on what the sign-flip test says, or could not say."""
    table = found.table
    if not table.pairs:
        return "No pair was scored in both runs."
    if not table.differing:
        return f"No pair differs ({plural(table.pairs, 'pair')})."
    valid = ", valid at any time of stopping" if found.largest is not None else ""
    level = "" if found.confidence == CONFIDENCE else f" at {found.confidence:.0%} confidence"
    split = (
        f"{table.regressed} regressed, {table.improved} improved, of "
        f"{plural(table.pairs, 'pair')}: p = {found.p:.4g}{valid}"
    )
    if found.is_out_of_reach:
        verb = "differs" if found.differing == 1 else "differ"
        return (
            f"{split}. Significance was out of reach: only "
            f"{plural(found.differing, unit)} {verb}, and so few can never give "
            f"p < {1 - found.confidence:.2g}."
        )
    if not found.is_significant:
        return f"{split}, not significant{level}."
    direction = "better" if table.difference > 0 else "worse"
    return f"{split}, significant{level}: the candidate is {direction}."


def sensitivity(found: Evidence, unit: str) -> str:
    """Return a sentence on the drop that so many scenarios can show."""
    table, mean = found.table, found.mean
    if mean is None or found.largest is not None:
        return ""
    basis = plural(mean.clusters, unit)
    if mean.has_repeats:
        basis += f" ({plural(table.pairs, 'pair')}, worth {found.effective:,.0f} independent)"
    share = f"{table.differing / table.pairs:.0%} differ" if table.differing else "none differs"
    basis = f"With {basis} of which {share}"
    if found.detectable is None:
        return f"{basis}, no drop at all would be found with 80 % power: add {unit}s."
    return (
        f"{basis}, a drop of {found.detectable * 100:.1f} points would be found with 80 % "
        "power; a smaller one may be missed."
    )


def flakiness(runs: Iterable[ComparedRun]) -> str:
    """Return a sentence on what is known about flakiness."""
    runs = list(runs)
    if all(run.trials.most < 2 for run in runs):
        return (
            "One trial per variant: nothing is known about flakiness. Record more with "
            "--evalkit-repeat."
        )
    sides = zip(("Baseline", "candidate"), runs, strict=True)
    return "; ".join(f"{side}: {_trials(run.trials)}" for side, run in sides) + "."


def _trials(trials: TrialStatistics) -> str:
    if not trials.repeated:
        return "one trial per variant, nothing is known"
    return (
        f"trials disagree in {len(trials.flaky)} of {trials.repeated} variants with several trials"
    )


def evidence_warnings(missing: MissingEvidence, found: Evidence, unit: str) -> Iterator[str]:
    """Yield what is missing from the evidence, most serious first."""
    for name in missing.unfinished:
        yield f"the {name} run did not end: some results are missing"
    if missing.duplicates:
        yield f"results that appear twice in a run: {missing.duplicates}; the last of each counts"
    if missing.unmatched:
        yield (
            f"trials without a partner: {len(missing.unmatched)}, because the runs have "
            "different numbers of trials; they are in no pair"
        )
    if missing.added_failures:
        yield (
            f"results that only the candidate has, and that failed: {missing.added_failures}; they "
            "are in no pair"
        )
    if found.largest is not None:
        yield (
            "a run could stop early: the intervals of verdicts take it into account, those of "
            "scores, judges, tokens, cost and time do not"
        )
    mean = found.mean
    if mean is not None and mean.is_dominated:
        yield (
            f"one {unit} has {mean.largest:.0%} of the pairs and decides most of the "
            f"result: the {plural(mean.clusters, unit)} are worth {mean.effective:.1f}"
        )
