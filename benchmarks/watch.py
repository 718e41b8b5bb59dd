"""Simulate years of looks at a service: false alarms of ``evalkit watch``, and its delay.

    python -m benchmarks.watch [histories [quiet|changes]]

First, nothing changes for 365 looks: of the histories at most 5 % may ever have a capital of 20 in a
measure, and at most 1 in 500 one of 500, which is an alarm at ``--alpha 0.01``; whatever the number
of turns and their pass rates. Answers differ from their recordings as verdicts do, so they are not
simulated again. Output tokens are lognormal. Every look has a network of its own, which all its
requests share. A row misses what is wanted if a share is larger by more than three standard errors.

Then something changes after some quiet looks. Shown is the median number of looks until the alarm,
the look of the change included, and the share of histories that have it within 60 looks.
"""

from __future__ import annotations

import itertools
import math
import random
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import fmean, median

from evalkit.compare.drift import Bets, look_p, series_p
from evalkit.compare.drift_signals import ALARMS, MEASURES

ALPHA, LOOKS, WITHIN = 0.01, 365, 60
ALARM = ALARMS / ALPHA
LIMITS = (20.0, ALARM)
TURNS = (5, 30, 100)
RATES = ((1.0,), (0.99,), (0.95,), (0.8,), (0.5,), (0.5, 0.7, 0.9, 0.99, 1.0))
"""Pass rates of the turns, in turn."""
TOKEN_SPREAD, REQUEST_SPREAD, NETWORK_SPREAD = 0.3, 0.25, 0.15
"""Standard deviations of logarithms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """How a service answers."""

    rates: tuple[float, ...] = (0.95,)
    tokens: float = 1.0
    latency: float = 1.0

    def look(self, chance: random.Random, turns: int, measure: str) -> dict[str, float]:
        """Return the values of one look by turn."""
        names = [str(number) for number in range(turns)]
        if measure == "tokens":
            middle = math.log(100 * self.tokens)
            return {name: middle + chance.gauss(0, TOKEN_SPREAD) for name in names}
        if measure == "latency":
            network = math.log(self.latency) + chance.gauss(0, NETWORK_SPREAD)
            return {name: network + chance.gauss(0, REQUEST_SPREAD) for name in names}
        rates = zip(names, itertools.cycle(self.rates), strict=False)
        return {name: float(chance.random() >= rate) for name, rate in rates}


def capitals(
    services: Iterable[Service], turns: int, chance: random.Random, measure: str
) -> Iterator[float]:
    """Yield the largest capital of the alarms of a measure after each look."""
    earlier: dict[str, list[float]] = {}
    looks: list[dict[str, float]] = []
    bets = {side: Bets() for side in MEASURES[measure].alarms}
    for service in services:
        values, tie = service.look(chance, turns, measure), chance.random()
        is_shared = measure == "latency"
        p = look_p(looks, values, tie) if is_shared else series_p(earlier, values, tie)
        looks.append(values)
        for key, value in values.items():
            earlier.setdefault(key, []).append(value)
        for side, bet in bets.items():
            if p is not None:
                bet.add(p if side == "high" else 1 - p)
        yield max(bet.capital for bet in bets.values())


def largest_capitals(
    turns: int, rates: tuple[float, ...], measure: str, *, histories: int, looks: int = LOOKS
) -> list[float]:
    """Return the largest capital that each history without any change ever has."""
    chance = random.Random(f"{turns} {rates} {measure}")  # noqa: S311 - the same each time
    services = [Service(rates=rates)] * looks
    return [max(capitals(services, turns, chance, measure)) for _ in range(histories)]


def delays(
    before: Service, after: Service, turns: int, quiet: int, *, histories: int, measure: str
) -> list[float]:
    """Return after how many looks each history has an alarm; infinite without one."""
    chance = random.Random(f"{turns} {quiet} {measure}")  # noqa: S311 - the same each time
    services = [before] * quiet + [after] * WITHIN
    found = []
    for _ in range(histories):
        reached = enumerate(capitals(services, turns, chance, measure), 1 - quiet)
        found.append(next((at for at, one in reached if at > 0 and one >= ALARM), math.inf))
    return found


CHANGES: tuple[tuple[str, str, Service, Service], ...] = (
    ("pass rate 0.95 -> 0.8", "verdicts", Service(), Service(rates=(0.8,))),
    ("pass rate 1.0 -> 0.9", "verdicts", Service(rates=(1.0,)), Service(rates=(0.9,))),
    ("pass rate 1.0 -> 0", "verdicts", Service(rates=(1.0,)), Service(rates=(0.0,))),
    ("tokens +20 %", "tokens", Service(), Service(tokens=1.2)),
    ("time x1.5", "latency", Service(), Service(latency=1.5)),
)


def quiet_row(turns: int, rates: tuple[float, ...], measure: str, histories: int) -> bool:
    """Print a row of the first table; return whether it misses what is wanted."""
    found = largest_capitals(turns, rates, measure, histories=histories)
    missed, row = False, f"{measure:<9}{turns:>4} turns{histories:>6}"
    for limit in LIMITS:
        # A measure with two alarms has twice the chance.
        allowed = len(MEASURES[measure].alarms) / limit
        share = fmean(one >= limit for one in found)
        missed |= share > allowed + 3 * math.sqrt(allowed / histories)
        row += f"   {limit:g}: {share:6.2%} (at most {allowed:.1%})"
    shown = f"   pass rate {', '.join(map(str, rates))}" if measure == "verdicts" else ""
    print(row + shown + ("   MISSED" if missed else ""), flush=True)
    return missed


def main() -> int:
    """Print the tables; 1 where there are too many false alarms."""
    histories = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    part = sys.argv[2] if len(sys.argv) > 2 else ""
    missed = 0
    if part != "changes":
        print(f"nothing changes: share of so many histories of {LOOKS} looks with a capital of")
        for turns in TURNS:
            # A history of many turns takes seconds.
            count = math.ceil(histories * min(1.0, 25 / turns))
            for rates in RATES:
                missed += quiet_row(turns, rates, "verdicts", count)
            for measure in ("tokens", "latency"):
                missed += quiet_row(turns, (0.95,), measure, count)
    if part != "quiet":
        print(f"a change: median looks until the alarm (share within {WITHIN} looks)")
        for name, measure, before, after in CHANGES:
            for turns in TURNS:
                row = f"{name:<24}{turns:>4} turns"
                for quiet in (10, 30, 100):
                    found = delays(
                        before, after, turns, quiet, histories=histories, measure=measure
                    )
                    share = fmean(one < math.inf for one in found)
                    row += f"   after {quiet}: {median(found):>4g} ({share:.0%})"
                print(row, flush=True)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
