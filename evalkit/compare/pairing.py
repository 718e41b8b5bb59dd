"""Pairing two runs by identity: a scenario put in, taken out or moved shifts no other pair. Pure.

A pair is one variant and trial that both runs have. What only one of them has is *added* or *removed* when its whole variant is; when the
runs only differ in their number of trials, the surplus is *unmatched* and counts as neither. Of results that stand twice in a run (a run
that was repeated in place) the last one counts, and how many did is told.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from evalkit.compare.proportions import Table
from evalkit.compare.rows import Key, Row
from evalkit.verdict import Verdict

Change = Literal["regressed", "improved", "changed", "same", "unscored"]


class Pair(NamedTuple):
    """The same variant and trial in both runs."""

    baseline: Row
    candidate: Row

    @property
    def scored(self) -> bool:
        """Whether both sides passed or failed, so that they can be compared."""
        return self.baseline.scored and self.candidate.scored

    @property
    def change(self) -> Change:
        """What became of it: ``changed`` is another answer with the same verdict, ``unscored`` an error or a skip on a side."""
        if not self.scored:
            return "unscored"
        if self.baseline.passed != self.candidate.passed:
            return "regressed" if self.baseline.passed else "improved"
        return (
            "same"
            if (self.baseline.said, self.baseline.codes)
            == (self.candidate.said, self.candidate.codes)
            else "changed"
        )

    @property
    def difference(self) -> int:
        """1 for an improvement, -1 for a regression, else 0."""
        return self.candidate.passed - self.baseline.passed


class Pairing(NamedTuple):
    """Two runs side by side, in the order of the candidate (what was removed: of the baseline)."""

    pairs: list[Pair]
    added: list[Row]
    removed: list[Row]
    unmatched: list[Row]
    repeated: int

    @property
    def scored(self) -> list[Pair]:
        """The pairs that can be compared."""
        return [pair for pair in self.pairs if pair.scored]


def pair(baseline: Iterable[Row], candidate: Iterable[Row]) -> Pairing:
    """Pair two runs. Takes time and memory in proportion to their rows."""
    old, twice_old = _by_key(baseline)
    new, twice_new = _by_key(candidate)
    old_variants, new_variants = (
        {row.variant for row in old.values()},
        {row.variant for row in new.values()},
    )
    added = [row for key, row in new.items() if key not in old]
    removed = [row for key, row in old.items() if key not in new]
    return Pairing(
        [Pair(old[key], row) for key, row in new.items() if key in old],
        [row for row in added if row.variant not in old_variants],
        [row for row in removed if row.variant not in new_variants],
        [row for row in added if row.variant in old_variants]
        + [row for row in removed if row.variant in new_variants],
        twice_old + twice_new,
    )


def _by_key(rows: Iterable[Row]) -> tuple[dict[Key, Row], int]:
    found: dict[Key, Row] = {}
    count = 0
    for row in rows:
        found[row.key] = row
        count += 1
    return found, count - len(found)


def table(pairs: Iterable[Pair]) -> Table:
    """Return the two-by-two table of scored pairs."""
    both = neither = lost = gained = 0
    for one in pairs:
        if one.baseline.passed:
            both, lost = both + one.candidate.passed, lost + (not one.candidate.passed)
        else:
            gained, neither = gained + one.candidate.passed, neither + (not one.candidate.passed)
    return Table(both, neither, lost, gained)


class Flips(NamedTuple):
    """How often something went wrong in one run only, and in both."""

    regressed: int
    improved: int
    both_failed: int


def by_check(pairs: Iterable[Pair]) -> dict[str, Flips]:
    """Count flips of each check over scored pairs in which both sides judged it; checks that failed nowhere are left out.

    A variant whose verdict stays failed can hide a check that broke and another that was mended: here both are seen.
    """
    counts: dict[str, list[int]] = {}
    for one in pairs:
        for name, old in one.baseline.checks.items():
            new = one.candidate.checks.get(name)
            if old in _JUDGED and new in _JUDGED:
                _count(counts, name, old is Verdict.FAILED, new is Verdict.FAILED)
    return {name: Flips(*counts[name]) for name in sorted(counts)}


def by_code(pairs: Iterable[Pair]) -> dict[str, Flips]:
    """Count flips of each ``check: finding code`` over scored pairs."""
    counts: dict[str, list[int]] = {}
    for one in pairs:
        for check, code in one.baseline.codes | one.candidate.codes:
            _count(
                counts,
                f"{check}: {code}",
                (check, code) in one.baseline.codes,
                (check, code) in one.candidate.codes,
            )
    return {name: Flips(*counts[name]) for name in sorted(counts)}


_JUDGED = (Verdict.PASSED, Verdict.FAILED)


def _count(counts: dict[str, list[int]], name: str, failed_before: bool, fails_now: bool) -> None:
    if failed_before or fails_now:
        place = 2 if failed_before and fails_now else 1 if failed_before else 0
        counts.setdefault(name, [0, 0, 0])[place] += 1
