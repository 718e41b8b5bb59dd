"""Compute what scored pairs show about two runs. Pure.

Only scored pairs count; an errored result is in no average. The unit of evidence is the cluster: a
scenario, or its case row where it has cases, with all its variants and trials. p value, interval
and detectable drop are computed from the same clusters and never contradict each other: the
interval contains 0 exactly if the runs do not differ significantly at its confidence.

A session that could stop early looked at its results again and again. Its p value and interval are
those of a confidence sequence (:mod:`.confidence_sequence`), whether it stopped or not.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from evalkit.compare.clusters import (
    ClusterMean,
    ClusterSum,
    cluster_mean,
    cluster_sums,
    sign_flip_test,
    smallest_p,
)
from evalkit.compare.confidence_sequence import anytime_p, confidence_sequence
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
from evalkit.compare.rows import grouped
from evalkit.compare.sample_size import Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What scored pairs show, in shares from 0 to 1, candidate minus baseline.

    ``mean`` is the difference over clusters (None without pairs), ``differing`` the number of
    clusters that improved or regressed. ``effective`` is the number of independent pairs that the
    pairs are worth. ``score`` is Tango's interval of so many; ``robust`` the cluster-robust one
    (None with fewer than two clusters). ``detectable`` is the smallest drop that would be found
    with a chance of 80 %, None if none would. ``largest`` is the most pairs of a cluster if p and
    interval are valid at any time of stopping, else None; such evidence has no detectable drop.
    ``sums`` are those of the clusters.
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
    largest: int | None = None
    sums: Sequence[ClusterSum] = ()

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
        return self.largest is None and not _is_significant(
            smallest_p(self.differing), self.confidence
        )

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


def evidence(
    pairs: Sequence[Pair], confidence: float = CONFIDENCE, largest: int | None = None
) -> Evidence:
    """Return what scored pairs show; there may be none.

    ``largest`` is the most pairs of a cluster in runs that could stop at any time, else None.
    """
    groups = grouped((pair.candidate.cluster, pair.difference) for pair in pairs)
    found = cluster_evidence(pair_table(pairs), clusters := cluster_sums(groups), confidence)
    if largest is None:
        return found
    # Pairs may be turns, of which a result has several.
    largest = max(largest, *(int(one.size) for one in clusters), 1)
    return replace(
        found,
        largest=largest,
        p=anytime_p(clusters, largest),
        interval=confidence_sequence(clusters, largest, confidence),
        detectable=None,
        sums=clusters,
    )


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


def by_tag(pairs: Iterable[Pair], largest: int | None = None) -> dict[str, TagEvidence]:
    """Return the evidence of each tag of the candidate, with Holm's correction."""
    tagged = grouped((tag, pair) for pair in pairs for tag in dict.fromkeys(pair.candidate.tags))
    results = {tag: evidence(tagged[tag], largest=largest) for tag in sorted(tagged)}
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
