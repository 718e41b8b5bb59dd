"""Simulate comparisons: how often intervals cover the truth, and how often equal runs differ.

    python benchmarks/decisions.py [samples]

Every row of the table is a layout of a comparison: clusters (scenarios), variants and trials of
each, with or without one cluster that has half of all pairs. Its figures are the worst of these
ways in which scenarios may differ:

* noise: scenarios are differently hard, the runs are equally good, every trial is independent;
* swaps: some scenarios also change for good, as many to the better as to the worse;
* drop: some scenarios fail for good in the candidate.

Wanted: coverage of the 95 % interval of the difference at least 93 %; p < 0.05 in at most 6 % of
comparisons of equally good runs (noise, swaps); the lower bound of the pass rate above the true
rate in at most 4 % (nominal 2.5 %); and p and interval never contradict each other. A layout misses
it if a figure is worse by more than two standard errors of the simulation.

A second table shows plans of ``evalkit plan``: they promise an answer with a chance of 80 %, and
must keep that but for six points.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalkit.compare.clusters import ClusterSum, rate_interval
from evalkit.compare.evidence import cluster_evidence
from evalkit.compare.intervals import PairTable
from evalkit.compare.plan import Pilot, Spending, scenarios_needed

CLUSTERS, VARIANTS, TRIALS = (10, 30, 100, 500), (1, 3, 10), (1, 3, 10)
EFFECTS = {"noise": (0.0, 0.0), "swaps": (0.08, 0.08), "drop": (0.15, 0.0)}
"""Shares of scenarios that fail for good in the candidate, and that fail only in the baseline."""
HARDNESS = (2.0, 0.5)
"""Pass rates of scenarios have this Beta distribution, with the mean 0.8."""
PILOTS = ((2.0, 0.5), (8.0, 2.0), (20.0, 1.0))
"""Beta distributions of pass rates for which comparisons are planned."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The shape of a comparison."""

    clusters: int
    variants: int
    trials: int
    dominated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Frequencies:
    """Shares of simulated comparisons."""

    coverage: float
    false_positives: float
    too_high_bounds: float
    contradictions: int


def simulate(layout: Layout, effect: str, samples: int, seed: int = 1) -> Frequencies:
    """Return what happens in so many comparisons of one layout."""
    chance = np.random.default_rng(seed)
    lost, gained = EFFECTS[effect]
    rate = HARDNESS[0] / sum(HARDNESS)
    truth = (gained - lost) * rate
    covered = significant = too_high = contradictions = 0
    for _ in range(samples):
        counts = draw(chance, layout, lost, gained)
        both, regressed, improved, neither = counts.sum(0)
        sizes, sums = counts.sum(1), counts[:, 2] - counts[:, 1]
        found = cluster_evidence(
            PairTable(int(both), int(neither), int(regressed), int(improved)),
            [ClusterSum(int(size), float(total)) for size, total in zip(sizes, sums, strict=True)],
        )
        low, high = found.interval
        covered += low <= truth <= high
        significant += found.p < 0.05
        contradictions += (found.p < 0.05) == (low <= 0 <= high)
        passed = counts[:, 0] + counts[:, 2]
        bound = rate_interval(
            [ClusterSum(int(size), float(total)) for size, total in zip(sizes, passed, strict=True)]
        ).low
        too_high += bound > rate * (1 - lost)
    return Frequencies(
        coverage=covered / samples,
        false_positives=significant / samples,
        too_high_bounds=too_high / samples,
        contradictions=contradictions,
    )


def draw(
    chance: np.random.Generator, layout: Layout, lost: float, gained: float
) -> NDArray[np.int64]:
    """Return the pairs of each cluster: passed in both, regressed, improved, failed in both."""
    hardness: Floats = chance.beta(*HARDNESS, size=(layout.clusters, 1))
    # Variants of a scenario differ a little.
    rates = np.clip(hardness + chance.normal(0, 0.03, (layout.clusters, layout.variants)), 0, 1)
    fate = chance.random((layout.clusters, 1))
    old, new = np.where(fate > 1 - gained, 0, rates), np.where(fate < lost, 0, rates)
    cells = np.stack([old * new, old * (1 - new), (1 - old) * new, (1 - old) * (1 - new)], axis=-1)
    trials = np.full((layout.clusters, layout.variants), layout.trials)
    if layout.dominated:
        trials[0] *= layout.clusters - 1
    counts: NDArray[np.int64] = chance.multinomial(trials, cells).sum(1)
    return counts


def plan_power(
    hardness: tuple[float, float], variants: int, trials: int, margin: float, samples: int
) -> tuple[int, float]:
    """Return the scenarios that a plan asks for, and how often so many show the margin.

    The pass rates of variants have a Beta distribution, and the candidate is as good.
    """
    a, b = hardness
    pilot = Pilot(
        scenarios=0,
        variants=variants,
        rate=a / (a + b),
        between=0.0,
        within=a * b / ((a + b) * (a + b + 1)),
        change=0.0,
        knows_trials=True,
        knows_change=False,
        each=Spending(None, None, None),
    )
    planned = scenarios_needed(pilot, margin, trials)
    assert planned is not None
    chance, shown = np.random.default_rng(1), 0
    for _ in range(samples):
        rates = np.repeat(chance.beta(a, b, (planned, variants)), trials, axis=1)
        old, new = (chance.random(rates.shape) < rates for _ in range(2))
        sums = new.sum(1) - old.sum(1)
        table = PairTable(
            int((old & new).sum()),
            int((~old & ~new).sum()),
            int((old & ~new).sum()),
            int((~old & new).sum()),
        )
        size = variants * trials
        found = cluster_evidence(table, [ClusterSum(size, float(one)) for one in sums])
        shown += found.interval.low > -margin
    return planned, shown / samples


def print_plans(samples: int) -> int:
    """Print how often planned comparisons show their margin; return how many do so too rarely."""
    print("\n| pass rate | variants | trials | margin | scenarios | shown (planned 80 %) |")
    print("|---:|---:|---:|---:|---:|---:|")
    missed = 0
    for hardness in PILOTS:
        for variants, trials, margin in ((1, 1, 0.1), (1, 3, 0.05), (3, 1, 0.1), (3, 5, 0.05)):
            planned, power = plan_power(hardness, variants, trials, margin, samples)
            is_missed = power + 2 * error(power, samples) < 0.74
            missed += is_missed
            print(
                f"| {hardness[0] / sum(hardness):.0%} | {variants} | {trials} | {margin} "
                f"| {planned} | {power:.1%} |{'  MISSED' if is_missed else ''}",
                flush=True,
            )
    return missed


def main() -> int:
    """Print the table of all layouts; return 1 where a figure is worse than wanted."""
    samples = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    print("| clusters | variants | trials | dominated | coverage | p < 0.05 | bound too high |")
    print("|---:|---:|---:|---|---:|---:|---:|")
    missed = 0
    for layout in layouts():
        found = {effect: simulate(layout, effect, samples) for effect in EFFECTS}
        coverage = min(one.coverage for one in found.values())
        positives = max(found[effect].false_positives for effect in ("noise", "swaps"))
        too_high = max(one.too_high_bounds for one in found.values())
        contradictions = sum(one.contradictions for one in found.values())
        is_missed = (
            coverage + 2 * error(coverage, samples) < 0.93
            or positives - 2 * error(positives, samples) > 0.06
            or too_high - 2 * error(too_high, samples) > 0.04
            or contradictions > 0
        )
        missed += is_missed
        print(
            f"| {layout.clusters} | {layout.variants} | {layout.trials} "
            f"| {'yes' if layout.dominated else 'no'} | {coverage:.1%} | {positives:.1%} "
            f"| {too_high:.1%} |{'  MISSED' if is_missed else ''}",
            flush=True,
        )
    missed += print_plans(samples)
    print(f"\n{samples} comparisons each; {missed} rows miss what is wanted")
    return int(missed > 0)


def error(share: float, samples: int) -> float:
    """Return the standard error of a simulated share."""
    return math.sqrt(share * (1 - share) / samples)


def layouts() -> list[Layout]:
    """Return all layouts of the table."""
    return [
        Layout(clusters=clusters, variants=variants, trials=trials, dominated=dominated)
        for clusters in CLUSTERS
        for variants in VARIANTS
        for trials in TRIALS
        for dominated in (False, True)
    ]


if __name__ == "__main__":
    sys.exit(main())
