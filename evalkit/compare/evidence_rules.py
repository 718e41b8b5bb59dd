"""The rules of a gate about the evidence: what a comparison lacks is not a pass. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from evalkit._lib.text import plural
from evalkit.compare.bar import ExpectationChange, failing_checks, reason_of
from evalkit.compare.gate_input import GateInput, Rule, allowed_names, at_most, outcome_of
from evalkit.compare.gates import Gate, GateOutcome, JudgeBound, RuleVerdict
from evalkit.compare.judges import JudgeRate
from evalkit.compare.rows import ResultRow

_LISTED = 3
"""Names in a sentence; the rest is counted."""


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
    if facts.left_out:
        message += (
            f"; {plural(facts.left_out, 'scenario')} not run by plan, because a gate was decided"
        )
    if missing.unfinished:
        message = f"the {' and the '.join(missing.unfinished)} run did not end"
    left_out = {"candidate": missing.left_out, "baseline": missing.baseline_left_out}
    totals = missing.totals["collected"], missing.totals["baseline_collected"]
    for (run, count), collected in zip(left_out.items(), totals, strict=True):
        if count:
            message += f"; {count} of {collected} variants of the {run} have no result"
    is_complete = not missing.unfinished and not any(left_out.values())
    yield RuleVerdict(name, outcome_of(is_complete, "inconclusive"), message)


def _min_pairs(name: str, least: int, _: Gate, facts: GateInput) -> Iterator[RuleVerdict]:
    pairs = facts.evidence.table.pairs
    message = f"{plural(pairs, 'pair')} scored in both runs, at least {least} must be"
    if not pairs:
        message = "no pair was scored in both runs, so there is nothing to compare"
    yield RuleVerdict(name, outcome_of(pairs >= max(least, 1), "inconclusive"), message)


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
    message = f"{count} of {facts.missing.totals[kind]} {sentence}, {at_most(most)}"
    yield RuleVerdict(name, outcome_of(count <= most, otherwise), message + allowed)


def _max_deselected(name: str, most: int, gate: Gate, facts: GateInput) -> Iterator[RuleVerdict]:
    allowed, unexplained = _split_allowed(facts.missing.removed, gate)
    # Which variants were deselected is not known; those that are allowed to be missing may be.
    excused = len(facts.missing.removed) - unexplained
    count = max(0, facts.missing.deselected - excused)
    run, total = "candidate", facts.missing.totals["collected"]
    if facts.missing.baseline_deselected > count:
        run, total = "baseline", facts.missing.totals["baseline_collected"]
        count = facts.missing.baseline_deselected
    message = f"{count} of {total} variants were deselected in the {run}, {at_most(most)}"
    yield RuleVerdict(name, outcome_of(count <= most, "inconclusive"), message + allowed)


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
    message = f"{number} expectations of the baseline were removed or loosened, {at_most(most)}"
    message += f": {_first(weakened)}" if weakened else ""
    message += f"; allowed: {', '.join(reasons)}" if reasons else ""
    yield RuleVerdict(name, outcome_of(len(weakened) <= most), message)
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


def _judge(name: str, bound: JudgeBound, _: Gate, facts: GateInput) -> Iterator[RuleVerdict]:
    for rate in facts.judges:
        outcome, reason, advice = _judge_outcome(bound, rate, facts.started)
        advice = advice and f"; {advice}"
        message = f"the judge of {rate.name} {reason}{advice}"
        yield RuleVerdict(f"{name}.{rate.key.rubric[:8]}", outcome, message)
    if not facts.judges:
        yield RuleVerdict(name, "pass", "no judge was asked in the candidate")


def _judge_outcome(
    bound: JudgeBound, rate: JudgeRate, started: str
) -> tuple[GateOutcome, str, str]:
    """Return the outcome for a judge, a clause with the reason, and what to do."""
    advice = "label its answers and run 'evalkit calibrate RUN'"
    calibration, error = rate.calibration, rate.error
    if calibration is None or error is None:
        return "fail", rate.problem, advice
    judged = calibration.judged
    try:
        age = datetime.fromisoformat(started) - datetime.fromisoformat(judged)
    except (TypeError, ValueError):
        return "inconclusive", "has a calibration of unknown age: the run has no start", ""
    if age < timedelta(0):
        reason = f"was calibrated on answers of {judged}, later than this run ({started})"
        return "fail", reason, "calibrate it on answers of this run or of an earlier one"
    reason = f"was calibrated on answers of {age.days} days before the run"
    if bound.max_age is not None and age > timedelta(days=int(bound.max_age[:-1])):
        return "fail", f"{reason}, at most {bound.max_age} are allowed", advice
    if bound.min_kappa is None:
        return "pass", reason, ""
    kappa, (low, high) = error.kappa.value, error.kappa.interval
    limit = f"at least {bound.min_kappa:g} is needed"
    if kappa is None:
        return "inconclusive", f"has no kappa: all its labels are alike; {limit}", advice
    reason = (
        f"agrees with people at kappa {kappa:.2f} (between {low:.2f} and {high:.2f}, "
        f"{calibration.labels:,} labels), {limit}"
    )
    if low >= bound.min_kappa:
        return "pass", reason, ""
    if high < bound.min_kappa:
        return "fail", reason, "make the rubric clearer or name another judge"
    return "inconclusive", reason, "label more of its answers and run 'evalkit calibrate RUN'"


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


EVIDENCE_RULES: Mapping[str, Rule] = {
    "complete": _complete,
    "min_pairs": _min_pairs,
    "max_removed": _max_missing,
    "max_weakened": _max_weakened,
    "max_deselected": _max_deselected,
    "max_skipped": _max_missing,
    "max_errors": _max_missing,
    "max_baseline_errors": _max_missing,
    "max_unmatched": _max_missing,
    "judge": _judge,
}
"""The rules about what must not be missing."""
