"""What pairs tell: the two-by-two table with everything that follows from it, differences in measured values, flakiness. Pure.

Only scored pairs count; a result that errored is in no average, and every count here says how many pairs it is of. Variants and trials of
one scenario are one family. Where families have several pairs, the score interval alone would be too narrow and the cluster-robust one is
worthless when nothing differs; so ``interval`` then reaches as far as the wider of the two on either side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from evalkit.compare.clusters import bootstrap_interval, families, mean, robust_interval
from evalkit.compare.pairing import Pair, table
from evalkit.compare.proportions import (
    CONFIDENCE,
    Interval,
    Table,
    detectable,
    paired_interval,
    wilson,
)
from evalkit.compare.rows import Row
from evalkit.compare.trials import flaky, holm, pass_at, pass_hat
from evalkit.verdict import Verdict

SEED = 1
"""The seed of the bootstrap: the same runs give the same interval."""

LEVEL = 0.05
"""What a p value is called significant below."""


class Evidence(NamedTuple):
    """What scored pairs tell of two runs. Shares from 0 to 1, differences candidate minus baseline.

    ``score`` is Tango's interval, ``robust`` and ``bootstrap`` those over families (None with fewer than two). ``detectable`` is the
    smallest drop that so many pairs would find with 80 % power if a share of ``discordance`` differs: the share that did, or, where none
    did, the highest share that none differing is compatible with.
    """

    table: Table
    families: int
    confidence: float
    score: Interval
    robust: Interval | None
    bootstrap: Interval | None
    interval: Interval
    discordance: float
    detectable: float | None

    @property
    def significant(self) -> bool:
        """Whether McNemar's exact test says that the runs differ."""
        return self.table.mcnemar_p < LEVEL

    @property
    def out_of_reach(self) -> bool:
        """Whether no split of the differing pairs could have been significant: fewer than six differ."""
        return self.table.best_p >= LEVEL


def evidence(
    pairs: Sequence[Pair], confidence: float = CONFIDENCE, *, bootstrap: bool = True
) -> Evidence:
    """Return what scored pairs tell. Raises nothing, whatever few they are."""
    counted = table(pairs)
    clusters = families(
        _by_family((pair.candidate.family, float(pair.difference)) for pair in pairs)
    )
    score, robust = paired_interval(counted, confidence), robust_interval(clusters, confidence)
    alone = robust is None or len(clusters) == counted.pairs
    interval = (
        score
        if alone or robust is None
        else Interval(min(score.low, robust.low), max(score.high, robust.high))
    )
    share = (
        counted.differing / counted.pairs if counted.differing else wilson(0, counted.pairs).high
    )
    drawn = bootstrap_interval(clusters, SEED, confidence) if bootstrap else None
    found = detectable(counted.pairs, share, confidence=confidence)
    return Evidence(
        counted, len(clusters), confidence, score, robust, drawn, interval, share, found
    )


class TagEvidence(NamedTuple):
    """What the pairs of one tag tell; ``p_holm`` is corrected for there being several tags."""

    table: Table
    p: float
    p_holm: float
    interval: Interval


def by_tag(pairs: Iterable[Pair]) -> dict[str, TagEvidence]:
    """Return the evidence of each tag of the candidate, Holm's correction over all of them."""
    tagged: dict[str, list[Pair]] = {}
    for pair in pairs:
        for tag in dict.fromkeys(pair.candidate.tags):
            tagged.setdefault(tag, []).append(pair)
    found = {tag: evidence(tagged[tag], bootstrap=False) for tag in sorted(tagged)}
    corrected = holm({tag: one.table.mcnemar_p for tag, one in found.items()})
    return {
        tag: TagEvidence(one.table, one.table.mcnemar_p, corrected[tag], one.interval)
        for tag, one in found.items()
    }


class MetricDifference(NamedTuple):
    """A measured value in both runs, over the pairs where both have it. ``interval`` is the cluster-robust one of the mean difference."""

    pairs: int
    baseline: float
    candidate: float
    difference: float
    interval: Interval | None

    @property
    def ratio(self) -> float | None:
        """Candidate's mean over baseline's; None where that is 0."""
        return self.candidate / self.baseline if self.baseline else None


METRICS: dict[str, Callable[[Row], float | None]] = {
    "tokens": lambda row: row.tokens,
    "cost": lambda row: row.cost,
    "elapsed_ms": lambda row: row.elapsed_ms,
}
"""What is measured of a result: tokens, cost in the currency of the prices, recorded milliseconds."""


def metric_differences(pairs: Iterable[Pair]) -> dict[str, MetricDifference]:
    """Return the difference of each metric that some scored pair has on both sides."""
    held = list(pairs)
    return {
        name: found for name, read in METRICS.items() if (found := _metric(held, read)) is not None
    }


def _metric(pairs: Sequence[Pair], read: Callable[[Row], float | None]) -> MetricDifference | None:
    known = [
        (pair, old, new)
        for pair in pairs
        if (old := read(pair.baseline)) is not None and (new := read(pair.candidate)) is not None
    ]
    if not known:
        return None
    clusters = families(_by_family((pair.candidate.family, new - old) for pair, old, new in known))
    before, after = (
        sum(values) / len(known)
        for values in zip(*((old, new) for _, old, new in known), strict=True)
    )
    return MetricDifference(
        len(known), before, after, mean(clusters) or 0.0, robust_interval(clusters)
    )


class Trials(NamedTuple):
    """What several trials of one run tell. ``most`` is the largest number of scored trials of a variant; with one, nothing is known.

    ``pass_at`` and ``pass_hat`` by k from 1: means over the variants with at least k scored trials. ``repeated`` variants have two or more.
    """

    variants: int
    most: int
    repeated: int
    flaky: list[str]
    pass_at: dict[int, float]
    pass_hat: dict[int, float]


def trials(rows: Iterable[Row]) -> Trials:
    """Return what the trials of a run tell; errored and skipped ones are no trials."""
    grouped: dict[tuple[str, str, tuple[str, ...]], list[Row]] = {}
    for row in rows:
        if row.scored:
            grouped.setdefault(row.variant, []).append(row)
    most = max(map(len, grouped.values()), default=0)
    disagreeing = [
        group[0].id.partition("#")[0]
        for group in grouped.values()
        if flaky([row.passed for row in group])
    ]
    curves: list[dict[int, float]] = []
    for formula in (pass_at, pass_hat):
        curve = {}
        for k in range(1, most + 1):
            shares = [
                share
                for group in grouped.values()
                if (share := formula(len(group), sum(row.passed for row in group), k)) is not None
            ]
            curve[k] = sum(shares) / len(shares)
        curves.append(curve)
    return Trials(
        len(grouped), most, sum(len(group) > 1 for group in grouped.values()), disagreeing, *curves
    )


class Counts(NamedTuple):
    """A run's denominators: results in all, of them scored (passed or failed), errored, skipped."""

    results: int
    scored: int
    passed: int
    failed: int
    errored: int
    skipped: int


def count(rows: Iterable[Row]) -> Counts:
    """Count a run's results by verdict."""
    numbers = dict.fromkeys(Verdict, 0)
    for row in rows:
        numbers[row.verdict] += 1
    passed, failed = numbers[Verdict.PASSED], numbers[Verdict.FAILED]
    return Counts(
        sum(numbers.values()),
        passed + failed,
        passed,
        failed,
        numbers[Verdict.ERRORED],
        numbers[Verdict.SKIPPED],
    )


def _by_family(values: Iterable[tuple[str, float]]) -> dict[str, list[float]]:
    grouped: dict[str, list[float]] = {}
    for family, value in values:
        grouped.setdefault(family, []).append(value)
    return grouped
