"""``comparison/index.html``: a comparison as one page without a script.

Verdict, reason and next step come first, then the regressions, the figures, and what else changed.
The figures are those of the Comparison; transcripts are read from both runs for the pairs that are
shown, at most ``SHOWN`` a group, so that the page stays usable for a comparison of any size.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from evalkit.compare.compared_run import result_lines
from evalkit.compare.comparison import Comparison
from evalkit.compare.intervals import Interval, points
from evalkit.compare.pairing import Pair, by_check, by_code
from evalkit.compare.variant_changes import CHANGES, VariantChange
from evalkit.reports.formatting import number_text
from evalkit.reports.page.side_by_side import ComparedTurn, compare_turns
from evalkit.reports.page.templating import content_policy, resource, write_page
from evalkit.results import Run
from evalkit.results.result_line import parse_result

SHOWN = 200
"""Pairs of a group whose transcripts are on the page; the others are listed by name."""

_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")


class VariantEntry(NamedTuple):
    """A variant on the page, with its trials that changed.

    Each has its turns, or None where its transcripts are not shown.
    """

    anchor: str
    change: VariantChange
    trials: list[tuple[Pair, list[ComparedTurn] | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantGroup:
    """The variants with one kind of change."""

    title: str
    note: str
    variants: int
    pairs: int
    entries: Iterator[VariantEntry]


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalChart:
    """A difference with its interval on an axis; coordinates are percent of the width.

    ``ticks`` are labeled positions.
    """

    low: str
    width: str
    value: str
    zero: str
    margin: str | None
    ticks: list[tuple[str, str]]


def write(comparison: Comparison, baseline: Run, candidate: Run, folder: Path) -> Path:
    """Write ``index.html`` into a folder and return its path."""
    changes = [
        (title, note, comparison.changed_variants(change))
        for change, (title, note) in CHANGES.items()
    ]
    shown = [pair for *_, variants in changes for pair in _pairs(variants)[:SHOWN]]
    old = result_lines(baseline, {pair.baseline.id for pair in shown})
    new = result_lines(candidate, {pair.candidate.id for pair in shown})
    style = resource("css/report.css") + resource("css/comparison.css")
    evidence, scored = comparison.evidence, comparison.pairing.scored
    margin = comparison.gate.non_inferiority.margin if comparison.gate.non_inferiority else None
    groups = [
        VariantGroup(
            title=title,
            note=note,
            variants=len(variants),
            pairs=len(_pairs(variants)),
            entries=_entries(variants, old, new),
        )
        for title, note, variants in changes
    ]
    return write_page(
        folder / "index.html",
        "comparison.html",
        comparison=comparison,
        verdict=comparison.verdict,
        evidence=evidence,
        chart=interval_chart(evidence.table.difference, evidence.interval, margin)
        if evidence.table.pairs
        else None,
        regressions=groups[0],
        others=[group for group in groups[1:] if group.variants],
        margin=margin and points(-margin),
        # Each check, then its codes.
        failures=sorted((by_check(scored) | by_code(scored)).items()),
        shown=SHOWN,
        points=points,
        style=style,
        policy=content_policy("", style),
    )


def interval_chart(difference: float, interval: Interval, margin: float | None) -> IntervalChart:
    """Return the chart of a difference of pass rates, symmetric around zero."""
    reach = max(abs(interval.low), abs(interval.high), abs(margin or 0), 0.01)
    step = next(
        size for size in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if reach / size <= 3 or size == 0.5
    )
    edge = min(1.0, (int(reach / step) + 1) * step)

    def position(share: float) -> float:
        return 100 * (share + edge) / (2 * edge)

    count = round(edge / step)
    low, high = position(max(interval.low, -edge)), position(min(interval.high, edge))
    return IntervalChart(
        low=number_text(low),
        width=number_text(max(high - low, 0.3)),
        value=number_text(position(difference)),
        zero=number_text(position(0)),
        margin=None if margin is None else number_text(position(-margin)),
        ticks=[
            (
                number_text(position(number * step)),
                f"{number * step * 100:+.0f}" if number else "0",
            )
            for number in range(-count, count + 1)
        ],
    )


def _pairs(variants: Iterable[VariantChange]) -> list[Pair]:
    return [pair for variant in variants for pair in variant.pairs]


def _entries(
    variants: Sequence[VariantChange], old: Mapping[str, str], new: Mapping[str, str]
) -> Iterator[VariantEntry]:
    """Yield the variants of a group, parsing the lines of one at a time to save memory."""
    left = SHOWN
    for change in variants:
        trials = []
        for pair in change.pairs:
            turns = None
            if left > 0:
                lines = old[pair.baseline.id], new[pair.candidate.id]
                turns = compare_turns(*map(parse_result, lines))
            trials.append((pair, turns))
            left -= 1
        yield VariantEntry(f"p.{_UNSAFE.sub('-', change.row.id)}", change, trials)
