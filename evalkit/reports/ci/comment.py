"""``comment.md``: a comparison as a page of Markdown for a pull request.

A marker lets a workflow find its own comment again. The page has the verdict, the figures, and the
worst ``ROWS`` of each group; everything else is on the comparison's page. Model text is escaped.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from evalkit._lib.files import write_atomic
from evalkit.compare.comparison import Comparison
from evalkit.compare.evidence import METRICS
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
    yield f"{code(comparison.conclusion)}\n\nGate {code(verdict.gate, 200)}: "
    yield f"{code(verdict.reason, 1000)}\n\n"
    for role, run in (("Baseline", comparison.baseline), ("candidate", comparison.candidate)):
        about = [run.started[:10], ", ".join(run.models)]
        details = ", ".join(code(one, 200) for one in about if one)
        yield f"{role} {code(run.name)}{f' ({details})' if details else ''}"
        yield ", " if role == "Baseline" else ".\n\n"
    yield from (f"> {code(warning, 400)}\n\n" for warning in comparison.warnings)
    yield "| | candidate passed | candidate failed |\n|---|---:|---:|\n"
    yield f"| **baseline passed** | {table.both_passed} | {table.regressed} |\n"
    yield f"| **baseline failed** | {table.improved} | {table.both_failed} |\n\n"
    if table.pairs:
        low, high = evidence.interval
        yield f"Difference {table.difference * 100:+.1f} points, between {low * 100:+.1f} "
        yield f"and {high * 100:+.1f} ({evidence.confidence:.0%}).\n"
    yield f"{comparison.significance}\n{comparison.sensitivity}\n{comparison.flakiness}\n\n"
    for name, one in comparison.metrics.items():
        yield f"* mean {METRICS[name]}: {one.baseline.mean:,.4g} → {one.candidate.mean:,.4g} "
        yield f"({one.change_text}, between {one.between_text}; {one.pairs} of {one.total} pairs)\n"
    yield from _group("Regressions", comparison.changed("regressed"), is_open=True)
    for title, entries in comparison.bar_lists:
        yield from _table(title, entries, is_open=True)
    yield from _group("Improvements", comparison.changed("improved"))
    yield from _group("Errored or skipped in one of the runs", comparison.changed("unscored"))
    pairing = comparison.pairing
    for title, rows in (
        ("Removed", pairing.removed),
        ("Added", pairing.added),
        ("Trials without a partner", pairing.unmatched),
    ):
        yield from _table(title, [(row.id, str(row.verdict)) for row in rows])


def _group(title: str, pairs: Sequence[Pair], *, is_open: bool = False) -> Iterator[str]:
    rows = []
    for pair in pairs:
        old, new = pair
        findings = ", ".join(pair.changes)
        if pair.change == "unscored":
            findings = f"{old.verdict} → {new.verdict}"
        rows.append((new.id, findings))
    yield from _table(title, rows, is_open=is_open)


def _table(title: str, rows: Sequence[tuple[str, str]], *, is_open: bool = False) -> Iterator[str]:
    if not rows:
        return
    yield f"\n<details{' open' if is_open else ''}>"
    yield f"<summary>{title} ({len(rows):,})</summary>\n\n| variant | |\n|---|---|\n"
    yield from (f"| {code(name)} | {code(text)} |\n" for name, text in rows[:ROWS])
    if len(rows) > ROWS:
        yield f"\nand {len(rows) - ROWS:,} more.\n"
    yield "\n</details>\n"
