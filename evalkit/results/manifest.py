"""The manifest of a run: what was run, with which options and files, and the totals.

Written when the run starts (``complete: false``) and again when it ends, so that a killed run is
seen as such.
"""

import json
import os
import platform
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

from evalkit._lib.clock import timestamp
from evalkit._lib.files import file_errors, write_atomic
from evalkit._lib.json import JSON, indented
from evalkit._lib.text import plural
from evalkit._lib.version import VERSION
from evalkit.results.records import ManifestRecord, ModuleRecord, SequentialRecord, SuiteRecord
from evalkit.results.result_line import SCHEMA_VERSION, Tally
from evalkit.results.run_directory import MANIFEST

_ENVIRONMENT = ("CI", "GITHUB_SHA", "GITHUB_REF", "CI_COMMIT_SHA")


@dataclass(slots=True)
class Totals:
    """Counts of a run, in the order of ``manifest.json``.

    ``collected`` variants (trials that are one test are one) and tests of applications, which
    ``tests`` counts alone; of them ``scored`` (passed or failed), the rest errored, skipped,
    deselected or not run. ``outcomes`` counts results as pytest does, and is only printed.
    """

    collected: int = 0
    deselected: int = 0
    scored: int = 0
    passed: int = 0
    failed: int = 0
    errored: int = 0
    skipped: int = 0
    warnings: int = 0
    checks: int = 0
    unplayed: int = 0
    orphans: int = 0
    tokens: int = 0
    tests: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)

    def add(self, tally: Tally) -> None:
        """Count one result."""
        if tally["counts"]:
            verdict = tally["verdict"]
            setattr(self, verdict, getattr(self, verdict) + 1)
            self.scored += verdict in ("passed", "failed")
            self.outcomes[tally["outcome"]] += 1
        self.checks += tally["checks"]
        self.warnings += tally["warnings"]
        self.unplayed += tally["unplayed"]
        self.tokens += tally["tokens"]

    @property
    def run(self) -> int:
        """Variants that have a result."""
        return self.scored + self.errored + self.skipped

    @property
    def summary(self) -> str:
        """One line for the terminal: collected variants, and as what pytest counts them."""
        counts = {
            "xfailed": self.outcomes["xfailed"],
            "xpassed": self.outcomes["xpassed"],
            "deselected": self.deselected,
            "not run": max(0, self.collected - self.run - self.deselected),
        }
        verdicts = ("passed", "failed", "errored", "skipped")
        parts = [f"{self.outcomes[name]} {name}" for name in verdicts]
        parts += [f"{count} {name}" for name, count in counts.items() if count]
        variants = self.collected - self.tests
        items = [plural(variants, "variant")] if variants or not self.tests else []
        items += [plural(self.tests, "application test")] if self.tests else []
        return f"{' and '.join(items)}: {', '.join(parts)}"

    def to_json(self) -> dict[str, int]:
        """Return the totals as they are in ``manifest.json``."""
        totals = asdict(self)
        del totals["outcomes"]
        if not self.tests:
            del totals["tests"]
        return totals


class Manifest:
    """Everything in ``manifest.json``; ``suites`` and ``modules`` by path.

    ``clean`` removes secrets from the text.
    """

    def __init__(
        self,
        options: dict[str, JSON],
        cassettes: Mapping[str, str | None] | None = None,
        *,
        clean: Callable[[str], str] = str,
    ) -> None:
        self.options = options
        self._clean = clean
        self.totals = Totals()
        self.suites: dict[str, SuiteRecord] = {}
        self.modules: dict[str, ModuleRecord] = {}
        self.cassettes = dict(cassettes or {})
        self.started = timestamp()
        self.ended: str | None = None
        self.complete = False
        self.not_collected: list[str] = []
        self.sequential: SequentialRecord | None = None

    def to_json(self) -> ManifestRecord:
        """Return the manifest as it is in ``manifest.json``."""
        manifest: ManifestRecord = {
            "schema_version": SCHEMA_VERSION,
            "evalkit": VERSION,
            "python": platform.python_version(),
            "pytest": version("pytest"),
            "platform": f"{platform.system()} {platform.machine()}",
            "started": self.started,
            "ended": self.ended,
            "complete": self.complete,
            "options": self.options,
            "environment": {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
            "suites": [self.suites[path] for path in sorted(self.suites)],
            "cassettes": [
                {"path": path, "digest": digest} for path, digest in sorted(self.cassettes.items())
            ],
            "totals": self.totals.to_json(),
        }
        if self.modules:
            manifest["modules"] = [self.modules[path] for path in sorted(self.modules)]
        if self.not_collected:
            manifest["not_collected"] = self.not_collected
        if self.sequential is not None:
            manifest["sequential"] = self.sequential
        return manifest

    def write(self, directory: Path) -> None:
        """Write ``manifest.json`` atomically. Raises UsageError where it cannot be written."""
        path = directory / MANIFEST
        with file_errors(path, "cannot be written"):
            write_manifest(path, self.to_json(), self._clean)


def write_manifest(path: Path, manifest: ManifestRecord, clean: Callable[[str], str] = str) -> None:
    """Write a manifest as indented JSON, atomically. Raises OSError."""
    text = indented(manifest) or json.dumps(manifest, indent=2)
    write_atomic(path, f"{clean(text)}\n")
