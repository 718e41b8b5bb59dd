"""Run conversations on the workers of a dask cluster, and store what returns.

A session's threads each wait for one conversation (``session.prefetch``); this runner sends it to a
worker with a free slot, and to another one if that worker is lost. Its cassette is written and its
numbers are counted when its result arrives, so never twice.
"""

from __future__ import annotations

import operator
import pickle
import pkgutil
import sys
import uuid
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError, wait
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any

from evalkit._lib.files import display_path, is_inside
from evalkit._lib.text import plural
from evalkit.cassette.redaction import SecretValue
from evalkit.cluster.cassette_exchange import CassetteExchange, read_contents
from evalkit.cluster.project_archive import pack
from evalkit.cluster.worker_slots import ClusterLost, Slot, WorkerSlots, plaintext_problem
from evalkit.errors import Crashed, UsageError
from evalkit.plugins import CHECKS
from evalkit.session import Runner, VariantOutcome
from evalkit.session.ledger import Ledger
from evalkit.suite import Suite, Variant
from evalkit.transports.dask_client import await_result, connect_client, is_private
from evalkit.verdict import Verdict

RUN = "evalkit.cluster.worker:run_conversation"
WAIT_SECONDS = 5
"""Time between two looks at whether its worker is there, while a conversation runs."""
MOST_WORKERS = 4
"""Workers that may be lost with a conversation; it may be what ends them."""
_SETTINGS = ("mode", "live", "base_url", "api_version", "patterns", "packages", "command")


class ClusterRunner:
    """Runs variants on the cluster at ``address``, ``concurrency`` at once in each worker process.

    ``runner`` is the session's; it runs here what cannot run elsewhere. ``models``, ``repeat`` and
    ``limits`` are what the suites are expanded and run with. ``environment`` has the variables that
    suites send. Raises UsageError, before anything is started.
    """

    def __init__(
        self,
        address: str,
        runner: Runner,
        suites: Sequence[Suite],
        *,
        concurrency: int,
        models: Sequence[str],
        repeat: int | None,
        limits: Sequence[str],
        environment: Mapping[str, str],
        allow_plaintext: bool,
    ) -> None:
        self._runner = runner
        self._concurrency = concurrency
        self._environment = dict(environment)
        self._session = uuid.uuid4().hex[:12]
        self._numbers = count(1)
        self._moved: set[str] = set()
        settings = runner.settings
        checks = CHECKS.added
        project = {
            "session": self._session,
            "archive": pack(settings.root, suites, with_code=bool(checks)),
            "settings": {name: getattr(settings, name) for name in _SETTINGS},
            "root": str(settings.root),
            "cassettes": display_path(settings.cassettes),
            "suites": [suite.label for suite in suites],
            "models": list(models),
            "repeat": repeat,
            "limits": list(limits),
            "prices": {name: one.model_dump() for name, one in runner.ledger.prices.items()},
            "has_checks": bool(checks),
            "import_paths": _import_paths(settings.root),
        }
        needs_privacy = bool(settings.secrets) and not allow_plaintext
        if needs_privacy and not is_private(address):
            raise UsageError(f"--evalkit-cluster {address}: {plaintext_problem('scheduler')}")
        self._address = address
        self._client = connect_client(address)
        try:
            self._slots = WorkerSlots(self._client, concurrency, needs_privacy=needs_privacy)
            with warnings.catch_warnings():
                # dask warns of arguments of 10 MB; a project is sent once.
                warnings.simplefilter("ignore")
                self._function = self._submit("function", pkgutil.resolve_name, RUN)
                # As bytes, so that the scheduler and its pages have no values of the project.
                self._project = self._submit("project", pickle.loads, pickle.dumps(project))
        except BaseException:
            self._client.close()
            raise

    @property
    def ledger(self) -> Ledger:
        """The session's ledger, which decides what is started on any worker."""
        return self._runner.ledger

    @property
    def capacity(self) -> int:
        """How many conversations the cluster runs at once."""
        return self._slots.capacity

    @property
    def notes(self) -> list[str]:
        """What the summary of the session says about the cluster."""
        again = (
            f"{plural(len(self._moved), 'conversation')} ran again, because a worker was lost; the "
            "service may have billed what is counted once here"
        )
        return [*([again] if self._moved else []), *self._slots.refused]

    def may_run_concurrently(self, variant: Variant) -> bool:
        """Return whether a variant runs on the cluster, and not in the session's own process."""
        if self._runner.is_compared(variant):
            return False
        settings = self._runner.settings
        # A cassette that is only replayed needs no worker.
        return settings.mode != "once" or not self._runner.cassette(variant).exists()

    def run(self, variant: Variant) -> VariantOutcome:
        """Run one variant. Raises NotStarted, and what ``Runner.run`` raises."""
        if not self.may_run_concurrently(variant):
            return self._runner.run(variant)
        try:
            slot = Slot(self._slots)
            try:
                self.ledger.check()
                return self._run_in(slot, variant)
            finally:
                slot.close()
        except ClusterLost as error:
            self.ledger.stop(str(error))
            raise

    def _run_in(self, slot: Slot, variant: Variant) -> VariantOutcome:
        runner = self._runner
        path = None if runner.settings.live else runner.cassette(variant)
        exchange = CassetteExchange(path) if path is not None else None
        result: dict[str, Any] | None = None
        ended = {"ended": 1.0}
        self.ledger.count(started=1)
        try:
            result = self._result(slot, variant, path)
            if "outcome" in result:
                ended = {name: n for name, n in result["counts"].items() if name != "started"}
                if exchange is not None:
                    exchange.store(result["cassette"])
        finally:
            self.ledger.count(**ended)
            if exchange is not None:
                exchange.close(is_stored=result is not None and "outcome" in result)
        if "usage_error" in result:
            raise UsageError(result["usage_error"])
        if "crash" in result:
            raise Crashed(f"on a worker of the cluster:\n{result['crash']}")
        if "not_run" in result:
            return runner.not_run(variant, Verdict.ERRORED, result["not_run"])
        if result["stop"]:
            self.ledger.stop(result["stop"])
        values = result["outcome"]
        return VariantOutcome(**{**values, "verdict": Verdict(values["verdict"])})

    def _result(self, slot: Slot, variant: Variant, path: Path | None) -> dict[str, Any]:
        settings = self._runner.settings
        job = pickle.dumps(
            {
                "variant": variant.id,
                "suite": variant.suite.label,
                "has_target": variant.target is not None,
                "concurrency": self._concurrency,
                "cassette": read_contents(path) if path is not None else None,
                "environment": self._environment,
                "key": settings.key,
                "secrets": [one for one in settings.secrets if not isinstance(one, SecretValue)],
            }
        )
        for _ in range(MOST_WORKERS):
            result = self._result_at(slot, job)
            if result is not None:
                return result
            self._moved.add(variant.id)
            slot.move()
        return {"not_run": f"{MOST_WORKERS} workers were lost while they ran it; see their logs"}

    def _result_at(self, slot: Slot, job: bytes) -> dict[str, Any] | None:
        """Return what the worker of a slot returns; None if it is lost before."""
        future = self._submit(
            "conversation",
            operator.call,
            self._function,
            self._project,
            # Of an argument of this type, dask's messages and pages show nothing.
            BytesIO(job),
            # dask may run it nowhere else: it moves tasks without knowing of slots.
            workers=[slot.address],
        )
        # A worker may also be lost when it has the result and has not sent it.
        arriving = await_result(self._client, future)
        try:
            while not wait([arriving], WAIT_SECONDS).done:
                if slot.is_lost():
                    return None
            returned: dict[str, Any] = arriving.result()
            return returned
        except CancelledError:
            raise ClusterLost(
                f"the scheduler {self._address} was lost, or it was restarted"
            ) from None
        except ClusterLost:
            raise
        except Exception as error:  # noqa: BLE001 - dask raises whatever its connections raise
            text = f"the cluster did not run it ({type(error).__name__}: {error})"
            return {"not_run": f"{text}; see the logs of its workers"}
        finally:
            arriving.cancel()
            future.release()

    def _submit(self, kind: str, function: Any, *arguments: Any, **options: Any) -> Any:
        key = f"evalkit-{kind}-{self._session}-{next(self._numbers)}"
        return self._client.submit(function, *arguments, key=key, pure=False, **options)

    def stop(self) -> None:
        """Start nothing more; what runs continues."""
        self._slots.close()

    def close(self) -> None:
        """Disconnect; conversations that still run are canceled."""
        self._client.close()


def _import_paths(root: Path) -> list[str]:
    """Return the folders of the project from which the session imports, relative to its root."""
    folders = [Path(path).resolve() for path in sys.path if path]
    return [
        one.relative_to(root.resolve()).as_posix()
        for one in dict.fromkeys(folders)
        if is_inside(root, one) and "site-packages" not in one.parts
    ]
