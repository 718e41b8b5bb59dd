"""Compute what the trials of one run show. Pure.

Trials are independent recordings of the same variant. One trial says nothing about flakiness.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from evalkit.compare.rows import ResultRow, grouped


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
