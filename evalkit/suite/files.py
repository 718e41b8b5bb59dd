"""The files a suite speaks of: found beside the suite file or from the project root, and never outside the project.

A name is looked up first in the suite file's own folder, then from the project root; links are followed before the root is compared, so a
link cannot lead out. Names, not contents, are settled when the suite is loaded; contents are read once, when somebody needs them.
"""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path, PurePosixPath, PureWindowsPath

from evalkit._lib.files import is_inside
from evalkit._lib.text import nearest, quoted


class FileFault(ValueError):
    """A file that a suite speaks of cannot be used."""


class ProjectFiles:
    """Looks up names for one suite file. ``used`` holds every file found so far: they belong to the suite's digest."""

    def __init__(self, suite_file: Path, root: Path) -> None:
        self._folder = suite_file.parent
        self._root = root
        self._found: dict[str, Path | FileFault] = {}

    def find(self, name: str) -> Path:
        """Return the file a name means. Raises FileFault: missing, a folder, an absolute path, outside the project."""
        found = self._found.get(name)
        if found is None:
            try:
                found = self._find(name)
            except FileFault as fault:
                found = fault
            except (
                OSError,
                ValueError,
                RuntimeError,
            ) as error:  # too long, a NUL in the name, links in a circle
                reason = (
                    "a NUL character in its name"
                    if "\0" in name
                    else getattr(error, "strerror", None) or error
                )
                found = FileFault(f"no such file: {quoted(name, 100)} ({reason})")
            self._found[name] = found
        if isinstance(found, FileFault):
            raise found
        return found

    @property
    def used(self) -> list[tuple[str, Path]]:
        """Every file found, with the name it has from the project root, sorted by that name."""
        return sorted(
            {(self.label(path), path) for path in self._found.values() if isinstance(path, Path)}
        )

    def label(self, path: Path) -> str:
        """Return what messages call a file: its path from the project root, with ``/``."""
        return label(path, self._root)

    @cached_property
    def _places(self) -> list[Path]:
        return (
            [self._folder]
            if self._folder.resolve() == self._root.resolve()
            else [self._folder, self._root]
        )

    def _find(self, name: str) -> Path:
        if (
            PurePosixPath(name).is_absolute()
            or PureWindowsPath(name).anchor
            or name.startswith("~")
        ):
            raise FileFault(
                f"{quoted(name, 100)} is an absolute path; write it relative to the suite file or the project root"
            )
        outside = 0
        for place in self._places:
            path = Path(os.path.normpath(place / name))
            if not is_inside(self._root, path):
                outside += len(self._places) if os.path.lexists(path) else 1
            elif path.is_file():
                return path
            elif path.is_dir():
                raise FileFault(f"{quoted(name, 100)} is a folder, not a file")
        if outside >= len(self._places):
            raise FileFault(
                f"{quoted(name, 100)} lies outside the project ({self._root.name or self._root})"
            )
        raise FileFault(f"no such file: {quoted(name, 100)}{self._similar(name)}")

    def _similar(self, name: str) -> str:
        looked = " or ".join(
            f"{self.label(place)}/" if self.label(place) != "." else "the project root"
            for place in self._places
        )
        folder = (self._folder / name).parent
        if is_inside(self._root, folder) and folder.is_dir():
            near = nearest(
                Path(name).name, sorted(entry.name for entry in folder.iterdir() if entry.is_file())
            )
            if near:
                return f" (did you mean {str(PurePosixPath(name).with_name(near))!r}?)"
        return f" in {looked}"


def label(path: Path, root: Path) -> str:
    """Return a path from ``root`` with ``/``, or the whole path where it lies elsewhere."""
    try:
        return path.resolve().relative_to(root.resolve()).as_posix()
    except (ValueError, OSError, RuntimeError):
        return path.as_posix()
