"""Which files are to be judged: what of the paths given is a cassette, a suite, a journal, a folder of media.

A file that is named is taken for a cassette unless it is a suite. In a folder, YAML files are looked at first: the line ``interactions:`` makes
a cassette, ``suite:`` a suite, and anything else is passed over and counted. Hidden folders are not entered.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evalkit._lib.files import display_path
from evalkit.cassette.journal import SUFFIX
from evalkit.cassette.media import FOLDER
from evalkit.errors import UsageError

_HEAD = 64 * 1024
_SKIPPED = frozenset((FOLDER, "node_modules", "__pycache__", "venv"))
_CASSETTE = re.compile(
    rb"^[\"']?interactions[\"']?\s*:|\A\s*- request:|^metadata:\s*\n  [\"']?(?:format|evalkit|recorded)\b",
    re.MULTILINE,
)
_SUITE = re.compile(rb"^suite\s*:", re.MULTILINE)


@dataclass(slots=True)
class Files:
    """What there is to judge, each list sorted and without doubles. ``folders`` are the folders given, ``passed`` counts YAML that is neither."""

    cassettes: list[Path] = field(default_factory=list)
    suites: list[Path] = field(default_factory=list)
    journals: list[Path] = field(default_factory=list)
    media: list[Path] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    passed: int = 0


def find(paths: Sequence[Path]) -> Files:
    """Sort out the paths given. Raises UsageError for one that does not exist or cannot be read."""
    found = Files()
    for path in paths:
        if path.is_dir():
            found.folders.append(path)
            _enter(path, found)
        elif not path.exists():
            raise UsageError(f"{display_path(path)}: no such file or folder")
        elif path.name.endswith(SUFFIX):
            found.journals.append(path)
        elif path.suffix in (".yaml", ".yml") and _kind(path) == "suite":
            found.suites.append(path)
        else:
            found.cassettes.append(path)
            _journal_of(path, found)
    for held in (found.cassettes, found.suites, found.journals, found.media):
        held[:] = sorted(dict.fromkeys(held))
    return found


def eval_files(root: Path) -> list[Path]:
    """Return the suites that pytest finds by their name alone, ``*.eval.yaml``, anywhere in the project."""
    found = []
    for place, names, files in os.walk(root):
        names[:] = [name for name in names if not name.startswith(".") and name not in _SKIPPED]
        found += [Path(place, name) for name in files if name.endswith(".eval.yaml")]
    return sorted(found)


def _enter(folder: Path, found: Files) -> None:
    for place, names, files in os.walk(folder, onerror=_unreadable):
        here = Path(place)
        if FOLDER in names:
            found.media.append(here / FOLDER)
        names[:] = sorted(
            name for name in names if not name.startswith(".") and name not in _SKIPPED
        )
        known = len(found.cassettes)
        empty = []
        for name in sorted(files):
            path = here / name
            if name.endswith(SUFFIX):
                found.journals.append(path)
            elif name.endswith((".yaml", ".yml")) and not name.startswith("."):
                kind = _kind(path)
                if kind == "cassette":
                    found.cassettes.append(path)
                elif kind == "suite":
                    found.suites.append(path)
                elif kind == "empty":
                    empty.append(path)
                else:
                    found.passed += 1
        # A crash of another tool leaves empty files; beside cassettes, an empty file was one.
        if len(found.cassettes) > known:
            found.cassettes += empty
        else:
            found.passed += len(empty)


def _unreadable(error: OSError) -> None:
    raise UsageError(f"{error.filename}: cannot be read: {error.strerror or error}") from error


def _kind(path: Path) -> str:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        _unreadable(error)
    if not head.strip():
        return "empty"
    return "cassette" if _CASSETTE.search(head) else "suite" if _SUITE.search(head) else "other"


def _journal_of(path: Path, found: Files) -> None:
    journal = path.with_name(path.name + SUFFIX)
    if journal.exists():
        found.journals.append(journal)
