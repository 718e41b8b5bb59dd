"""``index.html``: a run in one file that needs no network, no server and, for reading, no JavaScript.

Results are read once, line by line. Each becomes a row, drawn at once and put aside; when all are read the rows are taken in the order of
the page: suites with failures first, and in a suite failures, errors, warnings, passes, skips. All of a small run (``SMALL``), the first of
each kind of a larger one are drawn whole, so that the page reads without its script; of all variants it holds the row and the raw result as
data, and its script draws those that are looked at. So the page's size and the time to make it grow by little more than a line of data for
each variant.

Nothing a model said is trusted: what is printed is escaped (``dressing``), addresses are links only when they are http or https, media is
shown only where its type is safe, and the policy in the page's head lets nothing run but its own script. No template has a style attribute
or an event handler.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import cache
from hashlib import file_digest
from pathlib import Path
from typing import Any, NamedTuple

from evalkit._lib.fast_json import loads
from evalkit._lib.files import atomic_writer
from evalkit.reports.formatting import LINE, TEXT_LIMIT, found
from evalkit.reports.line_reports import LineReport, Maker
from evalkit.reports.overview import Tally, overview
from evalkit.reports.page.citations import SEARCHES
from evalkit.reports.page.embedded_data import Packs, inline_json, policy
from evalkit.reports.page.figures import figures
from evalkit.reports.page.media import LONG, NAME, SAFE, MediaBook
from evalkit.reports.page.rows import Rows
from evalkit.reports.page.steps import LABELS, LISTED, TOLD
from evalkit.reports.page.templating import environment, resource
from evalkit.reports.page.variants import JUDGED, OUTCOMES, TOKENS, body, row, warned
from evalkit.reports.text_spool import Piece, Spool
from evalkit.results import Run
from evalkit.results.records import ResultHead

LARGE = 20 << 20
"""Characters of packs and media above which a report is a folder."""

SMALL = 100
"""Results up to which a run is drawn whole."""

ATTENTION = 200
"""Failed and errored variants of a larger run, each kind, that are drawn whole; later ones are drawn by the page's script."""

OTHERS = 20
"""The same of variants with a warning, of those that passed, and of those that were skipped."""

SCRIPTS = (
    "words",
    "data",
    "steps",
    "variants",
    "history",
    "exchange",
    "tree",
    "query",
    "order",
    "list",
    "keys",
    "page",
)
TAGS = 40
SIGNED = ("name", "email", "role", "decision", "meaning", "time", "comment", "void")
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")
_RANK = {"failed": 0, "errored": 1, "passed": 3, "skipped": 4}


class Entry(NamedTuple):
    """A drawn row and its place in its suite."""

    rank: int
    number: int
    piece: Piece


class _Suite:
    """What is kept of a suite: of the rows that are not drawn, their number alone; ``rank`` is that of its worst."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.rest = 0
        self.rank = max(_RANK.values())


class Section(NamedTuple):
    """A suite with its rows, drawn; ``rest`` counts those that are data alone."""

    name: str
    anchor: str
    tally: Tally
    rows: Iterator[str]
    rest: int


@LineReport
@contextmanager
def write(run: Run, signoffs: Sequence[Mapping[str, Any]] | None = None) -> Iterator[Maker]:
    """Write ``index.html`` into the run's directory, above ``LARGE`` ``data/`` beside it, and return its path.

    ``signoffs`` are decisions to print, oldest first: ``name``, ``email``, ``role``, ``decision``, ``meaning``, ``time``, ``comment``, any of
    which may be absent, and ``void``, the reason why a decision holds no longer; without it, those of the
    run's records. Raises UsageError naming a result line that cannot be read.
    """
    if signoffs is None:
        signoffs = _signoffs(run)
    with Spool() as spool, closing(Packs()) as packs, closing(MediaBook()) as book:
        yield _Page(run, spool, packs, book, signoffs)


def _signoffs(run: Run) -> Sequence[Mapping[str, Any]]:
    if not (run.directory / "signoffs").is_dir():
        return ()
    from evalkit.signoff.records import (
        printable_signoffs,
    )  # here, because few runs are signed, and every run is reported

    return printable_signoffs(run)


def _drawn_whole(run: Run) -> dict[str, int]:
    """Return how many variants of each kind are drawn whole: told by the lines there are, for a manifest may not know how many came about."""
    attention, others = (ATTENTION, OTHERS) if run.is_longer_than(SMALL) else (SMALL, SMALL)
    return {
        "failed": attention,
        "errored": attention,
        "warned": others,
        "passed": others,
        "skipped": others,
    }


class _Page:
    def __init__(
        self,
        run: Run,
        spool: Spool,
        packs: Packs,
        book: MediaBook,
        signoffs: Sequence[Mapping[str, Any]],
    ) -> None:
        self._run = run
        self._signoffs = signoffs
        self._rows = Rows()
        self._spool = spool
        self._packs = packs
        self._book = book
        self._left = _drawn_whole(run)
        self._anchors: dict[str, int] = {}
        self._suites: dict[str, _Suite] = {}
        self._draw: Callable[..., str] = vars(environment().get_template("variant.html").module)[
            "variant"
        ]

    def take(self, head: ResultHead, line: str, number: int) -> None:
        """Keep a result, and draw it where it is one of the first of its kind."""
        verdict = head["verdict"]
        anchor = self._anchor(head["id"])
        findings = found(head)
        told = warned(findings)
        rank = 2 if told and verdict == "passed" else _RANK[verdict]
        kind = "warned" if rank == 2 else verdict
        drawn = self._left[kind] > 0
        address = self._packs.add(self._book.strip(line))
        shown = row(head, findings, anchor, address, number, told=told, drawn=drawn)
        self._rows.add(head, findings, shown)
        suite = self._suites.get(head["suite"])
        if suite is None:
            suite = self._suites[head["suite"]] = _Suite()
        if rank < suite.rank:
            suite.rank = rank
        if not drawn:
            suite.rest += 1
            return
        self._left[kind] -= 1
        try:
            opened = body(head if "turns" in head else loads(line), anchor, number, self._book)
        except RecursionError:  # nested deeper than Python reads; a browser can
            opened = None
        suite.entries.append(Entry(rank, number, self._spool.put(self._draw(shown, opened))))

    def finish(self, suites: Mapping[str, Tally]) -> Path:
        """Write the page, and ``data/`` where it needs one."""
        path = self._run.directory / "index.html"
        digest = _digest(self._run.directory / "results.jsonl")
        large = self._packs.size + self._book.size > LARGE
        files: list[dict[str, Any]] = []
        if large:
            from evalkit.reports.page.split_output import write_data  # here, because few runs are

            files = write_data(self._run.directory, self._packs, self._book, digest)
        with atomic_writer(path) as file:
            for piece in self._stream(suites, files, digest):
                file.write(piece.encode())
        if (self._run.directory / "data").is_dir():
            from evalkit.reports.page.split_output import drop_stale

            drop_stale(self._run.directory, files)
        return path

    def _stream(
        self, suites: Mapping[str, Tally], files: Sequence[Mapping[str, Any]], digest: str
    ) -> Iterator[str]:
        """Yield the page, piece by piece; ``files`` hold the packs where the page does not, ``digest`` is that of the results."""
        total = Tally.sum(suites.values())
        script, style = scripts(), resource("css/report.css") + paper(digest)
        template = environment().get_template("page.html")
        stream = template.stream(
            overview=overview(self._run.manifest, total),
            figures=figures(suites, total),
            total=total,
            tags=[tag for tag, _ in total.tags.most_common(TAGS)],
            sections=[
                self._section(name, suites[name])
                for name in sorted(self._suites, key=self._suite_rank)
            ],
            signoffs=[
                {name: str(one.get(name) or "") for name in SIGNED} for one in self._signoffs
            ],
            directory=self._run.directory.name,
            digest=digest,
            rows=self._rows.base64(),
            packs=self._packs.packs() if not files else (),
            media=self._book.unshown() if not files else (),
            tables=inline_json({**TABLES, "files": list(files)}),
            script=script,
            style=style,
            policy=policy(script, style, folder=bool(files)),
        )
        stream.enable_buffering(50)
        yield from stream

    def _anchor(self, id_: str) -> str:
        name = _UNSAFE.sub("-", id_).strip("-") or "variant"
        seen = self._anchors[name] = self._anchors.get(name, 0) + 1
        return f"v.{name}" if seen == 1 else f"v.{name}~{seen}"

    def _suite_rank(self, name: str) -> tuple[int, str]:
        return min(self._suites[name].rank, 2), name

    def _section(self, name: str, tally: Tally) -> Section:
        suite = self._suites[name]
        drawn = [entry.piece for entry in sorted(suite.entries)]
        return Section(
            name, f"suite.{_UNSAFE.sub('-', name)}", tally, map(self._spool.get, drawn), suite.rest
        )


TABLES = {
    "labels": LABELS,
    "told": sorted(TOLD),
    "listed": LISTED,
    "searches": SEARCHES,
    "outcomes": OUTCOMES,
    "tokens": TOKENS,
    "safe": SAFE,
    "mediaName": NAME,
    "long": LONG,
    "limit": TEXT_LIMIT,
    "judged": JUDGED,
    "line": LINE,
}
"""What the page's script must know just as the templates do."""


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def paper(digest: str) -> str:
    """Return the style of a printed page's margins: what the page was made from, and its number."""
    left, right = f'"results.jsonl sha256 {digest}"', 'counter(page) " / " counter(pages)'
    return (
        f"@page {{ @bottom-left {{ content: {left}; }} @bottom-right {{ content: {right}; }} }}\n"
    )


@cache
def scripts() -> str:
    """Return the page's script: its files, one after the other, as one function that leaves no global name behind."""
    return (
        '"use strict";(() => {\n'
        + "\n".join(resource(f"js/{name}.js") for name in SCRIPTS)
        + "})();\n"
    )
