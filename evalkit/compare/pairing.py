"""Pair the results of two runs by identity. Pure.

A pair is one variant and trial that both runs have, so an added scenario shifts no other pair. A
result that only one run has is *added* or
*removed* if its whole variant is. If the runs differ in their number of trials, the surplus is
*unmatched* and counts as neither. If a result appears twice in a run, the last one counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from evalkit.compare.proportions import PairTable
from evalkit.compare.rows import ResultRow
from evalkit.verdict import Verdict

PairChange = Literal["regressed", "improved", "changed", "same", "unscored"]


class Pair(NamedTuple):
    """The same variant and trial in both runs."""

    baseline: ResultRow
    candidate: ResultRow

    @property
    def scored(self) -> bool:
        """Whether both sides passed or failed, so that they can be compared."""
        return self.baseline.scored and self.candidate.scored

    @property
    def change(self) -> PairChange:
        """The outcome: ``changed`` is another answer with the same verdict.

        ``unscored`` means that a side errored or was skipped.
        """
        old, new = self
        if not self.scored:
            return "unscored"
        if old.passed != new.passed:
            return "regressed" if old.passed else "improved"
        same = old.answer_digest == new.answer_digest and old.codes == new.codes
        return "same" if same else "changed"

    @property
    def difference(self) -> int:
        """1 for an improvement, -1 for a regression, else 0."""
        return self.candidate.passed - self.baseline.passed


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """Two runs side by side, in the candidate's order.

    ``removed`` is in the baseline's order. ``repeated`` counts the results that appear twice in a
    run.
    """

    pairs: list[Pair]
    added: list[ResultRow]
    removed: list[ResultRow]
    unmatched: list[ResultRow]
    repeated: int

    @property
    def scored(self) -> list[Pair]:
        """The pairs that can be compared."""
        return [pair for pair in self.pairs if pair.scored]


def pair_runs(baseline: Sequence[ResultRow], candidate: Sequence[ResultRow]) -> Pairing:
    """Pair two runs in time and memory proportional to their rows."""
    old, new = ({row.key: row for row in rows} for rows in (baseline, candidate))
    old_variants, new_variants = ({row.variant for row in rows.values()} for rows in (old, new))
    only_new = [row for key, row in new.items() if key not in old]
    only_old = [row for key, row in old.items() if key not in new]
    return Pairing(
        pairs=[Pair(old[key], row) for key, row in new.items() if key in old],
        added=[row for row in only_new if row.variant not in old_variants],
        removed=[row for row in only_old if row.variant not in new_variants],
        unmatched=[row for row in only_new if row.variant in old_variants]
        + [row for row in only_old if row.variant in new_variants],
        repeated=len(baseline) - len(old) + len(candidate) - len(new),
    )


def pair_table(pairs: Iterable[Pair]) -> PairTable:
    """Return the two-by-two table of scored pairs."""
    counts = {(old, new): 0 for old in (True, False) for new in (True, False)}
    for pair in pairs:
        counts[pair.baseline.passed, pair.candidate.passed] += 1
    return PairTable(
        both_passed=counts[True, True],
        both_failed=counts[False, False],
        regressed=counts[True, False],
        improved=counts[False, True],
    )


class Flips(NamedTuple):
    """How often something failed in one run only, and in both."""

    regressed: int
    improved: int
    both_failed: int


def by_check(pairs: Iterable[Pair]) -> dict[str, Flips]:
    """Count the flips of each check over scored pairs in which both sides scored it.

    Checks that never failed are left out. A variant that stays failed can hide a check that broke
    and another one that was fixed; here both are visible.
    """
    scored = (Verdict.PASSED, Verdict.FAILED)
    failures = (
        (name, old is Verdict.FAILED, pair.candidate.checks[name] is Verdict.FAILED)
        for pair in pairs
        for name, old in pair.baseline.checks.items()
        if old in scored and pair.candidate.checks.get(name) in scored
    )
    return _count_flips(failures)


def by_code(pairs: Iterable[Pair]) -> dict[str, Flips]:
    """Count the flips of each ``check: finding code`` over scored pairs."""
    failures = (
        (f"{check}: {code}", (check, code) in old.codes, (check, code) in new.codes)
        for old, new in pairs
        for check, code in old.codes | new.codes
    )
    return _count_flips(failures)


def _count_flips(failures: Iterable[tuple[str, bool, bool]]) -> dict[str, Flips]:
    """Count names with whether they failed in the baseline and in the candidate."""
    counts: dict[str, list[int]] = {}
    for name, failed_before, fails_now in failures:
        if failed_before or fails_now:
            regressed, improved = not failed_before, not fails_now
            row = counts.setdefault(name, [0, 0, 0])
            row[0 if regressed else 1 if improved else 2] += 1
    return {name: Flips(*counts[name]) for name in sorted(counts)}
