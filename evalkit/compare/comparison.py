"""The Comparison: a baseline run against a candidate run, paired by identity, with one verdict. Pure; what is printed anywhere is in here.

It holds the rows, the pairs in their groups, the evidence and the gate's verdict; ``to_json`` is ``comparison.json``. Words for people
(significance, flakiness) are made here once, so that terminal, HTML and CI say the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from evalkit._lib.json import JSON
from evalkit.compare.evidence import (
    Counts,
    Evidence,
    Trials,
    by_tag,
    count,
    evidence,
    metric_differences,
    trials,
)
from evalkit.compare.gates import DEFAULT, Basis, Gate, GateVerdict, judge
from evalkit.compare.pairing import Change, Pair, Pairing, by_check, by_code, pair
from evalkit.compare.proportions import CONFIDENCE, Interval, wilson
from evalkit.compare.rows import Row

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Side:
    """One run of a comparison: its rows, and how it is called (``name``, a directory or a model)."""

    name: str
    rows: Sequence[Row]

    @cached_property
    def models(self) -> list[str]:
        """The models and agents it asked, sorted."""
        return sorted({row.model for row in self.rows if row.model})

    @cached_property
    def counts(self) -> Counts:
        """Its denominators."""
        return count(self.rows)

    @cached_property
    def trials(self) -> Trials:
        """What its trials tell."""
        return trials(self.rows)

    def to_json(self) -> dict[str, JSON]:
        """Return the side as it stands in ``comparison.json``."""
        held, counts = self.trials, self.counts
        share = counts.passed / counts.scored if counts.scored else None
        return {
            "name": self.name,
            "models": self.models,
            **counts._asdict(),
            "pass_rate": share,
            "pass_rate_interval": list(wilson(counts.passed, counts.scored)),
            "trials": {
                "variants": held.variants,
                "most": held.most,
                "repeated": held.repeated,
                "flaky": held.flaky if held.most > 1 else None,
                "pass_at": {str(k): share for k, share in held.pass_at.items()},
                "pass_hat": {str(k): share for k, share in held.pass_hat.items()},
            },
        }


@dataclass(frozen=True)
class Comparison:
    """A baseline run against a candidate run.

    ``configuration`` says what changed around the model, one line each; ``warnings`` what a reader must know before trusting a figure.
    """

    baseline: Side
    candidate: Side
    gate_name: str = "default"
    gate: Gate = DEFAULT
    configuration: Sequence[str] = ()
    warnings: Sequence[str] = field(default=())

    @cached_property
    def pairing(self) -> Pairing:
        """The runs side by side."""
        return pair(self.baseline.rows, self.candidate.rows)

    @cached_property
    def evidence(self) -> Evidence:
        """What the scored pairs tell, at the gate's confidence."""
        return self._evidence_at(
            self.gate.non_inferiority.confidence if self.gate.non_inferiority else CONFIDENCE
        )

    @cached_property
    def _evidence_at(self) -> Callable[[float], Evidence]:
        scored = self.pairing.scored
        return lru_cache(maxsize=None)(lambda confidence: evidence(scored, confidence))

    @cached_property
    def verdict(self) -> GateVerdict:
        """The gate's verdict over everything here."""
        tagged: dict[str, list[Row]] = {}
        for row in self.candidate.rows:
            for tag in dict.fromkeys(row.tags):
                tagged.setdefault(tag, []).append(row)
        basis = Basis(
            self.pairing,
            self.candidate.counts,
            self._evidence_at,
            metric_differences(self.pairing.scored),
            self.candidate.trials,
            {tag: count(rows) for tag, rows in tagged.items()},
        )
        return judge(self.gate_name, self.gate, basis)

    def changed(self, change: Change) -> list[Pair]:
        """Return the pairs of one change, in the candidate's order."""
        return [one for one in self.pairing.pairs if one.change == change]

    @property
    def significance(self) -> str:
        """Say in a sentence what McNemar's test says, or that it could not have said anything."""
        found = self.evidence
        table = found.table
        if not table.pairs:
            return "No pair was scored in both runs."
        if not table.differing:
            return f"No pair differs ({_of(table.pairs)})."
        split = f"{table.regressed} regressed, {table.improved} improved, of {_of(table.pairs)}: p = {table.mcnemar_p:.4g}"
        if found.out_of_reach:
            few = (
                "only 1 pair differs"
                if table.differing == 1
                else f"only {table.differing} pairs differ"
            )
            return f"{split}. Significance was out of reach: {few}, and fewer than six can never give p < 0.05."
        if not found.significant:
            return f"{split}, not significant."
        return f"{split}, significant: the candidate is {'better' if table.difference > 0 else 'worse'}."

    @property
    def sensitivity(self) -> str:
        """Say in a sentence which drop so many pairs could have seen."""
        found = self.evidence
        if not found.table.pairs:
            return ""
        seen = f"With {_of(found.table.pairs)} of which {found.discordance:.0%} {'differ' if found.table.differing else 'may differ'}"
        if found.detectable is None:
            return f"{seen}, no drop at all would be found with 80 % power: add scenarios."
        return f"{seen}, a drop of {found.detectable:.1%} would be found with 80 % power; a smaller one may be missed."

    @property
    def flakiness(self) -> str:
        """Say in a sentence what is known about flakiness."""
        sides = [(side.name, side.trials) for side in (self.baseline, self.candidate)]
        if all(held.most < 2 for _, held in sides):
            return "One trial per variant: nothing is known about flakiness. Record more with --evalkit-repeat."
        told = [
            f"{name}: {len(held.flaky)} of {held.repeated} variants with several trials disagree with themselves"
            if held.repeated
            else f"{name}: one trial per variant, nothing is known"
            for name, held in sides
        ]
        return "; ".join(told) + "."

    def to_json(self) -> dict[str, JSON]:
        """Return ``comparison.json``: shares from 0 to 1, differences candidate minus baseline, intervals as ``[low, high]``."""
        found, paired, verdict = self.evidence, self.pairing, self.verdict
        return {
            "schema_version": SCHEMA_VERSION,
            "verdict": verdict.verdict,
            "reason": verdict.reason,
            "gate": {"name": verdict.gate, "rules": [rule._asdict() for rule in verdict.rules]},
            "baseline": self.baseline.to_json(),
            "candidate": self.candidate.to_json(),
            "pairs": found.table._asdict(),
            "counts": {
                "paired": len(paired.pairs),
                "scored": found.table.pairs,
                "families": found.families,
                "unscored": len(paired.pairs) - found.table.pairs,
                "added": len(paired.added),
                "removed": len(paired.removed),
                "unmatched_trials": len(paired.unmatched),
                "repeated": paired.repeated,
            },
            "mcnemar_p": found.table.mcnemar_p,
            "difference": found.table.difference,
            "confidence": found.confidence,
            "interval": list(found.interval),
            "intervals": {
                "score": list(found.score),
                "cluster_robust": _listed(found.robust),
                "bootstrap": _listed(found.bootstrap),
            },
            "discordance": found.discordance,
            "detectable": found.detectable,
            "significance": self.significance,
            "sensitivity": self.sensitivity,
            "flakiness": self.flakiness,
            "regressions": [_pair(one) for one in self.changed("regressed")],
            "improvements": [_pair(one) for one in self.changed("improved")],
            "changed": [_pair(one) for one in self.changed("changed")],
            "errors": [_pair(one) for one in self.changed("unscored")],
            "added": [_row(row) for row in paired.added],
            "removed": [_row(row) for row in paired.removed],
            "by_check": {name: flips._asdict() for name, flips in by_check(paired.scored).items()},
            "by_code": {name: flips._asdict() for name, flips in by_code(paired.scored).items()},
            "by_tag": {
                tag: {
                    "pairs": one.table._asdict(),
                    "difference": one.table.difference,
                    "interval": list(one.interval),
                    "p": one.p,
                    "p_holm": one.p_holm,
                }
                for tag, one in by_tag(paired.scored).items()
            },
            "metrics": {
                name: {**one._asdict(), "interval": _listed(one.interval), "ratio": one.ratio}
                for name, one in metric_differences(paired.scored).items()
            },
            "configuration": list(self.configuration),
            "warnings": list(self.warnings),
        }


def _of(pairs: int) -> str:
    return f"{pairs:,} pair{'' if pairs == 1 else 's'}"


def _listed(interval: Interval | None) -> list[float] | None:
    return None if interval is None else list(interval)


def _row(row: Row) -> dict[str, JSON]:
    return {
        "id": row.id,
        "verdict": str(row.verdict),
        "model": row.model,
        "place": row.place,
        "message": row.message,
    }


def _pair(one: Pair) -> dict[str, JSON]:
    old, new = one
    return {
        "id": new.id,
        "baseline_id": old.id,
        "verdicts": [str(old.verdict), str(new.verdict)],
        "place": new.place,
        "message": new.message or old.message,
        "findings_gained": _named(new.codes - old.codes),
        "findings_lost": _named(old.codes - new.codes),
    }


def _named(codes: Iterable[tuple[str, str]]) -> list[str]:
    return [f"{check}: {code}" for check, code in sorted(codes)]
