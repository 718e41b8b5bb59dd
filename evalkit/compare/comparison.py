"""Compare a baseline run with a candidate run.

A Comparison has rows, pairs, evidence and the gate's verdict; ``comparison_json`` is its
record for programs, ``sentences`` is what people read.

Either two runs are compared in full, or some choices of each, such as a model or a prompt (of the
same run, if its suites have several). Then only the rows of those choices count, and their axes are
left out of the identity by which results are paired. The model is also left out where each run has
one model and they differ, because then the model is what is compared.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from evalkit._lib.text import as_sentence, plural, quoted, visible
from evalkit.compare.bar import (
    BarComparison,
    BarList,
    BarVerdicts,
    bar_lists,
    bar_verdicts,
)
from evalkit.compare.compared_run import ComparedRun
from evalkit.compare.evidence import Evidence, TagEvidence, by_tag, evidence
from evalkit.compare.figure_rows import FigureRow, metric_rows, run_rows, score_rows
from evalkit.compare.gate_decision import decide_early, evaluate_gate
from evalkit.compare.gate_input import GateInput, MissingEvidence, allowed_names
from evalkit.compare.gates import LIVE, REPLAY, Gate, GateVerdict
from evalkit.compare.intervals import CONFIDENCE
from evalkit.compare.judges import JudgeComparison, compare_judges, judge_rates, judgments_of
from evalkit.compare.metrics import (
    MetricDifference,
    ScoreDifference,
    metric_differences,
    score_differences,
)
from evalkit.compare.pairing import (
    Pair,
    PairChange,
    Pairing,
    pair_runs,
    systematic_regressions,
    variants_of,
)
from evalkit.compare.rows import ResultRow, grouped
from evalkit.compare.sentences import (
    conclusion,
    evidence_warnings,
    flakiness,
    interval_text,
    next_step,
    sensitivity,
    significance,
)
from evalkit.compare.variant_changes import VariantChange, variant_changes
from evalkit.results.calibrations import Calibration
from evalkit.results.early_stop import SIMULATED_ERRORS, early_stop_text
from evalkit.results.result_line import count_verdicts


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A baseline run against a candidate run.

    Without a ``named_gate`` the one that fits the runs' source applies. ``configuration`` lists
    what else differs between the runs, ``find_differences`` where answers with the same verdict
    do; ``notes`` are what a reader must know about that. ``unknown`` says why a metric is not
    known, ``currency`` that of the prices, empty if it is not declared. ``by_turn`` says that
    pairs are turns of locked conversations. ``calibrations`` are of the project's judges.
    """

    baseline: ComparedRun
    candidate: ComparedRun
    gate_name: str = "default"
    named_gate: Gate | None = None
    bar: BarComparison = field(default_factory=BarComparison)
    configuration: Sequence[str] = ()
    find_differences: Callable[[], Mapping[str, str]] = dict
    notes: Sequence[str] = ()
    unknown: Mapping[str, str] = field(default_factory=dict)
    currency: str = ""
    by_turn: bool = False
    calibrations: Sequence[Calibration] = ()

    @cached_property
    def pairing(self) -> Pairing:
        """The runs side by side."""
        return pair_runs(self.baseline.rows, self.candidate.rows, self._not_run)

    @property
    def _not_run(self) -> Collection[str]:
        """The clusters that the candidate left out by plan."""
        record = self.candidate.sequential
        return record["not_run"] if record is not None else ()

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
        confidence = bound.confidence if bound else CONFIDENCE
        return evidence(self.pairing.scored, confidence, self.largest)

    @property
    def largest(self) -> int | None:
        """The most pairs of a cluster if a run could stop at any time, else None."""
        sizes = (self.baseline.largest, self.candidate.largest)
        return max((size for size in sizes if size is not None), default=None)

    @property
    def stopped(self) -> str:
        """When the runs stopped that could stop early, and what that saved; empty for others."""
        runs = (("baseline: ", self.baseline), ("", self.candidate))
        return "; ".join(
            f"{name}{early_stop_text(run.sequential)}"
            for name, run in runs
            if run.sequential is not None
        )

    @cached_property
    def metrics(self) -> dict[str, MetricDifference]:
        """The measured values of the scored pairs, without what is not known of a run."""
        budgets = {"tokens": self.gate.tokens, "cost": self.gate.cost}
        include = {name: one.include for name, one in budgets.items() if one is not None}
        differences = metric_differences(self.pairing.scored, include=include)
        return {name: one for name, one in differences.items() if name not in self.unknown}

    @cached_property
    def scores(self) -> list[ScoreDifference]:
        """The scores of judges that both runs have."""
        return score_differences(self.pairing.scored)

    @cached_property
    def tags(self) -> dict[str, TagEvidence]:
        """What the pairs of each tag show."""
        return by_tag(self.pairing.scored, self.largest)

    @cached_property
    def unit(self) -> str:
        """What a cluster is: a scenario, or a case if all scenarios have cases."""
        pairs = self.pairing.scored
        return "case" if pairs and all(pair.candidate.case for pair in pairs) else "scenario"

    @cached_property
    def missing(self) -> MissingEvidence:
        """What the comparison should have had and has not."""
        old, new, pairing = self.baseline, self.candidate, self.pairing
        runs = {"baseline": old, "candidate": new}
        return MissingEvidence(
            unfinished=[name for name, run in runs.items() if not run.is_complete],
            left_out=new.left_out,
            baseline_left_out=old.left_out,
            deselected=new.deselected,
            baseline_deselected=old.deselected,
            duplicates=old.duplicates + new.duplicates,
            removed=variants_of(pairing.removed),
            skipped=new.with_verdict("skipped"),
            errored=new.with_verdict("errored"),
            baseline_errored=old.with_verdict("errored")
            + [
                pair.baseline
                for pair in pairing.pairs
                if pair.baseline.verdict == "skipped" != pair.candidate.verdict
            ],
            unmatched=pairing.unmatched,
            added_failures=sum(row.verdict == "failed" for row in pairing.added),
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

    @cached_property
    def judges(self) -> list[JudgeComparison]:
        """The judges of the candidate, beside those of the baseline."""
        old, new = (
            judge_rates(judgments_of(run.rows), self.calibrations)
            for run in (self.baseline, self.candidate)
        )
        return compare_judges(self.pairing.scored, old, new)

    @property
    def bar_lists(self) -> list[BarList]:
        """What people should know about whose expectations decided."""
        return bar_lists(self.bar, self.bar_verdicts)

    @cached_property
    def facts(self) -> GateInput:
        """What the rules of the gate read."""
        rows = self.candidate.rows
        tagged = grouped((tag, row.verdict) for row in rows for tag in dict.fromkeys(row.tags))
        return GateInput(
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
            largest=self.candidate.largest,
            left_out=len(self._not_run),
            stopped=self.stopped,
            judges=[one.candidate for one in self.judges],
            started=self.candidate.started,
        )

    @cached_property
    def verdict(self) -> GateVerdict:
        """The gate's verdict."""
        name = self.gate_name
        if self.named_gate is None:
            name = f"{name} ({self.gate.description})"
        verdict = evaluate_gate(name, self.gate, self.facts)
        return verdict._replace(reason=f"locked: {verdict.reason}") if self.by_turn else verdict

    @property
    def early_decision(self) -> Literal["pass", "fail"] | None:
        """What the rules have decided that need not wait for every scenario."""
        return decide_early(self.gate, self.facts)

    @cached_property
    def warnings(self) -> list[str]:
        """What a reader must know before trusting a figure, most serious first."""
        return [
            *evidence_warnings(self.missing, self.evidence, self.unit),
            *self._unused_exceptions(),
            *self._other_judges(),
            *self.notes,
            *self.unknown.values(),
        ]

    def _other_judges(self) -> Iterator[str]:
        by_models = grouped((score.models, score.name) for score in self.scores)
        for (old, new), names in by_models.items():
            if old != new:
                verb = "was" if len(names) == 1 else "were"
                yield (
                    f"{plural(len(names), 'rubric')} {verb} judged by {visible(old)} in the "
                    f"baseline and by {visible(new)} in the candidate: a difference of the scores "
                    "may be the judges'"
                )

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
        return next_step(self.verdict, self.evidence)

    @cached_property
    def run_rows(self) -> list[FigureRow]:
        """Both runs as rows of text."""
        return [*run_rows(self.baseline, self.candidate, self.evidence), *self.judge_rows]

    @cached_property
    def judge_rows(self) -> list[FigureRow]:
        """The rates of judges, and the corrected ones, as rows of text."""
        return [row for judge in self.judges for row in judge.rows()]

    @property
    def judge_sentences(self) -> list[str]:
        """The differences of those rates, where the same judge judged both runs."""
        return [
            f"{row.label}: difference {row.change}, between {row.between}."
            for row in self.judge_rows
            if row.change
        ]

    @cached_property
    def metric_rows(self) -> list[FigureRow]:
        """Scores of judges, tokens, cost and time as rows of text."""
        return [*score_rows(self.scores), *metric_rows(self.metrics, self.currency)]

    def changed(self, change: PairChange) -> list[Pair]:
        """Return the pairs of one change, in the candidate's order."""
        return [pair for pair in self.pairing.pairs if pair.change == change]

    def changed_variants(self, change: PairChange) -> list[VariantChange]:
        """Return the variants with trials of one change, most certain first."""
        rates = self.baseline.rates, self.candidate.rates
        return variant_changes(self.pairing, change, rates, self.differences)

    @cached_property
    def differences(self) -> Mapping[str, str]:
        """Where answers with the same verdict diverge, by the id of the candidate's result."""
        return self.find_differences()

    @property
    def unpaired(self) -> list[tuple[str, Sequence[ResultRow]]]:
        """What is in no pair, with a title each; lists that are empty are left out.

        A variant that only one run has is listed once, by its worst trial.
        """
        pairing = self.pairing
        lists: list[tuple[str, Sequence[ResultRow]]] = [
            ("Removed", self.missing.removed),
            ("Not run by plan", variants_of(pairing.not_run)),
            ("Added", variants_of(pairing.added)),
            ("Trials without a partner", pairing.unmatched),
        ]
        return [(title, rows) for title, rows in lists if rows]

    @property
    def interval_text(self) -> str:
        """The difference of the pass rates with its interval, in a sentence."""
        return interval_text(self.evidence, self.unit)

    @property
    def sentences(self) -> list[str]:
        """What the figures mean: significance, the drop that would be found, flakiness."""
        stopped = [as_sentence(self.stopped), SIMULATED_ERRORS] if self.stopped else []
        texts = (*stopped, self.significance, self.sensitivity, self.flakiness)
        return list(filter(None, texts))

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
