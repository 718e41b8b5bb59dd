"""Read files from git, which the verified change cannot rewrite.

Trust must not come from the change that is verified. The allowed signers, the policy and the
existing records are therefore read from a ref such as ``origin/main``. Nothing is fetched.
"""

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from evalkit._lib.text import quoted, shorten
from evalkit.errors import UsageError


def file_at(folder: Path, ref: str, name: str) -> bytes | None:
    """Return a file of a ref, named from a folder of the work tree.

    None if the ref has none. Raises UsageError if there is no such ref.
    """
    done = _git(folder, "cat-file", "blob", f"{commit_of(folder, ref)}:./{name}")
    return done.stdout if done.returncode == 0 else None


def unpack_tree(folder: Path, ref: str, target: Path, leave_out: Iterable[str]) -> str:
    """Write the files of a ref below a folder of the work tree into ``target``.

    Folders of the names ``leave_out`` are not written. Returns the commit. Raises UsageError if
    there is no such ref, or git cannot read it.
    """
    commit = commit_of(folder, ref)
    without = [f":(exclude,glob)**/{name}/**" for name in leave_out]
    data = _read(folder, "archive", "--format=tar", commit, "--", ".", *without)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        # Links and devices of a repository must not lead out of the folder.
        archive.extractall(target, filter="data")
    return commit


def files_at(folder: Path, ref: str, subfolder: str) -> dict[str, bytes]:
    """Return the files of a ref in a subfolder, by name.

    Raises UsageError if there is no such ref.
    """
    done = _git(folder, "ls-tree", "-z", "--name-only", commit_of(folder, ref), f"{subfolder}/")
    paths = done.stdout.decode("utf-8", "surrogateescape").split("\0")
    names = [Path(path).name for path in paths if path]
    files = {name: file_at(folder, ref, f"{subfolder}/{name}") for name in names}
    return {name: data for name, data in files.items() if data is not None}


def changes_since(folder: Path, ref: str) -> str:
    """Return as JSON how the work tree of a folder differs from a ref.

    ``top`` is the work tree's folder, ``commit`` the ref's; ``known`` are the files of the ref and
    ``changed`` those that differ, also files that git does not track, by their paths from ``top``.
    Raises UsageError: no work tree, no such ref.
    """
    done = _git(folder, "rev-parse", "--show-toplevel")
    if done.returncode:
        reason = shorten(done.stderr.decode("utf-8", "replace"), 200)
        raise UsageError(f"{folder}: is not in a git work tree ({reason}); run without the option")
    top = Path(os.fsdecode(done.stdout.rstrip(b"\n")))
    commit = commit_of(folder, ref)
    diff = ("diff", "--name-only", "-z", "--no-renames", "--no-relative", "--no-ext-diff")
    commands = [
        ("known", ("ls-tree", "-r", "-z", "--name-only", "--full-tree", commit)),
        ("changed", (*diff, "--ignore-submodules=none", commit, "--")),
        ("changed", ("ls-files", "-z", "--others", "--exclude-standard")),
    ]
    names: dict[str, list[str]] = {"known": [], "changed": []}
    for key, command in commands:
        entries = os.fsdecode(_read(top, *command)).split("\0")
        # A repository in a folder that git does not track ends with a slash.
        names[key] += (name.rstrip("/") for name in entries if name)
    return json.dumps({"top": str(top.resolve()), "commit": commit, **names})


def tree(folder: Path, commit: str, paths: Sequence[str]) -> dict[str, str]:
    """Return the object of each file of a commit below paths of a folder, by path from the folder.

    Raises UsageError if a path is outside the work tree.
    """
    entries = os.fsdecode(_read(folder, "ls-tree", "-r", "-z", commit, "--", *paths)).split("\0")
    pairs = (entry.split("\t", 1) for entry in entries if entry)
    return {path: head.split(" ")[2] for head, path in pairs}


def blob(folder: Path, name: str) -> bytes:
    """Return the content of an object. Raises UsageError if this clone does not have it."""
    return _read(folder, "cat-file", "blob", name)


def output(folder: Path, *arguments: str) -> str:
    """Return the output of a git command in a folder; empty without git, or if it fails."""
    return _git(folder, *arguments).stdout.decode("utf-8", "replace")


class Commit(NamedTuple):
    """A commit: the beginning of its digest, and when it was made."""

    name: str
    time: datetime


def last_commit(root: Path, names: Iterable[str]) -> Commit | None:
    """Return the newest commit that changed one of some files; None without any."""
    log = _git(root, "log", "-1", "--format=%h %cI", "--", *names)
    name, _, time = log.stdout.decode("utf-8", "replace").strip().partition(" ")
    return Commit(name, datetime.fromisoformat(time)) if log.returncode == 0 and time else None


def uncommitted(root: Path, names: Iterable[str]) -> list[str]:
    """Return which of some files have changes that are not committed, from the work tree's top."""
    status = _git(root, "status", "--porcelain", "-z", "--no-renames", "--", *names)
    entries = status.stdout.decode("utf-8", "surrogateescape").split("\0")
    return [entry[3:] for entry in entries if entry]


def config_value(folder: Path, key: str) -> str:
    """Return a value of git's configuration in a folder; empty without git or the key."""
    return output(folder, "config", "--get", key).strip()


def is_repository(folder: Path) -> bool:
    """Return whether a folder is in a work tree."""
    if not folder.is_dir():
        return False
    return _git(folder, "rev-parse", "--is-inside-work-tree").stdout.strip() == b"true"


def commit_of(folder: Path, ref: str) -> str:
    """Return the commit of a ref. Raises UsageError if there is none."""
    done = _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    if done.returncode:
        message = shorten(done.stderr.decode("utf-8", "replace"), 120)
        shallow = _git(folder, "rev-parse", "--is-shallow-repository").stdout.strip() == b"true"
        message = message or "this clone is shallow" * shallow
        reason = f" ({message})" if message else ""
        raise UsageError(
            f"{folder}: git has no ref {quoted(ref)}{reason}; fetch it first, or name another"
        )
    return done.stdout.decode().strip()


def _read(folder: Path, *arguments: str) -> bytes:
    """Return the output of a git command. Raises UsageError if it fails."""
    done = _git(folder, *arguments)
    if done.returncode:
        reason = shorten(done.stderr.decode("utf-8", "replace"), 200)
        raise UsageError(f"{folder}: git {arguments[0]} failed ({reason}); see 'git status'")
    return done.stdout


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = ["git", "-C", str(folder), *arguments]
    try:
        return subprocess.run(  # noqa: S603 - no shell
            command, capture_output=True, check=False, stdin=subprocess.DEVNULL
        )
    except OSError:
        return subprocess.CompletedProcess(command, 127, b"", b"git is not installed")
