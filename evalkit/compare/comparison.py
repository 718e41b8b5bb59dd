"""Compare a baseline run with a candidate run.

A Comparison has rows, pairs, evidence and the gate's verdict; ``comparison_json`` is its
record for programs, ``sentences`` is what people read.

Either two runs are compared in full, or some choices of each, such as a model or a prompt (of the
same run, if its suites have several). Then only the rows of those choices count, and their axes are
left out of the identity by which results are paired. The model is also left out where each run has
one model and they differ, because then the model is what is compared.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from evalkit._lib.text import plural, quoted
from evalkit.checks.core.pricing import unlisted_tokens
from evalkit.compare.bar import (
    BarComparison,
    BarList,
    BarVerdicts,
    ComparedChoices,
    bar_lists,
    bar_verdicts,
    compare_digests,
)
from evalkit.compare.compared_run import ComparedRun, compared_run
from evalkit.compare.evidence import (
    Evidence,
    MetricDifference,
    TagEvidence,
    by_tag,
    evidence,
    metric_differences,
)
from evalkit.compare.gate_rules import (
    GateInput,
    MissingEvidence,
    allowed_names,
    evaluate_gate,
)
from evalkit.compare.gates import LIVE, REPLAY, Gate, GateVerdict
from evalkit.compare.intervals import CONFIDENCE
from evalkit.compare.metric_rows import MetricRow, metric_rows
from evalkit.compare.pairing import (
    Pair,
    PairChange,
    Pairing,
    change_warnings,
    pair_runs,
    request_changes,
    run_changes,
    systematic_regressions,
)
from evalkit.compare.rows import Prices, ResultRow, grouped
from evalkit.compare.selection import AxisChoice, refuse_ambiguous, without_axes
from evalkit.compare.sentences import (
    conclusion,
    evidence_warnings,
    flakiness,
    next_step,
    sensitivity,
    significance,
)
from evalkit.compare.variant_changes import VariantChange, variant_changes
from evalkit.errors import UsageError
from evalkit.results import Run
from evalkit.results.result_line import count_verdicts

CompareBars = Callable[[Run, Run, ComparedChoices], BarComparison]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A baseline run against a candidate run.

    Without a ``named_gate`` the one that fits the runs' source applies. ``configuration`` lists
    what else differs between the runs, ``notes`` what a reader must know about that; ``unknown``
    says why a metric is not known, ``currency`` that of the prices, empty if it is not declared.
    """

    baseline: ComparedRun
    candidate: ComparedRun
    gate_name: str = "default"
    named_gate: Gate | None = None
    bar: BarComparison = field(default_factory=BarComparison)
    configuration: Sequence[str] = ()
    notes: Sequence[str] = ()
    unknown: Mapping[str, str] = field(default_factory=dict)
    currency: str = ""

    @cached_property
    def pairing(self) -> Pairing:
        """The runs side by side."""
        return pair_runs(self.baseline.rows, self.candidate.rows)

    @property
    def is_replayed(self) -> bool:
        """Whether neither run reached the endpoint, so that no difference is due to chance."""
        return {self.baseline.source, self.candidate.source} <= {"replayed", "unknown"}

    @property
    def gate(self) -> Gate:
        """The gate that decides."""
        return self.named_gate or (REPLAY if self.is_replayed else LIVE)

    @cached_property
    def evidence(self) -> Evidence:
        """What the scored pairs show, at the gate's confidence."""
        bound = self.gate.non_inferiority
        return evidence(self.pairing.scored, bound.confidence if bound else CONFIDENCE)

    @cached_property
    def metrics(self) -> dict[str, MetricDifference]:
        """The measured values of the scored pairs, without what is not known of a run."""
        budgets = {"tokens": self.gate.tokens, "cost": self.gate.cost}
        include = {name: one.include for name, one in budgets.items() if one is not None}
        differences = metric_differences(self.pairing.scored, include=include)
        return {name: one for name, one in differences.items() if name not in self.unknown}

    @cached_property
    def tags(self) -> dict[str, TagEvidence]:
        """What the pairs of each tag show."""
        return by_tag(self.pairing.scored)

    @cached_property
    def unit(self) -> str:
        """What a cluster is: a scenario, or a case if all scenarios have cases."""
        return "case" if all(pair.candidate.case for pair in self.pairing.scored) else "scenario"

    @cached_property
    def missing(self) -> MissingEvidence:
        """What the comparison should have had and has not."""
        old, new, pairing = self.baseline, self.candidate, self.pairing
        runs = {"baseline": old, "candidate": new}
        return MissingEvidence(
            unfinished=[name for name, run in runs.items() if not run.is_complete],
            left_out=new.left_out,
            deselected=new.deselected,
            baseline_deselected=old.deselected,
            duplicates=old.duplicates + new.duplicates,
            removed=list({row.variant: row for row in pairing.removed}.values()),
            skipped=new.with_verdict("skipped"),
            errored=new.with_verdict("errored"),
            baseline_errored=old.with_verdict("errored")
            + [
                pair.baseline
                for pair in pairing.pairs
                if pair.baseline.verdict == "skipped" != pair.candidate.verdict
            ],
            unmatched=pairing.unmatched,
            totals={
                "collected": new.collected or len(new.rows),
                "baseline_collected": old.collected or len(old.rows),
                "removed": len({row.variant for row in old.rows}),
                "skipped": len(new.rows),
                "errored": len(new.rows),
                "baseline_errored": len(old.rows),
                "unmatched": len(old.rows) + len(new.rows),
            },
        )

    @cached_property
    def bar_verdicts(self) -> BarVerdicts:
        """Where the candidate's verdicts depend on whose expectations judge them."""
        return bar_verdicts(self.candidate.rows, self.bar.judged)

    @property
    def bar_lists(self) -> list[BarList]:
        """What people should know about whose expectations decided."""
        return bar_lists(self.bar, self.bar_verdicts)

    @cached_property
    def verdict(self) -> GateVerdict:
        """The gate's verdict."""
        rows = self.candidate.rows
        tagged = grouped((tag, row.verdict) for row in rows for tag in dict.fromkeys(row.tags))
        facts = GateInput(
            evidence=self.evidence,
            unit=self.unit,
            candidate=self.candidate.counts,
            passed=self.candidate.passed,
            trials=self.candidate.trials,
            metrics=self.metrics,
            unknown=self.unknown,
            tags={tag: count_verdicts(verdicts) for tag, verdicts in tagged.items()},
            systematic=systematic_regressions(self.pairing.scored),
            missing=self.missing,
            bar=self.bar,
            bar_verdicts=self.bar_verdicts,
        )
        name = self.gate_name
        if self.named_gate is None:
            name = f"{name} ({self.gate.description})"
        return evaluate_gate(name, self.gate, facts)

    @cached_property
    def warnings(self) -> list[str]:
        """What a reader must know before trusting a figure, most serious first."""
        return [
            *evidence_warnings(self.missing, self.evidence, self.unit),
            *self._unused_exceptions(),
            *self.notes,
            *self.unknown.values(),
        ]

    def _unused_exceptions(self) -> Iterator[str]:
        missing = self.missing
        lists: tuple[Sequence[ResultRow], ...] = (
            missing.removed,
            missing.skipped,
            missing.errored,
            missing.baseline_errored,
        )
        verdicts = self.bar_verdicts
        lists += (missing.unmatched, verdicts.lenient, verdicts.unclear)
        used = {name for rows in lists for row in rows for name in allowed_names(row)}
        used.update(change.scenario for change in self.bar.weakened)
        for name in self.gate.allow:
            if name not in used:
                yield f"the gate allows {quoted(name)}, of which nothing is missing"

    @property
    def conclusion(self) -> str:
        """The verdict as a sentence for somebody who decides."""
        systematic = systematic_regressions(self.pairing.scored)
        return conclusion(
            self.verdict,
            self.evidence,
            systematic,
            unit=self.unit,
            is_replayed=self.is_replayed,
        )

    @property
    def next_step(self) -> str:
        """What to do now, in one sentence."""
        return next_step(self.verdict)

    @property
    def metric_rows(self) -> list[MetricRow]:
        """Tokens, cost and time as rows of text."""
        return list(metric_rows(self.metrics, self.currency))

    def changed(self, change: PairChange) -> list[Pair]:
        """Return the pairs of one change, in the candidate's order."""
        return [pair for pair in self.pairing.pairs if pair.change == change]

    def changed_variants(self, change: PairChange) -> list[VariantChange]:
        """Return the variants with trials of one change, most certain first."""
        return variant_changes(self.pairing, change, (self.baseline.rates, self.candidate.rates))

    @property
    def significance(self) -> str:
        """What the sign-flip test says, or could not say."""
        return significance(self.evidence, self.unit)

    @property
    def sensitivity(self) -> str:
        """The drop that so many scenarios can show."""
        return sensitivity(self.evidence, self.unit)

    @property
    def flakiness(self) -> str:
        """What is known about flakiness."""
        return flakiness((self.baseline, self.candidate))


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
) -> Comparison:
    """Compare two runs, or two choices of one run.

    ``compare_bars`` compares what they were judged by; without it, only digests are compared.
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
    if len(old_run.models) == len(new_run.models) == 1 and old_run.models != new_run.models:
        axes.setdefault("model")
    if axes:
        old_run, new_run = (
            replace(run, rows=[without_axes(row, axes) for row in run.rows])
            for run in (old_run, new_run)
        )
        refuse_ambiguous(old_run.rows, axes, baseline_choices, "baseline")
        refuse_ambiguous(new_run.rows, axes, candidate_choices, "candidate")
    choices = ComparedChoices(baseline=dict(baseline_choices), candidate=dict(candidate_choices))
    bar = compare_bars(baseline, candidate, choices)
    pairing = pair_runs(old_run.rows, new_run.rows)
    manifests = baseline.manifest, candidate.manifest
    changes = [*run_changes(*manifests), *request_changes(pairing)]
    notes = change_warnings(changes, axes)
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
        baseline=old_run,
        candidate=new_run,
        gate_name=gate_name,
        named_gate=gate,
        bar=bar,
        configuration=[str(change) for change in changes],
        notes=notes,
        unknown=_unknown_metrics(old_run, new_run, prices, gate),
        currency=currency,
    )


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
        what = {"judge": "of judges", "retried": "of answers that were asked for again"}[kind]
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
