"""The runs of several jobs: whether they fit together, and the manifest of all of them.

The merged manifest states what all runs agree on. Where they differ, a version or an environment
variable has every value, joined by ", " (``unset`` where a run has none), and an option has the
list of its values; ``merged`` has each run's own data.

Results alone do not tell how many variants there are, and shards that deselect collect the same
variants again. A suite has the same variants wherever its models and repeats are the same options:
those are counted once, others are added up.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from posixpath import normpath
from typing import cast

from evalkit._lib.json import JSON
from evalkit._lib.text import plural, shorten, visible
from evalkit.errors import IntegrityError, UsageError
from evalkit.results.manifest import Totals
from evalkit.results.records import FileRecord, ManifestRecord, ModuleRecord, schema_error
from evalkit.results.result_line import SCHEMA_VERSION

_VERSIONS = ("evalkit", "python", "pytest", "platform")
_SESSION = (*_VERSIONS, "started", "ended", "complete", "options", "environment", "merged")
_VERDICTS = ("passed", "failed", "errored", "skipped")
_LISTED = 10


class Shard:
    """A run to merge, with the counts and the digest of its results once they are read.

    ``bar`` has the texts that it was judged by (:mod:`evalkit.results.bar`), if they are stored.
    """

    def __init__(
        self, name: str, manifest: ManifestRecord, bar: Mapping[str, str | None] | None = None
    ) -> None:
        error = schema_error("evalkit.results", "manifest", manifest)
        if error:
            raise UsageError(
                f"{name}/manifest.json is not valid for this evalkit: {shorten(error, 200)}; "
                "run its suites again"
            )
        self.name = name
        self.manifest = manifest
        self.bar = bar
        self.counted = Totals()
        self.digest = ""

    @property
    def missing(self) -> int:
        """Variants that were selected and have no result."""
        totals = self.manifest["totals"]
        return max(0, totals["collected"] - totals["deselected"] - self.counted.run)

    def check_counts(self) -> None:
        """Raise IntegrityError if a run that ended has other results than its manifest counts."""
        if self.manifest["ended"] is None:
            return
        for verdict in _VERDICTS:
            stated, counted = self.manifest["totals"][verdict], getattr(self.counted, verdict)
            if stated != counted:
                raise IntegrityError(
                    f"{self.name}: manifest.json states {stated} {verdict}, "
                    f"the results have {counted}; fetch the run again, or run its suites again"
                )


def check_sources(shards: Sequence[Shard]) -> None:
    """Raise UsageError if suites, files or cassettes of the shards differ."""
    folders: dict[str, str] = {}
    known: dict[tuple[str, str], tuple[str | None, str]] = {}
    differing: dict[str, str] = {}
    for shard in shards:
        folder = str(shard.manifest["options"].get("cassettes") or "cassettes")
        folders.setdefault(normpath(folder), shard.name)
        for kind, file in _sources(shard):
            path, digest = file["path"], file["digest"]
            known_digest, first = known.setdefault((kind, path), (digest, shard.name))
            if known_digest != digest:
                differing.setdefault(path, f"{path}: {first} and {shard.name}")
    if len(folders) > 1:
        refuse(
            "the runs have different cassette folders:",
            [f"{name}: {folder}" for folder, name in folders.items()],
            "run every shard with the same --evalkit-cassettes",
        )
    refuse(
        f"{plural(len(differing), 'file')} not the same in all runs:",
        list(differing.values()),
        "run every shard from the same state of the project, then merge",
    )


def complete_totals(shards: Sequence[Shard], totals: Totals) -> Totals:
    """Add to the totals of the results what was collected, deselected by all, and unused.

    A variant that has no result and is not missing in a shard was deselected. A shard that did not
    end knows of no orphans; shards of the same suites see the same files, and an orphan is a file
    that none of them uses.
    """
    collected = sum(sum(counts.values()) for counts in _collected(shards).values())
    totals.tests = sum(module["collected"] for module in _modules(shards).values())
    totals.collected = max(collected + totals.tests, totals.run)
    missing = sum(shard.missing for shard in shards)
    totals.deselected = max(0, totals.collected - totals.run - missing)
    orphans: dict[tuple[str, ...], int] = {}
    for shard in shards:
        if shard.manifest["ended"] is not None:
            suites = tuple(sorted(suite["path"] for suite in shard.manifest["suites"]))
            count = shard.manifest["totals"]["orphans"]
            orphans[suites] = min(orphans.get(suites, count), count)
    totals.orphans = sum(orphans.values())
    return totals


def merged_manifest(shards: Sequence[Shard], totals: Totals, *, complete: bool) -> ManifestRecord:
    """Return the manifest of the merged run."""
    heads = [cast("Mapping[str, JSON]", shard.manifest) for shard in shards]
    collected = _collected(shards)
    suites = {suite["path"]: suite for head in heads for suite in head["suites"]}
    cassettes = {cassette["path"]: cassette for head in heads for cassette in head["cassettes"]}
    manifest = {
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
            name: _joined(head["environment"].get(name, "unset") for head in heads)
            for name in _names(head["environment"] for head in heads)
        },
        "merged": [
            {
                "path": shard.name,
                "digest": shard.digest,
                **{name: head[name] for name in _SESSION if name in head},
            }
            for shard, head in zip(shards, heads, strict=True)
        ],
        "suites": [
            {**suites[path], "collected": sum(collected[path].values())} for path in sorted(suites)
        ],
        "cassettes": [cassettes[path] for path in sorted(cassettes)],
        "totals": totals.to_json(),
    }
    if modules := _modules(shards):
        manifest["modules"] = [modules[path] for path in sorted(modules)]
    if broken := {path for head in heads for path in head.get("not_collected", ())}:
        manifest["not_collected"] = sorted(broken)
    return cast("ManifestRecord", manifest)


def refuse(title: str, lines: Sequence[str], advice: str) -> None:
    """Raise UsageError with the first of some lines, if there are any."""
    if not lines:
        return
    listed = list(lines)
    if len(lines) > _LISTED:
        listed[_LISTED - 1 :] = [f"… and {len(lines) - _LISTED + 1} more"]
    raise UsageError("\n".join([title, *(f"  {visible(line)}" for line in listed), advice]))


def _sources(shard: Shard) -> Iterator[tuple[str, FileRecord]]:
    manifest = shard.manifest
    for suite in manifest["suites"]:
        yield "suite", {"path": suite["path"], "digest": suite["digest"]}
        for file in suite.get("files", ()):
            yield "file", file
    for module in manifest.get("modules", ()):
        yield "module", {"path": module["path"], "digest": module["digest"]}
    for cassette in manifest["cassettes"]:
        yield "cassette", cassette
    # The manifest has no digest of approved snapshots. Git may convert line ends.
    for path, text in (shard.bar or {}).items():
        yield "bar", {"path": path, "digest": text and text.replace("\r\n", "\n")}


def _modules(shards: Iterable[Shard]) -> dict[str, ModuleRecord]:
    """Return the modules by path; a shard that selects tests by name knows only those."""
    modules: dict[str, ModuleRecord] = {}
    for shard in shards:
        for module in shard.manifest.get("modules", ()):
            known = modules.setdefault(module["path"], module)
            if known["collected"] < module["collected"]:
                modules[module["path"]] = module
    return modules


def _collected(shards: Sequence[Shard]) -> dict[str, dict[str, int]]:
    """Return the variants of each suite, by path, then by the options they depend on."""
    counts: dict[str, dict[str, int]] = {}
    for shard in shards:
        options = shard.manifest["options"]
        models = options.get("model") or []
        if isinstance(models, list):
            models = sorted(map(str, models))
        key = json.dumps([models, options.get("repeat")])
        for suite in shard.manifest["suites"]:
            known = counts.setdefault(suite["path"], {})
            known[key] = max(known.get(key, 0), suite["collected"])
    return counts


def _names(mappings: Iterable[Mapping[str, JSON]]) -> list[str]:
    return list(dict.fromkeys(name for mapping in mappings for name in mapping))


def _common(values: Sequence[JSON]) -> JSON:
    """Return the value that all have, or the list of all values."""
    if all(value == values[0] for value in values):
        return values[0]
    flat = [one for value in values for one in (value if isinstance(value, list) else [value])]
    return [one for index, one in enumerate(flat) if one not in flat[:index]]


def _joined(values: Iterable[str]) -> str:
    """Return the value that all have, or every value once; joined values are split first."""
    return ", ".join(dict.fromkeys(part for value in values for part in value.split(", ")))
