"""What was made of a file, kept where Python keeps compiled modules, by Python's own rules.

In ``__pycache__`` beside the file; elsewhere with ``PYTHONPYCACHEPREFIX``; not at all with ``PYTHONDONTWRITEBYTECODE`` or in a folder that
cannot be written. It may be deleted at any time: what is missing is made again. Whether what was kept is still true of
the file is its reader's to know.
"""

from __future__ import annotations

import sys
from importlib.util import cache_from_source
from pathlib import Path

from evalkit._lib.files import write_atomic


def place_of(source: Path, kind: str) -> Path:
    """Return where what was made of a file is kept; ``kind`` tells apart who made it, in letters and digits."""
    return Path(cache_from_source(source, optimization=kind)).with_name(f"{source.name}.{kind}")


def read(place: Path) -> bytes | None:
    """Return what is kept, None where nothing is."""
    try:
        return place.read_bytes()
    except OSError:
        return None


def write(place: Path, data: bytes) -> None:
    """Keep something, where Python would; like Python, without waiting for the disk."""
    if sys.dont_write_bytecode:
        return
    try:
        write_atomic(place, data, durable=False)
    except OSError:
        return
