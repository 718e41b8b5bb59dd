"""Reading a cassette from the disk. What only the cassettes of other hands or of media need is imported when one of them is met.

A cassette that cannot be read is an error in every mode: it is never taken for missing and never written over.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from evalkit._lib.files import display_path
from evalkit.cassette import fast_reader
from evalkit.cassette.recording import MEDIA_FOLDER, MEDIA_PREFIX, Cassette
from evalkit.errors import CassetteError


def media_folder(cassette: Path) -> Path:
    """Return where the media of a cassette lie: ``_media`` in the folder of cassettes, which is two above ``<suite>/<name>.yaml``."""
    return cassette.parent.parent / MEDIA_FOLDER


def load_cassette(
    path: Path | str,
    media: Path | None = None,
    *,
    lost: Callable[[int, CassetteError], None] | None = None,
) -> Cassette | None:
    """Read a cassette, media in place and bodies uncompressed; None if there is no such file.

    Raises CassetteError (``file:line``): unreadable, not UTF-8, anything :func:`evalkit.cassette.yaml_reader.read` refuses, media missing or
    altered. With ``lost``, it is told of missing and altered media instead, with the recording's number (from 0), which stays as it is.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CassetteError(
            f"{display_path(Path(path))}:1 cannot be read: {error.strerror or error}"
        ) from error
    cassette = fast_reader.read_rendered(data)
    if cassette is None:
        from evalkit.cassette import yaml_reader

        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            raise CassetteError(
                f"{display_path(Path(path))}:{_line_at(data, error.start)} not UTF-8: {error.reason}"
            ) from None
        cassette = yaml_reader.read_yaml(text, display_path(Path(path)))
        _open_bodies(cassette, Path(path))
    if MEDIA_PREFIX.encode() in data:
        _bring_media_back(cassette, media or media_folder(Path(path)), Path(path), lost)
    return cassette


def line_of(path: Path, number: int) -> int | None:
    """Return the line on which a recording (from 0) of a cassette starts, None where that cannot be told."""
    from evalkit._lib import yaml

    try:
        return yaml.locate(path.read_text("utf-8"))["interactions", number].line
    except (OSError, ValueError, KeyError):
        return None


def _line_at(data: bytes, index: int) -> int:
    return data.count(b"\n", 0, index) + 1


def _open_bodies(cassette: Cassette, path: Path) -> None:
    from evalkit.cassette import bodies

    for number, recording in enumerate(cassette.recordings):
        if not any(name.lower() == "content-encoding" for name in recording.response_headers):
            continue
        try:
            recording.body = bodies.decompress_body(recording.body, recording.response_headers)
        except ValueError as error:
            raise CassetteError(
                f"{display_path(path)}:{line_of(path, number) or 1} recording {number + 1}: {error}"
            ) from None
        dropped = ("content-encoding", "content-length", "transfer-encoding")
        recording.response_headers = {
            name: values
            for name, values in recording.response_headers.items()
            if name.lower() not in dropped
        }


def _bring_media_back(
    cassette: Cassette, folder: Path, path: Path, lost: Callable[[int, CassetteError], None] | None
) -> None:
    from evalkit.cassette.media import MediaFolder

    media = MediaFolder(folder)
    for number, recording in enumerate(cassette.recordings):
        try:
            cassette.recordings[number] = media.bring_back(recording)
        except CassetteError as error:
            if lost is not None:
                lost(number, error)
                continue
            raise CassetteError(
                f"{display_path(path)}:{line_of(path, number) or 1} recording {number + 1}: {error}"
            ) from None
