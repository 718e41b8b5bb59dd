"""The workers of a cluster, and how many conversations each may run now.

A worker is used only if it has this version of evalkit and of dask, and if nobody on the network
can read the key that it is sent. Workers may be lost and join at any time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterator
from importlib.metadata import version
from typing import TYPE_CHECKING

from evalkit._lib.version import VERSION
from evalkit.errors import UsageError
from evalkit.session.ledger import NotStarted
from evalkit.transports.dask_client import dask_problem, is_private

if TYPE_CHECKING:
    from distributed import Client

PATIENCE_SECONDS = 30
"""Time without any worker after which a session ends: a restarted one needs some seconds."""
POLL_SECONDS = 2
_DISTRIBUTION = "pytest-evalkit"


class ClusterLost(NotStarted):
    """The scheduler is gone, or all workers are; nothing else can be started."""


class WorkerSlots:
    """Slots for conversations: ``concurrency`` in each worker process. Threads may use it.

    With ``needs_privacy`` a worker that can be reached without TLS from elsewhere is not used.
    Raises UsageError for one that cannot be used when it begins.
    """

    def __init__(self, client: Client, concurrency: int, *, needs_privacy: bool) -> None:
        self._client = client
        self._concurrency = concurrency
        self._needs_privacy = needs_privacy
        self._free: dict[str, int] = {}
        self._refused: dict[str, str] = {}
        self._changed = threading.Condition()
        self._is_closed = False
        self._seen = self._refreshed = time.monotonic()
        self._address = str(client.scheduler_info()["address"])
        with self._changed:
            self._refresh()
        for reason in self._refused.values():
            raise UsageError(f"--evalkit-cluster {self._address}: {reason}")

    @property
    def capacity(self) -> int:
        """How many conversations the workers run at once."""
        return len(self._free) * self._concurrency

    @property
    def refused(self) -> Collection[str]:
        """Why workers that joined later were not used."""
        return self._refused.values()

    def acquire(self) -> str:
        """Wait for a slot; return the address of its worker. Raises NotStarted, ClusterLost."""
        with self._changed:
            while True:
                if self._is_closed:
                    raise NotStarted("the session ends")
                self.check()
                address = max(self._free, key=self._free.__getitem__, default=None)
                if address is not None and self._free[address] > 0:
                    self._free[address] -= 1
                    return address
                self._changed.wait(POLL_SECONDS)

    def release(self, address: str) -> None:
        """Return a slot."""
        with self._changed:
            # A worker that restarted at the same address has all its slots already.
            if self._free.get(address, self._concurrency) < self._concurrency:
                self._free[address] += 1
            self._changed.notify()

    def check(self) -> None:
        """Look for lost and new workers now and then. Raises ClusterLost."""
        with self._changed:
            if self._client.status != "running":
                raise ClusterLost(
                    f"the scheduler {self._address} cannot be reached any more; start it again"
                )
            if time.monotonic() > self._refreshed + POLL_SECONDS:
                self._refresh()
            if time.monotonic() > self._seen + PATIENCE_SECONDS:
                raise ClusterLost(
                    f"the scheduler {self._address} has had no usable worker for "
                    f"{PATIENCE_SECONDS} s; start some with: dask worker {self._address}"
                )

    def has_worker(self, address: str) -> bool:
        """Return whether a worker is still there. Raises ClusterLost."""
        self.check()
        return address in self._free

    def close(self) -> None:
        """Give no more slots."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _refresh(self) -> None:
        try:
            workers = set(self._client.nthreads())
            new = workers - self._free.keys() - self._refused.keys()
            self._refused.update(self._problems(new) if new else ())
        except OSError:
            # The client notices a lost scheduler itself.
            return
        free = {one: self._free.get(one, self._concurrency) for one in workers}
        self._free = {one: count for one, count in free.items() if one not in self._refused}
        self._refreshed = time.monotonic()
        if self._free:
            self._seen = self._refreshed
        self._changed.notify_all()

    def _problems(self, workers: Collection[str]) -> Iterator[tuple[str, str]]:
        """Yield the workers that cannot be used, each with the reason."""
        evalkits, dasks = (
            self._client.run(version, name, workers=list(workers), on_error="return")
            for name in (_DISTRIBUTION, "distributed")
        )
        for address in workers:
            found, where = evalkits.get(address, VERSION), f"the worker {address}"
            if found != VERSION:
                has = "no evalkit" if isinstance(found, Exception) else f"evalkit {found}"
                yield (
                    address,
                    f"{where} has {has} (expected {VERSION}, as this session); "
                    f"install it there: pip install '{_DISTRIBUTION}[cluster]=={VERSION}'",
                )
            elif problem := dask_problem(where, dasks.get(address)):
                yield address, problem
            elif self._needs_privacy and not is_private(address):
                yield address, plaintext_problem(f"worker {address}")


def plaintext_problem(what: str) -> str:
    """Return the message about a connection that others on the network can read."""
    return (
        f"the connection to the {what} is not encrypted, and the API key would be sent over it "
        "(expected tls://, or this machine); configure TLS, or set evalkit_cluster_plaintext = "
        "true in pytest.ini for a network that you trust"
    )


class Slot:
    """A slot of a worker; it moves to another worker when its own is lost."""

    def __init__(self, slots: WorkerSlots) -> None:
        self._slots = slots
        self.address = slots.acquire()

    def is_lost(self) -> bool:
        """Return whether its worker is gone. Raises ClusterLost."""
        return not self._slots.has_worker(self.address)

    def move(self) -> None:
        """Wait for a slot of another worker. Raises NotStarted, ClusterLost."""
        self.close()
        self.address = self._slots.acquire()

    def close(self) -> None:
        """Return the slot."""
        self._slots.release(self.address)
