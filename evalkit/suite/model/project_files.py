"""Files that a suite names; they are never outside the project.

A name is looked up in the suite file's directory, then in the project root. Links are followed
before the root is compared, so a link cannot lead out of the project. Files are looked up when the
suite is loaded and read when they are needed.
"""

import os
from pathlib import Path, PurePosixPath, PureWindowsPath

from evalkit._lib.files import is_inside
from evalkit._lib.text import nearest, quoted


class ProjectFileError(ValueError):
    """A file that a suite names cannot be used."""


class ProjectFiles:
    """Looks up the file names of one suite file."""

    def __init__(self, suite_file: Path, root: Path) -> None:
        self._root = root
        self._directories = [suite_file.parent]
        if suite_file.parent.resolve() != root.resolve():
            self._directories.append(root)
        self._files: dict[str, Path] = {}

    def find(self, name: str) -> Path:
        """Return the file that a name means.

        Raises ProjectFileError: missing, a directory, an absolute path, outside the project.
        """
        if name not in self._files:
            try:
                self._files[name] = self._find(name)
            except ProjectFileError:
                raise
            # A name that is too long or has a NUL character, links in a circle.
            except (OSError, ValueError, RuntimeError) as error:
                reason = getattr(error, "strerror", None) or error
                if "\0" in name:
                    reason = "a NUL character in its name"
                message = f"no such file: {quoted(name, 100)} ({reason})"
                raise ProjectFileError(message) from error
        return self._files[name]

    @property
    def used(self) -> list[tuple[str, Path]]:
        """Every file that was found, sorted by its path from the project root."""
        return sorted({(self.label(path), path) for path in self._files.values()})

    def label(self, path: Path) -> str:
        """Return a file's path from the project root, with ``/``, as messages show it."""
        return label(path, self._root)

    def _find(self, name: str) -> Path:
        is_absolute = PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor
        if is_absolute or name.startswith("~"):
            raise ProjectFileError(
                f"{quoted(name, 100)} is an absolute path; "
                "write it relative to the suite file or the project root"
            )
        candidates = [Path(os.path.normpath(folder / name)) for folder in self._directories]
        outside = []
        for path in candidates:
            if not is_inside(self._root, path):
                outside.append(path)
            elif path.is_file():
                return path
            elif path.is_dir():
                raise ProjectFileError(f"{quoted(name, 100)} is a directory, not a file")
        if outside == candidates or any(map(os.path.lexists, outside)):
            project = self._root.name or self._root
            raise ProjectFileError(f"{quoted(name, 100)} is outside the project ({project})")
        raise ProjectFileError(f"no such file: {quoted(name, 100)}{self._suggestion(name)}")

    def _suggestion(self, name: str) -> str:
        """Return the nearest file name, or the directories that were searched."""
        folder = (self._directories[0] / name).parent
        if is_inside(self._root, folder) and folder.is_dir():
            names = sorted(entry.name for entry in folder.iterdir() if entry.is_file())
            near = nearest(Path(name).name, names)
            if near:
                return f" (did you mean {str(PurePosixPath(name).with_name(near))!r}?)"
        labels = [self.label(directory) for directory in self._directories]
        return " in " + " or ".join(
            "the project root" if text == "." else f"{text}/" for text in labels
        )


def label(path: Path, root: Path) -> str:
    """Return a path from ``root`` with ``/``, or the whole path if it is elsewhere."""
    try:
        return path.resolve().relative_to(root.resolve()).as_posix()
    except (ValueError, OSError, RuntimeError):
        return path.as_posix()
