"""``comment.md``: a comparison as one page of Markdown for a pull request, with a marker by which a workflow finds its own comment again.

One page: verdict, figures, the worst ``ROWS`` of each group; everything else is in the comparison's page. Model text is neutralised.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from evalkit._lib.files import write_atomic
from evalkit.compare.comparison import Comparison
from evalkit.compare.evidence import metric_differences
from evalkit.compare.pairing import Pair
from evalkit.reports.ci.escaping import code

MARKER = "<!-- evalkit:comparison -->"
"""The first line of every comment, and never another one."""

ROWS = 10
_MARKS = {"pass": "✅", "fail": "❌", "inconclusive": "⚠️"}


def write(comparison: Comparison, folder: Path) -> Path:
    """Write ``comment.md`` into a folder and return its path."""
    path = folder / "comment.md"
    write_atomic(path, "".join(_document(comparison)))
    return path


def _document(comparison: Comparison) -> Iterator[str]:
    verdict, found = comparison.verdict, comparison.evidence
    yield f"{MARKER}\n## {_MARKS[verdict.verdict]} {verdict.verdict.capitalize()}: {code(verdict.reason, 600)}\n\n"
    yield f"Gate {code(verdict.gate)}: {code(comparison.baseline.name)} against {code(comparison.candidate.name)}.\n\n"
    yield from (f"> {code(warning, 400)}\n\n" for warning in comparison.warnings)
    table = found.table
    yield "| | candidate passed | candidate failed |\n|---|---:|---:|\n"
    yield f"| **baseline passed** | {table.both_passed} | {table.regressed} |\n"
    yield f"| **baseline failed** | {table.improved} | {table.both_failed} |\n\n"
    if table.pairs:
        low, high = found.interval
        yield f"Difference {table.difference * 100:+.1f} points, between {low * 100:+.1f} and {high * 100:+.1f} ({found.confidence:.0%}).\n"
    yield f"{comparison.significance}\n{comparison.sensitivity}\n{comparison.flakiness}\n\n"
    for name, one in metric_differences(comparison.pairing.scored).items():
        yield f"* mean {name.replace('_', ' ')}: {one.baseline:,.4g} → {one.candidate:,.4g}\n"
    yield from _group("Regressions", comparison.changed("regressed"))
    yield from _group("Improvements", comparison.changed("improved"))
    yield from _group("Errored or skipped in one of the runs", comparison.changed("unscored"))
    alone = [
        f"{len(rows):,} {word}"
        for word, rows in (
            ("added", comparison.pairing.added),
            ("removed", comparison.pairing.removed),
        )
        if rows
    ]
    if alone:
        yield f"\nScenarios {' and '.join(alone)}.\n"


def _group(title: str, pairs: Sequence[Pair]) -> Iterator[str]:
    if not pairs:
        return
    yield f"\n<details{' open' if title == 'Regressions' else ''}><summary>{title} ({len(pairs):,})</summary>\n\n| variant | findings |\n|---|---|\n"
    for pair in pairs[:ROWS]:
        old, new = pair
        codes = sorted(new.codes - old.codes) or sorted(old.codes - new.codes)
        told = (
            f"{old.verdict} → {new.verdict}"
            if pair.change == "unscored"
            else ", ".join(f"{check}: {what}" for check, what in codes)
        )
        yield f"| {code(new.id)} | {code(told)} |\n"
    if len(pairs) > ROWS:
        yield f"\nand {len(pairs) - ROWS:,} more.\n"
    yield "\n</details>\n"
