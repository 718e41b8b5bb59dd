"""Plan a comparison: how many scenarios and trials would settle a question. Pure.

The question is that of the gate rule ``non_inferiority``: is the candidate worse by less than a
margin? A plan answers it for a candidate that is as good as the baseline, scenario by scenario.
Then the mean difference of N scenarios with k trials each has the variance

    (2 x trial variance / trials of a scenario + change variance) / N

* *Trial variance* is p(1 - p) of one variant, whose trials differ by chance. With one trial per
  variant it is not known, and every failure is treated as chance.
* *Change variance* is how differently scenarios change between two runs. One run cannot show it;
  with two runs it is what their differences have beyond chance.

The margin is shown if the whole interval is above it. The interval is that of a comparison: the
wider of Student's and of what scenarios of which none differs may hide (:mod:`.evidence`). So no
number of trials replaces scenarios.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from evalkit.compare.compared_run import ComparedRun
from evalkit.compare.intervals import CONFIDENCE, POWER
from evalkit.compare.pairing import Pair
from evalkit.compare.rows import ResultRow, grouped
from evalkit.compare.sample_size import Spread, clusters_needed

TRIALS = (1, 2, 3, 5, 10)
"""The numbers of trials that a plan shows."""


class Spending(NamedTuple):
    """The means of one result: tokens, cost, milliseconds; None if unknown."""

    tokens: float | None
    cost: float | None
    elapsed_ms: float | None

    def times(self, count: int) -> "Spending":
        """Return the sums of so many results."""
        return Spending(*(None if value is None else value * count for value in self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pilot:
    """What a pilot run shows.

    ``variants`` is the mean number of variants of a scenario. The variances are of single trials:
    ``between`` scenarios, ``within`` (between trials of a variant), and ``change``.
    ``knows_trials`` says whether some variant had several trials, ``knows_change`` whether there
    were two runs.
    """

    scenarios: int
    variants: float
    rate: float
    between: float
    within: float
    change: float
    knows_trials: bool
    knows_change: bool
    each: Spending


class PlanRow(NamedTuple):
    """The scenarios that are needed with a number of trials; the results of one run, their sums."""

    trials: int
    scenarios: int
    results: int
    spending: Spending


def pilot_of(run: ComparedRun, pairs: Sequence[Pair] = ()) -> Pilot | None:
    """Return what a run shows, and its scored ``pairs`` with a second run; None without results."""
    rows = [row for row in run.rows if row.scored]
    if not rows:
        return None
    variants = list(grouped((row.variant, row.passed) for row in rows).values())
    clusters = grouped((row.cluster, row) for row in rows)
    passed = sum(row.passed for row in rows)
    # Half a failure more than observed: a run without failures does not prove that none can be.
    rate = (passed + 0.5) / (len(rows) + 1)
    total = rate * (1 - rate)
    repeated = [trials for trials in variants if len(trials) > 1]
    within = total
    if repeated:
        degrees = sum(len(trials) - 1 for trials in repeated)
        spread = sum(len(trials) * _rate(trials) * (1 - _rate(trials)) for trials in repeated)
        # As above, for the variants: one more, half of whose trials failed in every other one.
        within = min(total, (spread + 0.25) / (degrees + 1))
    per_cluster = len(variants) / len(clusters)
    return Pilot(
        scenarios=len(clusters),
        variants=per_cluster,
        rate=passed / len(rows),
        between=max(0.0, total - within),
        within=within,
        change=_change_variance(pairs, within),
        knows_trials=bool(repeated),
        knows_change=bool(pairs),
        each=Spending(*(_mean(rows, name) for name in Spending._fields)),
    )


def _rate(trials: Sequence[bool]) -> float:
    return sum(trials) / len(trials)


def _mean(rows: Sequence[ResultRow], name: str) -> float | None:
    values = [value for row in rows if (value := getattr(row, name)) is not None]
    return math.fsum(values) / len(values) if values else None


def _change_variance(pairs: Sequence[Pair], within: float) -> float:
    """Return the variance of scenarios' differences beyond that of their trials."""
    clusters = list(grouped((pair.candidate.cluster, pair.difference) for pair in pairs).values())
    if len(clusters) < 2:
        return 0.0
    means = [math.fsum(cluster) / len(cluster) for cluster in clusters]
    mean = math.fsum(means) / len(means)
    variance = math.fsum((one - mean) ** 2 for one in means) / (len(means) - 1)
    chance = math.fsum(2 * within / len(cluster) for cluster in clusters) / len(clusters)
    return max(0.0, variance - chance)


def scenarios_needed(
    pilot: Pilot, margin: float, trials: int, power: float = POWER, confidence: float = CONFIDENCE
) -> int | None:
    """Return how many scenarios show a margin with so many trials; None if a million do not."""
    variance = 2 * pilot.within / (trials * pilot.variants) + pilot.change
    # The share of pairs that differ: as many regress as improve.
    discordance = 2 * pilot.within + pilot.change
    return clusters_needed(margin, Spread(0.0, variance, discordance), power, confidence)


def plan_rows(pilot: Pilot, margin: float, power: float, confidence: float) -> list[PlanRow]:
    """Return what is needed for each number of trials."""
    rows = []
    for trials in TRIALS:
        scenarios = scenarios_needed(pilot, margin, trials, power, confidence)
        if scenarios is not None:
            results = round(scenarios * pilot.variants * trials)
            rows.append(PlanRow(trials, scenarios, results, pilot.each.times(results)))
    return rows


def trials_needed(pilot: Pilot, margin: float, power: float, confidence: float) -> int | None:
    """Return the trials with which the pilot's own scenarios suffice; None if none do."""
    for trials in range(1, 101):
        needed = scenarios_needed(pilot, margin, trials, power, confidence)
        if needed is not None and needed <= pilot.scenarios:
            return trials
    return None
