"""Cassette files and their media files: long base64 strings, stored once, named by their content.

A body then has ``"evalkit-media:sha256:<hex>.<ext>"`` in their place. Only a whole JSON string of
canonical base64 (RFC 4648, section 4) is moved, so restoring gives exactly the same text. Text of a
body that looks like a placeholder is escaped (``evalkit-media:!``), so no model can make a cassette
read a file. A missing or changed media file is a CassetteError.

A cassette that cannot be read is an error in every mode: it is never treated as missing and never
overwritten.
"""

import base64
import codecs
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from evalkit._lib import yaml
from evalkit._lib.files import (
    FILE_ERRORS,
    display_path,
    file_errors,
    read_file,
    reason_of,
    sha256,
    write_atomic,
)
from evalkit.cassette.content_codings import decompress_body
from evalkit.cassette.fast_reader import read_rendered
from evalkit.cassette.recording import Cassette, Recording
from evalkit.cassette.yaml_reader import read_yaml
from evalkit.errors import CassetteError

_BODY_HEADERS = ("content-encoding", "content-length", "transfer-encoding")


FOLDER = "_media"
PREFIX = "evalkit-media:"
THRESHOLD = 32 * 1024

Body = TypeVar("Body", str | bytes, str | bytes | None)

_LONG_STRING = re.compile(rf'"([A-Za-z0-9+/]{{{THRESHOLD - 1},}}={{0,2}})"')
_PLACEHOLDER = re.compile(rf'{PREFIX}(?:!|sha256:([0-9a-f]{{64}})\.([a-z0-9]{{1,8}})(?="))')
_HEAD_BYTES = 4096
_RECORDED_MODEL, _RECORDED_AT = (
    re.compile(rf"metadata:\n(?:  .*\n)*?  {key}: \"((?:[^\"\\]|\\.)*)\"\n")
    for key in ("model", "recorded")
)
# File signatures: bytes at an offset, and the extension. Nothing reads the extension.
_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "png"),
    (0, b"\xff\xd8\xff", "jpg"),
    (0, b"GIF8", "gif"),
    (8, b"WEBP", "webp"),
    (8, b"WAVE", "wav"),
    (4, b"ftyp", "mp4"),
    (0, b"ID3", "mp3"),
    (0, b"\xff\xfb", "mp3"),
    (0, b"OggS", "ogg"),
    (0, b"fLaC", "flac"),
    (0, b"\x1aE\xdf\xa3", "webm"),
    (0, b"%PDF-", "pdf"),
    (0, b"PK\x03\x04", "zip"),
)


class MediaFolder:
    """The media files of a folder of cassettes.

    ``guard`` is called with the bytes and the file's name before they are written.
    """

    def __init__(
        self, folder: Path, guard: Callable[[bytes, str], None] = lambda data, where: None
    ) -> None:
        self._folder = folder
        self._guard = guard

    def extract(self, recording: Recording) -> Recording:
        """Return the recording with its media moved to files. Raises UsageError if not writable."""
        request_body, body = self._extract(recording.request_body), self._extract(recording.body)
        return replace(recording, request_body=request_body, body=body)

    def restore(self, recording: Recording) -> Recording:
        """Return the recording with its media in place. Raises CassetteError with the file."""
        request_body, body = self._restore(recording.request_body), self._restore(recording.body)
        return replace(recording, request_body=request_body, body=body)

    def _extract(self, body: Body) -> Body:
        if not isinstance(body, str):
            return body
        return _LONG_STRING.sub(self._store, body.replace(PREFIX, PREFIX + "!"))

    def _store(self, match: re.Match[str]) -> str:
        decoded = decode_media(match[1]) if len(match[1]) > THRESHOLD else None
        if decoded is None:
            return match[0]
        name, data = decoded
        path = self._folder / name
        self._guard(data, str(path))
        write_media(path, data)
        return f'"{PREFIX}sha256:{name}"'

    def _restore(self, body: Body) -> Body:
        return _PLACEHOLDER.sub(self._load, body) if isinstance(body, str) else body

    def _load(self, match: re.Match[str]) -> str:
        digest, extension = match.groups()
        if digest is None:
            return PREFIX
        path = self._folder / f"{digest}.{extension}"
        try:
            data = read_file(path)
        except FileNotFoundError:
            raise CassetteError(f"media file {display_path(path)} is missing") from None
        except FILE_ERRORS as error:
            reason = f"cannot be read: {reason_of(error)}"
            raise CassetteError(f"media file {display_path(path)} {reason}") from error
        if sha256(data) != digest:
            raise CassetteError(
                f"media file {display_path(path)} was changed: its name is not its digest"
            )
        return base64.b64encode(data).decode()


def decode_media(text: str) -> tuple[str, bytes] | None:
    """Return the file name and the content of canonical base64; None for any other text."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    if base64.b64encode(data).decode() != text:
        return None
    return f"{sha256(data)}.{_extension(data)}", data


def write_media(path: Path, data: bytes) -> None:
    """Write a media file unless it exists. Raises UsageError if it cannot be written."""
    # An existing file with other content is damaged: its name is the digest of the content.
    with file_errors(path, "media cannot be written"):
        if not path.exists() or read_file(path) != data:
            write_atomic(path, data)


def _extension(data: bytes) -> str:
    return next(
        (name for offset, mark, name in _SIGNATURES if data.startswith(mark, offset)), "bin"
    )


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
        data = read_file(path)
    except FileNotFoundError:
        return None
    except FILE_ERRORS as error:
        message = f"{display_path(path)}:1 cannot be read: {reason_of(error)}"
        raise CassetteError(message) from error
    cassette = read_cassette(data, path)
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


def read_cassette(data: bytes, path: Path) -> Cassette:
    """Read a cassette's content with decompressed bodies, and with media as they are in it.

    ``path`` is its name in messages. Raises CassetteError.
    """
    cassette = read_rendered(data)
    if cassette is None:
        cassette = read_yaml(_decode(data, path), display_path(path))
        for number, recording in enumerate(cassette.recordings):
            try:
                _decompress(recording)
            except ValueError as error:
                raise _located(error, path, number) from None
    return cassette


def recorded_model(path: Path) -> str:
    """Return the model that the metadata of a cassette name, ``""`` if they name none."""
    return _metadata_value(path, _RECORDED_MODEL)


def recorded_at(path: Path) -> str:
    """Return the time that the metadata of a cassette name, ``""`` if they name none."""
    return _metadata_value(path, _RECORDED_AT)


def _metadata_value(path: Path, pattern: re.Pattern[str]) -> str:
    # Only the beginning of the file is read.
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
    match = pattern.match(head)
    return str(json.loads(f'"{match[1]}"')) if match else ""


def line_of(path: Path, number: int) -> int | None:
    """Return the line on which a recording (from 0) of a file starts, None if unknown."""
    try:
        return yaml.locate(path.read_text("utf-8"))["interactions", number].line
    except (OSError, ValueError, KeyError):
        return None


def media_folder(cassette: Path) -> Path:
    """Return the folder of a cassette's media: ``_media``, beside the folder of its suite."""
    return cassette.parent.parent / FOLDER


def _decode(data: bytes, path: Path) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        reason = f"not UTF-8: {error.reason}"
        if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            reason = "UTF-16 text"
        message = f"{display_path(path)}:{line} {reason}; save the file as UTF-8"
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
