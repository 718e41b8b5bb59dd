"""Media of results: long base64 data, stored once in the run directory, named by its content.

A picture is in the user's message or the answer, in every request that repeats the history, and in
every variant of the scenario. Result lines have ``evalkit-media:sha256:<hex>.<ext>`` in its place,
as cassettes have; the file of that name is in ``media/`` of the run directory.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from evalkit._lib.files import sha256
from evalkit._lib.json import JSON
from evalkit.cassette.files import PREFIX, THRESHOLD, decode_media, write_media
from evalkit.transcript import Transcript

FOLDER = "media"


def has_media(transcript: Transcript | None) -> bool:
    """Return whether a transcript may have long data; a result without it need not be searched."""
    if transcript is None:
        return False
    exchanges = (*transcript.exchanges, *transcript.judge_exchanges)
    return any(
        exchange.response is not None and len(exchange.response.text) > THRESHOLD
        for exchange in exchanges
    ) or any(
        next(_long_data(value), None) is not None
        for turn in transcript.turns
        for value in (turn.user, *(step.raw for step in turn.steps if step.origin == "client"))
    )


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
        shutil.copytree(source / FOLDER, target / FOLDER, dirs_exist_ok=True)


def read_file(directory: Path, name: str) -> bytes | None:
    """Return the content of a media file of a run; None if it is missing or was changed."""
    try:
        data = (directory / FOLDER / name).read_bytes()
    except OSError:
        return None
    return data if sha256(data) == name.partition(".")[0] else None


def _long_data(value: JSON) -> Iterator[str]:
    if isinstance(value, dict):
        data = value.get("data")
        if isinstance(data, str) and len(data) > THRESHOLD:
            yield data
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _long_data(item)


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
