"""Compare tokens, cost, time and the scores of judges of scored pairs. Pure.

Means are over pairs where both runs have the value; their intervals are over clusters.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from evalkit._lib.text import shorten
from evalkit.compare.clusters import cluster_mean, cluster_sums, ratio_of_means
from evalkit.compare.intervals import CONFIDENCE, Interval
from evalkit.compare.pairing import Pair
from evalkit.compare.rows import ExtraKind, ResultRow, grouped
from evalkit.results.judgments import StoredJudgment

_Scored = list[StoredJudgment]
_MAX_NAME = 40


class MetricSummary(NamedTuple):
    """A measured value of one run, over pairs where both runs have it."""

    mean: float
    median: float
    p95: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricDifference:
    """A measured value in both runs, over the pairs where both have it.

    ``total`` is the number of scored pairs. ``interval`` is that of the mean difference,
    ``ratio_interval`` that of the candidate's mean divided by the baseline's; both are over
    clusters and None with fewer than two. ``ratio`` is None if the baseline's mean is 0, or so
    small that the candidate's is a million times as large.
    """

    pairs: int
    total: int
    baseline: MetricSummary
    candidate: MetricSummary
    difference: float
    interval: Interval | None
    mean_interval: Interval | None
    ratio: float | None
    ratio_interval: Interval | None

    @property
    def change_text(self) -> str:
        """The relative change of the mean, or the absolute one where a ratio is undefined."""
        return f"{self.difference:+,.4g}" if self.ratio is None else f"{self.ratio - 1:+.1%}"

    @property
    def between_text(self) -> str:
        """The interval of that change; ``-`` if it is not known."""
        if self.ratio is None and self.interval is not None:
            return f"{self.interval.low:+,.4g} and {self.interval.high:+,.4g}"
        if self.ratio_interval is None:
            return "-"
        low, high = self.ratio_interval
        return f"{low - 1:+.1%} and {high - 1:+.1%}"


_METRICS = ("tokens", "cost", "elapsed_ms")


def metric_differences(
    pairs: Sequence[Pair],
    confidence: float = CONFIDENCE,
    include: Mapping[str, Collection[ExtraKind]] = MappingProxyType({}),
) -> dict[str, MetricDifference]:
    """Return the difference of each metric that some scored pair has on both sides.

    ``include`` names what is part of tokens and cost besides the conversation.
    """
    differences = {}
    for name in _METRICS:
        values = [
            (pair.candidate.cluster, old, new)
            for pair in pairs
            if (old := _metric_value(pair.baseline, name, include.get(name, ()))) is not None
            and (new := _metric_value(pair.candidate, name, include.get(name, ()))) is not None
        ]
        if values:
            differences[name] = _metric_difference(values, len(pairs), confidence)
    return differences


class ScoreDifference(NamedTuple):
    """What a judge gives both runs for one rubric.

    ``models`` are the judges of the baseline and of the candidate: if they differ, so may the
    scores.
    """

    digest: str
    name: str
    models: tuple[str, str]
    metric: MetricDifference


def score_differences(
    pairs: Sequence[Pair], confidence: float = CONFIDENCE
) -> list[ScoreDifference]:
    """Return the difference of each judge's score, of the rubrics that both runs have."""
    judged: dict[tuple[str, str], list[tuple[str, _Scored, _Scored]]] = {}
    for pair in pairs:
        before, after = (_scored_judgments(row) for row in pair)
        for key in before:
            if key in after:
                both = pair.candidate.cluster, before[key], after[key]
                judged.setdefault(key, []).append(both)
    differences = []
    for (digest, name), groups in judged.items():
        values = [(cluster, _mean_score(old), _mean_score(new)) for cluster, old, new in groups]
        # A score has no zero from which it could be so many percent higher.
        metric = _metric_difference(values, len(values), confidence, has_ratio=False)
        models = (
            _judge_models(old for _, old, _ in groups),
            _judge_models(new for _, _, new in groups),
        )
        differences.append(ScoreDifference(digest, shorten(name, _MAX_NAME), models, metric))
    return differences


def _scored_judgments(row: ResultRow) -> dict[tuple[str, str], _Scored]:
    """Return the judgments with a score by rubric and question; a result may have several turns."""
    return grouped(
        ((one.key.rubric, one.question or one.rubric), one)
        for one in row.judgments
        if one.score is not None
    )


def _mean_score(judgments: _Scored) -> float:
    return math.fsum(one.score or 0.0 for one in judgments) / len(judgments)


def _judge_models(groups: Iterable[_Scored]) -> str:
    """Return the judges of all judgments: as they answered, else as they were requested."""
    return ", ".join(sorted({one.key.version or one.key.model for ones in groups for one in ones}))


def _metric_value(row: ResultRow, name: str, include: Collection[ExtraKind]) -> float | None:
    value: float | None = getattr(row, name)
    for extra in row.extra:
        if extra.kind in include and value is not None:
            more = extra.tokens.get("total_tokens") if name == "tokens" else extra.cost
            value = None if more is None else value + more
    return value


def _metric_difference(
    values: Sequence[tuple[str, float, float]],
    total: int,
    confidence: float,
    *,
    has_ratio: bool = True,
) -> MetricDifference:
    old, new, change = (
        cluster_sums(grouped(column))
        for column in (
            ((key, before) for key, before, _ in values),
            ((key, after) for key, _, after in values),
            ((key, after - before) for key, before, after in values),
        )
    )
    mean, candidate = cluster_mean(change), cluster_mean(new)
    ratio = ratio_of_means(new, old, confidence) if has_ratio else None
    return MetricDifference(
        pairs=len(values),
        total=total,
        baseline=_distribution([before for _, before, _ in values]),
        candidate=_distribution([after for _, _, after in values]),
        difference=mean.value if mean is not None else 0.0,
        interval=mean.interval(confidence) if mean is not None else None,
        mean_interval=candidate.interval(confidence) if candidate is not None else None,
        ratio=ratio.value if ratio is not None else None,
        ratio_interval=ratio.interval if ratio is not None else None,
    )


def _distribution(values: Sequence[float]) -> MetricSummary:
    ordered = sorted(values)
    return MetricSummary(
        math.fsum(ordered) / len(ordered), _share_of(ordered, 0.5), _share_of(ordered, 0.95)
    )


def _share_of(ordered: Sequence[float], share: float) -> float:
    """Return a quantile of sorted values, interpolated (type 7, as in R and numpy)."""
    position = share * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)
