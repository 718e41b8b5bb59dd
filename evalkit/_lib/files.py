"""Atomic writes of files and folders, file locks, and paths in messages.

A reader never sees a half-written file: content goes into a temporary file or folder beside the
target, is synced, and is renamed. All functions raise OSError unless they say otherwise.
"""

import errno
import hashlib
import os
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

from evalkit._lib.limits import exceeded, limits
from evalkit._lib.text import nearest
from evalkit.errors import UsageError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_CHUNK = 16 * 1024
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"

FILE_ERRORS = (OSError, UnicodeError)
"""What opening and reading a file raises; the second where the system's encoding cannot spell its
name, or where a text is not UTF-8."""


def read_file(path: Path) -> bytes:
    """Read a regular file (``open_regular``) that is within the limit ``cassette``.

    Raises OSError also for a Git LFS pointer, which is in the place of a file that was not fetched.
    """
    handle = open_regular(path)
    try:
        size, limit = os.fstat(handle).st_size, limits().cassette
        data = b""
        # A file object takes twice the time, and a replay reads a small file for each variant. A
        # file without a size may be a special one, which has a content all the same.
        while max(size, len(data)) <= limit and (chunk := os.read(handle, max(size, _CHUNK))):
            data += chunk
        if max(size, len(data)) > limit:
            raise OSError(errno.EFBIG, exceeded("cassette", "the file is too large"))
        if data.startswith(_LFS_POINTER):
            raise OSError(errno.EINVAL, "a Git LFS pointer, not the file itself; run git lfs pull")
        return data
    finally:
        os.close(handle)


def open_regular(path: Path) -> int:
    """Open a file for reading and return its handle.

    Raises OSError also for a folder, and for a pipe or a device, which may never end.
    """
    # Without a block on a pipe that nobody writes to; ``open`` would wait for ever.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    mode = os.fstat(handle).st_mode
    if stat.S_ISREG(mode):
        return handle
    os.close(handle)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    raise OSError(errno.EINVAL, "not a regular file")


def irregular(folder: str, names: Iterable[str]) -> list[str]:
    """Return the names in a folder that are neither a file nor a folder, such as a pipe."""
    paths = (Path(folder, name) for name in names)
    return [path.name for path in paths if not (path.is_file() or path.is_dir())]


def write_atomic(path: Path, data: str | bytes) -> None:
    """Write a whole file or nothing, and wait until it is on the disk."""
    with atomic_writer(path) as file:
        file.write(_to_bytes(data))


@contextmanager
def atomic_writer(path: Path) -> Iterator[BinaryIO]:
    """Yield a file that becomes ``path`` when the block ends without an exception."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, f"{path.name} is a folder")
    with _temporary_file(path) as (file, temporary):
        yield file
        _sync(file)
        if path.exists():
            temporary.chmod(path.stat().st_mode & 0o777)
        temporary.replace(path)
    sync_folder(path.parent)


def write_new(path: Path, data: bytes) -> None:
    """Write a whole file that does not exist yet, or nothing. Raises FileExistsError."""
    with _temporary_file(path) as (file, temporary):
        file.write(data)
        _sync(file)
        # Unlike a rename, a link never replaces an existing file.
        os.link(temporary, path)
    sync_folder(path.parent)


@contextmanager
def atomic_folder(path: Path, keep: Callable[[str], bool]) -> Iterator[Path]:
    """Yield an empty folder that replaces ``path`` when the block ends without an exception.

    Entries of the existing folder are copied into the new one if ``keep`` accepts their names and
    the new folder has no entry of that name. A killed process leaves at most a hidden folder
    beside ``path``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_path(path)
    new, old = temporary / path.name, temporary / ".before"

    def ignored(folder: str, names: list[str]) -> list[str]:
        is_top = Path(folder) == path
        return [name for name in names if is_top and ((new / name).exists() or not keep(name))]

    try:
        new.mkdir(parents=True)
        yield new
        if path.exists():
            shutil.copytree(path, new, symlinks=True, ignore=ignored, dirs_exist_ok=True)
            # Python has no call that swaps two folders: between the two renames ``path`` is
            # missing, but it is never half complete.
            path.rename(old)
            try:
                new.rename(path)
            except OSError:
                old.rename(path)
                raise
        else:
            new.rename(path)
        sync_folder(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` durable where the system supports it. Never raises."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def try_lock(handle: int) -> bool:
    """Lock an open file for this process without waiting; return False if another one locked it.

    The system releases the lock when the file is closed. On a file system without locks this
    returns True and locks nothing.
    """
    try:
        if sys.platform == "win32":
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True
    return True


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Let one process at a time run the block for an existing file; the others wait."""
    with path.open("rb") as file:
        # Windows locks bytes, and nobody reads those beyond the end.
        os.lseek(file.fileno(), 1 << 30, os.SEEK_SET)
        while not try_lock(file.fileno()):
            time.sleep(0.02)
        yield


@contextmanager
def file_errors(path: Path, failure: str, advice: str = "") -> Iterator[None]:
    """Report a file error of the block as a UsageError, such as ``<path>: cannot be read (…)``."""
    try:
        yield
    except FILE_ERRORS as error:
        raise UsageError(f"{display_path(path)}: {failure} ({reason_of(error)}){advice}") from error


def check_folder(path: Path, advice: str) -> None:
    """Raise UsageError if no file can be written in a folder, which need not exist yet."""
    with file_errors(path, "cannot be written", advice):
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        path.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=path):
            pass
    for folder in missing:
        with suppress(OSError):
            folder.rmdir()


def reason_of(error: Exception) -> str:
    """Return why a file cannot be used; ``error`` is one of ``FILE_ERRORS``."""
    if isinstance(error, UnicodeEncodeError):
        return f"file names of this system are {error.encoding}; set PYTHONUTF8=1"
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8: {error.reason}"
    return getattr(error, "strerror", None) or str(error)


def nearest_entry(path: Path) -> str:
    """Return ``" (did you mean 'x'?)"`` with an existing path like a missing one, or ``""``."""
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return ""
    name = nearest(path.name, names)
    # A file that exists has another fault.
    return f" (did you mean '{path.with_name(name)}'?)" if name and name != path.name else ""


def display_path(path: Path) -> str:
    """Return a path for messages: relative to the current folder if it is inside it."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def is_inside(root: Path, path: Path) -> bool:
    """Return whether ``path``, with links followed, is under ``root``."""
    return path.resolve().is_relative_to(root.resolve())


def linked_roots(root: Path, file: Path) -> list[Path]:
    """Return ``root``, and the other roots under which the links of a file have the same path.

    Build systems lay out a test's files as a tree of links, in which ``suites/a.yaml`` leads to
    ``suites/a.yaml`` of another tree, often by way of a third one.
    """
    roots, path = [root], file.absolute()
    try:
        tail = path.relative_to(root.absolute()).parts
    except ValueError:
        return roots
    targets = []
    while path.is_symlink():
        path = Path(os.path.normpath(path.parent / path.readlink()))
        targets.append(path)
    for target in (*targets, path.resolve()):
        if target.parts[-len(tail) :] == tail and Path(*target.parts[: -len(tail)]) not in roots:
            roots.append(Path(*target.parts[: -len(tail)]))
    return roots


def sha256(data: str | bytes) -> str:
    """Return the hexadecimal SHA-256 of bytes, or of text as UTF-8."""
    return hashlib.sha256(_to_bytes(data)).hexdigest()


def _to_bytes(data: str | bytes) -> bytes:
    return data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data


def _temporary_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.urandom(8).hex()}.tmp")


@contextmanager
def _temporary_file(path: Path) -> Iterator[tuple[BinaryIO, Path]]:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_path(path)
    try:
        # The tempfile module would make the file private; this one gets the user's usual mode.
        with temporary.open("xb") as file:
            yield file, temporary
    finally:
        temporary.unlink(missing_ok=True)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
