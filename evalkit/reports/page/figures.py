"""The figures of a run to look at: pass rates with their intervals, and how tokens and recorded times are spread. Values only; pure.

Every chart stands beside a table that says the same, so that nothing is told by a drawing alone. A rate is of what was scored; its interval is
Wilson's at 95 %. A distribution is of variants that have the number; its bins have round edges and are closed below, open above.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import ceil, floor, log10
from typing import NamedTuple

from evalkit.compare.proportions import wilson
from evalkit.reports.formatting import duration
from evalkit.reports.overview import Tally

SHOWN = 40
"""Rows of a table of rates; the rest is counted."""

BINS = 12


class Rate(NamedTuple):
    """A pass rate in words, and its place in percent of the axis: where the interval starts, how long it is, where the rate stands."""

    name: str
    passed: int
    scored: int
    share: str
    between: str
    start: str
    width: str
    value: str


class Rates(NamedTuple):
    """A table of rates, lowest first; ``more`` are not shown."""

    title: str
    rows: list[Rate]
    more: int


class Bin(NamedTuple):
    """A bin in words, and its bar in percent: where it starts, how wide and how high it is, and where its top is."""

    label: str
    variants: int
    start: str
    width: str
    height: str
    top: str


class Spread(NamedTuple):
    """A distribution: its bins, and what most want to know of it in one line."""

    title: str
    note: str
    bins: list[Bin]


class Figures(NamedTuple):
    """All figures of a run."""

    rates: list[Rates]
    spreads: list[Spread]


def figures(suites: Mapping[str, Tally], total: Tally) -> Figures:
    """Return the figures of a run; tables and charts that would say nothing are left out."""
    by_suite = {name: (tally.verdicts["passed"], tally.scored) for name, tally in suites.items()}
    by_tag = {
        tag: (total.rates[tag, "passed"], total.rates[tag, "passed"] + total.rates[tag, "failed"])
        for tag in total.tags
    }
    rates = [
        _rates(f"Pass rate by {word}", found)
        for word, found in (("suite", by_suite), ("tag", by_tag))
    ]
    spreads = [
        _spread("Tokens of a variant", total.sizes, lambda value: f"{value:,.0f}"),
        _spread("Recorded time of a variant", total.times, _time),
    ]
    return Figures([one for one in rates if one.rows], [one for one in spreads if one.bins])


def _rates(title: str, found: Mapping[str, tuple[int, int]]) -> Rates:
    scored = [(name, passed, count) for name, (passed, count) in found.items() if count]
    scored.sort(key=lambda one: (one[1] / one[2], one[0]))
    return Rates(title, [_rate(*one) for one in scored[:SHOWN]], max(0, len(scored) - SHOWN))


def _rate(name: str, passed: int, scored: int) -> Rate:
    low, high = wilson(passed, scored)[:2]
    share = 100 * passed / scored
    between = f"{100 * low:.1f} to {100 * high:.1f} %"
    return Rate(
        name,
        passed,
        scored,
        f"{share:.1f} %",
        between,
        _number(100 * low),
        _number(max(100 * (high - low), 0.5)),
        _number(share),
    )


def _spread(title: str, values: Sequence[float], shown: Callable[[float], str]) -> Spread:
    if not values:
        return Spread(title, "", [])
    ordered = sorted(values)
    step = _step(ordered[0], ordered[-1])
    first = floor(ordered[0] / step)
    counts = [0] * (floor(ordered[-1] / step) - first + 1)
    for value in ordered:
        counts[floor(value / step) - first] += 1
    most = max(counts)
    bins = []
    for number, count in enumerate(counts):
        low = (first + number) * step
        height = 100 * count / most
        label = f"{shown(low)} to {shown(low + step)}"
        bins.append(
            Bin(
                label,
                count,
                _number(number * 100 / len(counts)),
                _number(100 / len(counts)),
                _number(height),
                _number(100 - height),
            )
        )
    middle, high = ordered[(len(ordered) - 1) // 2], ordered[ceil(0.95 * len(ordered)) - 1]
    note = f"{len(ordered):,} variants: half at most {shown(middle)}, 95 of 100 at most {shown(high)}, the largest {shown(ordered[-1])}"
    return Spread(title, note, bins)


def _step(low: float, high: float) -> float:
    """Return the smallest of 1, 2 and 5 times a power of ten that needs no more than ``BINS`` bins."""
    rough = max((high - low) / BINS, 1.0)
    power: float = 10.0 ** floor(log10(rough))
    return next(
        size * power
        for size in (1, 2, 5, 10, 20)
        if floor(high / (size * power)) - floor(low / (size * power)) < BINS
    )


def _time(milliseconds: float) -> str:
    return duration(milliseconds) or "0 ms"


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
