"""Find the files to lint: cassettes, suites, journals and media folders among the given paths.

A named file is a cassette unless it is a suite. In a folder, the beginning of each YAML file
decides: the line ``interactions:`` makes a cassette, ``suite:`` a suite; other files are skipped
and counted. Hidden folders are not entered.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evalkit._lib.files import display_path, nearest_entry
from evalkit.cassette.files import FOLDER
from evalkit.cassette.journal import SUFFIX
from evalkit.errors import UsageError

_HEAD_BYTES = 64 * 1024
_SKIPPED_FOLDERS = frozenset((FOLDER, "node_modules", "__pycache__", "venv"))
_CASSETTE = re.compile(
    rb"^[\"']?interactions[\"']?\s*:"
    rb"|\A\s*- request:"
    rb"|^metadata:\s*\n  [\"']?(?:format|evalkit|recorded)\b",
    re.MULTILINE,
)
_SUITE = re.compile(rb"^suite\s*:", re.MULTILINE)


@dataclass(slots=True)
class LintFiles:
    """The files to lint, each list sorted and without duplicates.

    ``folders`` are the given folders, ``media`` the media folders in them; ``skipped`` counts YAML
    files that are neither cassette nor suite.
    """

    cassettes: list[Path] = field(default_factory=list)
    suites: list[Path] = field(default_factory=list)
    journals: list[Path] = field(default_factory=list)
    media: list[Path] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    skipped: int = 0


def find_files(paths: Sequence[Path]) -> LintFiles:
    """Sort the given paths by kind.

    Raises UsageError for one that does not exist or cannot be read.
    """
    files = LintFiles()
    for path in paths:
        if path.is_dir():
            files.folders.append(path)
            _scan_folder(path, files)
        elif not path.exists():
            raise UsageError(f"{display_path(path)}: no such file or folder{nearest_entry(path)}")
        elif path.name.endswith(SUFFIX):
            files.journals.append(path)
        elif path.suffix in (".yaml", ".yml") and _kind(path) == "suite":
            files.suites.append(path)
        else:
            files.cassettes.append(path)
            journal = path.with_name(path.name + SUFFIX)
            if journal.exists():
                files.journals.append(journal)
    for items in (files.cassettes, files.suites, files.journals, files.media):
        items[:] = sorted(dict.fromkeys(items))
    return files


def find_eval_files(root: Path) -> list[Path]:
    """Return the suites that pytest collects by name alone, ``*.eval.yaml``, in the project."""
    paths = []
    for folder, names, files in os.walk(root):
        names[:] = _entered(names)
        paths += [Path(folder, name) for name in files if name.endswith(".eval.yaml")]
    return sorted(paths)


def _entered(names: Sequence[str]) -> list[str]:
    return sorted(
        name for name in names if not name.startswith(".") and name not in _SKIPPED_FOLDERS
    )


def _scan_folder(root: Path, files: LintFiles) -> None:
    for folder, names, file_names in os.walk(root, onerror=_raise_unreadable):
        here = Path(folder)
        if FOLDER in names:
            files.media.append(here / FOLDER)
        names[:] = _entered(names)
        cassettes_before = len(files.cassettes)
        empty = []
        for name in sorted(file_names):
            path = here / name
            if name.endswith(SUFFIX):
                files.journals.append(path)
            elif name.endswith((".yaml", ".yml")) and not name.startswith("."):
                kind = _kind(path)
                if kind == "cassette":
                    files.cassettes.append(path)
                elif kind == "suite":
                    files.suites.append(path)
                elif kind == "empty":
                    empty.append(path)
                else:
                    files.skipped += 1
        # A crash of another tool leaves empty files. Beside cassettes, an empty file was one.
        if len(files.cassettes) > cassettes_before:
            files.cassettes += empty
        else:
            files.skipped += len(empty)


def _raise_unreadable(error: OSError) -> None:
    raise UsageError(f"{error.filename}: cannot be read: {error.strerror or error}") from error


def _kind(path: Path) -> str:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return "cassette"  # reading it as one reports why it cannot be read
    if not head.strip():
        return "empty"
    if _CASSETTE.search(head):
        return "cassette"
    return "suite" if _SUITE.search(head) else "other"
