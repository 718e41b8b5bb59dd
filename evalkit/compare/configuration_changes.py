"""List what differs between two runs besides the model. Pure.

A difference in verdicts says something about the model only if nothing else changed. Requests are
compared pair by pair; each change is listed once, with the number of pairs that have it. Manifests
are compared value by value (digests of suites, versions, options). The model itself is what is
compared, so it is not listed.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from evalkit._lib.json import JSON, loads
from evalkit._lib.text import plural, shorten, visible
from evalkit.compare.alignment import text_segments
from evalkit.compare.pairing import Pairing
from evalkit.compare.rows import ANSWERED, MESSAGE

_MAX_VALUE = 60
_MAX_DIFFERENCE = 600
_CONTEXT = 40
_MODEL_SETTINGS = frozenset({"model", "agent"})
_MODULE = "test module"
_VERSIONS = ("evalkit", "python", "pytest")
_IGNORED_OPTIONS = frozenset({"report", "model", "models", "locked"})


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

    Nothing is said about turns that only one side has, about pairs of which one did not run, and
    about what answered where one side has an error instead.
    """
    counts: Counter[tuple[str, str | None, str | None]] = Counter()
    for pair in pairing.pairs:
        old, new = pair.baseline.request_parts, pair.candidate.request_parts
        for key in _differing(old, new) if old and new else ():
            is_unknown = key in ANSWERED and not pair.scored
            is_of_one_side = key.startswith(MESSAGE) and not (key in old and key in new)
            if not (key in _MODEL_SETTINGS or is_unknown or is_of_one_side):
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
