"""Compute what scored pairs show about two runs, and what the trials of one run show. Pure.

Only scored pairs count; an errored result is in no average. Variants and trials of one scenario are
one cluster. Where clusters have several pairs, the score interval alone would be too narrow, and
the cluster-robust one is worthless if nothing differs. So ``interval`` then extends as far as the
wider of the two on either side.

Trials are independent recordings of the same variant. One trial says nothing about flakiness.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from evalkit.compare.intervals import (
    CONFIDENCE,
    Interval,
    PairTable,
    bootstrap_interval,
    cluster_sums,
    detectable_drop,
    mean,
    paired_interval,
    robust_interval,
    wilson,
)
from evalkit.compare.pairing import Pair, pair_table
from evalkit.compare.rows import ResultRow, grouped

SEED = 1
"""The seed of the bootstrap: the same runs give the same interval."""
SIGNIFICANCE_LEVEL = 0.05
"""A p value below it is called significant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What scored pairs show, in shares from 0 to 1, candidate minus baseline.

    ``score`` is Tango's interval; ``robust`` and ``bootstrap`` are over clusters (None with fewer
    than two). ``detectable`` is the smallest drop that so many pairs would show with 80 % power if
    a share of ``discordance`` differs. That is the observed share, or, if no pair differs, the
    highest share that is compatible with it.
    """

    table: PairTable
    scenarios: int
    confidence: float
    score: Interval
    robust: Interval | None
    bootstrap: Interval | None
    interval: Interval
    discordance: float
    detectable: float | None

    @property
    def is_significant(self) -> bool:
        """Whether the runs differ according to McNemar's exact test."""
        return self.table.mcnemar_p < SIGNIFICANCE_LEVEL

    @property
    def is_out_of_reach(self) -> bool:
        """Whether no split could be significant, because fewer than six pairs differ."""
        return self.table.smallest_p >= SIGNIFICANCE_LEVEL


def evidence(
    pairs: Sequence[Pair], confidence: float = CONFIDENCE, *, bootstrap: bool = True
) -> Evidence:
    """Return what scored pairs show; there may be none."""
    table = pair_table(pairs)
    clusters = cluster_sums(grouped((pair.candidate.scenario, pair.difference) for pair in pairs))
    score, robust = paired_interval(table, confidence), robust_interval(clusters, confidence)
    interval = score
    if robust is not None and len(clusters) < table.pairs:
        interval = Interval(min(score.low, robust.low), max(score.high, robust.high))
    discordance = table.differing / table.pairs if table.differing else wilson(0, table.pairs).high
    return Evidence(
        table=table,
        scenarios=len(clusters),
        confidence=confidence,
        score=score,
        robust=robust,
        bootstrap=bootstrap_interval(clusters, SEED, confidence) if bootstrap else None,
        interval=interval,
        discordance=discordance,
        detectable=detectable_drop(table.pairs, discordance, confidence=confidence),
    )


class TagEvidence(NamedTuple):
    """What the pairs of one tag show; ``p_holm`` is corrected for the number of tags."""

    table: PairTable
    p: float
    p_holm: float
    interval: Interval


def by_tag(pairs: Iterable[Pair]) -> dict[str, TagEvidence]:
    """Return the evidence of each tag of the candidate, with Holm's correction."""
    tagged = grouped((tag, pair) for pair in pairs for tag in dict.fromkeys(pair.candidate.tags))
    results = {tag: evidence(tagged[tag], bootstrap=False) for tag in sorted(tagged)}
    corrected = holm({tag: result.table.mcnemar_p for tag, result in results.items()})
    return {
        tag: TagEvidence(result.table, result.table.mcnemar_p, corrected[tag], result.interval)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricDifference:
    """The means of a measured value in both runs, over the pairs where both have it.

    ``interval`` is the cluster-robust one of the mean difference.
    """

    pairs: int
    baseline: float
    candidate: float
    difference: float
    interval: Interval | None

    @property
    def ratio(self) -> float | None:
        """The candidate's mean divided by the baseline's; None if that is 0."""
        return self.candidate / self.baseline if self.baseline else None


METRICS = ("tokens", "cost", "elapsed_ms")
"""The measured values: tokens, cost in the currency of the prices, recorded milliseconds."""


def metric_differences(pairs: Sequence[Pair]) -> dict[str, MetricDifference]:
    """Return the difference of each metric that some scored pair has on both sides."""
    differences = {}
    for name in METRICS:
        values = [
            (pair.candidate.scenario, old, new)
            for pair in pairs
            if (old := getattr(pair.baseline, name)) is not None
            and (new := getattr(pair.candidate, name)) is not None
        ]
        if values:
            clusters = cluster_sums(grouped((key, new - old) for key, old, new in values))
            differences[name] = MetricDifference(
                pairs=len(values),
                baseline=sum(old for _, old, _ in values) / len(values),
                candidate=sum(new for _, _, new in values) / len(values),
                difference=mean(clusters) or 0.0,
                interval=robust_interval(clusters),
            )
    return differences


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
    more; ``flaky`` ones have trials with different verdicts. ``pass_at`` and ``pass_hat`` are, by k
    from 1, means over the variants with at least k scored trials.
    """

    variants: int
    most: int
    repeated: int
    flaky: list[str]
    pass_at: dict[int, float]
    pass_hat: dict[int, float]


def trial_statistics(rows: Iterable[ResultRow]) -> TrialStatistics:
    """Return the statistics over a run's scored trials."""
    trials = list(grouped((row.variant, row) for row in rows if row.scored).values())
    passed = [[row.passed for row in group] for group in trials]
    most = max(map(len, trials), default=0)
    return TrialStatistics(
        variants=len(trials),
        most=most,
        repeated=sum(len(group) > 1 for group in trials),
        flaky=[
            group[0].id.partition("#")[0]
            for group in trials
            if len({row.passed for row in group}) > 1
        ],
        pass_at={k: _mean_over_variants(pass_at, passed, k) for k in range(1, most + 1)},
        pass_hat={k: _mean_over_variants(pass_hat, passed, k) for k in range(1, most + 1)},
    )


def _mean_over_variants(
    formula: Callable[[int, int, int], float], variants: Iterable[Sequence[bool]], k: int
) -> float:
    shares = [formula(len(trials), sum(trials), k) for trials in variants if len(trials) >= k]
    return sum(shares) / len(shares)
