"""``index.html``: a run in one file that needs no network, no server and, for reading, no JavaScript.

Results are read once, line by line. Each becomes a row, drawn at once and put aside; when all are read the rows are taken in the order of
the page: suites with failures first, and in a suite failures, errors, warnings, passes, skips. What needs attention is drawn whole, and so
are the first ``WHOLE`` variants that passed; of the others the page holds the row and the raw result, and its script draws the rest when
one is opened. So the page's size and the time to make it grow by little more than a row for each passing variant.

Nothing a model said is trusted: the environment escapes whatever it prints and makes hostile characters visible, addresses are links only
when they are http or https, media is shown only where its type is safe, and the policy in the page's head lets nothing run but its own
script. Style and script are read from ``css/`` and ``js/``; no template has a style attribute or an event handler.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from evalkit._lib.files import atomic_writer
from evalkit._lib.quickjson import loads
from evalkit._lib.text import visible
from evalkit.reports.embed import Packs, check_inline, inline_json, policy
from evalkit.reports.glance import glance, refuse
from evalkit.reports.media import LONG, NAME, SAFE, MediaBook
from evalkit.reports.overview import Tally, overview
from evalkit.reports.spool import Piece, Spool
from evalkit.reports.steps import LABELS, LISTED, TOLD
from evalkit.reports.variants import OUTCOMES, TOKENS, body, row, warned
from evalkit.reports.words import LINE, TEXT_LIMIT
from evalkit.results import Run

if TYPE_CHECKING:
    from jinja2 import Environment

WHOLE = 100
"""Passing variants drawn whole; later ones are drawn by the page's script when they are opened."""

SCRIPTS = ("words", "data", "steps", "variants", "page")
TAGS = 40
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")
_RANK = {"failed": 0, "errored": 1, "passed": 3, "skipped": 4}


class Entry(NamedTuple):
    """A drawn row and its place in its suite."""

    rank: int
    number: int
    piece: Piece


class Section(NamedTuple):
    """A suite with its rows, drawn."""

    name: str
    anchor: str
    tally: Tally
    rows: Iterator[str]


def write(run: Run) -> Path:
    """Write ``index.html`` into the run's directory and return its path. Raises UsageError naming a result line that cannot be read."""
    path = run.directory / "index.html"
    with Spool() as spool, closing(Packs()) as packs, closing(MediaBook()) as book, atomic_writer(path) as file:
        for piece in _Page(run, spool, packs, book).stream():
            file.write(piece.encode())
    return path


class _Page:
    def __init__(self, run: Run, spool: Spool, packs: Packs, book: MediaBook) -> None:
        self._run = run
        self._spool = spool
        self._packs = packs
        self._book = book
        self._whole = WHOLE
        self._anchors: dict[str, int] = {}
        self._suites: dict[str, tuple[Tally, list[Entry]]] = {}

    def stream(self) -> Iterator[str]:
        """Yield the page, piece by piece."""
        draw: Callable[..., str] = vars(environment().get_template("variant.html").module)["variant"]
        for number, line in enumerate(self._run.lines(), 1):
            try:
                head = glance(line)
                self._draw(draw, head, line, number)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise refuse(self._run.directory, number, error) from error
        total = Tally()
        for tally, _ in self._suites.values():
            total.merge(tally)
        script, style = scripts(), resource("css/report.css")
        template = environment().get_template("page.html")
        stream = template.stream(
            overview=overview(self._run.manifest, total),
            total=total,
            tags=[tag for tag, _ in total.tags.most_common(TAGS)],
            sections=[self._section(name) for name in sorted(self._suites, key=self._suite_rank)],
            directory=self._run.directory.name,
            packs=self._packs.packs(),
            media=self._book.unshown(),
            tables=inline_json(TABLES),
            script=script,
            style=style,
            policy=policy(script, style),
        )
        stream.enable_buffering(50)
        yield from stream

    def _draw(self, draw: Callable[..., str], head: dict[str, Any], line: str, number: int) -> None:
        verdict = head["verdict"]
        told = warned(head)
        anchor = self._anchor(head["id"])
        rank = 2 if told and verdict == "passed" else _RANK[verdict]
        whole = rank != _RANK["passed"] or self._whole > 0
        self._whole -= rank == _RANK["passed"]
        address = self._packs.add(self._book.strip(line))
        try:
            opened = body(head if "turns" in head else loads(line), anchor, number, self._book) if whole else None
        except RecursionError:  # nested deeper than Python reads; a browser can
            opened = None
        piece = self._spool.put(draw(row(head, anchor, address, number), opened))
        if head["suite"] not in self._suites:
            self._suites[head["suite"]] = (Tally(), [])
        tally, entries = self._suites[head["suite"]]
        tally.add(head)
        entries.append(Entry(rank, number, piece))

    def _anchor(self, id_: str) -> str:
        name = _UNSAFE.sub("-", id_).strip("-") or "variant"
        seen = self._anchors[name] = self._anchors.get(name, 0) + 1
        return f"v.{name}" if seen == 1 else f"v.{name}~{seen}"

    def _suite_rank(self, name: str) -> tuple[int, str]:
        _, entries = self._suites[name]
        return min(min(entry.rank for entry in entries), 2), name

    def _section(self, name: str) -> Section:
        tally, entries = self._suites[name]
        return Section(name, f"suite.{_UNSAFE.sub('-', name)}", tally, (self._spool.get(entry.piece) for entry in sorted(entries)))


TABLES = {
    "labels": LABELS,
    "told": sorted(TOLD),
    "listed": LISTED,
    "outcomes": OUTCOMES,
    "tokens": TOKENS,
    "safe": SAFE,
    "mediaName": NAME,
    "long": LONG,
    "limit": TEXT_LIMIT,
    "line": LINE,
}
"""What the page's script must know just as the templates do."""


@cache
def environment() -> Environment:
    """Return the one template environment: everything printed is escaped, and hostile characters in it are made visible."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from evalkit.reports.compiled import CompiledTemplates

    made = Environment(
        loader=PackageLoader("evalkit.reports"),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.bytecode_cache = CompiledTemplates(made)
    return made


def _shown(value: Any) -> Any:
    return visible(value) if type(value) is str and not value.isprintable() else value


@cache
def resource(name: str) -> str:
    """Return a file that ships with the report, fit to stand inline."""
    return check_inline(files("evalkit.reports").joinpath(name).read_text(encoding="utf-8"))


@cache
def scripts() -> str:
    """Return the page's script: its files, one after the other, as one function that leaves no global name behind."""
    return '"use strict";(() => {\n' + "\n".join(resource(f"js/{name}.js") for name in SCRIPTS) + "})();\n"
