"""A report that is too large for one file: its packs in ``data/`` beside the page, a few megabytes each, read when something in them is opened.

A page from ``file://`` may load scripts and little else, so the files are scripts of one call with base64 in it. Their names carry a digest
of what all of them hold: a page never reads data of another run, and the old page stays whole until the new one has replaced it.
"""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

from evalkit._lib.files import write_atomic
from evalkit.reports.embed import Packs

JSON = dict[str, str | int]

LARGE = 20 << 20
"""Characters of packs above which a report is a folder."""

FILE = 4 << 20
"""Characters of one file, more or less: it is read whole when one of its results is opened."""

_OURS = re.compile(r"[0-9a-f]{12}-\d+\.js")


def write_data(directory: Path, packs: Packs) -> list[JSON]:
    """Write the packs into ``data/`` and return the files as the page's script asks for them: ``name``, and ``first`` pack in it."""
    digest = sha256()
    for _, text in packs.packs():
        digest.update(text.encode())
    folder = directory / "data"
    folder.mkdir(exist_ok=True)
    files: list[JSON] = []
    held: list[str] = []
    size = first = 0

    def close() -> None:
        name = f"{digest.hexdigest()[:12]}-{len(files)}.js"
        texts = ",\n".join(f'"{text}"' for text in held)
        write_atomic(folder / name, f'evalkitPacks("data/{name}", [\n{texts}\n]);\n'.encode())
        files.append({"name": f"data/{name}", "first": first})

    for number, text in packs.packs():
        held.append(text)
        size += len(text)
        if size >= FILE:
            close()
            held, size, first = [], 0, number + 1
    if held:
        close()
    return files


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
