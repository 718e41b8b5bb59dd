"""Statistics over several trials of a variant: pass@k, pass^k, flakiness. Pure.

Trials are independent recordings of the same variant. One trial says nothing about flakiness.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from evalkit.compare.rows import ResultRow, VariantKey


def pass_at(count: int, passed: int, k: int) -> float | None:
    """Return pass@k: at least one of ``k`` trials drawn from ``count`` passes.

    1 - C(n-c,k)/C(n,k) (Chen et al. 2021). None with fewer than ``k`` trials.
    """
    return None if count < k or k < 1 else 1 - math.comb(count - passed, k) / math.comb(count, k)


def pass_hat(count: int, passed: int, k: int) -> float | None:
    """Return pass^k, the chance that all of ``k`` trials drawn from ``count`` pass.

    C(c,k)/C(n,k) (Yao et al. 2024). None with fewer than ``k`` trials.
    """
    return None if count < k or k < 1 else math.comb(passed, k) / math.comb(count, k)


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
    variants: dict[VariantKey, list[ResultRow]] = {}
    for row in rows:
        if row.scored:
            variants.setdefault(row.variant, []).append(row)
    trials = list(variants.values())
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
    formula: Callable[[int, int, int], float | None], variants: Iterable[Sequence[bool]], k: int
) -> float:
    shares = [formula(len(trials), sum(trials), k) for trials in variants]
    known = [share for share in shares if share is not None]
    return sum(known) / len(known)
