"""Merge the runs of several jobs into one run.

Each run is a shard: it ran a part of the variants, chosen by folder, ``-k``, ``-m`` or model, and
deselected the others or never collected them. All shards must come from the same state of the
project: a path with two digests, or an id with two results, is refused. Result lines are copied
byte for byte; only their ids and digests are stored in memory.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from evalkit._lib.files import atomic_folder, atomic_writer, file_errors
from evalkit._lib.text import plural, visible
from evalkit.errors import UsageError
from evalkit.results.bar import NAME as BAR
from evalkit.results.bar import read_bar, write_bar_file
from evalkit.results.early_stop import sequential_of
from evalkit.results.judgments import NAME as JUDGES
from evalkit.results.manifest import Totals, write_manifest
from evalkit.results.media import FOLDER, copy_files
from evalkit.results.records import SessionRecord
from evalkit.results.result_line import Tally, checked_digest, parse_result, tally_of
from evalkit.results.run_directory import DERIVED, MANIFEST, RESULTS, Run, check_output
from evalkit.results.shards import (
    Shard,
    check_sources,
    complete_totals,
    merged_manifest,
    refuse,
)
from evalkit.results.strength import NAME as STRENGTH

_REWRITTEN = (MANIFEST, RESULTS, BAR, STRENGTH, JUDGES, *DERIVED, "data", FOLDER)
_REQUIRED = (
    "schema_version", "suite", "scenario", "title", "variant", "trial", "tags", "path", "line",
    "message", "cassette", "turns",
)  # fmt: skip
"""Members that reports read in addition to those that are counted."""


class MergeOutcome(NamedTuple):
    """The number of runs, the totals, and why the merged run is not complete, one line each."""

    runs: int
    totals: Totals
    gaps: Sequence[str]


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
        refuse(
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
    shards = [
        Shard(run.directory.as_posix(), run.manifest, read_bar(run.directory)) for run in opened
    ]
    refuse(
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
    bars = [shard.bar for shard in shards if shard.bar is not None]
    if bars:
        write_bar_file(folder, {name: text for bar in bars for name, text in bar.items()})
    return MergeOutcome(len(shards), totals, gaps)


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
        except ValueError as error:
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
        elif broken := shard.manifest.get("not_collected"):
            yield f"{shard.name} could not collect {', '.join(map(visible, broken))}"
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
