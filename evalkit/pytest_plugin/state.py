"""What one pytest session with suites knows: settings, runner, manifest, journal, counters."""

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from evalkit._lib.yaml import locate
from evalkit.cassette.files import recorded_model
from evalkit.cassette.redaction import Redactor
from evalkit.errors import Problem, SuiteErrors
from evalkit.plugins import Catalog
from evalkit.pytest_plugin.options import WORKER_NUMBER
from evalkit.pytest_plugin.project import folder_of
from evalkit.pytest_plugin.session_settings import open_ledger, read_settings
from evalkit.pytest_plugin.stored_results import (
    policy_of,
    stored_item,
    stored_outcome,
    stored_results,
)
from evalkit.results import Journal, Manifest
from evalkit.results.bar import file_digest, suite_record
from evalkit.results.records import ModuleRecord
from evalkit.results.result_line import without_test
from evalkit.session import Runner, VariantOutcome
from evalkit.session.prefetch import Prefetcher
from evalkit.session.secret_values import SecretValues
from evalkit.session.trials import ItemOutcome, item_outcome
from evalkit.suite import Suite, Variant, cassettes_of, expand, load
from evalkit.suite.model.expansion import tests_of
from evalkit.suite.model.variant_names import unlocked_cassette
from evalkit.transcript import Transcript
from evalkit.transports.address import collector_headers, parse_collector
from evalkit.verdict import Verdict

if TYPE_CHECKING:
    from evalkit.cluster.cluster_runner import ClusterRunner

_NEEDS_ARGUMENTS = re.compile(r"(\w+)\(\s*\w+\s*[,)]")
"""A registered mark whose first parameter has no default: ``timeout(timeout, method=None)``."""
_REPORTED_OPTIONS = (
    "record",
    "live",
    "cassettes",
    "base_url",
    "api_version",
    "model",
    "repeat",
    "locked",
    "strict",
    "changed_since",
)


def _run_target(*args: Any, **kwargs: Any) -> tuple[Transcript, list[str]]:
    # Slow third-party library: only suites with a target need vcrpy.
    from evalkit.taping.target_runner import run_target

    return run_target(*args, **kwargs)


class SessionState:
    """The state of a session, shared by its items and the reporter.

    ``resumed`` are the result lines of an earlier session by variant id, ``uncounted`` those of
    them that no report has brought yet; ``reused`` are those of single trials, whose tests are run
    again for the others. On a worker of pytest-xdist ``journal`` stays None: its
    results travel to the controller on pytest's reports.
    """

    def __init__(self, config: pytest.Config, environment: Mapping[str, str]) -> None:
        self._config = config
        self.settings = read_settings(config, environment)
        self._repeat: int | None = config.getoption("evalkit_repeat")
        self.runner = Runner(
            self.settings,
            run_target=_run_target,
            worker=getattr(config, "workerinput", {}).get(WORKER_NUMBER, 0),
            repeat=self._repeat,
            ledger=open_ledger(config, self.settings),
        )
        self.is_interrupted = False
        self.directory = folder_of(config, "report")
        options = {name: config.getoption(f"evalkit_{name}") for name in _REPORTED_OPTIONS}
        if options["base_url"]:
            # An address may contain a password or a key.
            options["base_url"] = Redactor().uri(options["base_url"])
        self.manifest = Manifest(options, clean=self.runner.redact)
        self.strict: bool = config.getoption("evalkit_strict")
        self.concurrency: int = config.getoption("evalkit_concurrency")
        collector: str | None = config.getoption("evalkit_otlp")
        self.collector = parse_collector(collector).base if collector else None
        if self.collector:
            # What is wrong with them is reported before the session costs anything.
            collector_headers(os.environ)
        self.journal: Journal | None = None
        self.prefetcher: Prefetcher | None = None
        self.cluster: ClusterRunner | None = None
        self.resumed: dict[str, str] = {}
        self.reused: dict[str, str] = {}
        self.uncounted: set[str] = set()
        self.unused_cassettes: list[str] = []
        self.unplayed: list[str] = []
        self.warnings: list[str] = []
        self.flaky: list[str] = []
        self.has_judgments = False
        self.judges: list[str] = []
        self.report_errors: list[str] = []
        self.collector_error = ""
        self.gate_text = ""
        self.selection = ""
        self.unaffected = 0
        self.ci_commands: list[str] = []
        self._models = tuple(config.getoption("evalkit_model"))
        self._suites: list[Suite] = []
        self._used_cassettes: set[str] = set()
        self._tests: set[str] = set()
        self._suite_names: dict[str, str] = {}
        self._marks: dict[str, pytest.MarkDecorator] = {}
        self._labels = frozenset(
            match[1] for match in map(_NEEDS_ARGUMENTS.match, config.getini("markers")) if match
        ) - {"xfail"}
        self._catalog = Catalog()
        self._secrets = SecretValues(environment)
        self.not_collected: set[str] = set()

    def load(self, path: Path) -> list[Variant]:
        """Load a suite and return its variants. Raises SuiteErrors, also for a duplicate name."""
        if self.settings.may_record:
            suite = load(
                path, root=self.settings.root, checks=self._catalog, environment=self._secrets
            )
            self.runner.add_secrets(self._secrets.known(suite.secret_names))
        else:
            suite = load(path, root=self.settings.root, checks=self._catalog)
        # Some file systems ignore case, and the name is that of the folder of cassettes.
        first = self._suite_names.setdefault(suite.name.casefold(), suite.label)
        if first != suite.label:
            line = locate(path.read_text("utf-8"))["suite",].line
            message = (
                f"the suite name {suite.name!r} is that of {first} (names must differ, because "
                "they name cassettes and results); rename one of them"
            )
            raise SuiteErrors([Problem(suite.label, line, 1, message)])
        variants = self._variants(suite)
        self.runner.introduce(variants)
        collected = sum(1 for _ in tests_of(variants))
        self.manifest.suites[suite.label] = suite_record(suite, collected)
        self._suites.append(suite)
        self.manifest.totals.collected += collected
        self._used_cassettes.update(unlocked_cassette(one.cassette) for one in variants)
        if self._models:
            self._used_cassettes.update(cassettes_of(suite, "", self._repeat))
        return variants

    def count_test(self, nodeid: str, module: str) -> None:
        """Count a test that uses a tape, once; ``module`` is its path from the root."""
        if nodeid in self._tests:
            return
        self._tests.add(nodeid)
        if module not in self.manifest.modules:
            digest = file_digest(self.settings.root / module)
            self.manifest.modules[module] = ModuleRecord(path=module, digest=digest, collected=0)
        self.manifest.modules[module]["collected"] += 1
        self.manifest.totals.collected += 1
        self.manifest.totals.tests += 1

    def find_variants(self, root: Path, nodeid: str) -> Sequence[Variant]:
        """Return the variants of a node id, whose path is relative to ``root``; none for others."""
        path, _, name = nodeid.partition("::")
        if not path.endswith((".yaml", ".yml")):
            return ()
        suite = load(root / path, root=self.settings.root, checks=self._catalog)
        variants = self._variants(suite)
        # pytest-xdist may append a group to the name.
        names = name, name.rpartition("@")[0]
        return next((test for test in tests_of(variants) if test[0].name in names), ())

    def _variants(self, suite: Suite) -> list[Variant]:
        variants = expand(suite, models=self._models, repeat=self._repeat)
        is_locked = self.settings.locked is not None
        return [replace(one, is_locked=True) for one in variants] if is_locked else variants

    def mark(self, tag: str) -> pytest.MarkDecorator:
        """Return a tag as a mark, registered so that ``--strict-markers`` accepts it."""
        if tag not in self._marks:
            self._config.addinivalue_line("markers", f"{tag}: tag of an evalkit suite")
            self._marks[tag] = getattr(pytest.mark, tag)
        return self._marks[tag]

    def is_label(self, tag: str) -> bool:
        """Return whether a tag is also a mark of another plugin, which needs arguments."""
        return tag in self._labels

    def run(self, variants: Sequence[Variant]) -> ItemOutcome:
        """Return the outcome of a test: stored by an earlier session, or of a run."""
        if variants[0].id in self.resumed:
            return stored_item([self.resumed[variant.id] for variant in variants])
        return item_outcome(variants, [self._run(variant) for variant in variants])

    def _run(self, variant: Variant) -> VariantOutcome:
        if variant.id in self.reused:
            return stored_outcome(self.reused[variant.id])
        if self.prefetcher is not None:
            return self.prefetcher.run(variant)
        if self.settings.may_record:
            self.runner.ledger.check()
        return self.runner.run(variant)

    def prefetch(self, variants: Sequence[Variant]) -> None:
        """Start variants ahead of their tests: in threads, or on a cluster. Raises UsageError."""
        address: str | None = self._config.getoption("evalkit_cluster")
        if address is not None:
            # Optional third-party library.
            from evalkit.cluster.cluster_runner import ClusterRunner

            self.cluster = ClusterRunner(
                address,
                self.runner,
                self._suites,
                concurrency=self.concurrency,
                models=self._models,
                repeat=self._repeat,
                limits=self._config.getini("evalkit_limits"),
                environment=self._secrets.subset(
                    name for suite in self._suites for name in suite.secret_names
                ),
                allow_plaintext=self._config.getini("evalkit_cluster_plaintext"),
            )
            self.prefetcher = Prefetcher(self.cluster, variants, self.cluster.capacity)
        elif self.concurrency > 1:
            self.prefetcher = Prefetcher(self.runner, variants, self.concurrency)

    def is_stored(self, variant: Variant) -> bool:
        """Return whether an earlier session has the result of a variant."""
        return variant.id in self.resumed or variant.id in self.reused

    def may_run(self, variants: Iterable[Variant]) -> bool:
        """Return whether a test may run: all its conversations were started, or still may be.

        One without variants is a test that uses a tape.
        """
        may_start = not (self.settings.may_record and self.runner.ledger.stop_reason)
        variants = tuple(variants)
        return may_start or (
            bool(variants)
            and all(
                self.is_stored(variant)
                or (self.prefetcher is not None and self.prefetcher.has_outcome(variant))
                for variant in variants
            )
        )

    def not_run(self, variants: Sequence[Variant], verdict: Verdict, reason: str) -> ItemOutcome:
        """Return the outcome of a test that pytest skipped, or whose setup failed."""
        results = [self.runner.not_run(variant, verdict, reason) for variant in variants]
        return item_outcome(variants, results)

    def resume(self, tests: Iterable[Sequence[Variant]]) -> None:
        """Load the results of an interrupted run: of whole tests, and of single trials of others.

        Raises UsageError.
        """
        lines = stored_results(
            self.directory,
            self.manifest.suites,
            until_decided=self._config.getoption("evalkit_until_decided"),
            locked=self.manifest.options["locked"],
        )
        for variants in tests:
            stored = {one.id: lines[one.id] for one in variants if one.id in lines}
            if len(stored) == len(variants) and all(
                policy_of(line) == variants[0].policy for line in stored.values()
            ):
                self.resumed |= stored
            elif variants[0].policy is not None:
                self.reused |= {id_: without_test(line) for id_, line in stored.items()}
        self.uncounted = set(self.resumed.values())

    def find_unused_cassettes(self) -> None:
        """Set ``unused_cassettes``: those beside the collected suites' that no variant uses.

        Those of other models are used by sessions with ``--evalkit-model``, and those beside used
        ones by sessions with ``--evalkit-locked``.
        """
        top = self.settings.cassettes
        folders = {name.partition("/")[0] for name in self._used_cassettes}
        names: set[str] = set()
        for folder in folders:
            for directory, _, files in os.walk(top / folder):
                below = Path(directory).relative_to(top).as_posix()
                names.update(f"{below}/{name}" for name in files if name.endswith(".yaml"))
        unused = {name for name in names if unlocked_cassette(name) not in self._used_cassettes}
        models = {name: recorded_model(top / name) for name in unused}
        of_models = {
            model: {
                cassette
                for suite in self._suites
                for cassette in cassettes_of(suite, model, self._repeat)
            }
            for model in set(filter(None, models.values()))
        }
        self.unused_cassettes = sorted(
            name
            for name in unused
            if unlocked_cassette(name) not in of_models.get(models[name], ())
        )
        # One string per variant, not needed again.
        self._used_cassettes.clear()

    def worker_output(self) -> str:
        """Return what a worker collected, which its controller cannot know."""
        totals = self.manifest.totals
        return json.dumps(
            {
                "suites": self.manifest.suites,
                "modules": self.manifest.modules,
                "tests": totals.tests,
                "collected": totals.collected,
                "deselected": totals.deselected,
                "unused_cassettes": self.unused_cassettes,
                "not_collected": sorted(self.not_collected),
                "selection": self.selection,
                "unaffected": self.unaffected,
            }
        )

    def merge_worker_output(self, text: str, *, each: bool) -> None:
        """Merge the output of one worker; ``each`` of them runs all variants, or one in common."""
        output = json.loads(text)
        totals = self.manifest.totals
        self.manifest.suites.update(output["suites"])
        self.manifest.modules.update(output["modules"])
        self.not_collected.update(output["not_collected"])
        self.selection, self.unaffected = output["selection"], output["unaffected"]
        # Every worker collects all suites, so the largest number is the number.
        combine = sum if each else max
        totals.collected = combine((totals.collected, output["collected"]))
        totals.tests = combine((totals.tests, output["tests"]))
        totals.deselected = combine((totals.deselected, output["deselected"]))
        self.unused_cassettes = sorted({*self.unused_cassettes, *output["unused_cassettes"]})
