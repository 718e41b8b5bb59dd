"""A report that is too large for one file: packs and media in ``data/`` beside the page, a few megabytes a file, read when something in it is opened.

A page from ``file://`` may load scripts and little else, so the files are scripts of one call with base64 in it. Their names carry a digest
of what they were made from: a page never reads data of another run, and the old page stays whole until the new one has replaced it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from evalkit._lib.files import sha256, write_atomic
from evalkit._lib.json import JSON
from evalkit._lib.version import VERSION
from evalkit.reports.page.embedded_data import Packs
from evalkit.reports.page.media import MediaBook

Key = TypeVar("Key")

FILE = 4 << 20
"""Characters of one file, more or less: it is read whole when one of its results is opened."""

_OURS = re.compile(r"[0-9a-f]{12}-\d+\.js")


def write_data(directory: Path, packs: Packs, book: MediaBook, results: str) -> list[JSON]:
    """Write packs, and media that the page does not show itself, into ``data/``; return the files as the page's script asks for them.

    ``results`` is the digest of what all of it was made from: two builds of zlib deflate the same lines to other bytes under the same names.
    A file has its ``name``, and the number of the ``first`` pack in it or the digests of its ``media``.
    """
    digest = sha256(f"{VERSION} {results}")
    folder = directory / "data"
    folder.mkdir(exist_ok=True)
    files: list[JSON] = []

    def write(texts: Sequence[str], **told: Any) -> None:
        name = f"{digest[:12]}-{len(files)}.js"
        held = ",\n".join(f'"{text}"' for text in texts)
        write_atomic(folder / name, f'evalkitPacks("data/{name}", [\n{held}\n]);\n'.encode())
        files.append({"name": f"data/{name}", **told})

    for group in _files(packs.packs()):
        write([text for _, text in group], first=group[0][0])
    for shown in _files(book.unshown()):
        write([data for _, data in shown], media=[name for name, _ in shown])
    return files


def _files(texts: Iterable[tuple[Key, str]]) -> Iterator[list[tuple[Key, str]]]:
    """Yield texts with their keys, as many together as a file takes."""
    group: list[tuple[Key, str]] = []
    size = 0
    for key, text in texts:
        group.append((key, text))
        size += len(text)
        if size >= FILE:
            yield group
            group, size = [], 0
    if group:
        yield group


def drop_stale(directory: Path, files: list[JSON]) -> None:
    """Remove data of earlier reports; only files named as :func:`write_data` names them."""
    folder = directory / "data"
    if not folder.is_dir():
        return
    wanted = {str(file["name"]).removeprefix("data/") for file in files}
    for path in folder.iterdir():
        if _OURS.fullmatch(path.name) and path.name not in wanted:
            path.unlink()
    if not any(folder.iterdir()):
        folder.rmdir()
