"""Simulate sessions that stop when their gate is decided: how often they err, what they save.

    python -m benchmarks.sequential [samples]

Every row is a layout: scenarios, and trials of each. After each scenario the session looks at the
interval of the difference and stops if it is above or below the margin. The figures are the worst
of these ways in which scenarios may differ:

* noise: scenarios are differently hard, every trial is independent;
* lost: some scenarios fail for good in the candidate;
* swaps: some scenarios also change for good, as many to the better as to the worse;
* alike: all trials of a scenario have the same outcome;
* sizes: scenarios have between one result and three times the trials, and only large ones drop.

First, the candidate is worse by exactly the margin, so that every decision is an error. Wanted: at
most 5 % errors, half of them either way, however often one looks. Then it is as good, and much
worse: the interval at the time of stopping must cover the truth in 95 %, and the share of results
that were not run is what was saved. A row misses what is wanted if a figure is worse by more than
two standard errors. The last line shows what happens with the interval of a fixed sample.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.decisions import error
from evalkit.compare.clusters import ClusterSum
from evalkit.compare.confidence_sequence import STAKES
from evalkit.compare.evidence import cluster_evidence
from evalkit.compare.intervals import PairTable

MARGIN, CONFIDENCE = 0.1, 0.95
CLUSTERS, TRIALS = (30, 100, 300), (1, 5)
EFFECTS = ("noise", "lost", "swaps", "alike", "sizes")
HARDNESS = (4.0, 0.5)
"""Pass rates of scenarios have this Beta distribution, with the mean 0.89."""
WORSE = 0.35
"""The drop of a candidate that is clearly worse."""
_LARGER = 3

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    """Simulated comparisons: for each, the size and sum of differences of each scenario in order.

    ``truth`` is the difference in the population, ``largest`` the most results of a scenario.
    """

    sizes: Floats
    totals: Floats
    largest: int
    truth: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stops:
    """Shares of sessions: decided either way, with an interval that covers the truth at the stop.

    ``always`` is the share with intervals that cover it all the time; ``saved`` the mean share of
    results that were not run, ``scenarios`` the median number that ran.
    """

    passed: float
    failed: float
    coverage: float
    always: float
    saved: float
    scenarios: float


def draw(effect: str, clusters: int, trials: int, drop: float, samples: int, seed: int) -> Sessions:
    """Return sessions of one layout in which the candidate is worse by ``drop``."""
    chance = np.random.default_rng(seed)
    shape = (samples, clusters)
    sizes = np.full(shape, trials)
    largest = trials
    # Scaled, so that a drop never leads below 0.
    old = drop + (1 - drop) * chance.beta(*HARDNESS, size=shape)
    rate = drop + (1 - drop) * HARDNESS[0] / sum(HARDNESS)
    new = old - drop if effect in ("noise", "alike") else old.copy()
    if effect in ("lost", "swaps"):
        fate, gained = chance.random(shape), 0.08 * (effect == "swaps")
        new = np.where(fate < drop / rate + gained, 0.0, old)
        old = np.where(fate > 1 - gained, 0.0, old)
    if effect == "sizes":
        largest = _LARGER * trials
        is_large = chance.random(shape) < 0.5
        sizes = np.where(is_large, largest, 1)
        # All of the drop is in large scenarios: weighted by size it is the same.
        own = drop * (largest + 1) / largest
        old = own + (1 - own) * chance.beta(*HARDNESS, size=shape)
        new = np.where(is_large, old - own, old)
    if effect == "alike":
        totals = sizes * ((chance.random(shape) < new) * 1.0 - (chance.random(shape) < old))
    else:
        totals = chance.binomial(sizes, new) - chance.binomial(sizes, old).astype(float)
    return Sessions(sizes=sizes.astype(float), totals=totals, largest=largest, truth=-drop)


def log_capitals(sessions: Sessions, mean: float, side: int = 1) -> Floats:
    """Return the logarithms of the capital after each scenario, as the package computes them.

    ``side`` is 1 for bets that the mean is above ``mean``, -1 for those that it is below.
    """
    above = side * (sessions.totals - mean * sessions.sizes)
    worth = above / ((1 + side * mean) * sessions.largest)
    with np.errstate(divide="ignore"):
        logs = [np.cumsum(np.log1p(np.maximum(stake * worth, -1.0)), axis=1) for stake in STAKES]
    capital: Floats = np.logaddexp.reduce(logs, axis=0) - math.log(len(STAKES))
    return capital


def simulate(sessions: Sessions, margin: float = MARGIN) -> Stops:
    """Return what happens in sessions that look at the interval after each scenario."""
    limit = math.log(2 / (1 - CONFIDENCE))
    samples, clusters = sessions.totals.shape
    is_pass, is_fail = (log_capitals(sessions, -margin, side) >= limit for side in (1, -1))
    is_decided = is_pass | is_fail
    stop = np.where(is_decided.any(1), is_decided.argmax(1), clusters - 1)
    rows = np.arange(samples)
    outside = np.maximum(*(log_capitals(sessions, sessions.truth, side) for side in (1, -1)))
    run = np.cumsum(sessions.sizes, axis=1)
    return Stops(
        passed=float(is_pass[rows, stop].mean()),
        failed=float(is_fail[rows, stop].mean()),
        coverage=float((outside[rows, stop] < limit).mean()),
        always=float((outside.max(1) < limit).mean()),
        saved=float((1 - run[rows, stop] / run[:, -1]).mean()),
        scenarios=float(np.median(stop + 1)),
    )


def errors_of_fixed_intervals(clusters: int, samples: int) -> float:
    """Return how often the interval of a fixed sample decides, at the margin, if one looks always.

    The first look is at ten scenarios.
    """
    sessions = draw("noise", clusters, 1, MARGIN, samples, seed=3)
    decided = 0
    for totals in sessions.totals.astype(int).tolist():
        for count in range(10, clusters + 1):
            part = totals[:count]
            table = PairTable(part.count(0), 0, part.count(-1), part.count(1))
            found = cluster_evidence(table, [ClusterSum(1, float(one)) for one in part], CONFIDENCE)
            if found.interval.low > -MARGIN or found.interval.high < -MARGIN:
                decided += 1
                break
    return decided / samples


def worst(
    clusters: int, trials: int, drop: float, samples: int, effects: tuple[str, ...] = EFFECTS
) -> Stops:
    """Return the worst figures of a layout over the ways in which scenarios may differ."""
    found = [
        simulate(draw(effect, clusters, trials, drop, samples, seed=1 + number))
        for number, effect in enumerate(effects)
    ]
    return Stops(
        passed=max(one.passed for one in found),
        failed=max(one.failed for one in found),
        coverage=min(one.coverage for one in found),
        always=min(one.always for one in found),
        saved=min(one.saved for one in found),
        scenarios=max(one.scenarios for one in found),
    )


def main() -> int:
    """Print both tables; return 1 where a figure is worse than wanted."""
    samples = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    missed = 0
    print("| scenarios | trials | passes | fails | covered always |")
    print("|---:|---:|---:|---:|---:|")
    for clusters in CLUSTERS:
        for trials in TRIALS:
            at = worst(clusters, trials, MARGIN, samples)
            is_missed = any(
                one - 2 * error(one, samples) > bound
                for one, bound in ((at.passed, 0.025), (at.failed, 0.025), (1 - at.always, 0.05))
            )
            missed += is_missed
            print(
                f"| {clusters} | {trials} | {at.passed:.1%} | {at.failed:.1%} | {at.always:.1%} |"
                f"{'  MISSED' if is_missed else ''}",
                flush=True,
            )
    print(
        "\n| scenarios | trials | candidate | decided | wrongly | scenarios run | saved | covered |"
    )
    print("|---:|---:|---|---:|---:|---:|---:|---:|")
    for clusters in CLUSTERS:
        for trials in TRIALS:
            for name, drop in (("as good", 0.0), ("35 points worse", WORSE)):
                # One way each, so that the savings are those of one kind of suite.
                found = simulate(draw("noise", clusters, trials, drop, samples, seed=2))
                right, wrong = found.passed, found.failed
                if drop:
                    right, wrong = wrong, right
                is_missed = found.coverage + 2 * error(found.coverage, samples) < 0.95
                missed += is_missed
                print(
                    f"| {clusters} | {trials} | {name} | {right + wrong:.0%} | {wrong:.1%} "
                    f"| {found.scenarios:.0f} | {found.saved:.0%} | {found.coverage:.1%} |"
                    f"{'  MISSED' if is_missed else ''}",
                    flush=True,
                )
    fixed = errors_of_fixed_intervals(100, min(samples, 300))
    print(f"\nerrors at the margin with the interval of a fixed sample, 100 scenarios: {fixed:.0%}")
    print(f"{samples} sessions each; {missed} rows miss what is wanted")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
