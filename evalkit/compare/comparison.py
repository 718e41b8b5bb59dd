"""Compare a baseline run with a candidate run.

A Comparison has the rows, the pairs, the evidence and the gate's verdict. ``to_json`` is
``comparison.json``. The sentences for people (significance, sensitivity, flakiness) are built here,
so that terminal, HTML and CI say the same.

Either two runs are compared in full, or one model of each (of the same run, if its suites listed
several). Then only the rows of those models count, and the model is left out of the identity by
which results are paired. It is also left out where each run has one model and they differ, because
then the model is what is compared.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property

from evalkit._lib.json import JSON
from evalkit._lib.text import did_you_mean, plural, quoted
from evalkit.compare.evidence import (
    Evidence,
    TrialStatistics,
    by_tag,
    evidence,
    metric_differences,
    trial_statistics,
)
from evalkit.compare.gates import DEFAULT, Gate, GateInput, GateVerdict, evaluate_gate
from evalkit.compare.intervals import CONFIDENCE, Interval, wilson
from evalkit.compare.pairing import (
    Pair,
    PairChange,
    Pairing,
    by_check,
    by_code,
    pair_runs,
    request_changes,
    run_changes,
    warnings,
)
from evalkit.compare.rows import (
    Prices,
    ResultRow,
    cost_of,
    grouped,
    result_row,
    without_model,
)
from evalkit.errors import UsageError
from evalkit.results import Run
from evalkit.results.result_line import count_verdicts

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class ComparedRun:
    """One run of a comparison, named by directory, and model if one is selected."""

    name: str
    rows: Sequence[ResultRow]

    @cached_property
    def models(self) -> list[str]:
        """The models and agents of its results, sorted."""
        return sorted({row.model for row in self.rows if row.model})

    @cached_property
    def counts(self) -> dict[str, int]:
        """Its results by verdict."""
        return count_verdicts(row.verdict for row in self.rows)

    @cached_property
    def trials(self) -> TrialStatistics:
        """The statistics over its trials."""
        return trial_statistics(self.rows)

    def to_json(self) -> dict[str, JSON]:
        """Return the run as it appears in ``comparison.json``."""
        counts, trials = self.counts, self.trials
        return {
            "name": self.name,
            "models": self.models,
            **counts,
            "pass_rate": counts["passed"] / counts["scored"] if counts["scored"] else None,
            "pass_rate_interval": list(wilson(counts["passed"], counts["scored"])),
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

    ``configuration`` lists what else differs between the runs, ``warnings`` what a reader must know
    before trusting a figure.
    """

    baseline: ComparedRun
    candidate: ComparedRun
    gate_name: str = "default"
    gate: Gate = DEFAULT
    configuration: Sequence[str] = ()
    warnings: Sequence[str] = ()

    @cached_property
    def pairing(self) -> Pairing:
        """The runs side by side."""
        return pair_runs(self.baseline.rows, self.candidate.rows)

    @cached_property
    def evidence(self) -> Evidence:
        """What the scored pairs show, at the gate's confidence."""
        bound = self.gate.non_inferiority
        return evidence(self.pairing.scored, bound.confidence if bound else CONFIDENCE)

    @cached_property
    def verdict(self) -> GateVerdict:
        """The gate's verdict."""
        rows = self.candidate.rows
        tagged = grouped((tag, row.verdict) for row in rows for tag in dict.fromkeys(row.tags))
        facts = GateInput(
            evidence=self.evidence,
            candidate=self.candidate.counts,
            trials=self.candidate.trials,
            metrics=metric_differences(self.pairing.scored),
            tags={tag: count_verdicts(verdicts) for tag, verdicts in tagged.items()},
        )
        return evaluate_gate(self.gate_name, self.gate, facts)

    def changed(self, change: PairChange) -> list[Pair]:
        """Return the pairs of one change, in the candidate's order."""
        return [pair for pair in self.pairing.pairs if pair.change == change]

    @property
    def significance(self) -> str:
        """Return a sentence on what McNemar's test says, or could not say."""
        table = self.evidence.table
        if not table.pairs:
            return "No pair was scored in both runs."
        if not table.differing:
            return f"No pair differs ({plural(table.pairs, 'pair')})."
        split = (
            f"{table.regressed} regressed, {table.improved} improved, of "
            f"{plural(table.pairs, 'pair')}: p = {table.mcnemar_p:.4g}"
        )
        if self.evidence.is_out_of_reach:
            verb = "pair differs" if table.differing == 1 else "pairs differ"
            return (
                f"{split}. Significance was out of reach: only {table.differing} {verb}, and fewer "
                "than six can never give p < 0.05."
            )
        if not self.evidence.is_significant:
            return f"{split}, not significant."
        direction = "better" if table.difference > 0 else "worse"
        return f"{split}, significant: the candidate is {direction}."

    @property
    def sensitivity(self) -> str:
        """Return a sentence on the drop that so many pairs can show."""
        table, drop = self.evidence.table, self.evidence.detectable
        if not table.pairs:
            return ""
        verb = "differ" if table.differing else "may differ"
        basis = (
            f"With {plural(table.pairs, 'pair')} of which {self.evidence.discordance:.0%} {verb}"
        )
        if drop is None:
            return f"{basis}, no drop at all would be found with 80 % power: add scenarios."
        return (
            f"{basis}, a drop of {drop:.1%} would be found with 80 % power; a smaller one may be "
            "missed."
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
            "gate": {"name": verdict.gate, "rules": [rule._asdict() for rule in verdict.rules]},
            "baseline": self.baseline.to_json(),
            "candidate": self.candidate.to_json(),
            "pairs": table._asdict(),
            "counts": {
                "paired": len(pairing.pairs),
                "scored": table.pairs,
                "scenarios": found.scenarios,
                "unscored": len(pairing.pairs) - table.pairs,
                "added": len(pairing.added),
                "removed": len(pairing.removed),
                "unmatched_trials": len(pairing.unmatched),
                "repeated": pairing.repeated,
            },
            "mcnemar_p": table.mcnemar_p,
            "difference": table.difference,
            "confidence": found.confidence,
            "interval": list(found.interval),
            "intervals": {
                "score": list(found.score),
                "cluster_robust": _interval(found.robust),
                "bootstrap": _interval(found.bootstrap),
            },
            "discordance": found.discordance,
            "detectable": found.detectable,
            "significance": self.significance,
            "sensitivity": self.sensitivity,
            "flakiness": self.flakiness,
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
                for tag, result in by_tag(scored).items()
            },
            "metrics": {
                name: {
                    **asdict(metric),
                    "interval": _interval(metric.interval),
                    "ratio": metric.ratio,
                }
                for name, metric in metric_differences(scored).items()
            },
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
    gate: Gate = DEFAULT,
    prices: Mapping[str, Prices] | None = None,
) -> Comparison:
    """Compare two runs, or two models of one run.

    Raises UsageError for a line that is not a result and for a model without results.
    """
    old = _rows(baseline, baseline_model, prices or {})
    new = _rows(candidate, candidate_model, prices or {})
    old_models, new_models = {row.model for row in old}, {row.model for row in new}
    differing_models = len(old_models) == len(new_models) == 1 and old_models != new_models
    if baseline_model or candidate_model or differing_models:
        old, new = ([without_model(row) for row in rows] for rows in (old, new))
    pairing = pair_runs(old, new)
    manifests = baseline.manifest, candidate.manifest
    changes = [*run_changes(*manifests), *request_changes(pairing)]
    return Comparison(
        baseline=ComparedRun(_name(baseline, baseline_model), old),
        candidate=ComparedRun(_name(candidate, candidate_model), new),
        gate_name=gate_name,
        gate=gate,
        configuration=[str(change) for change in changes],
        warnings=warnings(pairing, changes, *manifests),
    )


def _name(run: Run, model: str | None) -> str:
    return f"{run.directory} ({model})" if model else str(run.directory)


def _rows(run: Run, model: str | None, prices: Mapping[str, Prices]) -> list[ResultRow]:
    rows = []
    for number, line in enumerate(run.results(), 1):
        try:
            row = result_row(line)
            if row.model in prices:
                tokens = line["metrics"].get("tokens", {})
                row = replace(row, cost=cost_of(tokens, prices[row.model]))
            rows.append(row)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UsageError(
                f"{run.directory / 'results.jsonl'}:{number}: not a result ({error!r})"
            ) from error
    if model is None:
        return rows
    selected = [row for row in rows if row.model == model]
    if not selected:
        names = sorted({row.model for row in rows if row.model})
        valid = f"valid: {', '.join(names)}" if names else "it has no results"
        raise UsageError(
            f"{run.directory}: no result of model {quoted(model)}{did_you_mean(model, names)}; "
            f"{valid}"
        )
    return selected
