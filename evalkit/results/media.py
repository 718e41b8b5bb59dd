"""Media of results: long base64 data, stored once in the run directory, named by its content.

A picture is in the user's message or the answer, in every request that repeats the history, and in
every variant of the scenario. Result lines have ``evalkit-media:sha256:<hex>.<ext>`` in its place,
as cassettes have; the file of that name is in ``media/`` of the run directory.
"""

import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from evalkit._lib.files import irregular, sha256
from evalkit._lib.json import JSON
from evalkit.cassette.files import PREFIX, THRESHOLD, decode_media, write_media

FOLDER = "media"

_LONG_DATA = re.compile(rf'"data":"[A-Za-z0-9+/=]{{{THRESHOLD}}}')


def has_media(line: str) -> bool:
    """Return whether a result line may have long data; one without it need not be searched."""
    return _LONG_DATA.search(line) is not None


def extract_media(
    value: JSON, may_store: Callable[[str], bool], media: dict[str, bytes], names: dict[int, str]
) -> JSON:
    """Return a value with names in place of its long data; ``media`` receives the files.

    ``may_store`` says whether a text may be stored as it is. ``names`` are those of texts by
    their ``id``, because the same text occurs many times.
    """
    if isinstance(value, list):
        items = [extract_media(item, may_store, media, names) for item in value]
        return items if any(map(_differs, items, value)) else value
    if not isinstance(value, dict):
        return value
    copy = {
        key: _named(item, may_store, media, names)
        if key == "data" and isinstance(item, str) and len(item) > THRESHOLD
        else extract_media(item, may_store, media, names)
        for key, item in value.items()
    }
    return copy if any(map(_differs, copy.values(), value.values())) else value


def write_files(directory: Path, media: Mapping[str, bytes]) -> None:
    """Write media files into a run directory. Raises UsageError if they cannot be written."""
    for name, data in media.items():
        write_media(directory / FOLDER / name, data)


def copy_files(source: Path, target: Path) -> None:
    """Copy the media files of one run directory into another. Raises OSError."""
    if (source / FOLDER).is_dir():
        shutil.copytree(source / FOLDER, target / FOLDER, dirs_exist_ok=True, ignore=irregular)


def read_file(directory: Path, name: str) -> bytes | None:
    """Return the content of a media file of a run; None if it is missing or was changed."""
    try:
        data = (directory / FOLDER / name).read_bytes()
    except OSError:
        return None
    return data if sha256(data) == name.partition(".")[0] else None


def _differs(one: JSON, other: JSON) -> bool:
    return one is not other


def _named(
    text: str, may_store: Callable[[str], bool], media: dict[str, bytes], names: dict[int, str]
) -> str:
    if id(text) not in names:
        decoded = decode_media(text) if may_store(text) else None
        names[id(text)] = f"{PREFIX}sha256:{decoded[0]}" if decoded else text
        if decoded:
            media[decoded[0]] = decoded[1]
    return names[id(text)]
