"""Attachments: a file or URL beside the user's text, made into a content block of the API (protocol section 5).

A file is read and base64-encoded when its turn is first held, once per suite; that it exists inside the project is settled when the suite
is loaded. Types are told by a table of file endings and not by the system's, which differs from machine to machine: the type is part of
the request, and the request must be the same everywhere to be found in a cassette.
"""

from __future__ import annotations

import base64
import re
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from evalkit._lib.json import JSON
from evalkit._lib.text import show
from evalkit.suite.files import FileFault, ProjectFiles

KINDS = ("image", "audio", "video", "document")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")

MIME_TYPES: dict[str, dict[str, str]] = {
    "image": {
        "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp", "gif": "image/gif", "bmp": "image/bmp",
        "heic": "image/heic", "heif": "image/heif", "avif": "image/avif", "tif": "image/tiff", "tiff": "image/tiff",
    },
    "audio": {
        "mp3": "audio/mp3", "wav": "audio/wav", "aac": "audio/aac", "aif": "audio/aiff", "aiff": "audio/aiff", "flac": "audio/flac",
        "m4a": "audio/m4a", "oga": "audio/ogg", "ogg": "audio/ogg", "opus": "audio/opus",
    },
    "video": {
        "mp4": "video/mp4", "mov": "video/mov", "avi": "video/avi", "flv": "video/x-flv", "mpg": "video/mpg", "mpeg": "video/mpeg",
        "webm": "video/webm", "wmv": "video/wmv", "3gp": "video/3gpp",
    },
    "document": {
        "pdf": "application/pdf", "txt": "text/plain", "md": "text/markdown", "html": "text/html", "htm": "text/html", "csv": "text/csv",
        "json": "application/json", "xml": "application/xml", "rtf": "application/rtf",
        "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    },
}  # fmt: skip
"""Media type by the ending of the file name, for each kind of attachment; ``audio/mp3`` and ``audio/wav`` are the API's own names."""


class Attachments:
    """Makes content blocks out of attach entries; each file is read once."""

    def __init__(self, files: ProjectFiles) -> None:
        self._files = files
        self._encoded: dict[Path, str] = {}

    def verify(self, entry: dict[str, JSON]) -> None:
        """Settle what can be without reading the file. Raises FileFault."""
        kind, where = split(entry)
        if not is_url(where):
            self._files.find(where)
        media_type(kind, where, entry)

    def block(self, entry: dict[str, JSON]) -> dict[str, JSON]:
        """Return the content block of an attach entry. Raises FileFault: the file is gone or cannot be read."""
        kind, where = split(entry)
        block: dict[str, JSON] = {"type": kind}
        if is_url(where):
            block["uri"] = where
        else:
            block["data"] = self._encode(self._files.find(where))
        mime = media_type(kind, where, entry)
        if mime:
            block["mime_type"] = mime
        return block | {
            key: value for key, value in entry.items() if key not in KINDS and key != "mime_type"
        }

    def _encode(self, path: Path) -> str:
        held = self._encoded.get(path)
        if held is None:
            try:
                held = self._encoded[path] = base64.b64encode(path.read_bytes()).decode("ascii")
            except OSError as error:
                raise FileFault(
                    f"cannot read {self._files.label(path)}: {error.strerror}"
                ) from error
        return held


def split(entry: dict[str, JSON]) -> tuple[str, str]:
    """Return kind and place of an attach entry. Raises FileFault unless it has exactly one."""
    kinds = [kind for kind in KINDS if kind in entry]
    if len(kinds) != 1:
        what = (
            f"has {' and '.join(map(repr, kinds))}; give each an entry of its own"
            if kinds
            else "needs one of " + ", ".join(map(repr, KINDS))
        )
        raise FileFault(f"an attachment {what}")
    where = entry[kinds[0]]
    if not isinstance(where, str) or not where:
        raise FileFault(f"'{kinds[0]}' takes a path or a URL, not {show(where)}")
    if where.lower().startswith("file:"):
        raise FileFault("a file is named by its path, without 'file:'")
    return kinds[0], where


def is_url(where: str) -> bool:
    """Say whether a place is a URL (sent as it is) and not a path."""
    return _URL.match(where) is not None


def media_type(kind: str, where: str, entry: dict[str, JSON]) -> str:
    """Return the media type: the one given, else by the name's ending; ``""`` for a URL that does not tell. Raises FileFault."""
    if "mime_type" in entry:
        return str(entry["mime_type"])
    url = is_url(where)
    try:
        name = PurePosixPath(urlsplit(where).path if url else where).name
    except ValueError as error:
        raise FileFault(f"{show(where)} is no URL: {error}") from error
    ending = name.rpartition(".")[2].lower() if "." in name else ""
    mime = MIME_TYPES[kind].get(ending, "")
    if mime or url:
        return mime
    other = next((other for other in KINDS if ending in MIME_TYPES[other]), None)
    if other:
        raise FileFault(
            f"{name!r} is no {kind} by its name; write '{other}:', or give its 'mime_type'"
        )
    raise FileFault(f"the type of {name!r} cannot be told from its name; give its 'mime_type'")
