"""The variants that changed, each once with all its trials, most certain first. Pure.

This is what every form of a comparison lists: terminal, page, comment and JSON.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from evalkit.compare.pairing import Pair, PairChange, Pairing, is_systematic
from evalkit.compare.rows import ResultRow, VariantKey, grouped
from evalkit.compare.trials import VariantRate

CHANGES: Mapping[PairChange, tuple[str, str]] = {
    "regressed": ("Regressions", "Passed in the baseline, failed in the candidate."),
    "unscored": (
        "Errored or skipped in one of the runs",
        "No evidence about the model: in no rate and in no average.",
    ),
    "improved": ("Improvements", "Failed in the baseline, passed in the candidate."),
    "changed": (
        "Same verdict, different answer",
        "The answers differ, or the failed checks do; the verdict does not.",
    ),
}
"""What is listed of pairs, most important first: a title, and what it means."""


@dataclass(frozen=True, kw_only=True)
class VariantChange:
    """A variant of which some trials changed in one way.

    ``pairs`` are the trials that did, out of ``trials`` that both runs have; ``is_systematic`` says
    that they are all, and enough of them not to be chance. ``rates`` are the estimated pass rates
    in both runs, ``difference`` is where the answers of the first pair diverge.
    """

    pairs: Sequence[Pair]
    trials: int
    is_systematic: bool
    rates: tuple[float, float]
    difference: str = ""

    @property
    def row(self) -> ResultRow:
        """The candidate's result of the first of these trials."""
        return self.pairs[0].candidate

    @property
    def name(self) -> str:
        """The variant's name."""
        return self.row.id.partition("#")[0]

    @property
    def extent(self) -> str:
        """How many trials changed, such as ``2 of 3 trials``; empty if there is one trial."""
        if self.trials < 2:
            return ""
        extent = f"{len(self.pairs)} of {self.trials} trials"
        return f"all {self.trials} trials" if len(self.pairs) == self.trials else extent

    @property
    def rates_text(self) -> str:
        """The estimated pass rates, such as ``pass rate about 98% → 64%``; empty for one trial."""
        if self.trials < 2 or not self.pairs[0].scored:
            return ""
        old, new = self.rates
        return f"pass rate about {old:.0%} → {new:.0%}"

    @property
    def reasons(self) -> list[str]:
        """What the findings say that only one side has, or the two verdicts without a finding."""
        reasons = dict.fromkeys(reason for pair in self.pairs for reason in pair.changes)
        if reasons and self.pairs[0].scored:
            return list(reasons)
        verdicts = dict.fromkeys(
            f"{old.verdict} → {new.verdict}"
            for old, new in self.pairs
            if old.verdict != new.verdict
        )
        return list(verdicts)

    @property
    def answer(self) -> str:
        """Where answers diverge, else the beginning of one that failed; empty if none did."""
        if self.difference:
            return f"first difference: {self.difference}"
        for old, new in self.pairs:
            if new.answer:
                return f"answer: {new.answer}"
            if old.answer:
                return f"answer in the baseline: {old.answer}"
        return ""


def variant_changes(
    pairing: Pairing,
    change: PairChange,
    rates: Sequence[Mapping[VariantKey, VariantRate]] = ({}, {}),
    differences: Mapping[str, str] = MappingProxyType({}),
) -> list[VariantChange]:
    """Return the variants with trials of one change: systematic first, then most trials.

    ``rates`` are those of the baseline and of the candidate; ``differences`` are by the id of the
    candidate's result.
    """

    def estimate(side: int, variant: VariantKey) -> float:
        rate = rates[side].get(variant)
        return rate.estimate if rate is not None else 0.0

    variants = grouped((pair.candidate.variant, pair) for pair in pairing.pairs)
    changes = [
        VariantChange(
            pairs=pairs,
            trials=len(group),
            is_systematic=is_systematic(group, change),
            rates=(estimate(0, variant), estimate(1, variant)),
            difference=differences.get(pairs[0].candidate.id, ""),
        )
        for variant, group in variants.items()
        if (pairs := [pair for pair in group if pair.change == change])
    ]
    return sorted(changes, key=lambda one: (not one.is_systematic, -len(one.pairs), one.trials))
