"""``summary.md``: a run as Markdown, for GitHub's step summary: verdict, counts, one row per
variant.

The worst rows come first. GitHub refuses a step summary above 1 MiB, so the file stays below
``LIMIT``: passing rows are left out first, then skips, warnings and errors, and a last line counts
what is left out. Text from models and suites is escaped (``escaping.code``).
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from evalkit._lib.files import write_atomic
from evalkit._lib.text import plural
from evalkit.reports.ci.escaping import code
from evalkit.reports.formatting import findings_of, has_warning, headline, test_name
from evalkit.reports.line_reports import LineReport
from evalkit.reports.overview import EXPECTED, VERDICTS, ResultCounts, overview
from evalkit.results import Run
from evalkit.results.judgments import judge_rate_text, read_judge_rates
from evalkit.results.records import ManifestRecord, ResultHead
from evalkit.results.result_line import counts_as_test, outcome_of
from evalkit.results.strength import read_strength, strength_text

LIMIT = 900_000
"""Bytes of the file."""

_HEAD_ROOM = 2_000
_MARKS = {
    "failed": "❌ failed",
    "errored": "⚠️ errored",
    "warned": "✅ passed, with warnings",
    "xpassed": "✅ xpassed",
    "xfailed": "⏭️ xfailed",
    "skipped": "⏭️ skipped",
    "passed": "✅ passed",
}
"""Marks of rows, worst first."""


class _RowGroup:
    """The rows of one kind; rows that cannot fit are only counted."""

    def __init__(self) -> None:
        self.text = bytearray()
        self.count = 0

    def add(self, row: str) -> None:
        self.count += 1
        if len(self.text) <= LIMIT:
            self.text += row.encode()


class MarkdownSummary(LineReport):
    """Writes ``summary.md`` into the run directory."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._groups = {kind: _RowGroup() for kind in _MARKS}

    def add(self, head: ResultHead, line: str, number: int) -> None:
        """Add a row; trials that are one test have one."""
        if not counts_as_test(head):
            return
        findings = findings_of(head)
        outcome = outcome_of(head)
        kind = "warned" if outcome == "passed" and has_warning(findings) else outcome
        is_flaky = "repeat" in head and head["repeat"]["passed"] < head["repeat"]["trials"]
        reason = code(headline(head, findings)) if kind != "passed" or is_flaky else ""
        name = code(f"{head['suite']}::{test_name(head)}")
        self._groups[kind].add(f"| {_MARKS[kind]} | {name} | {reason} |\n")

    def finish(self, suites: Mapping[str, ResultCounts], total: ResultCounts) -> Path:
        """Write the file."""
        parts = [part.encode() for part in _head(self.run.manifest, total)]
        if strength := read_strength(self.run.directory):
            parts.append(f"Expectations: {strength_text(strength)}.\n\n".encode())
        judges = [
            f"* {code(judge_rate_text(one), 400)}\n" for one in read_judge_rates(self.run.directory)
        ]
        if judges:
            parts.append(f"Judges:\n\n{''.join(judges)}\n".encode())
        if total.results:
            parts.append(f"| | {total.noun} | reason |\n|---|---|---|\n".encode())
            parts += _rows_within(LIMIT - _HEAD_ROOM, self._groups)
        path = self.run.directory / "summary.md"
        write_atomic(path, b"".join(parts))
        return path


def _head(manifest: ManifestRecord, total: ResultCounts) -> Iterator[str]:
    summary = overview(manifest, total)
    yield f"## {summary.verdict}: {summary.sentence}\n\n"
    yield from (f"> {notice}\n\n" for notice in summary.notices)
    totals = manifest.get("totals", {})
    figures = {"collected": totals.get("collected", total.results)}
    if deselected := totals.get("deselected"):
        figures["deselected"] = deselected
    figures |= {"scored": total.scored, **{name: total.outcomes[name] for name in VERDICTS}}
    figures |= {name: total.outcomes[name] for name in EXPECTED if total.outcomes[name]}
    figures |= {"warnings": total.warnings, "tokens": total.tokens}
    yield f"| {' | '.join(figures)} |\n|{'---:|' * len(figures)}\n"
    yield f"| {' | '.join(f'{figure:,}' for figure in figures.values())} |\n\n"


def _rows_within(room: int, groups: Mapping[str, _RowGroup]) -> Iterator[bytes]:
    """Yield as many rows as there is room for, worst first, and a line about the others."""
    left_out: dict[str, int] = {}
    for kind, group in groups.items():
        # Once a group does not fit, no better one may take its place.
        end = group.text.rfind(b"\n", 0, max(room, 0)) + 1 if not left_out else 0
        rows = bytes(group.text[:end])
        room -= len(rows)
        yield rows
        if rest := group.count - rows.count(b"\n"):
            left_out[kind] = rest
    if left_out:
        counts = ", ".join(
            f"{plural(number, 'row')} of {kind}" for kind, number in left_out.items()
        )
        yield f"\nLeft out, because GitHub limits the size: {counts}.\n".encode()
