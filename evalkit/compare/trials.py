"""Compute what the trials of one run show. Pure.

Trials are independent recordings of the same variant. One trial says nothing about flakiness.

Two passes of two trials do not show a pass rate of 100 %. Each variant's rate is moved towards that
of all variants, the more the less its own trials tell: the empirical Bayes estimate under a
beta-binomial model, with the moment estimator of the correlation between trials of one variant
(Kleinman 1973, "Proportions with extraneous variance"). With trials ``n``, rate ``p`` and the mean
rate ``m``, the estimate is ``m + (p - m) n r / (1 + (n - 1) r)``. The correlation ``r`` is 0 if
variants differ no more than chance explains, 1 if all trials of a variant agree.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from evalkit._lib.json import JSON
from evalkit.compare.rows import ResultRow, VariantKey, grouped


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


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantRate:
    """The scored trials of a variant, how many passed, and the estimate of its pass rate."""

    name: str
    trials: int
    passed: int
    estimate: float

    def to_json(self) -> dict[str, JSON]:
        """Return the rate as it appears in ``comparison.json``."""
        counts = {"name": self.name, "trials": self.trials, "passed": self.passed}
        return {**counts, "estimate": self.estimate}


def variant_rates(rows: Iterable[ResultRow]) -> dict[VariantKey, VariantRate]:
    """Return the pass rate of each variant with scored trials, in the order of the rows."""
    groups = grouped((row.variant, row) for row in rows if row.scored)
    counts = [(len(group), sum(row.passed for row in group)) for group in groups.values()]
    total = sum(trials for trials, _ in counts)
    mean = sum(passed for _, passed in counts) / total if total else 0.0
    correlation = trial_correlation(counts)
    return {
        key: VariantRate(
            name=group[0].id.partition("#")[0],
            trials=trials,
            passed=passed,
            estimate=_shrunk(passed / trials, trials, mean, correlation),
        )
        for (key, group), (trials, passed) in zip(groups.items(), counts, strict=True)
    }


def trial_correlation(counts: Iterable[tuple[int, int]]) -> float:
    """Return the correlation between trials of one variant, from pairs of trials and passes.

    It is 1 where it cannot be estimated, so that nothing is moved: with fewer than two variants,
    one trial of each, or no variation at all.
    """
    pairs = list(counts)
    total = sum(trials for trials, _ in pairs)
    mean = sum(passed for _, passed in pairs) / total if total else 0.0
    variance, others = mean * (1 - mean), len(pairs) - 1
    free = total - sum(trials**2 for trials, _ in pairs) / total - others if total else 0.0
    if others < 1 or free <= 0 or not variance:
        return 1.0
    spread = math.fsum(trials * (passed / trials - mean) ** 2 for trials, passed in pairs)
    return min(1.0, max(0.0, (spread / variance - others) / free))


def _shrunk(rate: float, trials: int, mean: float, correlation: float) -> float:
    weight = trials * correlation / (1 + (trials - 1) * correlation)
    return mean + (rate - mean) * weight
