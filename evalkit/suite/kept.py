"""Suites that were found sound, kept as Python keeps compiled modules: reading YAML, and holding it against the models, is done once.

Kept is the document as values (JSON), with the lines of the entries that are told by line, under a digest of the suite's text and of all
that decides how a text is read. So a kept document is that of this very text, whatever the clock says. The checks of its expectations are
kept with it, by their arguments. What a suite speaks of (files, templates, names) is verified in every session all the same. A suite with
a problem is never kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from evalkit._lib import compiled
from evalkit._lib.json import JSON, dumps
from evalkit._lib.places import Lines
from evalkit._lib.quickjson import loads
from evalkit._lib.version import VERSION
from evalkit.suite.catalog import CheckCatalog
from evalkit.suite.entries import Entry, build

_KIND = "evalkit"
_DECIDING = (
    "_lib/yaml.py",
    "suite/document.py",
    "suite/kept.py",
    "suite/models.py",
    "suite/templates.py",
)


class Document(NamedTuple):
    """A suite's document, the lines of its entries, and its checks as the catalog keeps them, by what they were built of."""

    raw: dict[str, JSON]
    lines: Lines
    checks: Mapping[str, JSON]


class Checks:
    """The checks of a suite's expectations: restored where they are kept, else built.

    ``now`` are those to be kept, ``new`` says that some of them were not.
    """

    def __init__(self, kept: Mapping[str, JSON]) -> None:
        self._kept = kept
        self.now: dict[str, JSON] = {}
        self.new = False

    def build(self, entry: Entry, argument: JSON, catalog: CheckCatalog) -> object:
        """Return the check of an entry with its argument as rendered. Raises BadEntry."""
        try:
            key = dumps([entry.name, argument, entry.bare])
        except (TypeError, ValueError, RecursionError):
            return build(entry, argument, catalog)  # which refuses what is no JSON value
        held = self._kept.get(key)
        check = catalog.restore(held) if held is not None else None
        if check is None:
            check = build(entry, argument, catalog)
            held = catalog.keep(check)
            self.new = self.new or held is not None
        if held is not None:
            self.now[key] = held
        return check


def fetch(path: Path, text: str) -> Document | None:
    """Return what is kept of a suite's text, None where nothing is."""
    data = compiled.read(compiled.place_of(path, _KIND))
    if data is None:
        return None
    first, _, rest = data.partition(b"\n")
    if first != _seal(text, rest):
        return None
    held = loads(rest)
    document = held["document"]
    lines = Lines(
        document,
        {id(items): lines for items, lines in zip(_lists(document), held["lines"], strict=True)},
    )
    return Document(document, lines, held["checks"])


def keep(path: Path, text: str, document: Document) -> None:
    """Keep the document of a suite in which no problem was found."""
    lines = [document.lines.of(items) for items in _lists(document.raw)]
    rest = dumps({"document": document.raw, "lines": lines, "checks": document.checks}).encode()
    compiled.write(compiled.place_of(path, _KIND), _seal(text, rest) + b"\n" + rest)


def _lists(document: Mapping[str, JSON]) -> Iterator[list[JSON]]:
    """Yield the lists whose entries a suite's reader asks the lines of: scenarios, turns, expectations; always in the same order."""
    yield document["scenarios"]
    for scenario in (document.get("defaults", {}), *document["scenarios"]):
        for entry in (scenario, *scenario.get("turns", ())):
            for key in ("turns", "expect"):
                if key in entry:
                    yield entry[key]


def _seal(text: str, rest: bytes) -> bytes:
    """Return the first line: what was read, and what came of it, so that no damage goes unnoticed."""
    return b" ".join(
        sha256(part).hexdigest().encode()
        for part in (_language() + text.encode("utf-8", "surrogatepass"), rest)
    )


@cache
def _language() -> bytes:
    # The version would do for whoever installs evalkit; the sources count for whoever works on it.
    package = Path(__file__).parents[1]
    sources = [source.read_bytes() for name in _DECIDING if (source := package / name).is_file()]
    return sha256(b"\0".join([VERSION.encode(), *sources])).digest()
