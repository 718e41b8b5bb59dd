"""``comparison/index.html``: a comparison as one page that needs no script: verdict and reason, figures, then what changed, worst first.

The figures are the Comparison's own; transcripts are read again from both runs for the pairs that are shown, at most ``SHOWN`` a group, so a
comparison of any size stays a page that opens. Whatever a model said goes through the report's template environment, which escapes it and
makes hostile characters visible; the page's policy lets no script run at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from evalkit._lib.files import atomic_writer
from evalkit._lib.json import loads
from evalkit.compare.comparison import Comparison
from evalkit.compare.evidence import by_tag, metric_differences
from evalkit.compare.pairing import Pair, PairChange, by_check, by_code
from evalkit.compare.rows import ResultRow
from evalkit.reports.page.charts import interval_chart
from evalkit.reports.page.embedded_data import policy
from evalkit.reports.page.side_by_side import TurnView, turns
from evalkit.reports.page.templating import environment, resource
from evalkit.results import Run

SHOWN = 200
"""Pairs of a group whose transcripts are on the page; the others are listed by name."""

_GROUPS: tuple[tuple[PairChange, str, str, bool], ...] = (
    ("regressed", "Regressions", "Passed in the baseline, failed in the candidate.", True),
    ("improved", "Improvements", "Failed in the baseline, passed in the candidate.", False),
    (
        "changed",
        "Same verdict, different answer",
        "What was said differs, or what failed does; the verdict does not.",
        False,
    ),
    (
        "unscored",
        "Errored or skipped in one of the runs",
        "No evidence about the model: in no rate and in no average.",
        False,
    ),
)
_ID = re.compile(r'\{"schema_version":\s?\d+,\s?"id":\s?("(?:[^"\\]|\\.)*")')
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")


class Entry(NamedTuple):
    """One pair on the page; ``turns`` is None where its transcript is not shown."""

    anchor: str
    pair: Pair
    gained: list[str]
    lost: list[str]
    turns: list[TurnView] | None


class Group(NamedTuple):
    """The pairs of one change."""

    title: str
    note: str
    size: int
    opened: bool
    entries: Iterator[Entry]


def write(comparison: Comparison, baseline: Run, candidate: Run, folder: Path) -> Path:
    """Write ``index.html`` into a folder and return its path."""
    groups = [
        (kind, title, note, opened, comparison.changed(kind))
        for kind, title, note, opened in _GROUPS
    ]
    shown = [pair for *_, pairs in groups for pair in pairs[:SHOWN]]
    old = _lines(baseline, {pair.baseline.id for pair in shown})
    new = _lines(candidate, {pair.candidate.id for pair in shown})
    style = resource("css/report.css") + resource("css/comparison.css")
    found = comparison.evidence
    margin = comparison.gate.non_inferiority.margin if comparison.gate.non_inferiority else None
    stream = (
        environment()
        .get_template("comparison.html")
        .stream(
            comparison=comparison,
            verdict=comparison.verdict,
            evidence=found,
            chart=interval_chart(found.table.difference, found.interval, margin)
            if found.table.pairs
            else None,
            groups=[
                Group(title, note, len(pairs), opened, _entries(pairs, old, new))
                for _, title, note, opened, pairs in groups
                if pairs
            ],
            alone=[(title, rows) for title, rows in _alone(comparison) if rows],
            checks=by_check(comparison.pairing.scored),
            codes=by_code(comparison.pairing.scored),
            tags=by_tag(comparison.pairing.scored),
            metrics=metric_differences(comparison.pairing.scored),
            shown=SHOWN,
            style=style,
            policy=policy("", style),
        )
    )
    stream.enable_buffering(50)
    path = folder / "index.html"
    with atomic_writer(path) as file:
        for piece in stream:
            file.write(piece.encode())
    return path


def _alone(comparison: Comparison) -> tuple[tuple[str, Sequence[ResultRow]], ...]:
    pairing = comparison.pairing
    return (
        ("Added", pairing.added),
        ("Removed", pairing.removed),
        ("Trials without a partner", pairing.unmatched),
    )


def _entries(
    pairs: Sequence[Pair], old: Mapping[str, str], new: Mapping[str, str]
) -> Iterator[Entry]:
    """Yield the pairs of a group. Lines are parsed one pair at a time, so that a page of any size is made in little memory."""
    for number, pair in enumerate(pairs):
        before, after = pair
        views = turns(loads(old[before.id]), loads(new[after.id])) if number < SHOWN else None
        yield Entry(
            f"p.{_UNSAFE.sub('-', after.id)}",
            pair,
            _named(after.codes - before.codes),
            _named(before.codes - after.codes),
            views,
        )


def _named(codes: frozenset[tuple[str, str]]) -> list[str]:
    return [f"{check}: {code}" for check, code in sorted(codes)]


def _lines(run: Run, wanted: set[str]) -> dict[str, str]:
    """Return the result lines of some ids; of an id that stands twice the last, as it is compared."""
    found: dict[str, Any] = {}
    for line in run.lines():
        head = _ID.match(line)
        id_ = loads(head.group(1)) if head else loads(line)["id"]
        if id_ in wanted:
            found[id_] = line
    return found
