"""Run conversations in a worker process. Only plain values arrive and return.

The session sends its project once, and for each conversation its name, the files of its cassette
and the secrets. Secrets are only in memory here, and in nothing that a worker logs: the arguments
are opaque, and no exception leaves this module.
"""

from __future__ import annotations

import importlib
import pickle
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, fields
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import ZipFile

from distributed import get_worker, secede

from evalkit._lib.limits import set_limits
from evalkit.cassette.redaction import Redactor
from evalkit.cluster.cassette_exchange import read_contents, write_contents
from evalkit.compare.rows import Prices
from evalkit.errors import UsageError
from evalkit.plugins import Catalog
from evalkit.project import register_checks
from evalkit.session import Runner, Settings, VariantOutcome
from evalkit.session.ledger import Ledger
from evalkit.session.secret_values import SecretValues
from evalkit.suite import Variant, expand, load
from evalkit.taping.target_runner import run_target

_MOST_PROJECTS = 2


def run_conversation(project: Mapping[str, Any], sent: BytesIO) -> dict[str, Any]:
    """Run one conversation of a project; return its result, or the text of what failed."""
    # It waits more than it computes: other conversations run beside it, within the gate's limit.
    secede()
    job = pickle.load(sent)  # noqa: S301 - from dask's channel, which has pickles anyway
    try:
        own = _project(project)
        with _GATE.enter(own, job["concurrency"], is_exclusive=job["has_target"]):
            return own.run(job)
    except UsageError as error:
        return {"usage_error": _redacted(job, str(error))}
    except Exception:  # noqa: BLE001 - dask would log the exception and the arguments
        return {"crash": _redacted(job, traceback.format_exc())}


class ShippedProject:
    """The project of one session, unpacked into a temporary folder of the worker."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values
        self._scratch = get_worker().local_directory
        self._folder = TemporaryDirectory(prefix="evalkit-project-", dir=self._scratch)
        self.root = Path(self._folder.name).resolve()
        with ZipFile(BytesIO(values["archive"])) as archive:
            archive.extractall(self.root)
        self._prices = {name: Prices(**price) for name, price in values["prices"].items()}
        self._lock = threading.Lock()
        self._variants: dict[str, dict[str, Variant]] = {}

    def activate(self, before: ShippedProject | None) -> None:
        """Let Python import the code of this project, and not that of the one before."""
        if before is not None:
            sys.path[:] = [path for path in sys.path if not path.startswith(str(before.root))]
            for name, module in list(sys.modules.items()):
                if str(getattr(module, "__file__", None)).startswith(str(before.root)):
                    del sys.modules[name]
        sys.path[:0] = [str(self.root / path) for path in self._values["import_paths"]]
        importlib.invalidate_caches()
        set_limits(self._values["limits"])
        if self._values["has_checks"]:
            register_checks(self.root, self._values["suites"])

    def run(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """Run a conversation with a cassette in a folder of its own. Raises UsageError."""
        environment = SecretValues(job["environment"])
        variant = self._variant(job, environment)
        with TemporaryDirectory(prefix="evalkit-cassettes-", dir=self._scratch) as name:
            cassettes = Path(name).resolve()
            path = cassettes / variant.cassette
            sent = job["cassette"]
            if sent is not None:
                write_contents(path, sent)
            settings = Settings(
                root=self.root,
                cassettes=cassettes,
                key=job["key"],
                secrets=(*job["secrets"], *environment.known(job["environment"])),
                **self._values["settings"],
            )
            ledger = Ledger(prices=self._prices)
            shown = {
                str(cassettes): self._values["cassettes"],
                str(self.root): self._values["root"],
            }
            runner = WorkerRunner(settings, shown, ledger)
            outcome = runner.run(variant)
            result = {
                "outcome": {
                    field.name: getattr(outcome, field.name) for field in fields(VariantOutcome)
                }
                | {"verdict": str(outcome.verdict), "media": dict(outcome.media)},
                "counts": asdict(ledger.totals),
                "stop": ledger.stop_reason,
                "cassette": None,
            }
            if sent is not None:
                found = read_contents(path)
                is_same = found["cassette"] == sent["cassette"]
                result["cassette"] = found | {
                    "cassette": None if is_same else found["cassette"],
                    "is_unchanged": ledger.totals.unchanged > 0,
                    "media": {
                        name: data
                        for name, data in found["media"].items()
                        if name not in sent["media"]
                    },
                }
            return result

    def _variant(self, job: Mapping[str, Any], environment: SecretValues) -> Variant:
        suite_path = job["suite"]
        with self._lock:
            if suite_path not in self._variants:
                suite = load(
                    self.root / suite_path,
                    root=self.root,
                    checks=Catalog(),
                    environment=environment,
                )
                variants = expand(
                    suite, models=self._values["models"], repeat=self._values["repeat"]
                )
                self._variants[suite_path] = {variant.id: variant for variant in variants}
            return self._variants[suite_path][job["variant"]]


class WorkerRunner(Runner):
    """Runs a conversation; its messages have the session's paths, not those of the worker."""

    def __init__(self, settings: Settings, shown: Mapping[str, str], ledger: Ledger) -> None:
        super().__init__(settings, run_target=run_target, ledger=ledger)
        self._shown = shown

    def redact(self, text: str) -> str:
        """Replace secrets and paths in a text."""
        text = super().redact(text)
        for own, name in self._shown.items():
            text = text.replace(own, name)
        return text


class ConversationGate:
    """Limits what runs at once in this process, whatever else the cluster sends to it.

    At most so many conversations run as their session says, all of one project: sessions take turns
    because they may have different code under the same names. A target runs alone: it patches the
    HTTP libraries of the process.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running = 0
        self._is_exclusive = False
        self._exclusive_waiting = 0
        self._project: ShippedProject | None = None

    @contextmanager
    def enter(self, project: ShippedProject, limit: int, *, is_exclusive: bool) -> Iterator[None]:
        """Wait for a free slot, and occupy it while the block runs."""
        with self._changed:
            self._exclusive_waiting += is_exclusive
            self._changed.wait_for(
                lambda: (
                    not self._running
                    if is_exclusive
                    else not self._is_exclusive
                    and not self._exclusive_waiting
                    and (not self._running or self._project is project)
                    and self._running < limit
                )
            )
            self._exclusive_waiting -= is_exclusive
            self._is_exclusive = is_exclusive
            self._running += 1
            if self._project is not project:
                before, self._project = self._project, project
                project.activate(before)
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                self._is_exclusive = False
                self._changed.notify_all()


_GATE = ConversationGate()
_projects: dict[str, ShippedProject] = {}
_projects_lock = threading.Lock()


def _project(values: Mapping[str, Any]) -> ShippedProject:
    """Return the project of a session, unpacked once in this process."""
    session = values["session"]
    with _projects_lock:
        if session not in _projects:
            while len(_projects) >= _MOST_PROJECTS:
                # Conversations that still run have it, and its folder, until they end.
                del _projects[next(iter(_projects))]
            _projects[session] = ShippedProject(values)
        return _projects[session]


def _redacted(job: Mapping[str, Any], text: str) -> str:
    known = SecretValues(job["environment"]).known(job["environment"])
    return Redactor((*job["secrets"], *known)).text(text)
