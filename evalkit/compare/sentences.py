"""Write what a comparison found as sentences for people.

They are built here only, so that terminal, HTML and CI say the same.
"""

from collections.abc import Iterable, Iterator

from evalkit._lib.text import plural
from evalkit.compare.compared_run import ComparedRun
from evalkit.compare.evidence import Evidence, TrialStatistics
from evalkit.compare.gate_rules import MissingEvidence
from evalkit.compare.gates import GateVerdict
from evalkit.compare.intervals import CONFIDENCE
from evalkit.compare.pairing import SystematicRegressions

_WHY = {
    "duplicates": "results appear twice in a run",
    "complete": "a run did not end, or variants have no result",
    "max_removed": "variants of the baseline are not in the candidate",
    "max_weakened": "less is expected of the candidate than of the baseline",
    "max_deselected": "variants were deselected",
    "max_skipped": "results of the candidate were skipped",
    "max_errors": "results of the candidate errored",
    "max_baseline_errors": "results of the baseline errored or were skipped",
    "max_unmatched": "the runs have different numbers of trials",
}
"""What is missing where a rule about the evidence decided."""


def conclusion(
    verdict: GateVerdict,
    found: Evidence,
    systematic: SystematicRegressions,
    *,
    unit: str,
    is_replayed: bool,
) -> str:
    """Return the verdict as a sentence for somebody who decides."""
    outcome = verdict.verdict
    start = {
        "pass": "Nothing found that speaks against shipping",
        "fail": "Do not ship yet",
        "inconclusive": "Not decided yet",
    }[outcome]
    table = found.table
    if not table.pairs:
        return f"{start}: there is nothing to compare."
    why = None if outcome == "pass" else _WHY.get(_deciding_rule(verdict))
    if why and not table.regressed:
        return f"{start}: {why}."
    facts = f"{table.regressed} of {plural(table.pairs, 'pair')} regressed"
    rest = "the difference is within noise"
    if found.is_out_of_reach and outcome != "pass":
        verb = "differs" if found.differing == 1 else "differ"
        rest = f"only {plural(found.differing, unit)} {verb}, too few to rule out chance"
    if systematic.variants:
        facts = (
            f"{len(systematic.variants)} of {plural(systematic.stable, 'variant')} that always "
            "passed now always fail"
        )
        rest = "the rest is within noise"
    if not table.differing or is_replayed:
        return f"{start}: {facts}."
    if found.is_significant:
        rest = f"all in all the candidate is {'better' if table.difference > 0 else 'worse'}"
    return f"{start}: {facts}; {rest}."


_NEXT_STEPS = {
    "duplicates": "Run the suites again, into an empty folder.",
    "complete": "Let both runs end: repeat their commands with --evalkit-resume.",
    "min_pairs": "Run the same suites in both runs.",
    "max_removed": "Restore the scenarios (also renamed ones), or list them under 'allow'.",
    "max_weakened": "Restore the expectations, or list the scenarios under 'allow'.",
    "max_deselected": "Run all variants, without -k, -m or node ids.",
    "max_skipped": "Run what was skipped, or list it under 'allow' with the reason.",
    "max_errors": "Remove the cause of the errors, which is not the model, and run again.",
    "max_baseline_errors": "Run the baseline again, without errors and skips.",
    "max_unmatched": "Run both with the same number of trials (--evalkit-repeat).",
    "max_systematic_regressions": "Read the regressions of all trials: they are not chance.",
    "max_regressions": "Read the regressions; accept what is intended with evalkit review.",
    "non_inferiority": "Read the regressions and what they have in common.",
    "min_pass_rate": "Read the failures of the candidate.",
    "pass_hat": "Read the variants whose trials disagree.",
    "tokens": "Read which variants need more tokens.",
    "cost": "Compare tokens and prices of both models.",
    "latency": "Read which variants take longer.",
    "required_tags": "Read the failures with the required tags.",
}
_MORE_EVIDENCE = {
    "max_systematic_regressions",
    "non_inferiority",
    "min_pass_rate",
    "pass_hat",
    "tokens",
    "cost",
    "latency",
}


def next_step(verdict: GateVerdict) -> str:
    """Return what to do now about the first rule that decided."""
    if verdict.verdict == "pass":
        return "Review what changed, then sign the candidate: evalkit review, evalkit signoff."
    name = _deciding_rule(verdict)
    if verdict.verdict == "inconclusive" and name in _MORE_EVIDENCE:
        return "Record more scenarios or trials: evalkit plan says how many."
    return _NEXT_STEPS[name]


def _deciding_rule(verdict: GateVerdict) -> str:
    """Return the name of the first rule that decided.

    Where variants are only *inconclusively* removed, another rule says why they are not there.
    """
    rules = [one.rule.partition(".")[0] for one in verdict.rules if one.verdict == verdict.verdict]
    others = [name for name in rules if name != "max_removed"]
    is_explained = verdict.verdict == "inconclusive" and others
    return others[0] if is_explained else rules[0]


def significance(found: Evidence, unit: str) -> str:
    """Return a sentence on what the sign-flip test says, or could not say."""
    table = found.table
    if not table.pairs:
        return "No pair was scored in both runs."
    if not table.differing:
        return f"No pair differs ({plural(table.pairs, 'pair')})."
    level = "" if found.confidence == CONFIDENCE else f" at {found.confidence:.0%} confidence"
    split = (
        f"{table.regressed} regressed, {table.improved} improved, of "
        f"{plural(table.pairs, 'pair')}: p = {found.p:.4g}"
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
    if mean is None:
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
    mean = found.mean
    if mean is not None and mean.is_dominated:
        yield (
            f"one {unit} has {mean.largest:.0%} of the pairs and decides most of the "
            f"result: the {plural(mean.clusters, unit)} are worth {mean.effective:.1f}"
        )
