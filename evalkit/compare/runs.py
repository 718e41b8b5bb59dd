"""Compare two runs, or two choices of one run, as they are stored."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from evalkit._lib.text import plural, quoted
from evalkit.checks.core.pricing import unlisted_tokens
from evalkit.compare.answer_differences import answer_differences
from evalkit.compare.bar import CompareBars, ComparedChoices, compare_digests
from evalkit.compare.compared_run import ComparedRun, compared_run
from evalkit.compare.comparison import Comparison
from evalkit.compare.configuration_changes import (
    change_warnings,
    request_changes,
    run_changes,
)
from evalkit.compare.gates import Gate
from evalkit.compare.pairing import Pairing, pair_runs
from evalkit.compare.rows import Prices, ResultRow, grouped
from evalkit.compare.selection import AxisChoice, refuse_ambiguous, without_axes
from evalkit.compare.turn_results import TurnRun, aligned_turns, lock_notes
from evalkit.errors import UsageError
from evalkit.results import Run
from evalkit.results.calibrations import Calibration


def compare(
    baseline: Run,
    candidate: Run,
    *,
    baseline_choices: Sequence[AxisChoice] = (),
    candidate_choices: Sequence[AxisChoice] = (),
    gate_name: str = "default",
    gate: Gate | None = None,
    prices: Mapping[str, Prices] | None = None,
    currency: str = "",
    compare_bars: CompareBars = compare_digests,
    calibrations: Sequence[Calibration] = (),
) -> Comparison:
    """Compare two runs, or two choices of one run; turn by turn if both are a TurnRun.

    ``compare_bars`` compares what they were judged by; without it, only digests are compared.
    ``calibrations`` are those of the project's judges.
    Raises UsageError for a line that is not a result, for choices without results, and for a run
    with itself.
    """
    prices = prices or {}
    is_same_run = baseline.directory.resolve() == candidate.directory.resolve()
    within_run = is_same_run and bool(baseline_choices and candidate_choices)
    old_run, new_run = (
        compared_run(run, choices, prices, within_run=within_run)
        for run, choices in ((baseline, baseline_choices), (candidate, candidate_choices))
    )
    if is_same_run and {row.id for row in old_run.rows} & {row.id for row in new_run.rows}:
        raise UsageError(
            f"{baseline.directory}: a run cannot be compared with itself; name another run, or two "
            "choices of this one with --baseline AXIS=CHOICE and --candidate AXIS=CHOICE"
        )
    axes = dict.fromkeys(choice.axis for choice in (*baseline_choices, *candidate_choices))
    old_run, new_run = pairable_runs(old_run, new_run, axes)
    if axes:
        refuse_ambiguous(old_run.rows, axes, baseline_choices, "baseline")
        refuse_ambiguous(new_run.rows, axes, candidate_choices, "candidate")
    if isinstance(candidate, TurnRun):
        rows = old_run.rows, new_run.rows
        old_run = replace(old_run, rows=aligned_turns(*rows))
        new_run = replace(new_run, rows=aligned_turns(*reversed(rows)))
    choices = ComparedChoices(baseline=dict(baseline_choices), candidate=dict(candidate_choices))
    bar = compare_bars(baseline, candidate, choices)
    pairing = pair_runs(old_run.rows, new_run.rows)
    lock = lock_notes((baseline, candidate), (old_run.rows, new_run.rows), pairing)
    manifests = baseline.manifest, candidate.manifest
    changes = [*run_changes(*manifests), *request_changes(pairing)]
    notes = lock + change_warnings(changes, axes)
    notes += _model_notes(pairing, axes)
    if (
        not is_same_run
        and manifests[0] == manifests[1]
        and manifests[0].get("started")
        and all(pair.baseline == pair.candidate for pair in pairing.pairs)
    ):
        notes.append("both directories hold the same run: started, ended and answered alike")
    notes += _price_notes([*old_run.rows, *new_run.rows], prices)
    notes += _extra_notes([*old_run.rows, *new_run.rows], gate)
    return Comparison(
        find_differences=partial(answer_differences, pairing, baseline, candidate),
        baseline=old_run,
        candidate=new_run,
        gate_name=gate_name,
        named_gate=gate,
        bar=bar,
        configuration=[str(change) for change in changes],
        notes=notes,
        unknown=_unknown_metrics(old_run, new_run, prices, gate),
        by_turn=isinstance(candidate, TurnRun),
        currency=currency,
        calibrations=calibrations,
    )


def pairable_runs(
    baseline: ComparedRun, candidate: ComparedRun, axes: dict[str, None]
) -> tuple[ComparedRun, ComparedRun]:
    """Return both runs without the parts of some axes in the keys of their results.

    Adds the model to the axes where each run has one and they differ.
    """
    if len(baseline.models) == len(candidate.models) == 1 and baseline.models != candidate.models:
        axes.setdefault("model")
    if not axes:
        return baseline, candidate
    old, new = (
        replace(run, rows=[without_axes(row, axes) for row in run.rows])
        for run in (baseline, candidate)
    )
    return old, new


def _model_notes(pairing: Pairing, axes: Iterable[str]) -> Iterator[str]:
    """Yield that the model differs where another axis is compared."""
    if "model" in axes or not axes:
        return
    pairs = sum(old.model != new.model for old, new in pairing.pairs)
    if pairs:
        yield f"the models differ, too ({plural(pairs, 'pair')}): a change may be due to the model"


def _extra_notes(rows: Sequence[ResultRow], gate: Gate | None) -> Iterator[str]:
    """Yield what is counted apart from the conversations, unless the gate includes it."""
    extras = grouped((one.kind, one) for row in rows for one in row.extra)
    for kind, used in extras.items():
        budgets = [one for one in (gate.tokens, gate.cost) if one] if gate else []
        if budgets and all(kind in one.include for one in budgets):
            continue
        tokens = sum(one.tokens.get("total_tokens", 0) for one in used)
        what = {
            "judge": "of judges",
            "simulator": "of simulated users",
            "retried": "of answers that were asked for again",
        }[kind]
        costs = [one.cost for one in used]
        cost = "" if None in costs else f", cost {sum(filter(None, costs)):,.4g}"
        yield f"not part of tokens and cost: {tokens:,} tokens {what}{cost} (both runs)"


def _price_notes(rows: Sequence[ResultRow], prices: Mapping[str, Prices]) -> Iterator[str]:
    """Yield what a cost leaves out or guesses."""
    priced = [row for row in rows if row.scored and row.model in prices]
    unlisted = sum(unlisted_tokens(row.usage) for row in priced if row.cost is not None)
    if unlisted:
        yield (
            f"{plural(unlisted, 'token')} in the totals of responses only, neither as input nor as "
            "output: the cost counts them as output"
        )
    unpriced = sum(row.cost is None for row in priced)
    if unpriced:
        yield (
            f"{unpriced} of {plural(len(priced), 'scored result')} do not say how many tokens are "
            "input and output: their cost is unknown"
        )


def _unknown_metrics(
    baseline: ComparedRun,
    candidate: ComparedRun,
    prices: Mapping[str, Prices],
    gate: Gate | None,
) -> dict[str, str]:
    unknown = {}
    included = gate.cost.include if gate is not None and gate.cost is not None else []
    extra = {
        one.model
        for row in (*baseline.rows, *candidate.rows)
        for one in row.extra
        if one.kind in included
    }
    models = sorted({*baseline.models, *candidate.models, *extra} - prices.keys())
    if models and (prices or (gate is not None and gate.cost is not None)):
        names = ", ".join(map(quoted, models))
        unknown["cost"] = f"the cost is unknown: evalkit.yaml has no price of {names}"
    sources = baseline.source, candidate.source
    if sources[0] != sources[1] and "unknown" not in sources:
        unknown["elapsed_ms"] = (
            f"times cannot be compared: the baseline is {sources[0]}, the candidate {sources[1]}, "
            "and a replayed time is that of its recording"
        )
    return unknown
