"""The suites that a run was judged by, stored in its directory as ``bar.json``.

So a run can be judged again offline, and compared by its own expectations, whatever the project's
suites say by then. The texts of suites, of the files that they use and of their snapshots are
stored by their path from the project's root. A file that is not text, such as a picture, has no
text there: no check reads it.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

from evalkit._lib.files import (
    FILE_ERRORS,
    atomic_writer,
    display_path,
    is_inside,
    read_file,
    sha256,
)
from evalkit.checks.snapshot import FOLDER as SNAPSHOTS
from evalkit.errors import SuiteErrors, UsageError
from evalkit.results.records import FileRecord, SuiteRecord
from evalkit.suite import Suite
from evalkit.suite.loading.file_reader import read_text

NAME = "bar.json"
Files = Mapping[str, str | None]
"""Texts by path from the project's root; None for a file that is not text."""


def suite_record(suite: Suite, collected: int) -> SuiteRecord:
    """Return what a manifest says about a suite. Raises SuiteErrors for a file it cannot read."""
    return {
        "suite": suite.name,
        "path": suite.label,
        "digest": f"sha256:{suite.digest}",
        "collected": collected,
        "files": [{"path": name, "digest": file_digest(path)} for name, path in suite.used_files],
    }


def write_bar(
    directory: Path, root: Path, suites: Iterable[SuiteRecord], clean: Callable[[str], str]
) -> None:
    """Store the suites of a run; ``clean`` removes secrets.

    A suite that has changed since it was loaded is left out. Raises OSError.
    """
    files: dict[str, str | None] = {}
    for suite in suites:
        if is_unchanged(suite, root):
            path = root / suite["path"]
            used = [root / file["path"] for file in suite.get("files", ())]
            for one in (path, *used, *snapshot_files(path, suite["suite"])):
                if is_inside(root, one):
                    file = {Path(os.path.relpath(one, root)).as_posix(): _text(one)}
                    files |= json.loads(clean(json.dumps(file)))
    write_bar_file(directory, files)


def write_bar_file(directory: Path, files: Files) -> None:
    """Write ``bar.json``. Raises OSError."""
    content = {"schema_version": 1, "files": dict(sorted(files.items()))}
    # In pieces: one text of all suites would be the largest value of a session.
    pieces = json.JSONEncoder(indent=1).iterencode(content)
    with atomic_writer(directory / NAME) as file:
        file.writelines(piece.encode() for piece in chain(pieces, "\n"))


def read_bar(directory: Path) -> Files | None:
    """Return the stored suites of a run; None if it has none. Raises UsageError."""
    path = directory / NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        files: Files = content["files"]
        if not all(isinstance(text, str | None) for text in files.values()):
            raise TypeError("a text is missing")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(
            f"{display_path(path)}: cannot be read ({error!r}); fetch the run again, or run its "
            "suites again"
        ) from error
    return files


@contextmanager
def unpacked(files: Files) -> Iterator[Path]:
    """Yield a temporary folder with the files. Raises UsageError for a path that leads out."""
    with TemporaryDirectory(prefix="evalkit-") as name:
        folder = Path(name).resolve()
        for relative, text in files.items():
            path = Path(os.path.normpath(folder / relative))
            if not path.is_relative_to(folder) or path == folder:
                raise UsageError(
                    f"{NAME}: {relative!r} leads out of the project; fetch the run again"
                )
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes((text or "").encode("utf-8", "surrogatepass"))
        yield folder


def snapshot_files(suite: Path, name: str) -> Iterator[Path]:
    """Yield the approved snapshots of a suite file."""
    folder = suite.parent / SNAPSHOTS / name
    yield from sorted(path for path in folder.rglob("*") if path.is_file())


def is_unchanged(suite: SuiteRecord, root: Path) -> bool:
    """Return whether a suite and the files it uses are still those of a run."""
    used = [
        FileRecord(path=file["path"], digest=file_digest(root / file["path"]))
        for file in suite.get("files", ())
    ]
    try:
        return (
            f"sha256:{suite_digest(root / suite['path'], suite['path'], used)}" == suite["digest"]
        )
    except SuiteErrors:
        return False


def suite_digest(path: Path, name: str, used: Iterable[FileRecord]) -> str:
    """Return a suite's digest as a run records it (``evalkit.suite.Suite.digest``).

    Raises SuiteErrors if the suite cannot be read.
    """
    own = sha256(read_text(path, name))
    files = [f"{file['path']} {(file['digest'] or '').removeprefix('sha256:')}" for file in used]
    return sha256("\n".join([own, *files])) if files else own


def file_digest(path: Path) -> str | None:
    """Return ``sha256:…`` of a file, or None if it does not exist or cannot be read."""
    try:
        return f"sha256:{sha256(read_file(path))}"
    except FILE_ERRORS:
        return None


def _text(path: Path) -> str | None:
    try:
        return read_file(path).decode("utf-8")
    except FILE_ERRORS:
        return None
