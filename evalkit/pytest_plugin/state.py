"""What one pytest session keeps between hooks: settings, the runner, the manifest, the journal; made when the first suite is collected."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from evalkit.plugins import Catalog
from evalkit.pytest_plugin.options import folder_of
from evalkit.results import Journal, Manifest
from evalkit.results.manifest import file_digest
from evalkit.session import Runner, Settings, VariantOutcome
from evalkit.suite import Variant, expand, load
from evalkit.taping.target_runner import run_target

if TYPE_CHECKING:
    from evalkit.session.prefetch import Prefetcher

_REPORTED_OPTIONS = ("record", "live", "cassettes", "base_url", "model", "repeat", "strict")


@dataclass(eq=False, repr=False)
class State:
    """A session's state. On a worker of pytest-xdist no journal is written: results travel to the controller on pytest's own reports."""

    settings: Settings
    directory: Path
    manifest: Manifest
    models: tuple[str, ...] = ()
    repeat: int | None = None
    strict: bool = False
    journal: Journal | None = None
    used: set[str] = field(default_factory=set)
    orphans: list[str] = field(default_factory=list)
    unplayed: list[str] = field(default_factory=list)
    warned: list[str] = field(default_factory=list)
    unwritten: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    concurrency: int = 1
    ahead: Prefetcher | None = None
    kept: dict[str, str] = field(default_factory=dict)
    uncounted: set[str] = field(default_factory=set)
    _marks: dict[str, pytest.MarkDecorator] = field(default_factory=dict)
    _catalog: Catalog = field(default_factory=Catalog)

    def __post_init__(self) -> None:
        """Make the runner."""
        self.runner = Runner(self.settings, run_target=run_target)

    @classmethod
    def of(cls, config: pytest.Config, environment: Mapping[str, str]) -> State:
        """Read the session's options."""
        root = config.rootpath

        def option(name: str) -> Any:
            return config.getoption(f"evalkit_{name}")

        settings = Settings.of(
            root,
            folder_of(config, "cassettes"),
            option("record"),
            option("base_url"),
            environment,
            live=option("live"),
            patterns=config.getini("evalkit_redact"),
        )
        options = {name: option(name) for name in _REPORTED_OPTIONS}
        report = folder_of(config, "report")
        return cls(
            settings,
            report,
            Manifest(options),
            tuple(option("model")),
            option("repeat"),
            option("strict"),
            concurrency=option("concurrency"),
        )

    def run(self, variant: Variant) -> VariantOutcome:
        """Return a variant's outcome: one that was kept, one that was begun early, or one made now."""
        if self.kept and (line := self.kept.get(variant.id)) is not None:
            from evalkit.pytest_plugin.resume import outcome_of

            return outcome_of(line)
        return self.ahead.run(variant) if self.ahead is not None else self.runner.run(variant)

    def load(self, path: Path) -> list[Variant]:
        """Load a suite and return its variants. Raises SuiteErrors."""
        suite = load(path, root=self.settings.root, checks=self._catalog)
        variants = expand(suite, models=self.models, repeat=self.repeat)
        self.runner.introduce(variants)
        self.manifest.suites[suite.label] = {
            "suite": suite.name,
            "path": suite.label,
            "digest": f"sha256:{suite.digest}",
            "collected": len(variants),
            "files": [{"path": name, "digest": file_digest(path)} for name, path in suite.used],
        }
        self.manifest.totals.collected += len(variants)
        self.used.update(variant.cassette for variant in variants)
        return variants

    def mark(self, config: pytest.Config, tag: str) -> pytest.MarkDecorator:
        """Return a tag as a mark, registered so that ``--strict-markers`` knows it."""
        mark = self._marks.get(tag)
        if mark is None:
            config.addinivalue_line("markers", f"{tag}: tag of an evalkit suite")
            mark = self._marks[tag] = getattr(pytest.mark, tag)
        return mark

    def find_orphans(self) -> list[str]:
        """Return the cassettes of collected suites that no variant uses."""
        top, orphans = self.settings.cassettes, []
        for folder in {name.partition("/")[0] for name in self.used}:
            for place, _, files in os.walk(top / folder):
                below = Path(place).relative_to(top).as_posix()
                orphans += [
                    name
                    for file in files
                    if file.endswith(".yaml") and (name := f"{below}/{file}") not in self.used
                ]
        return sorted(orphans)

    def to_worker_output(self) -> str:
        """Return what a worker knows that the controller cannot: what it collected."""
        totals = self.manifest.totals
        counts = {"collected": totals.collected, "deselected": totals.deselected}
        return json.dumps(
            {"suites": self.manifest.suites, "counts": counts, "orphans": self.orphans}
        )

    def take_worker_output(self, text: str) -> None:
        """Take in what a worker knows; every worker collects everything, so the largest count is the count."""
        told = json.loads(text)
        totals = self.manifest.totals
        self.manifest.suites.update(told["suites"])
        totals.collected = max(totals.collected, told["counts"]["collected"])
        totals.deselected = max(totals.deselected, told["counts"]["deselected"])
        self.orphans = sorted({*self.orphans, *told["orphans"]})
