"""What git knows that the change under review cannot rewrite: files of a named ref, and who changed what last. One border to ``git``.

TrustSettings must not come from the change that is judged: the allowed signers, the policy and the records already there are read from a ref such as
``origin/main``. Nothing is fetched; git's own settings decide what a ref is.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

from evalkit._lib.text import quoted, shorten
from evalkit.errors import UsageError


def file_at(folder: Path, ref: str, name: str) -> bytes | None:
    """Return a file of a ref, named from a folder of the work tree; None where the ref has none. Raises UsageError: no such ref."""
    commit = _commit(folder, ref)
    done = _git(folder, "cat-file", "blob", f"{commit}:./{name}")
    return done.stdout if done.returncode == 0 else None


def files_at(folder: Path, ref: str, below: str) -> dict[str, bytes]:
    """Return the files of a ref below a folder of a folder of the work tree, by name there. Raises UsageError: no such ref."""
    commit = _commit(folder, ref)
    done = _git(folder, "ls-tree", "-z", "--name-only", commit, f"{below}/")
    names = (
        [
            Path(name).name
            for name in done.stdout.decode("utf-8", "surrogateescape").split("\0")
            if name
        ]
        if not done.returncode
        else []
    )
    found = {name: file_at(folder, ref, f"{below}/{name}") for name in names}
    return {name: data for name, data in found.items() if data is not None}


def authors_of(root: Path, names: Iterable[str]) -> frozenset[str]:
    """Return the addresses of who changed files last: of the newest commit that touched one, and of who has changes uncommitted.

    Empty where there is no git, no repository or no such commit. Addresses are what commits say; git proves none of them.
    """
    folders = sorted({name.rpartition("/")[0] or "." for name in names})
    if not folders:
        return frozenset()
    last = _git(root, "log", "-1", "--format=%ae", "--", *folders)
    if last.returncode:
        return frozenset()
    found = {last.stdout.decode("utf-8", "replace").strip()}
    if _git(root, "status", "--porcelain", "--", *folders).stdout.strip():
        found.add(_git(root, "config", "user.email").stdout.decode("utf-8", "replace").strip())
    return frozenset(found - {""})


def is_repository(folder: Path) -> bool:
    """Say whether a folder lies in a work tree."""
    return (
        folder.is_dir()
        and _git(folder, "rev-parse", "--is-inside-work-tree").stdout.strip() == b"true"
    )


def _commit(folder: Path, ref: str) -> str:
    done = _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    if done.returncode:
        said = shorten(done.stderr.decode("utf-8", "replace"), 120)
        raise UsageError(
            f"git knows no ref {quoted(ref)} in {folder}{f' ({said})' if said else ''}; fetch it first, or name another"
        )
    return done.stdout.decode().strip()


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = ["git", "-C", str(folder), *arguments]
    try:
        return subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL)  # noqa: S603 - no shell
    except OSError:
        return subprocess.CompletedProcess(command, 127, b"", b"git is not there")
