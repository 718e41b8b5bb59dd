"""Folders that are never half written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from evalkit._lib.files import sync_folder


@contextmanager
def atomic_folder(path: Path, keep: Callable[[str], bool]) -> Iterator[Path]:
    """Yield an empty folder of the same name as ``path``, which takes its place when the block ends without an exception; else nothing changes.

    Of the folder that was there, the entries are copied over whose names ``keep`` wants and the new one has not. Both folders are made and
    unmade in a hidden folder beside, which is all that a killed process leaves behind. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    workshop = path.with_name(f".{path.name}.{os.urandom(8).hex()}.tmp")
    made, before = workshop / path.name, workshop / ".before"
    try:
        made.mkdir(parents=True)
        yield made
        if path.exists():
            for entry in path.iterdir():
                if keep(entry.name) and not (made / entry.name).exists():
                    _copy(entry, made / entry.name)
            # No system call that Python has swaps two folders: for the time between two renames nothing is there, and never half of it.
            path.rename(before)
            try:
                made.rename(path)
            except OSError:
                before.rename(path)
                raise
        else:
            made.rename(path)
        sync_folder(path.parent)
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir() and not source.is_symlink():
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copy2(source, target, follow_symlinks=False)
