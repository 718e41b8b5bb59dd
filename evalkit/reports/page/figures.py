"""The figures of a run: pass rates with their intervals, distributions of tokens and times. Pure.

Every chart is beside a table with the same numbers. A rate is of all scored results, every trial;
its interval is that of comparisons: over scenarios, or their cases, at 95 %. A distribution is of
the variants that have the number; its bins have round edges.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import NamedTuple

from evalkit._lib.text import duration
from evalkit.compare.clusters import ClusterSum, cluster_mean, rate_interval
from evalkit.reports.formatting import number_text
from evalkit.reports.overview import ResultCounts

SHOWN = 40
"""Rows of a table of rates; the rest is counted."""

BINS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class RateRow:
    """A pass rate as text; ``start``, ``width`` (the interval) and ``value`` are percent."""

    name: str
    passed: int
    scored: int
    share: str
    interval: str
    start: str
    width: str
    value: str


class RateTable(NamedTuple):
    """Pass rates by suite or tag, lowest first; ``more`` are not shown."""

    by: str
    rows: list[RateRow]
    more: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """A bin of a distribution: label and number of variants; the bar's rectangle in percent."""

    label: str
    variants: int
    start: str
    width: str
    top: str
    height: str


class Histogram(NamedTuple):
    """A distribution: its bins, and a note with its quantiles."""

    title: str
    note: str
    bins: list[Bin]


class Figures(NamedTuple):
    """All figures of a run."""

    rates: list[RateTable]
    distributions: list[Histogram]


def figures(
    suites: Mapping[str, ResultCounts], total: ResultCounts, largest: int | None = None
) -> Figures:
    """Return the figures of a run, without empty tables and charts.

    ``largest`` is the most results of a cluster if the run could stop early, else None.
    """
    by_suite = {name: counts.passed.get("", []) for name, counts in suites.items()}
    by_tag = {tag: passed for tag, passed in total.passed.items() if tag}
    rates = [_rate_table("suite", by_suite, largest), _rate_table("tag", by_tag, largest)]
    distributions = [
        _distribution("Tokens", total.noun, total.sizes, lambda value: f"{value:,.0f}"),
        _distribution("Recorded time", total.noun, total.times, duration),
    ]
    return Figures(
        [table for table in rates if table.rows],
        [distribution for distribution in distributions if distribution.bins],
    )


def _rate_table(
    by: str, passed: Mapping[str, Sequence[ClusterSum]], largest: int | None
) -> RateTable:
    rates = [(mean.value, name) for name in passed if (mean := cluster_mean(passed[name]))]
    rates.sort()
    rows = [_rate(name, passed[name], largest) for _, name in rates[:SHOWN]]
    return RateTable(by, rows, max(0, len(rates) - SHOWN))


def _rate(name: str, clusters: Sequence[ClusterSum], largest: int | None) -> RateRow:
    low, high = (100 * share for share in rate_interval(clusters, largest=largest))
    passed = round(sum(cluster.total for cluster in clusters))
    scored = round(sum(cluster.size for cluster in clusters))
    share = 100 * passed / scored
    return RateRow(
        name=name,
        passed=passed,
        scored=scored,
        share=f"{share:.1f} %",
        interval=f"{low:.1f} to {high:.1f} %",
        start=number_text(low),
        width=number_text(max(high - low, 0.5)),
        value=number_text(share),
    )


def _distribution(
    what: str, noun: str, values: Sequence[float], text_of: Callable[[float], str]
) -> Histogram:
    title = f"{what} of a {noun}"
    if not values:
        return Histogram(title, "", [])
    ordered = sorted(values)
    step = _step(ordered[0], ordered[-1])
    first = floor(ordered[0] / step)
    counts = [0] * (floor(ordered[-1] / step) - first + 1)
    for value in ordered:
        counts[floor(value / step) - first] += 1
    bins = []
    for number, variants in enumerate(counts):
        low = (first + number) * step
        height = 100 * variants / max(counts)
        bins.append(
            Bin(
                label=f"{text_of(low)} to {text_of(low + step)}",
                variants=variants,
                start=number_text(number * 100 / len(counts)),
                width=number_text(100 / len(counts)),
                top=number_text(100 - height),
                height=number_text(height),
            )
        )
    middle = text_of(ordered[(len(ordered) - 1) // 2])
    high = text_of(ordered[ceil(0.95 * len(ordered)) - 1])
    note = (
        f"{len(ordered):,} {noun}s: half at most {middle}, 95 of 100 at most {high}, "
        f"the largest {text_of(ordered[-1])}"
    )
    return Histogram(title, note, bins)


def _step(low: float, high: float) -> float:
    """Return the smallest of 1, 2, 5 times a power of ten that needs at most ``BINS`` bins."""
    rough = max((high - low) / BINS, 1.0)
    power: float = 10.0 ** floor(log10(rough))
    return next(
        size * power
        for size in (1, 2, 5, 10, 20)
        if floor(high / (size * power)) - floor(low / (size * power)) < BINS
    )
