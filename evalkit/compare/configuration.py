"""What changed around the model: settings and prompts of the pairs, suites, tools, versions, options. Pure.

A difference in verdicts says something of the model only if nothing else moved. What was sent is compared pair by pair and told once for
each change, with the number of pairs it concerns; what the manifests say (digests of suites, versions, options) is told as it stands there.
The model itself is what is compared, and not told here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from evalkit._lib.json import JSON
from evalkit._lib.text import shorten
from evalkit.compare.pairing import Pairing

_SHOWN = 60
_NOT_TOLD = frozenset({"model", "agent"})
_VERSIONS = ("evalkit", "python", "pytest")
_OPTIONS_NOT_TOLD = frozenset({"report", "model", "models"})


class Change(NamedTuple):
    """One thing that is not the same in both runs: ``what`` (``system_instruction``, ``suite weather``), and both values for people."""

    what: str
    baseline: str
    candidate: str
    pairs: int | None = None

    def __str__(self) -> str:
        of = (
            f" ({self.pairs:,} pair{'' if self.pairs == 1 else 's'})"
            if self.pairs is not None
            else ""
        )
        return f"{self.what}{of}: {self.baseline} → {self.candidate}"


def request_changes(pairing: Pairing) -> list[Change]:
    """Return what was sent differently, one entry for each pair of values, the most frequent first."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for pair in pairing.pairs:
        old, new = pair.baseline.asked, pair.candidate.asked
        if old == new:
            continue
        for key in sorted(old.keys() | new.keys()):
            if key not in _NOT_TOLD and old.get(key) != new.get(key):
                counts[key, *_shown(old.get(key), new.get(key))] += 1
    return [Change(what, old, new, pairs) for (what, old, new), pairs in counts.most_common()]


def run_changes(baseline: Mapping[str, JSON], candidate: Mapping[str, JSON]) -> list[Change]:
    """Return what two manifests say differently: versions, options, suites added, removed and altered."""
    return [
        *_versions(baseline, candidate),
        *_options(baseline, candidate),
        *_suites(baseline, candidate),
    ]


def warnings(
    pairing: Pairing,
    changes: Iterable[Change],
    baseline: Mapping[str, JSON],
    candidate: Mapping[str, JSON],
) -> list[str]:
    """Return what a reader must know before trusting a figure, gravest first."""
    told = []
    for name, manifest in (("baseline", baseline), ("candidate", candidate)):
        if manifest.get("complete") is False:
            told.append(f"the {name} run did not end: its results are those it had")
    altered = [
        change.what.removeprefix("suite ") for change in changes if change.what.startswith("suite ")
    ]
    if altered:
        told.append(
            f"the suites differ ({', '.join(altered)}): what flipped may be the suite's doing, not the model's"
        )
    asked = sorted({change.what for change in changes if change.pairs is not None})
    if asked:
        told.append(
            f"what was asked differs ({', '.join(asked)}): the comparison is of more than the model"
        )
    if pairing.unmatched:
        told.append(
            f"trials without a partner: {len(pairing.unmatched)}, because the runs have different numbers of trials; they are in no pair"
        )
    if pairing.repeated:
        told.append(
            f"results that stand twice in a run: {pairing.repeated}; the last of each counts"
        )
    return told


def _versions(baseline: Mapping[str, JSON], candidate: Mapping[str, JSON]) -> Iterator[Change]:
    for name in _VERSIONS:
        if baseline.get(name) != candidate.get(name):
            yield Change(f"{name} version", str(baseline.get(name)), str(candidate.get(name)))


def _options(baseline: Mapping[str, JSON], candidate: Mapping[str, JSON]) -> Iterator[Change]:
    old, new = baseline.get("options") or {}, candidate.get("options") or {}
    for name in sorted((old.keys() | new.keys()) - _OPTIONS_NOT_TOLD):
        if old.get(name) != new.get(name):
            yield Change(f"option {name}", str(old.get(name)), str(new.get(name)))


def _suites(baseline: Mapping[str, JSON], candidate: Mapping[str, JSON]) -> Iterator[Change]:
    old, new = _digests(baseline), _digests(candidate)
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield Change(
                f"suite {name}", old.get(name, "not there")[:19], new.get(name, "not there")[:19]
            )


def _digests(manifest: Mapping[str, JSON]) -> dict[str, str]:
    return {
        str(suite.get("suite")): str(suite.get("digest")) for suite in manifest.get("suites") or ()
    }


def _shown(old: str | None, new: str | None) -> tuple[str, str]:
    """Return both values, long ones from a little before where they part."""
    start = 0
    if old is not None and new is not None and max(len(old), len(new)) > _SHOWN:
        parted = next(
            (
                index
                for index, (one, other) in enumerate(zip(old, new, strict=False))
                if one != other
            ),
            min(len(old), len(new)),
        )
        start = max(0, parted - _SHOWN // 3)
    return _from(old, start), _from(new, start)


def _from(text: str | None, start: int) -> str:
    return "absent" if text is None else ("…" if start else "") + shorten(text[start:], _SHOWN)
