"""``--evalkit-until-decided``: start scenarios in random order until the gate is decided.

The unit is the scenario, or its case: it runs whole, with all its variants and trials. After each
one the rules of the gate are looked at, with an interval that is valid however often that is done
(``evalkit.compare.confidence_sequence``). The order must be random, because a suite's own order is
not: its first scenarios are not a random sample. It depends on the seed and on the names alone, so
a scenario that is added moves no other.
"""

from __future__ import annotations

import math
import secrets
from collections import Counter
from collections.abc import Iterable

import pytest

from evalkit._lib.files import sha256
from evalkit._lib.text import plural
from evalkit.compare.confidence_sequence import clusters_without_difference
from evalkit.compare.gate_decision import undecidable
from evalkit.compare.rows import ResultRow, cluster_name, result_row
from evalkit.errors import UsageError
from evalkit.pytest_plugin.collection import VariantItem
from evalkit.pytest_plugin.gating import SessionGate
from evalkit.pytest_plugin.options import uses_tape
from evalkit.pytest_plugin.state import SessionState
from evalkit.pytest_plugin.stored_results import stored_seed
from evalkit.results.records import SequentialRecord
from evalkit.results.result_line import parse_result
from evalkit.suite import Variant

_GROWTH = 1.01
"""Of more than 100 scenarios, the gate is looked at when a hundredth more have ended."""


class UntilDecided:
    """Orders the scenarios of a session, and says which may start.

    Raises UsageError for a gate that cannot be decided early, and for tests of applications.
    """

    def __init__(self, session: pytest.Session, state: SessionState, gate: SessionGate) -> None:
        if reason := undecidable(gate.gate):
            raise UsageError(
                f"--evalkit-until-decided {gate.name}: the gate {reason}; name another gate, or "
                "run without the option"
            )
        if any(map(uses_tape, session.items)):
            raise UsageError(
                "--evalkit-until-decided is for scenarios of suites (expected no tests with tapes, "
                "which run in their own order); select only suites"
            )
        self._state, self._gate = state, gate
        items = [item for item in session.items if isinstance(item, VariantItem)]
        seed: int | None = session.config.getoption("evalkit_seed")
        if session.config.getoption("evalkit_resume"):
            seed = stored_seed(state.directory, seed)
        self._seed = secrets.randbelow(1 << 32) if seed is None else seed
        names = dict.fromkeys(map(_cluster, items))
        ordered = sorted(names, key=lambda name: (sha256(f"{self._seed}:{name}"), name))
        self._position = {name: number for number, name in enumerate(ordered)}
        others = [item for item in session.items if not isinstance(item, VariantItem)]
        items.sort(key=lambda item: self._position[_cluster(item)])
        session.items[:] = [*others, *items]
        self._tests = Counter(map(_cluster, items))
        self._results = Counter(_cluster(item) for item in items for _ in item.variants)
        self._clusters = {item.nodeid: _cluster(item) for item in items}
        self._waiting = Counter(self._tests)
        self._rows: dict[str, list[ResultRow]] = {name: [] for name in ordered}
        self._ended: list[ResultRow] = []
        self._next_look = 0
        self._frontier = -1
        self.record: SequentialRecord = {
            "gate": gate.name,
            "seed": self._seed,
            "scenarios": len(ordered),
            "largest": max(self._results.values(), default=1),
            "decision": None,
            "not_run": {},
        }

    @property
    def introduction(self) -> list[str]:
        """What is printed before the first scenario."""
        total = plural(len(self._position), "scenario")
        lines = [
            f"{total} in random order (--evalkit-seed {self._seed}), until gate {self._gate.name} "
            "is decided"
        ]
        bound = self._gate.gate.non_inferiority
        if bound is not None:
            least = clusters_without_difference(bound.margin, bound.confidence)
            if least > len(self._position):
                lines.append(
                    f"warning: even if nothing differs, it takes {least} scenarios to show that "
                    f"the drop is below {bound.margin * 100:.1f} points; add scenarios, or raise "
                    "the margin"
                )
        return lines

    def start_at(self, items: Iterable[VariantItem]) -> None:
        """Let all scenarios run up to the last one that an earlier session has results of."""
        for item in items:
            if any(map(self._state.is_stored, item.variants)):
                self._frontier = max(self._frontier, self._position[_cluster(item)])

    def may_start(self, item: VariantItem) -> bool:
        """Return whether a test may run: the gate is not decided, or its scenario has begun."""
        position = self._position[_cluster(item)]
        if position > self._frontier:
            if self.record["decision"] is not None:
                return False
            self._frontier = position
        return True

    def add(self, nodeid: str, lines: Iterable[str]) -> None:
        """Add the results of a test; look at the gate if its scenario has ended."""
        cluster = self._clusters.get(nodeid)
        if cluster is None:
            return
        self._rows[cluster] += [result_row(parse_result(line)) for line in lines]
        self._waiting[cluster] -= 1
        if not self._waiting[cluster]:
            self._ended += self._rows.pop(cluster)
            count = len(self._position) - len(self._rows)
            if count >= self._next_look or self.record["decision"] is not None or not self._rows:
                self._next_look = math.ceil(count * _GROWTH)
                self._look()

    def _look(self) -> None:
        """Decide, and start no further scenario if that decides the gate.

        Those that run already end, and may undo the decision: then the session continues.
        """
        self.record["decision"] = self._gate.early_decision(self._ended, self.record)
        prefetcher = self._state.prefetcher
        if prefetcher is None:
            return
        if self.record["decision"] is None:
            prefetcher.resume()
            return
        for variant in prefetcher.suspend():
            self._frontier = max(self._frontier, self._position[_cluster_of(variant)])

    def finish(self) -> None:
        """Complete the record: what was not run because the gate was decided, and its price."""
        if self.record["decision"] is None:
            return
        left_out = [name for name, at in self._position.items() if at > self._frontier]
        self.record["not_run"] = {name: self._tests[name] for name in sorted(left_out)}
        results = sum(self._results[name] for name in left_out)
        if results:
            self.record["saved"] = self._gate.savings(set(left_out), results, self._ended)


def _cluster(item: VariantItem) -> str:
    return _cluster_of(item.variant)


def _cluster_of(variant: Variant) -> str:
    case = str(variant.settings.get("case") or "")
    return cluster_name(variant.suite.name, variant.scenario.id, case)
