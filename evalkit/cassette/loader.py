"""Loads a cassette file with its media.

A cassette that cannot be read is an error in every mode: it is never treated as missing and never
overwritten.
"""

from collections.abc import Callable
from pathlib import Path

from evalkit._lib import yaml
from evalkit._lib.files import display_path
from evalkit.cassette.bodies import decompress_body
from evalkit.cassette.fast_reader import read_rendered
from evalkit.cassette.media import FOLDER, PREFIX, MediaFolder
from evalkit.cassette.recording import Cassette, Recording
from evalkit.cassette.yaml_reader import read_yaml
from evalkit.errors import CassetteError

_BODY_HEADERS = ("content-encoding", "content-length", "transfer-encoding")


def media_folder(cassette: Path) -> Path:
    """Return the folder of a cassette's media: ``_media``, beside the folder of its suite."""
    return cassette.parent.parent / FOLDER


def load_cassette(
    path: Path,
    media: Path | None = None,
    *,
    on_lost_media: Callable[[int, CassetteError], None] | None = None,
) -> Cassette | None:
    """Load a cassette with its media and with decompressed bodies; None if the file is missing.

    Raises CassetteError (``file:line``): unreadable, not UTF-8, invalid, media missing or changed.
    With ``on_lost_media``, missing and changed media are reported to it instead, with the number of
    the recording (from 0), which stays unchanged.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        message = f"{display_path(path)}:1 cannot be read: {error.strerror or error}"
        raise CassetteError(message) from error
    cassette = read_rendered(data)
    if cassette is None:
        cassette = read_yaml(_decode(data, path), display_path(path))
        for number, recording in enumerate(cassette.recordings):
            try:
                _decompress(recording)
            except ValueError as error:
                raise _located(error, path, number) from None
    if PREFIX.encode() in data:
        folder = MediaFolder(media or media_folder(path))
        for number, recording in enumerate(cassette.recordings):
            try:
                cassette.recordings[number] = folder.restore(recording)
            except CassetteError as error:
                if on_lost_media is None:
                    raise _located(error, path, number) from None
                on_lost_media(number, error)
    return cassette


def line_of(path: Path, number: int) -> int | None:
    """Return the line on which a recording (from 0) of a file starts, None if unknown."""
    try:
        return yaml.locate(path.read_text("utf-8"))["interactions", number].line
    except (OSError, ValueError, KeyError):
        return None


def _decode(data: bytes, path: Path) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"{display_path(path)}:{line} not UTF-8: {error.reason}"
        raise CassetteError(message) from None


def _decompress(recording: Recording) -> None:
    headers = recording.response_headers
    if any(name.lower() == "content-encoding" for name in headers):
        recording.body = decompress_body(recording.body, headers)
        recording.response_headers = {
            name: values for name, values in headers.items() if name.lower() not in _BODY_HEADERS
        }


def _located(error: Exception, path: Path, number: int) -> CassetteError:
    line = line_of(path, number) or 1
    return CassetteError(f"{display_path(path)}:{line} recording {number + 1}: {error}")
