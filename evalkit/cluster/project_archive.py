"""The files of a project that its conversations need, as one archive for other machines.

Those are the suites, the files that they name, the media of cassettes among them, and snapshots.
Where a suite names Python code, all Python files of the project are added, but no installed ones.
"""

import os
import re
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

from evalkit._lib.files import display_path, file_errors, read_file
from evalkit.cassette.files import media_folder
from evalkit.errors import UsageError
from evalkit.results.bar import snapshot_files
from evalkit.suite import Suite
from evalkit.suite.model.project_files import label

_NAMES_CODE = re.compile(r"\b(?:python|target)\b")
_MEDIA = re.compile(rb"evalkit-media:sha256:([0-9a-f]{64}\.[a-z0-9]{1,8})")
_NOT_OURS = frozenset({"site-packages", "dist-packages", "node_modules", "__pycache__"})


def pack(root: Path, suites: Iterable[Suite], *, with_code: bool = False) -> bytes:
    """Return the archive. Raises UsageError for a file outside the project, or unreadable."""
    paths: dict[Path, None] = {}
    for suite in suites:
        own = [suite.path, *(path for _, path in suite.used_files)]
        own += snapshot_files(suite.path, suite.name)
        for path in own:
            paths[path] = None
            if path.suffix in (".yaml", ".yml"):
                data = _read(path)
                paths.update(dict.fromkeys(media_files(data, path)))
                with_code = (
                    with_code or _NAMES_CODE.search(data.decode("utf-8", "replace")) is not None
                )
    if with_code:
        paths.update(dict.fromkeys(_code(root)))
    archive = BytesIO()
    with ZipFile(archive, "w", ZIP_DEFLATED) as file:
        for path in paths:
            name = label(path, root)
            if Path(name).is_absolute():
                raise UsageError(
                    f"{display_path(path)}: outside the project {root}, so it cannot be sent to a "
                    "cluster; move it there, or run pytest with --rootdir"
                )
            file.writestr(name, _read(path))
    return archive.getvalue()


def media_files(cassette: bytes, path: Path) -> list[Path]:
    """Return the media files that a cassette, or its journal, names and that exist."""
    names = {match.decode() for match in _MEDIA.findall(cassette)}
    found = (media_folder(path) / name for name in sorted(names))
    return [file for file in found if file.is_file()]


def _code(root: Path) -> Iterator[Path]:
    for directory, folders, files in os.walk(root):
        folders[:] = sorted(
            name
            for name in folders
            if name not in _NOT_OURS
            and not name.startswith(".")
            and not Path(directory, name, "pyvenv.cfg").exists()
        )
        yield from (Path(directory, name) for name in sorted(files) if name.endswith(".py"))


def _read(path: Path) -> bytes:
    with file_errors(path, "cannot be read"):
        return read_file(path)
