"""``summary.md``: a run for GitHub's step summary and whoever reads Markdown: the verdict, counts, then one row for each variant, worst first.

GitHub refuses a step summary above 1 MiB, so the file stays below ``LIMIT``: passing rows go first, then those of skips, warnings and errors;
how many were left out is said. Whatever a model or a suite said is neutralised (``neutral.code``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evalkit._lib.files import write_atomic
from evalkit._lib.text import plural
from evalkit.reports.ci.escaping import code
from evalkit.reports.formatting import found, headline
from evalkit.reports.line_reports import LineReport, Maker
from evalkit.reports.overview import Tally, overview
from evalkit.reports.page.variants import warned
from evalkit.results import Run
from evalkit.results.records import ResultHead

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


class _Rows:
    """The rows of one kind, one after the other; none is kept that will not be printed."""

    def __init__(self) -> None:
        self.text = bytearray()
        self.count = 0

    def add(self, row: str) -> None:
        self.count += 1
        if len(self.text) <= LIMIT:
            self.text += row.encode()


@LineReport
@contextmanager
def write(run: Run) -> Iterator[Maker]:
    """Write ``summary.md`` into the run's directory and return its path. Raises UsageError naming a result line that cannot be read."""
    yield _Summary(run)


class _Summary:
    def __init__(self, run: Run) -> None:
        self._run = run
        self._rows = {kind: _Rows() for kind in _ORDER}

    def take(self, head: ResultHead, line: str, number: int) -> None:
        verdict = head["verdict"]
        findings = found(head)
        kind = "warned" if verdict == "passed" and warned(findings) else verdict
        why = code(headline(head, findings)) if kind != "passed" else ""
        self._rows[kind].add(f"| {_MARKS[kind]} | {code(head['id'])} | {why} |\n")

    def finish(self, suites: Mapping[str, Tally]) -> Path:
        path = self._run.directory / "summary.md"
        write_atomic(
            path, b"".join(_document(self._run.manifest, Tally.sum(suites.values()), self._rows))
        )
        return path


def _document(
    manifest: Mapping[str, Any], total: Tally, rows: Mapping[str, _Rows]
) -> Iterator[bytes]:
    yield "".join(_top(manifest, total)).encode()
    if total.results:
        yield b"| | variant | why |\n|---|---|---|\n"
        yield from _within(LIMIT - _ROOM, rows)


def _top(manifest: Mapping[str, Any], total: Tally) -> Iterator[str]:
    top = overview(manifest, total)
    yield f"## {top.verdict}: {top.sentence}\n\n"
    yield from (f"> {notice}\n\n" for notice in top.notices)
    stated = manifest.get("totals", {})
    figures = {"collected": stated.get("collected", total.results)}
    if deselected := stated.get("deselected"):
        figures["deselected"] = deselected
    figures |= {
        "scored": total.scored,
        **{name: total.verdicts[name] for name in ("passed", "failed", "errored", "skipped")},
    }
    figures |= {"warnings": total.warnings, "tokens": total.tokens}
    yield f"| {' | '.join(figures)} |\n|{'---:|' * len(figures)}\n| {' | '.join(f'{figure:,}' for figure in figures.values())} |\n\n"


def _within(room: int, rows: Mapping[str, _Rows]) -> Iterator[bytes]:
    """Yield as many rows as there is room for, worst first, and a line that says what was left out."""
    left: dict[str, int] = {}
    for kind, held in rows.items():
        shown = b"" if left else bytes(held.text[: held.text.rfind(b"\n", 0, max(room, 0)) + 1])
        room -= len(shown)
        yield shown
        if rest := held.count - shown.count(b"\n"):
            left[kind] = rest
    if left:
        yield f"\nLeft out, to stay within what GitHub takes: {_listed(left)}.\n".encode()


def _listed(left: Mapping[str, int]) -> str:
    return ", ".join(f"{plural(count, 'row')} of {kind}" for kind, count in left.items())
