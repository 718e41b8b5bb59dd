"""What ``evalkit diff`` compares: the cassettes of files, folders and git revisions."""

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from evalkit._lib.files import file_errors, read_file
from evalkit._lib.text import quoted
from evalkit.cassette.files import FOLDER
from evalkit.errors import UsageError
from evalkit.signoff import git

_SUFFIXES = (".yaml", ".yml")
_CASSETTE = re.compile(rb'^"?interactions"?:', re.MULTILINE)
_DEFAULT_PATH = "cassettes"


@dataclass(frozen=True, slots=True)
class CassetteFile:
    """A file on one side: ``digest`` is that of git, ``read`` returns the content."""

    digest: str
    read: Callable[[], bytes]

    def content(self) -> bytes | None:
        """Return the content of a cassette, None for another file."""
        data = self.read()
        return data if _CASSETTE.search(data) else None


Side = dict[str, CassetteFile]
"""The files of one side by name."""


def find_sides(arguments: Sequence[str], paths: Sequence[str] | None) -> tuple[Side, Side]:
    """Return the files to compare; ``paths`` are those after ``--``, None without it.

    Raises UsageError.
    """
    words = list(arguments)
    if paths is None:
        revisions = words[: next((n for n, word in enumerate(words) if Path(word).exists()), None)]
        names = words[len(revisions) :]
        if not revisions and len(names) == 2:
            return _two_paths(Path(names[0]), Path(names[1]))
    else:
        revisions, names = words, list(paths)
    if len(revisions) == 1:
        revisions = re.split(r"\.{2,3}(?!/)", revisions[0], maxsplit=1)
    here = Path()
    if not git.is_repository(here):
        wrong = f"{quoted(revisions[0])} does not exist, and this" if revisions else "this"
        raise UsageError(
            f"{wrong} is not a folder of a git repository; name two files or folders: "
            "evalkit diff OLD NEW"
        )
    if len(revisions) > 2:
        raise UsageError(
            f"{quoted(revisions[2])} is one revision too many; at most two can be compared: "
            "evalkit diff OLD NEW -- PATHS"
        )
    old = revisions[0] if revisions and revisions[0] else "HEAD"
    names = names or ([_DEFAULT_PATH] if Path(_DEFAULT_PATH).is_dir() else ["."])
    # As git writes them: from this folder, without a slash at the end.
    names = [Path(os.path.relpath(name)).as_posix() for name in names]
    before = _revision(here, old, names)
    if len(revisions) == 2:
        after = _revision(here, revisions[1] or "HEAD", names)
    else:
        after = {}
        for name in names:
            path = Path(name)
            if path.is_dir():
                after |= {(path / key).as_posix(): one for key, one in _files_of(path).items()}
            elif path.exists():
                after[path.as_posix()] = _on_disk(path)
            elif not any(key == name or key.startswith(f"{name}/") for key in before):
                raise UsageError(
                    f"{quoted(name)}: no such file or folder, here or in {quoted(old)}"
                )
    return before, after


def is_media(name: str) -> bool:
    """Return whether a path is in a folder of media files."""
    return FOLDER in name.split("/")


def _two_paths(old: Path, new: Path) -> tuple[Side, Side]:
    if old.is_dir() != new.is_dir():
        raise UsageError(f"{old} and {new}: one is a file and one a folder; name two of a kind")
    if old.is_dir():
        return _files_of(old), _files_of(new)
    return {str(new): _on_disk(old)}, {str(new): _on_disk(new)}


def _files_of(path: Path) -> Side:
    """Return the files below a folder by their path in it."""
    found = sorted(one for one in path.rglob("*") if one.suffix in _SUFFIXES and one.is_file())
    names = ((one.relative_to(path).as_posix(), one) for one in found)
    return {name: _on_disk(one) for name, one in names if not is_media(name)}


def _on_disk(path: Path) -> CassetteFile:
    with file_errors(path, "cannot be read"):
        data = read_file(path)
    return CassetteFile(_digest(data), lambda: data)


def _revision(folder: Path, ref: str, names: Sequence[str]) -> Side:
    try:
        commit = git.commit_of(folder, ref)
    except UsageError:
        raise UsageError(
            f"{quoted(ref)} is neither a file or folder here nor a git revision; "
            "name what to compare: evalkit diff OLD NEW, or evalkit diff REVISION -- PATHS"
        ) from None
    return dict(_of_tree(folder, git.tree(folder, commit, names)))


def _of_tree(folder: Path, objects: dict[str, str]) -> Iterator[tuple[str, CassetteFile]]:
    for name, digest in objects.items():
        if name.endswith(_SUFFIXES) and not is_media(name):
            yield name, CassetteFile(digest, partial(git.blob, folder, digest))


def _digest(data: bytes) -> str:
    # A repository of SHA-256 has other names, so all its files are read.
    head = b"blob %d\0" % len(data)
    return hashlib.sha1(head + data, usedforsecurity=False).hexdigest()
