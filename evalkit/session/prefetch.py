"""Holding variants ahead of the test runner: while pytest waits for one conversation, others are under way in threads.

pytest runs its tests one after the other, and a live conversation is nearly all waiting. So the variants behind the one that is asked for are
begun early, as many at once as the user allows, and each outcome is handed out when its turn comes: the order of results, of the journal and
of everything printed stays that of the suite. Each conversation has a transport and a cassette of its own, so none can mix.

Held one by one as ever: variants that compare themselves with siblings (``same_as``), and targets, for which HTTP libraries are patched.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from evalkit.session.runner import Runner, VariantOutcome

if TYPE_CHECKING:
    from evalkit.suite import Variant

WINDOW = 4
"""Outcomes kept ready for each thread: a slow conversation does not hold up those behind it, and memory stays bounded."""


class Prefetcher:
    """Runs variants in the order given, at most ``concurrency`` at once; ``run`` waits for one."""

    def __init__(self, runner: Runner, variants: Sequence[Variant], concurrency: int) -> None:
        self._runner = runner
        self._left = [variant for variant in reversed(variants) if runner.may_run_aside(variant)]
        self._begun: dict[int, Future[VariantOutcome]] = {}
        self._window = WINDOW * concurrency
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="evalkit")

    def run(self, variant: Variant) -> VariantOutcome:
        """Return a variant's outcome. Raises what :meth:`Runner.run` raises. A variant that was not announced is run here and now."""
        self._begin()
        begun = self._begun.pop(id(variant), None)
        if begun is None:
            return self._runner.run(variant)
        try:
            return begun.result()
        finally:
            self._begin()

    def close(self) -> None:
        """Begin nothing more, and wait for what is under way: what was recorded is written."""
        self._left.clear()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _begin(self) -> None:
        while self._left and len(self._begun) < self._window:
            variant = self._left.pop()
            self._begun[id(variant)] = self._pool.submit(self._runner.run, variant)
