"""Run directories merged into one: ``results.jsonl`` written line by line as the shards have them, ``manifest.json`` joined from theirs.

What the joined run says is decided in :mod:`evalkit.results.joining`; here files are read and written. No result is held in memory: ids and
digests are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from evalkit._lib.files import atomic_writer, write_atomic
from evalkit._lib.folders import whole_folder
from evalkit._lib.text import plural, visible
from evalkit.errors import IntegrityError, UsageError
from evalkit.results.joining import Results, Shard, check_sources, document, total
from evalkit.results.journal import NAME
from evalkit.results.line import SCHEMA_VERSION, digests, tally_of
from evalkit.results.manifest import Totals
from evalkit.results.place import DERIVED, MANIFEST, check_place
from evalkit.results.run import Run

_MADE = (MANIFEST, NAME, *DERIVED, "data")
_NEEDED = (
    "suite",
    "scenario",
    "title",
    "variant",
    "trial",
    "tags",
    "path",
    "line",
    "message",
    "cassette",
    "turns",
)
"""What reports read of a line besides what is counted: where one is missing it is told here, with the run it is missing in."""


class Merged(NamedTuple):
    """What came of it: how many runs there were, the totals, and if the merged run is not complete, why, one line each."""

    runs: int
    totals: Totals
    gaps: Sequence[str]


@contextmanager
def place_for(output: Path, runs: Sequence[Path], option: str) -> Iterator[Path]:
    """Yield an empty folder that becomes ``output`` when the block ends without an exception; else ``output`` stays what it was.

    Of a run that was there before, what people made of it (``decisions.yaml``, ``comparison``) stays, as it does when suites are run again.
    Raises UsageError: ``output`` is no place for a run, is one of ``runs``, lies in one or holds one, or cannot be written. ``option`` names
    another one.
    """
    place = output.resolve()
    for run in runs:
        own = run.resolve()
        if place == own:
            raise UsageError(
                f"{output} is one of the runs to be merged; name another folder with {option}"
            )
        if place.is_relative_to(own) or own.is_relative_to(place):
            raise UsageError(
                f"{output} and {run}, which is to be merged, lie in each other; name another folder with {option}"
            )
    check_place(output, option)
    try:
        with whole_folder(place, keep=lambda name: name not in _MADE) as folder:
            yield folder
    except OSError as error:
        raise UsageError(
            f"cannot write {output}: {error.strerror or error}; choose another place with {option}"
        ) from error


def merge(runs: Sequence[Path], folder: Path, *, deselected: bool = False) -> Merged:
    """Write ``results.jsonl`` and ``manifest.json`` of the runs' results, in the order given, to a folder that is there.

    Complete is what has no gap: each run is complete, and each variant that one of them deselected another one ran; with ``deselected``, variants
    that all of them deselected are no gap.
    Raises UsageError: a folder is no run, a line cannot be read, the runs do not go together. IntegrityError: a line, or the number of
    results, is not what it was when it was written. OSError: the folder cannot be written to.
    """
    named: dict[Path, Path] = {}
    for path in runs:
        named.setdefault(path.resolve(), path)
    opened = [_opened(path) for path in named.values()]
    shards = [Shard(run.directory.as_posix(), run.manifest) for run in opened]
    check_sources(shards)
    results = Results()
    with atomic_writer(folder / NAME) as file:
        for run, shard in zip(opened, shards, strict=True):
            for line in _new_lines(run, shard, results):
                file.write(line)
            shard.check_count()
        results.check()
    totals = total(shards, results.totals)
    complete = all(shard.whole for shard in shards) and (deselected or not totals.deselected)
    value = document(shards, totals, complete=complete)
    write_atomic(folder / MANIFEST, json.dumps(value, indent=2, ensure_ascii=False) + "\n")
    return Merged(len(shards), totals, [] if complete else list(_gaps(shards, totals, deselected)))


def _opened(path: Path) -> Run:
    if not (path / MANIFEST).exists() and (below := sorted(path.glob(f"*/{MANIFEST}"))):
        raise UsageError(
            f"{path} is not a run directory, but holds some: did you mean {below[0].parent}?"
        )
    try:
        return Run(path)
    except RecursionError as error:
        raise UsageError(f"{path / MANIFEST} cannot be read: {error}") from error


def _new_lines(run: Run, shard: Shard, results: Results) -> Iterator[bytes]:
    """Yield the lines of a run that are to be written, newline included; the run's digest is that of all its whole lines."""
    from evalkit._lib.quickjson import loads

    hashed = hashlib.sha256()
    for number, text in enumerate(_lines(run), 1):
        line = text.encode("ascii")
        hashed.update(line + b"\n")
        where = f"{run.directory / NAME}:{number}"
        try:
            value = loads(text)
        except (ValueError, RecursionError) as error:
            raise UsageError(
                f"{where} is not JSON: {error}; fetch the run again, or run its suites again"
            ) from error
        digest = _digest(line, value, where)
        try:
            if (version := value["schema_version"]) != SCHEMA_VERSION:
                raise ValueError(f"its schema_version is {version!r}, not {SCHEMA_VERSION}")
            for name in _NEEDED:
                _ = value[name]
            new = results.take(shard, str(value["id"]), digest, tally_of(value))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            why = f"it has no {error}" if isinstance(error, KeyError) else str(error)
            raise UsageError(
                f"{where} is no result as this evalkit writes it: {visible(why)}; run its suites again"
            ) from error
        if new:
            yield line + b"\n"
    shard.digest = f"sha256:{hashed.hexdigest()}"


def _lines(run: Run) -> Iterator[str]:
    try:
        yield from run.lines()
    except OSError as error:
        raise UsageError(
            f"{run.directory / NAME} cannot be read: {error.strerror or error}"
        ) from error


def _digest(line: bytes, value: Any, where: str) -> str:
    found = digests(line)
    if found is not None and found[0] == found[1]:
        return found[1]
    id_ = visible(str(value["id"])) if isinstance(value, dict) and "id" in value else "the result"
    what = (
        f"expected digest {found[1][:16]}…, found {found[0][:16]}…"
        if found is not None
        else "it does not end with its digest"
    )
    raise IntegrityError(
        f"{where} {id_} was changed since it was written: {what}; fetch the run again, or run its suites again"
    )


def _gaps(shards: Sequence[Shard], totals: Totals, deselected: bool) -> Iterator[str]:
    for shard in shards:
        if shard.manifest["ended"] is None:
            yield f"{shard.name} did not end ({plural(shard.counted.run, 'result')})"
        elif not shard.whole:
            yield (
                f"{shard.name} has {plural(shard.lacking, 'variant')} without a result"
                if shard.lacking
                else f"{shard.name} is itself not complete"
            )
    if totals.deselected and not deselected:
        yield f"{plural(totals.deselected, 'variant')} deselected in every run (--allow-deselected)"
