"""The manifest of a run: what was run, with what, over which files, and how it ended in numbers.

Written when the run starts (``complete: false``) and again when it ends, so that a killed run is seen as such.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Mapping
from json.encoder import encode_basestring
from pathlib import Path
from types import MappingProxyType
from typing import Any

from evalkit._lib.clock import timestamp
from evalkit._lib.files import atomic_writer, read_whole, sha256
from evalkit._lib.version import VERSION, version_of
from evalkit.errors import UsageError

SCHEMA_VERSION = 1
_NO_CASSETTES = '\n  "cassettes": []'  # where the list goes; no other text of the document can stand on a line of its own so
_CASSETTE = '%s\n    {\n      "path": %s,\n      "digest": %s\n    }'


class Totals:
    """Counts with honest denominators: ``collected`` variants, of them ``scored`` (passed or failed), the rest errored, skipped or not run."""

    def __init__(self, collected: int = 0) -> None:
        # In the order of manifest.json.
        self.collected = collected
        self.deselected = 0
        self.scored = 0
        self.passed = 0
        self.failed = 0
        self.errored = 0
        self.skipped = 0
        self.warnings = 0
        self.checks = 0
        self.unplayed = 0
        self.orphans = 0
        self.tokens = 0

    def add(self, tally: Mapping[str, Any]) -> None:
        """Count one result by its tally (:func:`evalkit.results.line.tally`)."""
        verdict = tally["verdict"]
        setattr(self, verdict, getattr(self, verdict) + 1)
        self.scored += verdict in ("passed", "failed")
        self.checks += tally["checks"]
        self.warnings += tally["warnings"]
        self.unplayed += tally["unplayed"]
        self.tokens += tally["tokens"]

    @property
    def run(self) -> int:
        """Variants that have a result."""
        return self.scored + self.errored + self.skipped


class Manifest:
    """Everything in ``manifest.json``; ``suites`` and ``cassettes`` are ``{"path", "digest"}`` by path; a suite has its
    name too, how many variants were ``collected`` from it, and the ``files`` it uses.
    """

    def __init__(
        self, options: dict[str, Any], cassettes: Mapping[str, str | None] = MappingProxyType({})
    ) -> None:
        self.options = options
        self.totals = Totals()
        self.suites: dict[str, dict[str, Any]] = {}
        self.cassettes = dict(cassettes)
        self.started = timestamp()
        self.ended: str | None = None
        self.complete = False

    def pieces(self) -> Iterator[str]:
        """Yield the text of ``manifest.json``, JSON indented by two, cassettes one by one: there may be many, when a session holds most."""
        before, listed, after = json.dumps(
            self._document(), indent=2, ensure_ascii=False
        ).partition(_NO_CASSETTES)
        yield before
        yield listed.removesuffix("]")
        comma = ""
        for path in sorted(self.cassettes):
            digest = self.cassettes[path]  # hexadecimal, so spelled as it is
            yield _CASSETTE % (
                comma,
                encode_basestring(path),
                f'"{digest}"' if digest is not None else "null",
            )
            comma = ","
        yield f"\n  ]{after}\n" if comma else f"]{after}\n"

    def _document(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "evalkit": VERSION,
            "python": platform.python_version(),
            "pytest": version_of("pytest"),
            "platform": f"{platform.system()} {platform.machine()}",
            "started": self.started,
            "ended": self.ended,
            "complete": self.complete,
            "options": self.options,
            "environment": {
                name: os.environ[name]
                for name in ("CI", "GITHUB_SHA", "GITHUB_REF", "CI_COMMIT_SHA")
                if name in os.environ
            },
            "suites": [self.suites[path] for path in sorted(self.suites)],
            "cassettes": [],
            "totals": vars(self.totals),
        }

    def write(self, directory: Path) -> None:
        """Write ``manifest.json`` whole or not at all. Raises UsageError where it cannot be written."""
        path = directory / "manifest.json"
        try:
            with atomic_writer(path) as file:
                for piece in self.pieces():
                    file.write(piece.encode("utf-8", "surrogatepass"))
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror or error}") from error


def file_digest(path: str | Path) -> str | None:
    """Return ``sha256:…`` of a file, or None where it is not there."""
    try:
        return f"sha256:{sha256(read_whole(path))}"
    except FileNotFoundError:
        return None
