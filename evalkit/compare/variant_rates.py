"""Estimate the pass rate of each variant from few trials. Pure.

Two passes of two trials do not show a rate of 100 %. Each variant's rate is moved towards that of
all variants, the more the less its own trials tell: the empirical Bayes estimate under a
beta-binomial model, with the moment estimator of the correlation between trials of one variant
(Kleinman 1973, "Proportions with extraneous variance"). With trials ``n``, rate ``p`` and the mean
rate ``m``, the estimate is ``m + (p - m) n r / (1 + (n - 1) r)``. The correlation ``r`` is 0 if
variants differ no more than chance explains, 1 if all trials of a variant agree.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from evalkit._lib.json import JSON
from evalkit.compare.rows import ResultRow, VariantKey, grouped


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
