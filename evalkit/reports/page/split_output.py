"""The data of a large report in files: packs and media in ``data/`` beside the page.

A page from ``file://`` may load scripts and little else, so each file is a script with one call and
base64 in it, read when something in it is opened. Its name contains a digest of the results: a page
never reads data of another run, and the old page stays usable until the new one replaces it.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from evalkit._lib.files import sha256, write_atomic
from evalkit._lib.json import JSON
from evalkit._lib.version import VERSION
from evalkit.reports.page.embedded_data import ResultPacks
from evalkit.reports.page.media import MediaStore

Key = TypeVar("Key")

FILE = 4 << 20
"""Approximate characters of one file."""

_OWN_NAME = re.compile(r"[0-9a-f]{12}-\d+\.js")


def write_data(
    directory: Path, packs: ResultPacks, media: MediaStore, results_digest: str
) -> list[dict[str, JSON]]:
    """Write packs and media into ``data/``; return the files as the page's script expects them.

    A file has its ``name``, and the number of its ``first`` pack or the digests of its ``media``.
    """
    digest = sha256(f"{VERSION} {results_digest}")[:12]
    (directory / "data").mkdir(exist_ok=True)
    files: list[dict[str, JSON]] = []

    def write(texts: Sequence[str], content: dict[str, JSON]) -> None:
        name = f"data/{digest}-{len(files)}.js"
        lines = ",\n".join(f'"{text}"' for text in texts)
        write_atomic(directory / name, f'evalkitPacks("{name}", [\n{lines}\n]);\n'.encode())
        files.append({"name": name, **content})

    for pack_group in _groups(packs.items()):
        write([text for _, text in pack_group], {"first": pack_group[0][0]})
    for media_group in _groups(media.items()):
        write([data for _, data in media_group], {"media": [name for name, _ in media_group]})
    return files


def _groups(texts: Iterable[tuple[Key, str]]) -> Iterator[list[tuple[Key, str]]]:
    """Yield texts with their keys, as many together as fit into a file."""
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


def remove_stale_data(directory: Path, files: Sequence[dict[str, JSON]]) -> None:
    """Remove data files of earlier reports; other files stay."""
    folder = directory / "data"
    if not folder.is_dir():
        return
    names = {file["name"] for file in files}
    for path in folder.iterdir():
        if _OWN_NAME.fullmatch(path.name) and f"data/{path.name}" not in names:
            path.unlink()
    if not any(folder.iterdir()):
        folder.rmdir()
