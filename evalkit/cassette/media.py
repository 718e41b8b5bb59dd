"""Media live once: long base64 strings of bodies move into files named by their content, and come back on load byte for byte.

In the body stands ``"evalkit-media:sha256:<hex>.<ext>"``. Only a whole JSON string that is canonical base64 (RFC 4648, section 4) moves, so
that restoring gives the very same text. Text of a body that looks like a placeholder by itself is escaped (``evalkit-media:!``), so that no
model can make a cassette read a file. A media file that is missing, or whose content is not what its name says, is a CassetteError.

The only room of media knowledge is the table of signatures that chooses the file's extension; nothing reads the extension.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from evalkit._lib.files import sha256, write_atomic
from evalkit.cassette.recording import MEDIA_FOLDER, MEDIA_PREFIX, Recording
from evalkit.errors import CassetteError, UsageError

FOLDER = MEDIA_FOLDER
PREFIX = MEDIA_PREFIX
THRESHOLD = 32 * 1024

Body = TypeVar("Body", str | bytes, str | bytes | None)

_LONG = re.compile(rf'"([A-Za-z0-9+/]{{{THRESHOLD - 1},}}={{0,2}})"')
_PLACEHOLDER = re.compile(rf'{PREFIX}(?:!|sha256:([0-9a-f]{{64}})\.([a-z0-9]{{1,8}})(?="))')
# Signatures of the kinds the API sends and takes: bytes at an offset, and the extension.
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
    """The media of a folder of cassettes. ``guard`` sees the bytes before they are written, with the file's name."""

    def __init__(
        self, folder: Path, guard: Callable[[bytes, str], None] = lambda data, where: None
    ) -> None:
        self._folder = folder
        self._guard = guard

    def move_out(self, recording: Recording) -> Recording:
        """Return the recording with its media in files. Raises UsageError if a file cannot be written, and what ``guard`` raises."""
        request, response = self._out(recording.request_body), self._out(recording.body)
        if request is recording.request_body and response is recording.body:
            return recording
        return replace(recording, request_body=request, body=response)

    def bring_back(self, recording: Recording) -> Recording:
        """Return the recording with its media in place. Raises CassetteError naming the file that is missing or altered."""
        request, response = self._back(recording.request_body), self._back(recording.body)
        if request is recording.request_body and response is recording.body:
            return recording
        return replace(recording, request_body=request, body=response)

    def _out(self, body: Body) -> Body:
        if not isinstance(body, str):
            return body
        if PREFIX in body:
            body = body.replace(PREFIX, PREFIX + "!")
        return _LONG.sub(self._store, body) if len(body) > THRESHOLD else body

    def _store(self, found: re.Match[str]) -> str:
        text = found[1]
        if len(text) <= THRESHOLD:
            return found[0]
        try:
            data = base64.b64decode(text, validate=True)
        except binascii.Error:
            return found[0]
        if base64.b64encode(data).decode() != text:
            return found[0]
        name = f"{sha256(data)}.{_extension(data)}"
        path = self._folder / name
        self._guard(data, str(path))
        # A file that is there with another content was damaged; its name says what belongs into it.
        if not path.exists() or path.stat().st_size != len(data) or path.read_bytes() != data:
            try:
                write_atomic(path, data)
            except OSError as error:
                raise UsageError(
                    f"{path}: media cannot be written: {error.strerror or error}"
                ) from error
        return f'"{PREFIX}sha256:{name}"'

    def _back(self, body: Body) -> Body:
        return (
            _PLACEHOLDER.sub(self._load, body) if isinstance(body, str) and PREFIX in body else body
        )

    def _load(self, found: re.Match[str]) -> str:
        digest, extension = found.groups()
        if digest is None:
            return PREFIX
        path = self._folder / f"{digest}.{extension}"
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise CassetteError(f"media file {path} is missing") from None
        except OSError as error:
            raise CassetteError(
                f"media file {path} cannot be read: {error.strerror or error}"
            ) from error
        if sha256(data) != digest:
            raise CassetteError(
                f"media file {path} was altered: its content is not what its name says"
            )
        return base64.b64encode(data).decode()


def _extension(data: bytes) -> str:
    return next(
        (name for offset, mark, name in _SIGNATURES if data.startswith(mark, offset)), "bin"
    )
