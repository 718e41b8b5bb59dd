"""List what differs between two runs besides the model. Pure.

A difference in verdicts says something about the model only if nothing else changed. Requests are
compared pair by pair; each change is listed once, with the number of pairs that have it. Manifests
are compared value by value (digests of suites, versions, options). The model itself is what is
compared, so it is not listed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from evalkit._lib.json import JSON
from evalkit._lib.text import shorten
from evalkit.compare.pairing import Pairing

_MAX_VALUE = 60
_MODEL_SETTINGS = frozenset({"model", "agent"})
_VERSIONS = ("evalkit", "python", "pytest")
_IGNORED_OPTIONS = frozenset({"report", "model", "models"})


class ConfigurationChange(NamedTuple):
    """A setting that differs, with both values as text for people.

    ``pairs`` is the number of pairs it concerns, None if it concerns the run.
    """

    setting: str
    baseline: str
    candidate: str
    pairs: int | None = None

    def __str__(self) -> str:
        pairs = f" ({self.pairs:,} pair{'' if self.pairs == 1 else 's'})" if self.pairs else ""
        return f"{self.setting}{pairs}: {self.baseline} → {self.candidate}"


def request_changes(pairing: Pairing) -> list[ConfigurationChange]:
    """Return the differences between requests, most frequent first."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for pair in pairing.pairs:
        old, new = pair.baseline.request_parts, pair.candidate.request_parts
        if old == new:
            continue
        for key in sorted(old.keys() | new.keys()):
            if key not in _MODEL_SETTINGS and old.get(key) != new.get(key):
                counts[key, *_excerpts(old.get(key), new.get(key))] += 1
    return [
        ConfigurationChange(setting, old, new, pairs)
        for (setting, old, new), pairs in counts.most_common()
    ]


def run_changes(
    baseline: Mapping[str, JSON], candidate: Mapping[str, JSON]
) -> Iterator[ConfigurationChange]:
    """Yield the differences between two manifests: versions, options, suites."""
    for name in _VERSIONS:
        if baseline.get(name) != candidate.get(name):
            yield ConfigurationChange(
                f"{name} version", str(baseline.get(name)), str(candidate.get(name))
            )
    old, new = baseline.get("options") or {}, candidate.get("options") or {}
    for name in sorted((old.keys() | new.keys()) - _IGNORED_OPTIONS):
        if old.get(name) != new.get(name):
            yield ConfigurationChange(f"option {name}", str(old.get(name)), str(new.get(name)))
    old, new = _suite_digests(baseline), _suite_digests(candidate)
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield ConfigurationChange(
                f"suite {name}", old.get(name, "absent")[:19], new.get(name, "absent")[:19]
            )


def _suite_digests(manifest: Mapping[str, JSON]) -> dict[str, str]:
    return {
        str(suite.get("suite")): str(suite.get("digest")) for suite in manifest.get("suites") or ()
    }


def warnings(
    pairing: Pairing,
    changes: Iterable[ConfigurationChange],
    baseline: Mapping[str, JSON],
    candidate: Mapping[str, JSON],
) -> list[str]:
    """Return what a reader must know before trusting a figure, most serious first."""
    messages = [
        f"the {name} run did not end: some results are missing"
        for name, manifest in (("baseline", baseline), ("candidate", candidate))
        if manifest.get("complete") is False
    ]
    suites = [
        change.setting.removeprefix("suite ")
        for change in changes
        if change.setting.startswith("suite ")
    ]
    if suites:
        messages.append(
            f"the suites differ ({', '.join(suites)}): a changed verdict may be due to the suite, "
            "not the model"
        )
    settings = sorted({change.setting for change in changes if change.pairs is not None})
    if settings:
        messages.append(
            f"the requests differ ({', '.join(settings)}): the comparison is of more than the model"
        )
    if pairing.unmatched:
        messages.append(
            f"trials without a partner: {len(pairing.unmatched)}, because the runs have different "
            "numbers of trials; they are in no pair"
        )
    if pairing.repeated:
        messages.append(
            f"results that appear twice in a run: {pairing.repeated}; the last of each counts"
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
