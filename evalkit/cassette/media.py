"""Media files: long base64 strings of bodies, stored once and named by their content.

The body then has ``"evalkit-media:sha256:<hex>.<ext>"`` in their place. Only a whole JSON string of
canonical base64 (RFC 4648, section 4) is moved, so restoring gives exactly the same text. Text of a
body that looks like a placeholder is escaped (``evalkit-media:!``), so no model can make a cassette
read a file. A missing or changed media file is a CassetteError.
"""

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from evalkit._lib.files import sha256, write_atomic
from evalkit.cassette.recording import Recording
from evalkit.errors import CassetteError, UsageError

FOLDER = "_media"
PREFIX = "evalkit-media:"
THRESHOLD = 32 * 1024

Body = TypeVar("Body", str | bytes, str | bytes | None)

_LONG_STRING = re.compile(rf'"([A-Za-z0-9+/]{{{THRESHOLD - 1},}}={{0,2}})"')
_PLACEHOLDER = re.compile(rf'{PREFIX}(?:!|sha256:([0-9a-f]{{64}})\.([a-z0-9]{{1,8}})(?="))')
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
        text = match[1]
        if len(text) <= THRESHOLD:
            return match[0]
        try:
            data = base64.b64decode(text, validate=True)
        except binascii.Error:
            return match[0]
        if base64.b64encode(data).decode() != text:
            return match[0]
        name = f"{sha256(data)}.{_extension(data)}"
        path = self._folder / name
        self._guard(data, str(path))
        # An existing file with other content is damaged: its name is the digest of the content.
        if not path.exists() or path.read_bytes() != data:
            try:
                write_atomic(path, data)
            except OSError as error:
                message = f"{path}: media cannot be written: {error.strerror or error}"
                raise UsageError(message) from error
        return f'"{PREFIX}sha256:{name}"'

    def _restore(self, body: Body) -> Body:
        return _PLACEHOLDER.sub(self._load, body) if isinstance(body, str) else body

    def _load(self, match: re.Match[str]) -> str:
        digest, extension = match.groups()
        if digest is None:
            return PREFIX
        path = self._folder / f"{digest}.{extension}"
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise CassetteError(f"media file {path} is missing") from None
        except OSError as error:
            message = f"media file {path} cannot be read: {error.strerror or error}"
            raise CassetteError(message) from error
        if sha256(data) != digest:
            raise CassetteError(f"media file {path} was changed: its name is not its digest")
        return base64.b64encode(data).decode()


def _extension(data: bytes) -> str:
    return next(
        (name for offset, mark, name in _SIGNATURES if data.startswith(mark, offset)), "bin"
    )
