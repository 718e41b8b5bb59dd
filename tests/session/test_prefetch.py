"""Variants that run ahead of pytest: which start, and what a suspension withdraws."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from evalkit.session.ledger import Ledger
from evalkit.session.prefetch import Prefetcher


class SlowRunner:
    """Runs variants that end when they may; the outcome of a variant is itself."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.started: list[int] = []
        self.begun = threading.Semaphore(0)
        self.may_end = threading.Semaphore(0)

    def may_run_concurrently(self, _: Any) -> bool:
        return True

    def run(self, variant: Any) -> Any:
        self.started.append(variant.number)
        self.begun.release()
        assert self.may_end.acquire(timeout=30)
        return variant


@pytest.fixture
def runner() -> SlowRunner:
    return SlowRunner()


def test_a_suspension_withdraws_what_has_not_begun(runner: SlowRunner) -> None:
    variants: list[Any] = [SimpleNamespace(number=number) for number in range(12)]
    prefetcher = Prefetcher(runner, variants, 2)
    runner.may_end.release()
    assert prefetcher.run(variants[0]) is variants[0]
    for _ in range(3):
        assert runner.begun.acquire(timeout=30)
    # The first has ended, so the next two run, and others wait for a thread.
    assert prefetcher.suspend() == variants[1:3]
    runner.may_end.release(3)
    assert [prefetcher.run(one) for one in variants[1:4]] == variants[1:4]
    assert sorted(runner.started) == [0, 1, 2, 3], "the fourth runs only because it is asked for"
    prefetcher.resume()
    runner.may_end.release(8)
    assert [prefetcher.run(one) for one in variants[4:]] == variants[4:]
    assert sorted(runner.started) == list(range(12)), "each ran once"
    prefetcher.close()
