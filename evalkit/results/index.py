"""An index over many run directories: who passed when, with how many tokens. A SQLite file that holds nothing of its own.

Everything in it is read from ``manifest.json`` and ``results.jsonl`` of the runs, so it may be deleted at any time: it is made again when it
is missing, damaged or of another version, and of each run what changed since (by size and time of its results) is read again. A folder that
is no run, or a run that cannot be read, is told and left out; it spoils nothing.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from evalkit.errors import EvalkitError, UsageError
from evalkit.results.journal import NAME
from evalkit.results.run import Run

VERSION = 1
FILE = ".history.sqlite"
_TABLES = """
create table run (name text primary key, stamp text, started text, evalkit text, complete integer);
create table result (run text, id text, family text, model text, verdict text, tokens text, elapsed_ms real);
create index result_run on result (run);
create index result_id on result (family, id);
"""


class RunEntry(NamedTuple):
    """One indexed run: its folder's name below the folder of runs, when it started, whether it ended."""

    name: str
    started: str
    evalkit: str
    complete: bool


class ResultEntry(NamedTuple):
    """One indexed result. ``tokens`` by the API's field names; ``elapsed_ms`` None where no time was recorded."""

    run: str
    id: str
    family: str
    model: str
    verdict: str
    tokens: Mapping[str, int]
    elapsed_ms: float | None


class Index:
    """The index of the runs below one folder. Use it as a context manager; it is written in one transaction per refresh."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise UsageError(f"there is no folder of runs at {folder}")
        self.folder = folder
        self.skipped: list[str] = []
        self._file = folder / FILE
        self._database = self._open()

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def refresh(self) -> None:
        """Read what is new or changed, forget what is gone. ``skipped`` then says which folders were left out, and why."""
        folders = (
            path.parent
            for path in sorted(self.folder.rglob(NAME))
            if (path.parent / "manifest.json").is_file()
        )
        found = {
            name: path
            for path in folders
            if not _hidden(name := path.relative_to(self.folder).as_posix())
        }
        known = dict(self._database.execute("select name, stamp from run"))
        self.skipped = []
        with self._database:
            for name in known.keys() - found.keys():
                self._forget(name)
            for name, path in found.items():
                stamp = _stamp(path)
                if known.get(name) != stamp:
                    self._forget(name)
                    self._read(name, path, stamp)

    def runs(self) -> list[RunEntry]:
        """Return the runs, oldest first."""
        rows = self._database.execute(
            "select name, started, evalkit, complete from run order by started, name"
        )
        return [
            RunEntry(name, started, version, bool(complete))
            for name, started, version, complete in rows
        ]

    def results(self) -> Iterator[ResultEntry]:
        """Yield every result, oldest run first within a scenario; scenarios and ids in order."""
        query = """
            select result.run, id, family, model, verdict, tokens, elapsed_ms from result join run on run.name = result.run
            order by family, id, started, run.name
        """
        for run, id_, family, model, verdict, tokens, elapsed in self._database.execute(query):
            yield ResultEntry(run, id_, family, model, verdict, json.loads(tokens), elapsed)

    def _read(self, name: str, path: Path, stamp: str) -> None:
        self._database.execute("savepoint reading")
        try:
            run = Run(path)
            head = (
                name,
                stamp,
                str(run.manifest.get("started") or ""),
                str(run.manifest.get("evalkit") or ""),
            )
            self._database.execute(
                "insert into run values (?, ?, ?, ?, ?)",
                (*head, run.manifest.get("complete") is not False),
            )
            self._database.executemany(
                "insert into result values (?, ?, ?, ?, ?, ?, ?)",
                (_row(name, line) for line in run.results()),
            )
        except (EvalkitError, KeyError, TypeError, ValueError, AttributeError) as error:
            self._database.execute("rollback to reading")
            self.skipped.append(
                f"{path}: {error if isinstance(error, EvalkitError) else f'not a run of evalkit ({error!r})'}"
            )
        self._database.execute("release reading")

    def _forget(self, name: str) -> None:
        self._database.execute("delete from result where run = ?", (name,))
        self._database.execute("delete from run where name = ?", (name,))

    def _open(self) -> sqlite3.Connection:
        try:
            database = self._connect()
        except sqlite3.DatabaseError as first:
            if isinstance(first, sqlite3.OperationalError) and "unable to open" in str(first):
                return self._elsewhere()
            self._file.unlink(
                missing_ok=True
            )  # damaged, or not ours: everything in it can be read again
            database = self._connect()
        return database

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._file)
        try:
            (version,) = database.execute("pragma user_version").fetchone()
            if version != VERSION:
                self._make(database)
            database.execute("select count(*) from result").fetchone()
        except sqlite3.DatabaseError:
            database.close()
            raise
        return database

    def _elsewhere(self) -> sqlite3.Connection:
        """Keep the index in memory where the folder cannot be written to: slower, but the same answers."""
        database = sqlite3.connect(":memory:")
        self._make(database)
        return database

    def _make(self, database: sqlite3.Connection) -> None:
        for (table,) in database.execute(
            "select name from sqlite_master where type = 'table'"
        ).fetchall():
            database.execute(f'drop table "{table}"')
        database.executescript(_TABLES)
        database.execute(f"pragma user_version = {VERSION}")
        database.commit()


def _hidden(name: str) -> bool:
    """Whether a run lies in a hidden folder: one that is not whole yet, or was cut short while it was made (``evalkit merge``)."""
    return any(part.startswith(".") for part in name.split("/") if part != ".")


def _stamp(path: Path) -> str:
    stamps = []
    for file in (path / "manifest.json", path / NAME):
        with suppress(FileNotFoundError):
            status = file.stat()
            stamps.append(f"{status.st_size}:{status.st_mtime_ns}")
    return " ".join(stamps)


def _row(run: str, line: Mapping[str, Any]) -> tuple[Any, ...]:
    variant, metrics = line["variant"], line["metrics"]
    model = str(variant.get("model") or variant.get("agent") or "")
    tokens = json.dumps(metrics.get("tokens", {}))
    return (
        run,
        line["id"],
        f"{line['suite']}::{line['scenario']}",
        model,
        line["verdict"],
        tokens,
        metrics.get("elapsed_ms"),
    )
