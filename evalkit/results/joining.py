"""Several runs as one: their manifests and their results joined. Pure: values in, values out.

Each run is a shard: it held a part of the variants, chosen by folder, by ``-k``, by ``-m`` or by model, and counted the others as deselected or never
saw them. What is joined must be of one state: a path that two runs have with two digests, or an id with two results, is refused.

The joined manifest says what all runs agree on. Where they differ, a version or a variable of the environment holds every value, joined by ", "
(``unset`` where a run has none), an option the list of its values; ``merged`` keeps what each run said of itself.

How many variants there are cannot be told from results, and shards that deselect collect the same ones again. A suite gives the same variants
wherever its models and repeats are the same options: those count once, others are added up.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from posixpath import normpath
from typing import Any

from evalkit._lib.json import JSON
from evalkit._lib.text import plural, visible
from evalkit.errors import IntegrityError, UsageError
from evalkit.results.manifest import SCHEMA_VERSION, Totals

_TEXT, _MAYBE = (str,), (str, type(None))
_OF_ITSELF: Mapping[str, tuple[type, ...]] = {
    "evalkit": _TEXT, "python": _TEXT, "pytest": _TEXT, "platform": _TEXT, "started": _TEXT, "ended": _MAYBE, "complete": (bool,),
    "options": (dict,), "environment": (dict,),
}  # fmt: skip
"""What a run says of itself, and of which type that is."""
_VERSIONS = ("evalkit", "python", "pytest", "platform")
_VERDICTS = ("passed", "failed", "errored", "skipped")
_UNSET = "unset"
_MOST_LINES = 12


class Shard:
    """One run to be joined: its name for people, what its manifest says, and, once they are read, its results ``counted`` and their digest."""

    def __init__(self, name: str, manifest: Mapping[str, JSON]) -> None:
        _check(name, manifest)
        self.name = name
        self.manifest = manifest
        self.counted = Totals()
        self.digest = ""

    @property
    def whole(self) -> bool:
        """Whether it is complete, or was merged from complete runs and lacks only what they deselected: another one may have that."""
        return _whole(self.manifest)

    @property
    def lacking(self) -> int:
        """Variants that were selected and have no result."""
        stated = self.manifest["totals"]
        return max(0, int(stated["collected"]) - int(stated["deselected"]) - self.counted.run)

    def check_count(self) -> None:
        """Raise IntegrityError where a run that ended counted other results than it has: lines were lost or changed since."""
        if self.manifest["ended"] is None:
            return
        for verdict in _VERDICTS:
            stated, found = self.manifest["totals"][verdict], getattr(self.counted, verdict)
            if stated != found:
                told = f"{self.name}: manifest.json says {stated} {verdict}, counting the results gives {found}"
                raise IntegrityError(f"{told}; fetch the run again, or run its suites again")


class Results:
    """The results joined so far, by id and digest; ``totals`` count each once."""

    def __init__(self) -> None:
        self.totals = Totals()
        self._clashes: dict[str, tuple[str, str]] = {}
        self._known: dict[str, tuple[str, str]] = {}

    def take(self, shard: Shard, id_: str, digest: str, tally: Mapping[str, Any]) -> bool:
        """Count a result of a shard; False where it is not to be written, because an equal one was. Raises TypeError: the tally is none."""
        shard.counted.add(tally)
        known = self._known.get(id_)
        if known is None:
            self._known[id_] = shard.name, digest
            self.totals.add(tally)
        elif known[1] != digest:
            self._clashes.setdefault(id_, (known[0], shard.name))
        return known is None

    def check(self) -> None:
        """Raise UsageError that tells every id with two different results."""
        if self._clashes:
            told = [
                f"{id_}: {f'{one} and {other}' if one != other else f'twice in {one}'}"
                for id_, (one, other) in self._clashes.items()
            ]
            raise _refusal(
                f"{plural(len(told), 'variant')} with two different results:",
                told,
                "merge one of the two runs only; runs of two models are for 'evalkit compare'",
            )


def check_sources(shards: Sequence[Shard]) -> None:
    """Raise UsageError where the shards were not made from one state: a suite, a file or a cassette with two digests, two folders of cassettes."""
    folders = {
        normpath(str(shard.manifest["options"].get("cassettes") or "cassettes")): shard.name
        for shard in shards
    }
    if len(folders) > 1:
        raise _refusal(
            "the runs have different folders of cassettes:",
            [f"{name}: {folder}" for folder, name in folders.items()],
            "give every shard the same --evalkit-cassettes",
        )
    known: dict[tuple[str, str], tuple[str | None, str]] = {}
    differing: dict[str, str] = {}
    for shard in shards:
        for kind, path, digest in _sources(shard.manifest):
            held, first = known.setdefault((kind, path), (digest, shard.name))
            if held != digest:
                differing.setdefault(path, f"{path}: {first} and {shard.name}")
    if differing:
        raise _refusal(
            f"{plural(len(differing), 'file')} not the same in all runs:",
            list(differing.values()),
            "run every shard from the same state of the project, then merge",
        )


def total(shards: Sequence[Shard], results: Totals) -> Totals:
    """Complete the totals of the joined results in place, and return them: what was collected, deselected by all, left over on the disk.

    What neither has a result nor is owed by a shard was deselected. A shard that did not end knows of no orphans; those that ran the same
    suites know the same, and an orphan is what all of them have no use for.
    """
    results.collected = max(
        sum(sum(counts.values()) for counts in _collected(shards).values()), results.run
    )
    left = results.collected - results.run
    results.deselected = max(0, left - sum(shard.lacking for shard in shards))
    orphans: dict[tuple[str, ...], int] = {}
    for shard in shards:
        if shard.manifest["ended"] is not None:
            suites = tuple(sorted(suite["path"] for suite in shard.manifest["suites"]))
            count = int(shard.manifest["totals"]["orphans"])
            orphans[suites] = min(orphans.get(suites, count), count)
    results.orphans = sum(orphans.values())
    return results


def document(shards: Sequence[Shard], totals: Totals, *, complete: bool) -> dict[str, JSON]:
    """Return the joined ``manifest.json``."""
    heads = [shard.manifest for shard in shards]
    collected = _collected(shards)
    suites = {suite["path"]: suite for head in heads for suite in head["suites"]}
    cassettes = {one["path"]: one for head in heads for one in head["cassettes"]}
    return {
        "schema_version": SCHEMA_VERSION,
        **{name: _joined(head[name] for head in heads) for name in _VERSIONS},
        "started": min(head["started"] for head in heads),
        "ended": max((head["ended"] for head in heads if head["ended"] is not None), default=None),
        "complete": complete,
        "options": {
            name: _common([head["options"].get(name) for head in heads])
            for name in _names(head["options"] for head in heads)
        },
        "environment": {
            name: _joined(head["environment"].get(name, _UNSET) for head in heads)
            for name in _names(head["environment"] for head in heads)
        },
        "merged": [_origin(shard) for shard in shards],
        "suites": [
            {**suites[path], "collected": sum(collected[path].values())} for path in sorted(suites)
        ],
        "cassettes": [cassettes[path] for path in sorted(cassettes)],
        "totals": dict(vars(totals)),
    }


def _check(name: str, manifest: Any) -> None:
    try:
        if (version := manifest["schema_version"]) != SCHEMA_VERSION:
            raise ValueError(f"its schema_version is {version!r}, not {SCHEMA_VERSION}")
        _typed(manifest, _OF_ITSELF)
        _typed(manifest["environment"], dict.fromkeys(manifest["environment"], _TEXT))
        for suite in manifest["suites"]:
            _typed(suite, {"path": _TEXT, "suite": _TEXT, "digest": _TEXT, "collected": (int,)})
        for source in manifest["cassettes"]:
            _typed(source, {"path": _TEXT, "digest": _MAYBE})
        _typed(
            manifest["totals"],
            dict.fromkeys(("collected", "deselected", "orphans", *_VERDICTS), (int,)),
        )
        list(_sources(manifest))
        _whole(manifest)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        why = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise UsageError(
            f"{name}/manifest.json is not as this evalkit writes it: {why}; run its suites again"
        ) from error


def _whole(told: Mapping[str, JSON]) -> bool:
    return bool(told["complete"]) or bool(
        "merged" in told and all(_whole(origin) for origin in told["merged"])
    )


def _typed(value: Mapping[str, Any], types: Mapping[str, tuple[type, ...]]) -> None:
    for key, kinds in types.items():
        if not isinstance(value[key], kinds):
            raise TypeError(f"{key!r} is {value[key]!r}"[:80])


def _sources(manifest: Mapping[str, JSON]) -> Iterator[tuple[str, str, str | None]]:
    for suite in manifest["suites"]:
        yield "suite", suite["path"], suite["digest"]
        for file in suite.get("files", ()):
            yield "file", file["path"], file["digest"]
    for cassette in manifest["cassettes"]:
        yield "cassette", cassette["path"], cassette["digest"]


def _collected(shards: Sequence[Shard]) -> dict[str, dict[str, int]]:
    """Return how many variants each suite has, by path, then by the options that its variants depend on."""
    counts: dict[str, dict[str, int]] = {}
    for shard in shards:
        options = shard.manifest["options"]
        models = options.get("model") or []
        kind = json.dumps(
            [
                sorted(map(str, models)) if isinstance(models, list) else models,
                options.get("repeat"),
            ]
        )
        for suite in shard.manifest["suites"]:
            known = counts.setdefault(suite["path"], {})
            known[kind] = max(known.get(kind, 0), suite["collected"])
    return counts


def _origin(shard: Shard) -> dict[str, JSON]:
    told = {
        name: shard.manifest[name] for name in (*_OF_ITSELF, "merged") if name in shard.manifest
    }
    return {"path": shard.name, "digest": shard.digest, **told}


def _names(mappings: Iterable[Mapping[str, JSON]]) -> list[str]:
    return list(dict.fromkeys(name for mapping in mappings for name in mapping))


def _common(values: Sequence[JSON]) -> JSON:
    if all(value == values[0] for value in values):
        return values[0]
    flat = [one for value in values for one in (value if isinstance(value, list) else [value])]
    return [one for place, one in enumerate(flat) if one not in flat[:place]]


def _joined(values: Iterable[str]) -> str:
    """Return what all say, or every value once; one that was joined before is taken apart."""
    return ", ".join(dict.fromkeys(part for value in values for part in value.split(", ")))


def _refusal(title: str, lines: Sequence[str], advice: str) -> UsageError:
    room = _MOST_LINES - 2
    shown = (
        lines if len(lines) <= room else [*lines[: room - 1], f"… and {len(lines) - room + 1} more"]
    )
    return UsageError("\n".join([title, *(f"  {visible(line)}" for line in shown), advice]))
