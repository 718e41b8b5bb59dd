"""``comment.md``: a comparison as a page of Markdown for a pull request.

A marker lets a workflow find its own comment again. The page has the verdict, the figures, and the
worst ``ROWS`` of each group; everything else is on the comparison's page. Model text is escaped.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from evalkit._lib.files import write_atomic
from evalkit.compare.comparison import Comparison
from evalkit.compare.evidence import metric_differences
from evalkit.compare.pairing import Pair
from evalkit.reports.ci.escaping import code

MARKER = "<!-- evalkit:comparison -->"
"""The first line of every comment, and of nothing else."""

ROWS = 10
_MARKS = {"pass": "✅", "fail": "❌", "inconclusive": "⚠️"}


def write(comparison: Comparison, folder: Path) -> Path:
    """Write ``comment.md`` into a folder and return its path."""
    path = folder / "comment.md"
    write_atomic(path, "".join(_document(comparison)))
    return path


def _document(comparison: Comparison) -> Iterator[str]:
    verdict, evidence, table = comparison.verdict, comparison.evidence, comparison.evidence.table
    yield f"{MARKER}\n## {_MARKS[verdict.verdict]} {verdict.verdict.capitalize()}: "
    yield f"{code(verdict.reason, 600)}\n\nGate {code(verdict.gate)}: "
    yield f"{code(comparison.baseline.name)} against {code(comparison.candidate.name)}.\n\n"
    yield from (f"> {code(warning, 400)}\n\n" for warning in comparison.warnings)
    yield "| | candidate passed | candidate failed |\n|---|---:|---:|\n"
    yield f"| **baseline passed** | {table.both_passed} | {table.regressed} |\n"
    yield f"| **baseline failed** | {table.improved} | {table.both_failed} |\n\n"
    if table.pairs:
        low, high = evidence.interval
        yield f"Difference {table.difference * 100:+.1f} points, between {low * 100:+.1f} "
        yield f"and {high * 100:+.1f} ({evidence.confidence:.0%}).\n"
    yield f"{comparison.significance}\n{comparison.sensitivity}\n{comparison.flakiness}\n\n"
    for name, one in metric_differences(comparison.pairing.scored).items():
        yield f"* mean {name.replace('_', ' ')}: {one.baseline:,.4g} → {one.candidate:,.4g}\n"
    yield from _group("Regressions", comparison.changed("regressed"), is_open=True)
    yield from _group("Improvements", comparison.changed("improved"))
    yield from _group("Errored or skipped in one of the runs", comparison.changed("unscored"))
    added, removed = len(comparison.pairing.added), len(comparison.pairing.removed)
    parts = [f"{added:,} added"] * bool(added) + [f"{removed:,} removed"] * bool(removed)
    if parts:
        yield f"\nScenarios {' and '.join(parts)}.\n"


def _group(title: str, pairs: Sequence[Pair], *, is_open: bool = False) -> Iterator[str]:
    if not pairs:
        return
    yield f"\n<details{' open' if is_open else ''}>"
    yield f"<summary>{title} ({len(pairs):,})</summary>\n\n| variant | findings |\n|---|---|\n"
    for pair in pairs[:ROWS]:
        old, new = pair
        findings = ", ".join(pair.findings_gained or pair.findings_lost)
        if pair.change == "unscored":
            findings = f"{old.verdict} → {new.verdict}"
        yield f"| {code(new.id)} | {code(findings)} |\n"
    if len(pairs) > ROWS:
        yield f"\nand {len(pairs) - ROWS:,} more.\n"
    yield "\n</details>\n"
