"""Pair the results of two runs by identity. Pure.

A pair is one variant and trial that both runs have, so an added scenario shifts no other pair. A
result that only one run has is *added* or *removed* if its whole variant is. If the runs differ in
their number of trials, the surplus is *unmatched* and counts as neither. What the candidate did not
start because its gate was decided is *not run*, and not removed.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

from evalkit.compare.intervals import PairTable
from evalkit.compare.rows import ResultRow, grouped
from evalkit.verdict import Verdict, worst

PairChange = Literal["regressed", "improved", "changed", "same", "unscored"]


class Pair(NamedTuple):
    """The same variant and trial in both runs."""

    baseline: ResultRow
    candidate: ResultRow

    @property
    def findings_gained(self) -> list[str]:
        """The findings of the candidate only, as ``check: code``."""
        return _names(self.candidate.reasons.keys() - self.baseline.reasons.keys())

    @property
    def findings_lost(self) -> list[str]:
        """The findings of the baseline only, as ``check: code``."""
        return _names(self.baseline.reasons.keys() - self.candidate.reasons.keys())

    @property
    def changes(self) -> list[str]:
        """What the findings of one side only say, those of the baseline as ``no longer …``."""
        old, new = self.baseline.reasons, self.candidate.reasons
        return [
            *(new[key] for key in sorted(new.keys() - old.keys())),
            *(f"no longer {old[key]}" for key in sorted(old.keys() - new.keys())),
        ]

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
        same = old.answer_digest == new.answer_digest and old.reasons.keys() == new.reasons.keys()
        return "same" if same else "changed"

    @property
    def difference(self) -> int:
        """1 for an improvement, -1 for a regression, else 0."""
        return self.candidate.passed - self.baseline.passed


def _names(codes: Iterable[tuple[str, str]]) -> list[str]:
    return [f"{check}: {code}" for check, code in sorted(codes)]


@dataclass(frozen=True, kw_only=True)
class Pairing:
    """Two runs side by side, in the candidate's order.

    ``removed`` and ``not_run`` are in the baseline's.
    """

    pairs: list[Pair]
    added: list[ResultRow]
    removed: list[ResultRow]
    unmatched: list[ResultRow]
    not_run: list[ResultRow]

    @cached_property
    def scored(self) -> list[Pair]:
        """The pairs that can be compared."""
        return [pair for pair in self.pairs if pair.scored]


def pair_runs(
    baseline: Sequence[ResultRow],
    candidate: Sequence[ResultRow],
    not_run: Collection[str] = (),
) -> Pairing:
    """Pair two runs in time and memory proportional to their rows.

    ``not_run`` are the clusters that the candidate left out by plan.
    """
    old, new = ({row.key: row for row in rows} for rows in (baseline, candidate))
    old_variants, new_variants = ({row.variant for row in rows.values()} for rows in (old, new))
    only_new = [row for key, row in new.items() if key not in old]
    only_old = [row for key, row in old.items() if key not in new]
    absent = [row for row in only_old if row.variant not in new_variants]
    return Pairing(
        pairs=[Pair(old[key], row) for key, row in new.items() if key in old],
        added=[row for row in only_new if row.variant not in old_variants],
        removed=[row for row in absent if row.cluster not in not_run],
        not_run=[row for row in absent if row.cluster in not_run],
        unmatched=[row for row in only_new if row.variant in old_variants]
        + [row for row in only_old if row.variant in new_variants],
    )


def unique_rows(rows: Iterable[ResultRow]) -> list[ResultRow]:
    """Return rows without those that appear again later: the last of each identity counts."""
    return list({row.key: row for row in rows}.values())


def variants_of(rows: Iterable[ResultRow]) -> list[ResultRow]:
    """Return one row of each variant: the first with the worst verdict of its trials."""
    return [
        next(row for row in group if row.verdict is worst(one.verdict for one in group))
        for group in grouped((row.variant, row) for row in rows).values()
    ]


def pair_table(pairs: Iterable[Pair]) -> PairTable:
    """Return the two-by-two table of scored pairs."""
    counts = Counter((old.passed, new.passed) for old, new in pairs)
    return PairTable(
        both_passed=counts[True, True],
        both_failed=counts[False, False],
        regressed=counts[True, False],
        improved=counts[False, True],
    )


SYSTEMATIC_TRIALS = 3
"""Trials from which all of them regressing is hardly chance: 1 in 64 at worst, with two 1 in 16."""


class SystematicRegressions(NamedTuple):
    """The variants of which every trial regressed.

    ``stable`` counts the variants with enough pairs that always passed in the baseline, ``unclear``
    the variants with fewer pairs, all of which regressed.
    """

    variants: list[str]
    stable: int
    unclear: int


def systematic_regressions(pairs: Iterable[Pair]) -> SystematicRegressions:
    """Return the variants that went from always passing to always failing."""
    variants = grouped((pair.candidate.variant, pair) for pair in pairs).values()
    enough = [group for group in variants if len(group) >= SYSTEMATIC_TRIALS]
    few = [group for group in variants if len(group) < SYSTEMATIC_TRIALS]
    return SystematicRegressions(
        variants=[
            group[0].candidate.id.partition("#")[0]
            for group in enough
            if is_systematic(group, "regressed")
        ],
        stable=sum(all(pair.baseline.passed for pair in group) for group in enough),
        unclear=sum(all(pair.change == "regressed" for pair in group) for group in few),
    )


def is_systematic(group: Sequence[Pair], change: PairChange) -> bool:
    """Return whether all trials of a variant changed, and are enough not to be chance."""
    return len(group) >= SYSTEMATIC_TRIALS and all(pair.change == change for pair in group)


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
    return _count_flips(
        (name, (old is Verdict.FAILED, pair.candidate.checks[name] is Verdict.FAILED))
        for pair in pairs
        for name, old in pair.baseline.checks.items()
        if old in scored and pair.candidate.checks.get(name) in scored
    )


def by_code(pairs: Iterable[Pair]) -> dict[str, Flips]:
    """Count the flips of each ``check: finding code`` over scored pairs."""
    return _count_flips(
        (f"{check}: {code}", ((check, code) in old.reasons, (check, code) in new.reasons))
        for old, new in pairs
        for check, code in old.reasons.keys() | new.reasons.keys()
    )


def _count_flips(failures: Iterable[tuple[str, tuple[bool, bool]]]) -> dict[str, Flips]:
    """Count names with whether they failed in the baseline and in the candidate."""
    return {
        name: Flips(
            regressed=flips.count((False, True)),
            improved=flips.count((True, False)),
            both_failed=flips.count((True, True)),
        )
        for name, flips in sorted(grouped(failures).items())
        if any(map(any, flips))
    }
