"""Files that are never half written, and paths that never leave their root."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_BINARY = getattr(os, "O_BINARY", 0)
_AT_ONCE = 1 << 16


def read_whole(path: Path | str) -> bytes:
    """Return a file's bytes: of a small file in less time than a file object takes. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | _BINARY)
    try:
        data = os.read(handle, _AT_ONCE)
        if not (more := os.read(handle, _AT_ONCE)):
            return data
        pieces = [data]
        while more:
            pieces.append(more)
            more = os.read(handle, _AT_ONCE)
        return b"".join(pieces)
    finally:
        os.close(handle)


def write_atomic(path: Path, data: str | bytes, *, durable: bool = True) -> None:
    """Write a whole file or nothing: temporary file beside it, fsync, rename, fsync of the folder. Raises OSError.

    With ``durable`` false nothing waits for the disk: for what can be made again, whose reader notices when a power failure left half of it.
    """
    with atomic_writer(path, durable=durable) as file:
        file.write(data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data)


@contextmanager
def atomic_writer(path: Path, *, durable: bool = True) -> Iterator[BinaryIO]:
    """Like :func:`write_atomic` for what is written piece by piece: the file appears, whole, when the block ends without an exception."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.urandom(8).hex()}.tmp")
    # Opened by hand, not by tempfile: the system then gives the file the mode any new file of this user has.
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        if path.exists():
            temporary.chmod(path.stat().st_mode & 0o777)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def write_new(path: Path, data: bytes) -> None:
    """Write a whole file that is not there yet, or nothing; nobody ever sees half of it. Raises FileExistsError, OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.urandom(8).hex()}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # Unlike a rename, a link never takes the place of what is there.
        os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` durable, where the system can."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)


def try_lock(handle: int) -> bool:
    """Lock an open file for this process alone, without waiting; False where it is locked. The system lets go when the file is closed.

    Where the file system knows no locks, nothing is locked and the answer is True.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True
    return True


def display_path(path: Path) -> str:
    """Return a path as messages show it: from the current folder where it lies inside."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def is_inside(root: Path, path: Path) -> bool:
    """Say whether ``path``, links followed, lies under ``root``."""
    return path.resolve().is_relative_to(root.resolve())


def sha256(data: str | bytes) -> str:
    """Return the hex SHA-256 of bytes, or of text as UTF-8."""
    return hashlib.sha256(
        data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    ).hexdigest()
