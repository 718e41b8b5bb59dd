"""Merge the runs of several jobs into one run.

Each run is a shard: it ran a part of the variants, chosen by folder, ``-k``, ``-m`` or model, and
deselected the others or never collected them. All shards must come from the same state of the
project: a path with two digests, or an id with two results, is refused. Result lines are copied
byte for byte; only their ids and digests are stored in memory.

The merged manifest states what all runs agree on. Where they differ, a version or an environment
variable has every value, joined by ", " (``unset`` where a run has none), and an option has the
list of its values; ``merged`` has each run's own data.

Results alone do not tell how many variants there are, and shards that deselect collect the same
variants again. A suite has the same variants wherever its models and repeats are the same options:
those are counted once, others are added up.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from posixpath import normpath
from typing import NamedTuple, cast

from evalkit._lib.files import atomic_folder, atomic_writer, file_errors
from evalkit._lib.json import JSON
from evalkit._lib.text import plural, shorten, visible
from evalkit.errors import IntegrityError, UsageError
from evalkit.results.bar import NAME as BAR
from evalkit.results.bar import read_bar, write_bar_file
from evalkit.results.early_stop import sequential_of
from evalkit.results.judgments import NAME as JUDGES
from evalkit.results.manifest import Totals, write_manifest
from evalkit.results.media import FOLDER, copy_files
from evalkit.results.records import (
    FileRecord,
    ManifestRecord,
    ModuleRecord,
    SessionRecord,
    schema_error,
)
from evalkit.results.result_line import (
    SCHEMA_VERSION,
    Tally,
    checked_digest,
    parse_result,
    tally_of,
)
from evalkit.results.run_directory import DERIVED, MANIFEST, RESULTS, Run, check_output
from evalkit.results.strength import NAME as STRENGTH

_REWRITTEN = (MANIFEST, RESULTS, BAR, STRENGTH, JUDGES, *DERIVED, "data", FOLDER)
_VERSIONS = ("evalkit", "python", "pytest", "platform")
_SESSION = (*_VERSIONS, "started", "ended", "complete", "options", "environment", "merged")
_VERDICTS = ("passed", "failed", "errored", "skipped")
_REQUIRED = (
    "schema_version", "suite", "scenario", "title", "variant", "trial", "tags", "path", "line",
    "message", "cassette", "turns",
)  # fmt: skip
"""Members that reports read in addition to those that are counted."""
_LISTED = 10


class MergeOutcome(NamedTuple):
    """The number of runs, the totals, and why the merged run is not complete, one line each."""

    runs: int
    totals: Totals
    gaps: Sequence[str]


class Shard:
    """A run to merge, with the counts and the digest of its results once they are read."""

    def __init__(self, name: str, manifest: ManifestRecord) -> None:
        error = schema_error("evalkit.results", "manifest", manifest)
        if error:
            raise UsageError(
                f"{name}/manifest.json is not valid for this evalkit: {shorten(error, 200)}; "
                "run its suites again"
            )
        self.name = name
        self.manifest = manifest
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


class MergedResults:
    """The ids and digests of the results merged so far; ``totals`` count each result once."""

    def __init__(self) -> None:
        self.totals = Totals()
        self._known: dict[str, tuple[str, str]] = {}
        self._conflicts: dict[str, tuple[str, str]] = {}

    def add(self, shard: Shard, id_: str, digest: str, tally: Tally) -> bool:
        """Count a result of a shard; return False if an equal result was added before."""
        shard.counted.add(tally)
        if id_ not in self._known:
            self._known[id_] = shard.name, digest
            self.totals.add(tally)
            return True
        first, known = self._known[id_]
        if known != digest:
            self._conflicts.setdefault(id_, (first, shard.name))
        return False

    def check(self) -> None:
        """Raise UsageError listing every id with two different results."""
        lines = [
            f"{id_}: twice in {one}" if one == other else f"{id_}: {one} and {other}"
            for id_, (one, other) in self._conflicts.items()
        ]
        _refuse(
            f"{plural(len(lines), 'variant')} with two different results:",
            lines,
            "merge only one of the two runs; compare runs of two models with 'evalkit compare'",
        )


@contextmanager
def output_directory(output: Path, runs: Sequence[Path], option: str) -> Iterator[Path]:
    """Yield an empty folder that becomes ``output`` if the block ends without an exception.

    Files that people made in an earlier run there (``decisions.yaml``, ``comparison``) are
    preserved. Raises UsageError if ``output`` is not fit for a run, is one of ``runs``, is inside
    one, contains one, or cannot be written.
    """
    target = output.resolve()
    for run in runs:
        source = run.resolve()
        if target.is_relative_to(source) or source.is_relative_to(target):
            raise UsageError(
                f"{output} and {run}, which is to be merged, are the same folder or contain each "
                f"other; name another folder with {option}"
            )
    check_output(output, option)
    with (
        file_errors(output, "cannot be written", f"; choose another folder with {option}"),
        atomic_folder(target, keep=lambda name: name not in _REWRITTEN) as folder,
    ):
        yield folder


def merge_runs(
    runs: Sequence[Path], folder: Path, *, allow_deselected: bool = False
) -> MergeOutcome:
    """Write the merged ``results.jsonl`` and ``manifest.json`` into an existing folder.

    The merged run is complete if each run is complete and each variant that one of them deselected
    was run by another; with ``allow_deselected``, variants that all of them deselected do not
    count. Raises UsageError if a folder is not a run, a line cannot be read or the runs do not fit
    together; IntegrityError if results were changed or lost; OSError.
    """
    opened = [_open_run(path) for path in {path.resolve(): path for path in runs}.values()]
    shards = [Shard(run.directory.as_posix(), run.manifest) for run in opened]
    _refuse(
        "runs of --evalkit-until-decided cannot be merged, because each decided for itself:",
        [shard.name for shard in shards if sequential_of(shard.manifest) is not None],
        "run all suites in one session",
    )
    check_sources(shards)
    results = MergedResults()
    with atomic_writer(folder / RESULTS) as file:
        for run, shard in zip(opened, shards, strict=True):
            file.writelines(_new_lines(run, shard, results))
            copy_files(run.directory, folder)
            shard.check_counts()
        results.check()
    totals = complete_totals(shards, results.totals)
    gaps = list(_gaps(shards, totals, allow_deselected))
    manifest = merged_manifest(shards, totals, complete=not gaps)
    write_manifest(folder / MANIFEST, manifest)
    bars = [bar for run in opened if (bar := read_bar(run.directory)) is not None]
    if bars:
        write_bar_file(folder, {name: text for bar in bars for name, text in bar.items()})
    return MergeOutcome(len(shards), totals, gaps)


def check_sources(shards: Sequence[Shard]) -> None:
    """Raise UsageError if suites, files or cassettes of the shards differ."""
    folders: dict[str, str] = {}
    known: dict[tuple[str, str], tuple[str | None, str]] = {}
    differing: dict[str, str] = {}
    for shard in shards:
        folder = str(shard.manifest["options"].get("cassettes") or "cassettes")
        folders.setdefault(normpath(folder), shard.name)
        for kind, file in _sources(shard.manifest):
            path, digest = file["path"], file["digest"]
            known_digest, first = known.setdefault((kind, path), (digest, shard.name))
            if known_digest != digest:
                differing.setdefault(path, f"{path}: {first} and {shard.name}")
    if len(folders) > 1:
        _refuse(
            "the runs have different cassette folders:",
            [f"{name}: {folder}" for folder, name in folders.items()],
            "run every shard with the same --evalkit-cassettes",
        )
    _refuse(
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
    return cast("ManifestRecord", manifest)


def _open_run(path: Path) -> Run:
    if not (path / MANIFEST).exists() and (nested := sorted(path.glob(f"*/{MANIFEST}"))):
        raise UsageError(
            f"{path} is not a run directory, but contains some; did you mean {nested[0].parent}?"
        )
    return Run(path)


def _new_lines(run: Run, shard: Shard, results: MergedResults) -> Iterator[bytes]:
    """Yield the lines of a run that are to be written, and compute the digest of all its lines."""
    digest_of_all = hashlib.sha256()
    for number, text in enumerate(run.lines(), 1):
        line = text.encode("ascii")
        digest_of_all.update(line + b"\n")
        where = f"{run.directory / RESULTS}:{number}"
        try:
            result = parse_result(text)
        except (ValueError, RecursionError) as error:
            raise UsageError(
                f"{where} is not JSON: {error}; fetch the run again, or run its suites again"
            ) from error
        digest = checked_digest(line, f"{where} {visible(str(result.get('id', 'the result')))}")
        try:
            if absent := [name for name in _REQUIRED if name not in result]:
                raise KeyError(absent[0])
            is_new = results.add(shard, str(result["id"]), digest, tally_of(result))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            reason = f"{error} is missing" if isinstance(error, KeyError) else visible(str(error))
            raise UsageError(
                f"{where} is not a valid result: {reason}; run its suites again"
            ) from error
        if is_new:
            yield line + b"\n"
    shard.digest = f"sha256:{digest_of_all.hexdigest()}"


def _gaps(shards: Sequence[Shard], totals: Totals, allow_deselected: bool) -> Iterator[str]:
    for shard in shards:
        if shard.manifest["ended"] is None:
            yield f"{shard.name} did not end ({plural(shard.counted.run, 'result')})"
        elif not _is_complete(shard.manifest):
            yield (
                f"{shard.name} has {plural(shard.missing, 'variant')} without a result"
                if shard.missing
                else f"{shard.name} is itself not complete"
            )
    if totals.deselected and not allow_deselected:
        yield f"{plural(totals.deselected, 'variant')} deselected in every run (--allow-deselected)"


def _is_complete(run: SessionRecord) -> bool:
    """Whether a run is complete, or was merged from complete runs that only deselected variants."""
    return run["complete"] or ("merged" in run and all(map(_is_complete, run["merged"])))


def _sources(manifest: ManifestRecord) -> Iterator[tuple[str, FileRecord]]:
    for suite in manifest["suites"]:
        yield "suite", {"path": suite["path"], "digest": suite["digest"]}
        for file in suite.get("files", ()):
            yield "file", file
    for module in manifest.get("modules", ()):
        yield "module", {"path": module["path"], "digest": module["digest"]}
    for cassette in manifest["cassettes"]:
        yield "cassette", cassette


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


def _refuse(title: str, lines: Sequence[str], advice: str) -> None:
    """Raise UsageError with at most ``_LISTED`` lines, if there are any."""
    if not lines:
        return
    listed = list(lines)
    if len(lines) > _LISTED:
        listed[_LISTED - 1 :] = [f"… and {len(lines) - _LISTED + 1} more"]
    raise UsageError("\n".join([title, *(f"  {visible(line)}" for line in listed), advice]))
