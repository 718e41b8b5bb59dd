"""Compute what scored pairs show about two runs, and what the trials of one run show. Pure.

Only scored pairs count; an errored result is in no average. The unit of evidence is the cluster: a
scenario, or its case row where it has cases, with all its variants and trials. p value, interval
and detectable drop are computed from the same clusters and never contradict each other: the
interval contains 0 exactly if the runs do not differ significantly at its confidence.

Trials are independent recordings of the same variant. One trial says nothing about flakiness.
"""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from evalkit.compare.clusters import (
    ClusterMean,
    ClusterSum,
    cluster_mean,
    cluster_sums,
    ratio_of_means,
    sign_flip_test,
    smallest_p,
)
from evalkit.compare.distributions import z_quantile
from evalkit.compare.intervals import (
    CONFIDENCE,
    Interval,
    PairTable,
    detectable_drop,
    paired_interval,
    unseen_share,
)
from evalkit.compare.pairing import Pair, pair_table
from evalkit.compare.rows import ExtraKind, ResultRow, grouped
from evalkit.compare.sample_size import Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What scored pairs show, in shares from 0 to 1, candidate minus baseline.

    ``mean`` is the difference over clusters (None without pairs), ``differing`` the number of
    clusters that improved or regressed. ``effective`` is the number of independent pairs that the
    pairs are worth. ``score`` is Tango's interval of so many; ``robust`` the cluster-robust one
    (None with fewer than two clusters). ``detectable`` is the smallest drop that would be found
    with a chance of 80 %, None if none would.
    """

    table: PairTable
    mean: ClusterMean | None
    confidence: float
    differing: int
    p: float
    effective: float
    score: Interval
    robust: Interval | None
    interval: Interval
    detectable: float | None

    @property
    def clusters(self) -> int:
        """The number of clusters."""
        return self.mean.clusters if self.mean is not None else 0

    @property
    def is_significant(self) -> bool:
        """Whether the runs differ at the confidence of the interval."""
        return _is_significant(self.p, self.confidence)

    @property
    def is_out_of_reach(self) -> bool:
        """Whether no split could be significant, because too few clusters differ."""
        return not _is_significant(smallest_p(self.differing), self.confidence)

    @property
    def spread(self) -> Spread | None:
        """How the clusters' differences are distributed; None without pairs."""
        if self.mean is None:
            return None
        discordance = self.table.differing / self.table.pairs
        error = self.mean.error
        return Spread(
            mean=self.table.difference,
            # One cluster does not show how clusters differ: as much as its pairs.
            variance=discordance if error is None else self.mean.effective * error**2,
            discordance=discordance,
        )


def _is_significant(p: float, confidence: float) -> bool:
    # Rounded, because 1 - 0.95 is not exactly 0.05.
    return p < round(1 - confidence, 12)


def evidence(pairs: Sequence[Pair], confidence: float = CONFIDENCE) -> Evidence:
    """Return what scored pairs show; there may be none."""
    groups = grouped((pair.candidate.cluster, pair.difference) for pair in pairs)
    return cluster_evidence(pair_table(pairs), cluster_sums(groups), confidence)


def cluster_evidence(
    table: PairTable, clusters: Sequence[ClusterSum], confidence: float = CONFIDENCE
) -> Evidence:
    """Return what pairs show, from their table and the sums of differences of their clusters."""
    mean, sums = cluster_mean(clusters), [int(cluster.total) for cluster in clusters]
    p = sign_flip_test(sums)
    discordance = table.differing / table.pairs if mean else 0.0
    effective = mean.effective_size(discordance - table.difference**2) if mean else 0.0
    score = paired_interval(table, confidence, effective)
    robust = mean.interval(confidence) if mean else None
    interval, detectable = score, None
    if mean is not None:
        if mean.has_repeats:
            unseen = unseen_share(mean.effective, z_quantile(0.5 + confidence / 2))
            around = Interval(table.difference - unseen, table.difference + unseen)
            interval = _hull(score, around, *([robust] if robust else []))
        interval = _agreeing(interval, table, _is_significant(p, confidence))
        # A drop may be of whole clusters, whatever the pairs show now.
        drops = [
            detectable_drop(count, share, confidence, mean.freedom)
            for count, share in ((effective, discordance), (mean.effective, 0.0))
        ]
        detectable = None if None in drops else max(drop for drop in drops if drop)
    return Evidence(
        table=table,
        mean=mean,
        confidence=confidence,
        differing=sum(map(bool, sums)),
        p=p,
        effective=effective,
        score=score,
        robust=robust,
        interval=interval,
        detectable=detectable,
    )


def _hull(*intervals: Interval) -> Interval:
    """Return the interval that contains all of them, within the possible differences."""
    return Interval(
        max(-1.0, min(one.low for one in intervals)), min(1.0, max(one.high for one in intervals))
    )


def _agreeing(interval: Interval, table: PairTable, is_significant: bool) -> Interval:
    """Return an interval that contains 0 exactly if the difference is not significant.

    The test is exact at 0, so ending the interval short of it, by half a pair, is as safe as the
    test. Extending it is safe always.
    """
    low, high = interval
    if not is_significant:
        return Interval(min(low, 0.0), max(high, 0.0))
    half = 0.5 / table.pairs
    if table.difference < 0:
        return Interval(low, min(high, -half))
    return Interval(max(low, half), high)


class TagEvidence(NamedTuple):
    """What the pairs of one tag show; ``p_holm`` is corrected for the number of tags."""

    table: PairTable
    p: float
    p_holm: float
    interval: Interval


def by_tag(pairs: Iterable[Pair]) -> dict[str, TagEvidence]:
    """Return the evidence of each tag of the candidate, with Holm's correction."""
    tagged = grouped((tag, pair) for pair in pairs for tag in dict.fromkeys(pair.candidate.tags))
    results = {tag: evidence(tagged[tag]) for tag in sorted(tagged)}
    corrected = holm({tag: result.p for tag, result in results.items()})
    return {
        tag: TagEvidence(result.table, result.p, corrected[tag], result.interval)
        for tag, result in results.items()
    }


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return p values adjusted for multiple tests (Holm 1979).

    The smallest is multiplied by the number of tests, the next by one less, and so on, never
    decreasing.
    """
    adjusted: dict[str, float] = {}
    least = 0.0
    ordered = sorted(p_values.items(), key=lambda item: (item[1], item[0]))
    for rank, (name, p) in enumerate(ordered):
        least = max(least, min(1.0, p * (len(p_values) - rank)))
        adjusted[name] = least
    return {name: adjusted[name] for name in p_values}


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
    clusters and None with fewer than two. ``ratio`` is None if the baseline's mean is 0.
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
        """The relative change of the mean, or the absolute one if the baseline's mean is 0."""
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


def _metric_value(row: ResultRow, name: str, include: Collection[ExtraKind]) -> float | None:
    value: float | None = getattr(row, name)
    for extra in row.extra:
        if extra.kind in include and value is not None:
            more = extra.tokens.get("total_tokens") if name == "tokens" else extra.cost
            value = None if more is None else value + more
    return value


def _metric_difference(
    values: Sequence[tuple[str, float, float]], total: int, confidence: float
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
    ratio = ratio_of_means(new, old, confidence)
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


def pass_at(count: int, passed: int, k: int) -> float:
    """Return pass@k: at least one of ``k`` trials drawn from ``count`` passes.

    1 - C(n-c,k)/C(n,k) (Chen et al. 2021); ``k`` is from 1 to ``count``.
    """
    return 1 - math.comb(count - passed, k) / math.comb(count, k)


def pass_hat(count: int, passed: int, k: int) -> float:
    """Return pass^k, the chance that all of ``k`` trials drawn from ``count`` pass.

    C(c,k)/C(n,k) (Yao et al. 2024); ``k`` is from 1 to ``count``.
    """
    return math.comb(passed, k) / math.comb(count, k)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialStatistics:
    """What the trials of one run show.

    ``most`` is the largest number of scored trials of a variant; ``repeated`` variants have two or
    more; ``flaky`` ones have trials with different verdicts. ``pass_at`` and ``pass_hat`` are means
    over the same ``sampled`` variants for every k, so that they can be compared along k: over those
    with as many scored trials as at least half of the repeated variants have.
    """

    variants: int
    most: int
    repeated: int
    flaky: list[str]
    sampled: int
    pass_at: dict[int, float]
    pass_hat: dict[int, float]


def trial_statistics(rows: Iterable[ResultRow]) -> TrialStatistics:
    """Return the statistics over a run's scored trials."""
    trials = list(grouped((row.variant, row) for row in rows if row.scored).values())
    repeated = sorted(len(group) for group in trials if len(group) > 1)
    longest = repeated[(len(repeated) - 1) // 2] if repeated else min(1, len(trials))
    sampled = [[row.passed for row in group] for group in trials if len(group) >= longest]
    return TrialStatistics(
        variants=len(trials),
        most=max(map(len, trials), default=0),
        repeated=len(repeated),
        flaky=[
            group[0].id.partition("#")[0]
            for group in trials
            if len({row.passed for row in group}) > 1
        ],
        sampled=len(sampled),
        pass_at={k: _mean_over_variants(pass_at, sampled, k) for k in range(1, longest + 1)},
        pass_hat={k: _mean_over_variants(pass_hat, sampled, k) for k in range(1, longest + 1)},
    )


def _mean_over_variants(
    formula: Callable[[int, int, int], float], variants: Sequence[Sequence[bool]], k: int
) -> float:
    return sum(formula(len(trials), sum(trials), k) for trials in variants) / len(variants)
