"""Pair the results of two runs by identity, and list what differs besides the model. Pure.

A pair is one variant and trial that both runs have, so an added scenario shifts no other pair. A
result that only one run has is *added* or *removed* if its whole variant is. If the runs differ in
their number of trials, the surplus is *unmatched* and counts as neither.

A difference in verdicts says something about the model only if nothing else changed. Requests are
compared pair by pair; each change is listed once, with the number of pairs that have it. Manifests
are compared value by value (digests of suites, versions, options). The model itself is what is
compared, so it is not listed.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

from evalkit._lib.json import JSON, loads
from evalkit._lib.text import plural, shorten, visible
from evalkit.compare.alignment import text_segments
from evalkit.compare.intervals import PairTable
from evalkit.compare.rows import ANSWERED, MESSAGE, ResultRow, grouped
from evalkit.verdict import Verdict

_MAX_VALUE = 60
_MAX_DIFFERENCE = 600
_CONTEXT = 40
_MODEL_SETTINGS = frozenset({"model", "agent"})
_MODULE = "test module"
_VERSIONS = ("evalkit", "python", "pytest")
_IGNORED_OPTIONS = frozenset({"report", "model", "models"})

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
    """Two runs side by side, in the candidate's order; ``removed`` is in the baseline's."""

    pairs: list[Pair]
    added: list[ResultRow]
    removed: list[ResultRow]
    unmatched: list[ResultRow]

    @cached_property
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
    )


def unique_rows(rows: Iterable[ResultRow]) -> list[ResultRow]:
    """Return rows without those that appear again later: the last of each identity counts."""
    return list({row.key: row for row in rows}.values())


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


@dataclass(frozen=True, slots=True)
class ConfigurationChange:
    """A setting that differs, with both values as text for people.

    ``pairs`` is the number of pairs it concerns, None if it concerns the run. ``words`` is the
    difference of two long texts, word by word.
    """

    setting: str
    baseline: str
    candidate: str
    pairs: int | None = None
    words: str = ""

    def __str__(self) -> str:
        pairs = f" ({plural(self.pairs, 'pair')})" if self.pairs else ""
        return f"{self.setting}{pairs}: {self.words or f'{self.baseline} → {self.candidate}'}"


def request_changes(pairing: Pairing) -> list[ConfigurationChange]:
    """Return the differences between requests, most frequent first.

    Nothing is said about turns that only one side has, nor about pairs of which one did not run.
    """
    counts: Counter[tuple[str, str | None, str | None]] = Counter()
    for pair in pairing.pairs:
        old, new = pair.baseline.request_parts, pair.candidate.request_parts
        for key in _differing(old, new) if old and new else ():
            in_both = key in old and key in new
            if key not in _MODEL_SETTINGS and (in_both or not key.startswith(MESSAGE)):
                counts[key, old.get(key), new.get(key)] += 1
    return [
        ConfigurationChange(setting, *_excerpts(old, new), pairs, _word_difference(old, new))
        for (setting, old, new), pairs in counts.most_common()
    ]


def _word_difference(old: str | None, new: str | None) -> str:
    """Return two long JSON texts as one, ``[-lost-]`` and ``{+gained+}``; ``""`` for others."""
    if old is None or new is None or max(len(old), len(new)) <= _MAX_VALUE:
        return ""
    before, after = loads(old), loads(new)
    if not (isinstance(before, str) and isinstance(after, str)):
        return ""
    marks = {"lost": "[-{}-]", "gained": "{{+{}+}}"}
    parts = [
        marks[segment.kind].format(shorten(segment.text, _MAX_VALUE))
        if segment.kind in marks
        else _around(segment.text)
        for segment in text_segments(before, after)
    ]
    return shorten("".join(parts), _MAX_DIFFERENCE)


def _around(text: str) -> str:
    """Return the beginning and the end of what did not change."""
    visible_text = visible(text.replace("\n", " "))
    if len(visible_text) <= 2 * _CONTEXT:
        return visible_text
    return f"{visible_text[:_CONTEXT]}…{visible_text[-_CONTEXT:]}"


def run_changes(
    baseline: Mapping[str, JSON], candidate: Mapping[str, JSON]
) -> Iterator[ConfigurationChange]:
    """Yield the differences between two manifests: versions, options, suites, modules."""
    for name in _VERSIONS:
        if baseline.get(name) != candidate.get(name):
            yield ConfigurationChange(
                f"{name} version", str(baseline.get(name)), str(candidate.get(name))
            )
    old, new = baseline.get("options") or {}, candidate.get("options") or {}
    for name in _differing(old, new):
        if name not in _IGNORED_OPTIONS:
            yield ConfigurationChange(f"option {name}", str(old.get(name)), str(new.get(name)))
    for kind, member, key in (("suite", "suites", "suite"), (_MODULE, "modules", "path")):
        old, new = _digests(baseline, member, key), _digests(candidate, member, key)
        for name in _differing(old, new):
            yield ConfigurationChange(
                f"{kind} {name}", old.get(name, "absent")[:19], new.get(name, "absent")[:19]
            )


def _differing(old: Mapping[str, JSON], new: Mapping[str, JSON]) -> list[str]:
    return sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))


def _digests(manifest: Mapping[str, JSON], member: str, key: str) -> dict[str, str]:
    return {str(one.get(key)): str(one.get("digest")) for one in manifest.get(member) or ()}


def change_warnings(
    changes: Iterable[ConfigurationChange], axes: Collection[str] = ("model",)
) -> list[str]:
    """Return what a reader must know about differences besides the compared axes."""
    messages = []
    for kind in ("suite", _MODULE):
        names = [
            change.setting.removeprefix(f"{kind} ")
            for change in changes
            if change.setting.startswith(f"{kind} ")
        ]
        if names:
            messages.append(
                f"the {kind}s differ ({', '.join(names)}): a changed verdict may be due to the "
                f"{kind}, not the model"
            )
    settings = sorted(
        {change.setting for change in changes if change.pairs is not None} - ANSWERED.keys()
    )
    # Choices of a matrix override request fields.
    if settings and not set(axes) - {"model"}:
        messages.append(
            f"the requests differ ({', '.join(settings)}): the comparison is of more than the model"
        )
    return messages


def _excerpts(old: str | None, new: str | None) -> tuple[str, str]:
    """Return both values; long ones from shortly before the first difference."""
    start = 0
    if old is not None and new is not None and max(len(old), len(new)) > _MAX_VALUE:
        differing = (
            at for at, (one, other) in enumerate(zip(old, new, strict=False)) if one != other
        )
        start = max(0, next(differing, min(len(old), len(new))) - _MAX_VALUE // 3)
    return _excerpt(old, start), _excerpt(new, start)


def _excerpt(text: str | None, start: int) -> str:
    if text is None:
        return "absent"
    return ("…" if start else "") + shorten(text[start:], _MAX_VALUE)
