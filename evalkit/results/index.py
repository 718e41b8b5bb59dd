"""An index over many run directories, in a SQLite file: verdicts, tokens and times of all results.

Everything in it is read from ``manifest.json`` and ``results.jsonl`` of the runs, so it may be
deleted at any time: it is rebuilt when it is missing, damaged or of another version. Runs that
changed, by size and time of their files, are read again. A folder that is not a run, or cannot be
read, is listed in ``skipped``.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from evalkit._lib.json import JSON
from evalkit.errors import EvalkitError, UsageError
from evalkit.results.records import ResultHead
from evalkit.results.run_directory import MANIFEST, RESULTS, Run

VERSION = 2
FILE = ".history.sqlite"
_TABLES = """
create table run (name text primary key, stamp text, started text, evalkit text, complete integer);
create table result (
    run text, id text, scenario text, model text, verdict text, tokens text, elapsed_ms real
);
create index result_run on result (run);
create index result_id on result (scenario, id);
"""
_RESULTS = """
select result.run, id, scenario, model, verdict, tokens, elapsed_ms
from result join run on run.name = result.run
order by scenario, id, started, run.name
"""


class IndexedRun(NamedTuple):
    """A run: its folder's name below the folder of runs, its start, whether it is complete."""

    name: str
    started: str
    evalkit: str
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedResult:
    """A result. ``tokens`` by the API's field names; ``elapsed_ms`` is None without a time."""

    run: str
    id: str
    scenario: str
    model: str
    verdict: str
    tokens: Mapping[str, int]
    elapsed_ms: float | None


class RunIndex:
    """The index of the runs below one folder; a context manager."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise UsageError(f"{folder} is not a folder of runs")
        self.folder = folder
        self.skipped: list[str] = []
        self._database = _open(folder / FILE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def refresh(self) -> None:
        """Read new and changed runs, drop runs that no longer exist; sets ``skipped``."""
        runs = dict(self._runs_on_disk())
        known = dict(self._database.execute("select name, stamp from run"))
        self.skipped = []
        # One transaction: another process sees the index before or after, never half of it.
        with self._database:
            for name in known.keys() - runs.keys():
                self._drop(name)
            for name, path in runs.items():
                stamp = _stamp(path)
                if known.get(name) != stamp:
                    self._drop(name)
                    self._read(name, path, stamp)

    def runs(self) -> list[IndexedRun]:
        """Return the runs, oldest first."""
        rows = self._database.execute(
            "select name, started, evalkit, complete from run order by started, name"
        )
        return [IndexedRun(**{**row, "complete": bool(row["complete"])}) for row in rows]

    def results(self) -> Iterator[IndexedResult]:
        """Yield every result, ordered by scenario, id and time of the run."""
        for row in self._database.execute(_RESULTS):
            yield IndexedResult(**{**row, "tokens": json.loads(row["tokens"])})

    def _runs_on_disk(self) -> Iterator[tuple[str, Path]]:
        """Yield runs outside hidden folders: those are unfinished (``evalkit merge``)."""
        for path in sorted(self.folder.rglob(RESULTS)):
            name = path.parent.relative_to(self.folder)
            if (path.parent / MANIFEST).is_file() and not any(
                part.startswith(".") for part in name.parts
            ):
                yield name.as_posix(), path.parent

    def _read(self, name: str, path: Path, stamp: str) -> None:
        self._database.execute("savepoint reading")
        try:
            run = Run(path)
            started, evalkit = (str(run.manifest.get(key) or "") for key in ("started", "evalkit"))
            complete = run.manifest.get("complete") is not False
            self._database.execute(
                "insert into run values (?, ?, ?, ?, ?)", (name, stamp, started, evalkit, complete)
            )
            self._database.executemany(
                "insert into result values "
                "(:run, :id, :scenario, :model, :verdict, :tokens, :elapsed_ms)",
                (_row(name, result) for result in run.results()),
            )
        except (EvalkitError, KeyError, TypeError, ValueError, AttributeError) as error:
            self._database.execute("rollback to reading")
            reason = (
                error if isinstance(error, EvalkitError) else f"not a run of evalkit ({error!r})"
            )
            self.skipped.append(f"{path}: {reason}")
        self._database.execute("release reading")

    def _drop(self, name: str) -> None:
        self._database.execute("delete from result where run = ?", (name,))
        self._database.execute("delete from run where name = ?", (name,))


def _open(file: Path) -> sqlite3.Connection:
    try:
        return _connect(file)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError) and "unable to open" in str(error):
            # The folder is not writable: an index in memory is slower, but gives the same results.
            return _connect(":memory:")
    # Damaged, or not an index: everything in it can be read again.
    file.unlink(missing_ok=True)
    return _connect(file)


def _connect(file: Path | str) -> sqlite3.Connection:
    database = sqlite3.connect(file)
    database.row_factory = sqlite3.Row
    try:
        (version,) = database.execute("pragma user_version").fetchone()
        if version != VERSION:
            tables = "select name from sqlite_master where type = 'table'"
            for (table,) in database.execute(tables).fetchall():
                database.execute(f'drop table "{table}"')
            database.executescript(_TABLES)
            database.execute(f"pragma user_version = {VERSION}")
            database.commit()
        database.execute("select count(*) from result").fetchone()
    except sqlite3.DatabaseError:
        database.close()
        raise
    return database


def _stamp(directory: Path) -> str:
    status = [(directory / name).stat() for name in (MANIFEST, RESULTS)]
    return " ".join(f"{one.st_size}:{one.st_mtime_ns}" for one in status)


def _row(run: str, result: ResultHead) -> dict[str, JSON]:
    variant, metrics = result["variant"], result["metrics"]
    return {
        "run": run,
        "id": result["id"],
        "scenario": f"{result['suite']}::{result['scenario']}",
        "model": str(variant.get("model") or variant.get("agent") or ""),
        "verdict": result["verdict"],
        "tokens": json.dumps(metrics.get("tokens", {})),
        "elapsed_ms": metrics.get("elapsed_ms"),
    }
