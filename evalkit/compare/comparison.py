"""Compare a baseline run with a candidate run.

A Comparison has the rows, the pairs, the evidence and the gate's verdict. ``to_json`` is
``comparison.json``. The sentences for people (significance, sensitivity, flakiness) are built here,
so that terminal, HTML and CI say the same.

Either two runs are compared in full, or one model of each (of the same run, if its suites listed
several). Then only the rows of those models count, and the model is left out of the identity by
which results are paired. It is also left out where each run has one model and they differ, because
then the model is what is compared.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Literal

from evalkit._lib.json import JSON
from evalkit._lib.text import did_you_mean, plural, quoted
from evalkit.compare.clusters import ClusterSum, cluster_sums, rate_interval
from evalkit.compare.evidence import (
    Evidence,
    MetricDifference,
    TagEvidence,
    TrialStatistics,
    by_tag,
    evidence,
    metric_differences,
    trial_statistics,
)
from evalkit.compare.gate_rules import (
    GateInput,
    MissingEvidence,
    allowed_names,
    evaluate_gate,
)
from evalkit.compare.gates import LIVE, REPLAY, Gate, GateVerdict
from evalkit.compare.intervals import CONFIDENCE, Interval
from evalkit.compare.pairing import (
    Pair,
    PairChange,
    Pairing,
    by_check,
    by_code,
    change_warnings,
    pair_runs,
    request_changes,
    run_changes,
    systematic_regressions,
    unique_rows,
)
from evalkit.compare.rows import (
    Prices,
    ResultRow,
    cost_of,
    grouped,
    result_row,
    unlisted_tokens,
    without_model,
)
from evalkit.errors import UsageError
from evalkit.results import Run
from evalkit.results.result_line import count_verdicts

SCHEMA_VERSION = 1
RunSource = Literal["replayed", "live", "mixed", "unknown"]


@dataclass(frozen=True, kw_only=True)
class ComparedRun:
    """One run of a comparison, named by directory, and model if one is selected.

    ``rows`` has each result once; ``duplicates`` counts the results that were in the run again.
    ``left_out`` are collected variants that were neither deselected nor have a result.
    """

    name: str
    rows: Sequence[ResultRow]
    started: str = ""
    is_complete: bool = True
    collected: int = 0
    deselected: int = 0
    left_out: int = 0
    duplicates: int = 0

    @cached_property
    def models(self) -> list[str]:
        """The models and agents of its results, sorted."""
        return sorted({row.model for row in self.rows if row.model})

    @cached_property
    def source(self) -> RunSource:
        """Where its responses are from; those that were just recorded are live."""
        sources = {row.source for row in self.rows if row.source}
        if "mixed" in sources or len({source == "replayed" for source in sources}) > 1:
            return "mixed"
        if not sources:
            return "unknown"
        return "replayed" if sources == {"replayed"} else "live"

    @cached_property
    def counts(self) -> dict[str, int]:
        """Its results by verdict."""
        return count_verdicts(row.verdict for row in self.rows)

    @cached_property
    def passed(self) -> list[ClusterSum]:
        """Its scored results that passed, over clusters."""
        return cluster_sums(
            grouped((row.cluster, float(row.passed)) for row in self.rows if row.scored)
        )

    @cached_property
    def trials(self) -> TrialStatistics:
        """The statistics over its trials."""
        return trial_statistics(self.rows)

    def with_verdict(self, verdict: str) -> list[ResultRow]:
        """Return its results with one verdict."""
        return [row for row in self.rows if row.verdict == verdict]

    def to_json(self) -> dict[str, JSON]:
        """Return the run as it appears in ``comparison.json``."""
        counts, trials = self.counts, self.trials
        return {
            "name": self.name,
            "started": self.started,
            "source": self.source,
            "complete": self.is_complete,
            "models": self.models,
            "deselected": self.deselected,
            "left_out": self.left_out,
            "duplicates": self.duplicates,
            **counts,
            "pass_rate": counts["passed"] / counts["scored"] if counts["scored"] else None,
            "pass_rate_interval": list(rate_interval(self.passed)),
            "trials": {
                "variants": trials.variants,
                "most": trials.most,
                "repeated": trials.repeated,
                "flaky": trials.flaky if trials.most > 1 else None,
                "pass_at": {str(k): share for k, share in trials.pass_at.items()},
                "pass_hat": {str(k): share for k, share in trials.pass_hat.items()},
            },
        }


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A baseline run against a candidate run.

    Without a ``named_gate`` the one that fits the runs' source applies. ``configuration`` lists
    what else differs between the runs, ``notes`` what a reader must know about that; ``unknown``
    says why a metric is not known.
    """

    baseline: ComparedRun
    candidate: ComparedRun
    gate_name: str = "default"
    named_gate: Gate | None = None
    configuration: Sequence[str] = ()
    notes: Sequence[str] = ()
    unknown: Mapping[str, str] = field(default_factory=dict)

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
        """The measured values of the scored pairs, without a cost that is not known."""
        differences = metric_differences(self.pairing.scored)
        if "cost" in self.unknown:
            differences.pop("cost", None)
        return differences

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
        )
        name = self.gate_name
        if self.named_gate is None:
            name = f"{name} ({self.gate.description})"
        return evaluate_gate(name, self.gate, facts)

    @cached_property
    def warnings(self) -> list[str]:
        """What a reader must know before trusting a figure, most serious first."""
        return [*self._evidence_warnings(), *self.notes, *self.unknown.values()]

    def _evidence_warnings(self) -> Iterator[str]:
        missing, mean = self.missing, self.evidence.mean
        for name in missing.unfinished:
            yield f"the {name} run did not end: some results are missing"
        if missing.duplicates:
            yield (
                f"results that appear twice in a run: {missing.duplicates}; the last of each counts"
            )
        if missing.unmatched:
            yield (
                f"trials without a partner: {len(missing.unmatched)}, because the runs have "
                "different numbers of trials; they are in no pair"
            )
        if mean is not None and mean.is_dominated:
            yield (
                f"one {self.unit} has {mean.largest:.0%} of the pairs and decides most of the "
                f"result: the {plural(mean.clusters, self.unit)} are worth {mean.effective:.1f}"
            )
        lists = (missing.removed, missing.skipped, missing.errored, missing.baseline_errored)
        rows = [row for rows in (*lists, missing.unmatched) for row in rows]
        used = {name for row in rows for name in allowed_names(row)}
        for name in self.gate.allow:
            if name not in used:
                yield f"the gate allows {quoted(name)}, of which nothing is missing"

    @property
    def conclusion(self) -> str:
        """Return the verdict as a sentence for somebody who decides."""
        start = {
            "pass": "Nothing found that speaks against shipping",
            "fail": "Do not ship yet",
            "inconclusive": "Not decided yet",
        }[self.verdict.verdict]
        found, table = self.evidence, self.evidence.table
        systematic = systematic_regressions(self.pairing.scored)
        if not table.pairs:
            return f"{start}: there is nothing to compare."
        facts = f"{table.regressed} of {plural(table.pairs, 'pair')} regressed"
        rest = "the difference is within noise"
        if systematic.variants:
            facts = (
                f"{len(systematic.variants)} of {plural(systematic.stable, 'variant')} that always "
                "passed now always fail"
            )
            rest = "the rest is within noise"
        if not table.differing or self.is_replayed:
            return f"{start}: {facts}."
        if found.is_significant:
            rest = f"all in all the candidate is {'better' if table.difference > 0 else 'worse'}"
        return f"{start}: {facts}; {rest}."

    def changed(self, change: PairChange) -> list[Pair]:
        """Return the pairs of one change, in the candidate's order."""
        return [pair for pair in self.pairing.pairs if pair.change == change]

    @property
    def significance(self) -> str:
        """Return a sentence on what the sign-flip test says, or could not say."""
        found = self.evidence
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
                f"{plural(found.differing, self.unit)} {verb}, and so few can never give "
                f"p < {1 - found.confidence:.2g}."
            )
        if not found.is_significant:
            return f"{split}, not significant{level}."
        direction = "better" if table.difference > 0 else "worse"
        return f"{split}, significant{level}: the candidate is {direction}."

    @property
    def sensitivity(self) -> str:
        """Return a sentence on the drop that so many scenarios can show."""
        found = self.evidence
        table, mean = found.table, found.mean
        if mean is None:
            return ""
        basis = plural(mean.clusters, self.unit)
        if mean.has_repeats:
            basis += f" ({plural(table.pairs, 'pair')}, worth {found.effective:,.0f} independent)"
        share = f"{table.differing / table.pairs:.0%} differ" if table.differing else "none differs"
        basis = f"With {basis} of which {share}"
        if found.detectable is None:
            return f"{basis}, no drop at all would be found with 80 % power: add {self.unit}s."
        return (
            f"{basis}, a drop of {found.detectable * 100:.1f} points would be found with 80 % "
            "power; a smaller one may be missed."
        )

    @property
    def flakiness(self) -> str:
        """Return a sentence on what is known about flakiness."""
        sides = (self.baseline, self.candidate)
        if all(side.trials.most < 2 for side in sides):
            return (
                "One trial per variant: nothing is known about flakiness. Record more with "
                "--evalkit-repeat."
            )
        return "; ".join(f"{side.name}: {_flakiness(side.trials)}" for side in sides) + "."

    def to_json(self) -> dict[str, JSON]:
        """Return ``comparison.json``.

        Shares are from 0 to 1, differences candidate minus baseline; intervals are ``[low, high]``.
        """
        found, pairing, verdict = self.evidence, self.pairing, self.verdict
        table, scored = found.table, pairing.scored
        return {
            "schema_version": SCHEMA_VERSION,
            "verdict": verdict.verdict,
            "reason": verdict.reason,
            "gate": {
                "name": verdict.gate,
                "rules": [rule._asdict() for rule in verdict.rules],
                "allow": dict(self.gate.allow),
            },
            "baseline": self.baseline.to_json(),
            "candidate": self.candidate.to_json(),
            "pairs": table._asdict(),
            "counts": {
                "paired": len(pairing.pairs),
                "scored": table.pairs,
                "clusters": found.clusters,
                "unscored": len(pairing.pairs) - table.pairs,
                "added": len(pairing.added),
                "removed": len(pairing.removed),
                "unmatched_trials": len(pairing.unmatched),
            },
            "clusters": found.mean
            and {
                "unit": self.unit,
                "effective": found.mean.effective,
                "largest": found.mean.largest,
                "differing": found.differing,
                "independent_pairs": found.effective,
            },
            "p": found.p,
            # The name of the test where each cluster is one pair.
            "mcnemar_p": found.p,
            "difference": table.difference,
            "confidence": found.confidence,
            "interval": list(found.interval),
            "intervals": {
                "score": list(found.score),
                "cluster_robust": _interval(found.robust),
            },
            "detectable": found.detectable,
            "significance": self.significance,
            "sensitivity": self.sensitivity,
            "flakiness": self.flakiness,
            "systematic_regressions": list(systematic_regressions(scored).variants),
            "regressions": [_pair(pair) for pair in self.changed("regressed")],
            "improvements": [_pair(pair) for pair in self.changed("improved")],
            "changed": [_pair(pair) for pair in self.changed("changed")],
            "errors": [_pair(pair) for pair in self.changed("unscored")],
            "added": [_row(row) for row in pairing.added],
            "removed": [_row(row) for row in pairing.removed],
            "by_check": {name: flips._asdict() for name, flips in by_check(scored).items()},
            "by_code": {name: flips._asdict() for name, flips in by_code(scored).items()},
            "by_tag": {
                tag: {
                    "pairs": result.table._asdict(),
                    "difference": result.table.difference,
                    "interval": list(result.interval),
                    "p": result.p,
                    "p_holm": result.p_holm,
                }
                for tag, result in self.tags.items()
            },
            "metrics": {name: _metric(metric) for name, metric in self.metrics.items()},
            "configuration": list(self.configuration),
            "warnings": list(self.warnings),
        }


def _flakiness(trials: TrialStatistics) -> str:
    if not trials.repeated:
        return "one trial per variant, nothing is known"
    return (
        f"trials disagree in {len(trials.flaky)} of {trials.repeated} variants with several trials"
    )


def _interval(interval: Interval | None) -> list[float] | None:
    return None if interval is None else list(interval)


def _metric(metric: MetricDifference) -> dict[str, JSON]:
    old, new = metric.baseline, metric.candidate
    return {
        **asdict(metric),
        "baseline": old.mean,
        "candidate": new.mean,
        "medians": [old.median, new.median],
        "p95": [old.p95, new.p95],
        "interval": _interval(metric.interval),
        "mean_interval": _interval(metric.mean_interval),
        "ratio_interval": _interval(metric.ratio_interval),
    }


def _row(row: ResultRow) -> dict[str, JSON]:
    return {
        "id": row.id,
        "verdict": str(row.verdict),
        "model": row.model,
        "location": row.location,
        "message": row.message,
    }


def _pair(pair: Pair) -> dict[str, JSON]:
    old, new = pair
    return {
        "id": new.id,
        "baseline_id": old.id,
        "verdicts": [str(old.verdict), str(new.verdict)],
        "location": new.location,
        "message": new.message or old.message,
        "findings_gained": pair.findings_gained,
        "findings_lost": pair.findings_lost,
    }


def compare(
    baseline: Run,
    candidate: Run,
    *,
    baseline_model: str | None = None,
    candidate_model: str | None = None,
    gate_name: str = "default",
    gate: Gate | None = None,
    prices: Mapping[str, Prices] | None = None,
) -> Comparison:
    """Compare two runs, or two models of one run.

    Raises UsageError for a line that is not a result, for a model without results, and for a run
    with itself.
    """
    prices = prices or {}
    old_run = _compared_run(baseline, baseline_model, prices)
    new_run = _compared_run(candidate, candidate_model, prices)
    is_same_run = baseline.directory.resolve() == candidate.directory.resolve()
    if is_same_run and {row.id for row in old_run.rows} & {row.id for row in new_run.rows}:
        raise UsageError(
            f"{baseline.directory}: a run cannot be compared with itself; name another run, or two "
            "models of this one with --baseline-model and --candidate-model"
        )
    has_one_model_each = len(old_run.models) == len(new_run.models) == 1
    if (
        baseline_model
        or candidate_model
        or (has_one_model_each and old_run.models != new_run.models)
    ):
        old_run, new_run = (
            replace(run, rows=[without_model(row) for row in run.rows])
            for run in (old_run, new_run)
        )
    pairing = pair_runs(old_run.rows, new_run.rows)
    manifests = baseline.manifest, candidate.manifest
    changes = [*run_changes(*manifests), *request_changes(pairing)]
    notes = change_warnings(changes)
    if (
        not is_same_run
        and manifests[0] == manifests[1]
        and manifests[0].get("started")
        and all(pair.baseline == pair.candidate for pair in pairing.pairs)
    ):
        notes.append("both directories hold the same run: started, ended and answered alike")
    notes += _price_notes([*old_run.rows, *new_run.rows], prices)
    return Comparison(
        baseline=old_run,
        candidate=new_run,
        gate_name=gate_name,
        named_gate=gate,
        configuration=[str(change) for change in changes],
        notes=notes,
        unknown=_unknown_metrics(old_run, new_run, prices, gate),
    )


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
    models = sorted({*baseline.models, *candidate.models} - prices.keys())
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


def _compared_run(run: Run, model: str | None, prices: Mapping[str, Prices]) -> ComparedRun:
    rows = _rows(run, prices)
    unique = unique_rows(rows)
    totals = run.manifest.get("totals") or {}
    collected, deselected = totals.get("collected", 0), totals.get("deselected", 0)
    return ComparedRun(
        name=f"{run.directory} ({model})" if model else str(run.directory),
        rows=unique if model is None else _rows_of_model(run, unique, model),
        started=str(run.manifest.get("started") or ""),
        is_complete=run.manifest.get("complete") is not False,
        collected=collected,
        deselected=deselected,
        left_out=max(0, collected - deselected - len(unique)),
        duplicates=len(rows) - len(unique),
    )


def _rows(run: Run, prices: Mapping[str, Prices]) -> list[ResultRow]:
    rows = []
    for number, line in enumerate(run.results(), 1):
        try:
            row = result_row(line)
            if row.model in prices:
                row = replace(row, cost=cost_of(row.usage, prices[row.model]))
            rows.append(row)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UsageError(
                f"{run.directory / 'results.jsonl'}:{number}: not a result ({error!r})"
            ) from error
    return rows


def _rows_of_model(run: Run, rows: Sequence[ResultRow], model: str) -> list[ResultRow]:
    selected = [row for row in rows if row.model == model]
    if not selected:
        names = sorted({row.model for row in rows if row.model})
        valid = f"valid: {', '.join(names)}" if names else "it has no results"
        raise UsageError(
            f"{run.directory}: no result of model {quoted(model)}{did_you_mean(model, names)}; "
            f"{valid}"
        )
    return selected
