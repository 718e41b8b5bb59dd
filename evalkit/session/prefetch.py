"""Run variants concurrently, ahead of the test runner that asks for them one by one.

pytest runs its tests one after the other, and a live conversation spends nearly all its time
waiting. So variants start early, in threads, and each outcome is returned when pytest asks for it:
the order of results, journal and output stays that of the suite. Each conversation has a transport
and a cassette to itself, so none can mix. Some variants run one at a time nevertheless: see
``Runner.may_run_concurrently``.
"""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Protocol

from evalkit.errors import EvalkitError
from evalkit.session.ledger import Ledger, NotStarted
from evalkit.session.outcomes import VariantOutcome
from evalkit.suite import Variant

_WINDOW = 4
"""Started variants per thread: one slow conversation must not block the others, and memory stays
bounded."""


class VariantRunner(Protocol):
    """What runs variants: a ``Runner`` in this process, or the workers of a cluster."""

    @property
    def ledger(self) -> Ledger:
        """What says when no other conversation may start."""

    def may_run_concurrently(self, variant: Variant) -> bool:
        """Return whether a variant may run in a thread beside others."""

    def run(self, variant: Variant) -> VariantOutcome:
        """Run one variant."""


class Prefetcher:
    """Runs variants in the given order, at most ``concurrency`` at once."""

    def __init__(
        self, runner: VariantRunner, variants: Sequence[Variant], concurrency: int
    ) -> None:
        self._runner = runner
        self._waiting = [item for item in reversed(variants) if runner.may_run_concurrently(item)]
        self._started: dict[int, tuple[Variant, Future[VariantOutcome]]] = {}
        self._is_suspended = False
        self._window = _WINDOW * concurrency
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="evalkit")

    def run(self, variant: Variant) -> VariantOutcome:
        """Return a variant's outcome; run it now if it was not started.

        Raises NotStarted, and what ``Runner.run`` raises.
        """
        self._start()
        started = self._started.get(id(variant))
        if started is None:
            self._waiting = [one for one in self._waiting if one is not variant]
            return self._run(variant)
        # After Ctrl-C it continues, and its outcome is taken later.
        wait([started[1]])
        try:
            return started[1].result()
        finally:
            del self._started[id(variant)]
            self._start()

    def has_outcome(self, variant: Variant) -> bool:
        """Wait for a variant that was started; return whether it could reach the endpoint."""
        started = self._started.get(id(variant))
        try:
            return started is not None and not started[1].result().is_unreachable
        except NotStarted:
            return False
        except EvalkitError:
            return True

    def take(self, variant: Variant) -> VariantOutcome | None:
        """Return the outcome of a variant that was started and has ended, if it has one."""
        _, future = self._started.pop(id(variant), (None, None))
        if future is None or not future.done() or future.cancelled() or future.exception():
            return None
        return future.result()

    def suspend(self) -> list[Variant]:
        """Start nothing until ``resume``; return the variants that run already, or have run."""
        self._is_suspended = True
        for key, (variant, future) in reversed(list(self._started.items())):
            # One that still waits for a thread has not started.
            if future.cancel():
                del self._started[key]
                self._waiting.append(variant)
        return [variant for variant, _ in self._started.values()]

    def resume(self) -> None:
        """Start variants again."""
        self._is_suspended = False

    def close(self) -> None:
        """Start nothing more, and wait for running conversations so that they are stored."""
        self._waiting.clear()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _start(self) -> None:
        while self._waiting and not self._is_suspended and len(self._started) < self._window:
            variant = self._waiting.pop()
            self._started[id(variant)] = variant, self._pool.submit(self._run, variant)

    def _run(self, variant: Variant) -> VariantOutcome:
        self._runner.ledger.check()
        return self._runner.run(variant)
