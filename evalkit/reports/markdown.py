"""``summary.md``: a run for GitHub's step summary and whoever reads Markdown: the verdict, counts, then one row for each variant, worst first.

GitHub refuses a step summary above 1 MiB, so the file stays below ``LIMIT``: passing rows go first, then those of skips, warnings and errors;
how many were left out is said. Whatever a model or a suite said is neutralised (``neutral.code``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evalkit._lib.files import write_atomic
from evalkit._lib.text import plural
from evalkit.reports.glance import glance, refuse
from evalkit.reports.neutral import code
from evalkit.reports.overview import Tally, overview
from evalkit.reports.variants import warned
from evalkit.reports.words import headline
from evalkit.results import Run

LIMIT = 900_000
"""Bytes of the file."""

_ROOM = 2_000
_ORDER = ("failed", "errored", "warned", "skipped", "passed")
_MARKS = {
    "failed": "❌ failed",
    "errored": "⚠️ errored",
    "warned": "✅ passed, with warnings",
    "skipped": "⏭️ skipped",
    "passed": "✅ passed",
}


def write(run: Run) -> Path:
    """Write ``summary.md`` into the run's directory and return its path. Raises UsageError naming a result line that cannot be read."""
    total = Tally()
    rows: dict[str, list[str]] = {kind: [] for kind in _ORDER}
    for number, line in enumerate(run.lines(), 1):
        try:
            head = glance(line)
            total.add(head)
            kind = "warned" if head["verdict"] == "passed" and warned(head) else head["verdict"]
            rows[kind].append(_row(kind, head))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise refuse(run.directory, number, error) from error
    path = run.directory / "summary.md"
    write_atomic(path, "".join(_document(run.manifest, total, rows)))
    return path


def _document(manifest: Mapping[str, Any], total: Tally, rows: Mapping[str, list[str]]) -> Iterator[str]:
    top = overview(manifest, total)
    yield f"## {top.verdict}: {top.sentence}\n\n"
    yield from (f"> {notice}\n\n" for notice in top.notices)
    yield "| collected | scored | passed | failed | errored | skipped | warnings | tokens |\n|---:|---:|---:|---:|---:|---:|---:|---:|\n"
    counts = total.verdicts
    numbers = (manifest.get("totals", {}).get("collected", total.results), total.scored)
    figures = (*numbers, *(counts[name] for name in ("passed", "failed", "errored", "skipped")), total.warnings, total.tokens)
    yield "| " + " | ".join(f"{figure:,}" for figure in figures) + " |\n\n"
    if total.results:
        yield "| | variant | why |\n|---|---|---|\n"
        yield from _within(LIMIT - _ROOM, rows)


def _within(room: int, rows: Mapping[str, list[str]]) -> Iterator[str]:
    """Yield as many rows as there is room for, worst first, and a line that says what was left out."""
    left: dict[str, int] = {}
    for kind in _ORDER:
        for number, row in enumerate(rows[kind]):
            room -= len(row.encode())
            if room < 0:
                left[kind] = len(rows[kind]) - number
                break
            yield row
        if left:
            left |= {other: len(rows[other]) for other in _ORDER[_ORDER.index(kind) + 1 :] if rows[other]}
            break
    if left:
        yield f"\nLeft out, to stay within what GitHub takes: {_listed(left)}.\n"


def _listed(left: Mapping[str, int]) -> str:
    return ", ".join(f"{plural(count, 'row')} of {kind}" for kind, count in left.items())


def _row(kind: str, head: Mapping[str, Any]) -> str:
    return f"| {_MARKS[kind]} | {code(head['id'])} | {code(headline(head)) if kind != 'passed' else ''} |\n"
