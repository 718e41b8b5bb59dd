"""``comparison.json``: a comparison as JSON, for programs."""

from collections.abc import Mapping
from dataclasses import asdict

from evalkit._lib.json import JSON
from evalkit.compare.comparison import Comparison
from evalkit.compare.intervals import Interval
from evalkit.compare.metrics import MetricDifference
from evalkit.compare.pairing import Pair, PairChange, by_check, by_code, systematic_regressions
from evalkit.compare.rows import ResultRow

SCHEMA_VERSION = 1
_CHANGES: Mapping[str, PairChange] = {
    "regressions": "regressed",
    "improvements": "improved",
    "changed": "changed",
    "errors": "unscored",
}


def comparison_json(comparison: Comparison) -> dict[str, JSON]:
    """Return ``comparison.json``.

    Shares are from 0 to 1, differences candidate minus baseline; intervals are ``[low, high]``.
    """
    found, pairing, verdict = comparison.evidence, comparison.pairing, comparison.verdict
    table, scored = found.table, pairing.scored
    return {
        "schema_version": SCHEMA_VERSION,
        "verdict": verdict.verdict,
        "reason": verdict.reason,
        "locked": comparison.by_turn,
        "gate": {
            "name": verdict.gate,
            "rules": [rule._asdict() for rule in verdict.rules],
            "allow": dict(comparison.gate.allow),
        },
        "baseline": comparison.baseline.to_json(),
        "candidate": comparison.candidate.to_json(),
        "pairs": table._asdict(),
        "counts": {
            "paired": len(pairing.pairs),
            "scored": table.pairs,
            "clusters": found.clusters,
            "unscored": len(pairing.pairs) - table.pairs,
            "added": len(pairing.added),
            "removed": len(pairing.removed),
            "unmatched_trials": len(pairing.unmatched),
            "not_run": len(pairing.not_run),
        },
        "clusters": found.mean
        and {
            "unit": comparison.unit,
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
        "interval_method": "fixed sample" if found.largest is None else "confidence sequence",
        "stopped": comparison.stopped,
        "intervals": {
            "score": list(found.score),
            "cluster_robust": _interval(found.robust),
        },
        "detectable": found.detectable,
        "significance": comparison.significance,
        "sensitivity": comparison.sensitivity,
        "flakiness": comparison.flakiness,
        "systematic_regressions": list(systematic_regressions(scored).variants),
        **{
            name: [_pair(pair, comparison.differences) for pair in comparison.changed(change)]
            for name, change in _CHANGES.items()
        },
        "added": [_row(row) for row in pairing.added],
        "removed": [_row(row) for row in pairing.removed],
        "unmatched": [_row(row) for row in pairing.unmatched],
        "not_run": [_row(row) for row in pairing.not_run],
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
            for tag, result in comparison.tags.items()
        },
        "metrics": {name: _metric(metric) for name, metric in comparison.metrics.items()},
        "scores": [
            {
                "rubric_digest": score.digest,
                "name": score.name,
                "judges": list(score.models),
                **_metric(score.metric),
            }
            for score in comparison.scores
        ],
        "judges": [judge.to_json() for judge in comparison.judges],
        "bar": {
            **comparison.bar.to_json(),
            **{
                name: [row.id for row in rows]
                for name, rows in vars(comparison.bar_verdicts).items()
            },
        },
        "configuration": list(comparison.configuration),
        "warnings": list(comparison.warnings),
    }


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


def _pair(pair: Pair, differences: Mapping[str, str]) -> dict[str, JSON]:
    old, new = pair
    difference = {"difference": differences[new.id]} if new.id in differences else {}
    return {
        "id": new.id,
        "baseline_id": old.id,
        "verdicts": [str(old.verdict), str(new.verdict)],
        "location": new.location,
        "message": new.message or old.message,
        "findings_gained": pair.findings_gained,
        "findings_lost": pair.findings_lost,
        **difference,
    }
