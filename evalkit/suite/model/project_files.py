"""Files that a suite names; they are never outside the project. Attachments are made of them.

A name is looked up in the suite file's directory, then in the project root. Links are followed
before the root is compared, so a link cannot lead out of the project; if the suite file is a link
into another tree, as in the sandbox of a build system, that tree is the project too. Files are
looked up when the suite is loaded and read when they are needed.

An attachment is a file or a URL, sent after the user's text. A file is read and base64-encoded once
per suite, when its turn first runs. Media types come from a table of file endings, not from the
system's, which differs between machines: the type is part of the request, and a request must be the
same everywhere to match its recording (docs/protocol.md section 5).
"""

import base64
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath, PureWindowsPath
from urllib.parse import urlsplit

from evalkit._lib.files import is_inside, linked_roots, read_file
from evalkit._lib.json import JSON
from evalkit._lib.text import nearest, quoted, show

_OFFICE = "application/vnd.openxmlformats-officedocument"
MIME_TYPES: dict[str, dict[str, str]] = {
    "image": {
        "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp",
        "gif": "image/gif", "bmp": "image/bmp", "heic": "image/heic", "heif": "image/heif",
        "avif": "image/avif", "tif": "image/tiff", "tiff": "image/tiff",
    },
    "audio": {
        "mp3": "audio/mp3", "wav": "audio/wav", "aac": "audio/aac", "aif": "audio/aiff",
        "aiff": "audio/aiff", "flac": "audio/flac", "m4a": "audio/m4a", "oga": "audio/ogg",
        "ogg": "audio/ogg", "opus": "audio/opus",
    },
    "video": {
        "mp4": "video/mp4", "mov": "video/mov", "avi": "video/avi", "flv": "video/x-flv",
        "mpg": "video/mpg", "mpeg": "video/mpeg", "webm": "video/webm", "wmv": "video/wmv",
        "3gp": "video/3gpp",
    },
    "document": {
        "pdf": "application/pdf", "txt": "text/plain", "md": "text/markdown", "html": "text/html",
        "htm": "text/html", "csv": "text/csv", "json": "application/json",
        "xml": "application/xml", "rtf": "application/rtf",
        "docx": f"{_OFFICE}.wordprocessingml.document",
        "xlsx": f"{_OFFICE}.spreadsheetml.sheet",
        "pptx": f"{_OFFICE}.presentationml.presentation",
    },
}  # fmt: skip
"""Media type by file ending, for each kind of attachment.

``audio/mp3`` and ``audio/wav`` are the API's own names.
"""
KINDS = tuple(MIME_TYPES)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


class ProjectFileError(ValueError):
    """A file that a suite names cannot be used."""


class ProjectFiles:
    """Looks up the file names of one suite file."""

    def __init__(self, suite_file: Path, root: Path) -> None:
        self._root = root
        self._roots = linked_roots(root, suite_file)
        self._directories = [suite_file.parent]
        if suite_file.parent.resolve() != root.resolve():
            self._directories.append(root)
        self._files: dict[tuple[str, Path], Path] = {}

    def find(self, name: str, folder: Path | None = None) -> Path:
        """Return the file that a name means, in ``folder`` or that of the suite file.

        Raises ProjectFileError: missing, a directory, an absolute path, outside the project.
        """
        key = name, folder or self._directories[0]
        if key not in self._files:
            try:
                self._files[key] = self._find(name, [key[1], *self._directories[1:]])
            except ProjectFileError:
                raise
            # A name that is too long or has a NUL character, links in a circle.
            except (OSError, ValueError, RuntimeError) as error:
                reason = getattr(error, "strerror", None) or error
                if "\0" in name:
                    reason = "a NUL character in its name"
                message = f"no such file: {quoted(name, 100)} ({reason})"
                raise ProjectFileError(message) from error
        return self._files[key]

    @property
    def used(self) -> list[tuple[str, Path]]:
        """Every file that was found, sorted by its path from the project root."""
        return sorted({(self.label(path), path) for path in self._files.values()})

    def label(self, path: Path) -> str:
        """Return a file's path from the project root, with ``/``, as messages show it."""
        return label(path, self._root)

    def name_in_suite(self, path: Path) -> str:
        """Return the name by which the suite file means a file."""
        return Path(os.path.relpath(path, self._directories[0])).as_posix()

    def _find(self, name: str, folders: Sequence[Path]) -> Path:
        is_absolute = PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor
        if is_absolute or name.startswith("~"):
            raise ProjectFileError(
                f"{quoted(name, 100)} is an absolute path; "
                "write it relative to the suite file or the project root"
            )
        candidates = [Path(os.path.normpath(folder / name)) for folder in folders]
        outside = []
        for path in candidates:
            if not self._is_inside(path):
                outside.append(path)
            elif path.is_file():
                return path
            elif path.is_dir():
                raise ProjectFileError(f"{quoted(name, 100)} is a directory, not a file")
        if outside == candidates or any(map(os.path.lexists, outside)):
            project = self._root.name or self._root
            raise ProjectFileError(f"{quoted(name, 100)} is outside the project ({project})")
        raise ProjectFileError(
            f"no such file: {quoted(name, 100)}{self._suggestion(name, folders)}"
        )

    def _is_inside(self, path: Path) -> bool:
        return any(is_inside(root, path) for root in self._roots)

    def _suggestion(self, name: str, folders: Sequence[Path]) -> str:
        """Return the nearest file name, or the directories that were searched."""
        folder = (folders[0] / name).parent
        if self._is_inside(folder) and folder.is_dir():
            names = sorted(entry.name for entry in folder.iterdir() if entry.is_file())
            near = nearest(Path(name).name, names)
            if near:
                return f" (did you mean {str(PurePosixPath(name).with_name(near))!r}?)"
        labels = dict.fromkeys(map(self.label, folders))
        return " in " + " or ".join(
            "the project root" if text == "." else f"{text}/" for text in labels
        )


def label(path: Path, root: Path) -> str:
    """Return a path from ``root`` with ``/``, or the whole path if it is elsewhere."""
    for place, folder in ((path.resolve, root.resolve), (path.absolute, root.absolute)):
        with suppress(ValueError, OSError, RuntimeError):
            return place().relative_to(folder()).as_posix()
    return path.as_posix()


class Attachments:
    """Builds content blocks from attach entries; each file is read once."""

    def __init__(self, files: ProjectFiles) -> None:
        self._files = files
        self._encoded: dict[Path, str] = {}

    def verify(self, entry: dict[str, JSON]) -> None:
        """Verify an entry without reading its file. Raises ProjectFileError."""
        kind, location = kind_and_location(entry)
        if not is_url(location):
            self._files.find(location)
        media_type(kind, location, entry)

    def block(self, entry: dict[str, JSON]) -> dict[str, JSON]:
        """Return the content block of an entry. Raises ProjectFileError."""
        kind, location = kind_and_location(entry)
        block: dict[str, JSON] = {"type": kind}
        if is_url(location):
            block["uri"] = location
        else:
            block["data"] = self._encode(self._files.find(location))
        mime_type = media_type(kind, location, entry)
        if mime_type:
            block["mime_type"] = mime_type
        return block | {key: entry[key] for key in entry if key not in (*KINDS, "mime_type")}

    def _encode(self, path: Path) -> str:
        if path not in self._encoded:
            try:
                self._encoded[path] = base64.b64encode(read_file(path)).decode("ascii")
            except OSError as error:
                message = f"cannot read {self._files.label(path)}: {error.strerror}"
                raise ProjectFileError(message) from error
        return self._encoded[path]


def kind_and_location(entry: dict[str, JSON]) -> tuple[str, str]:
    """Return an entry's kind and its path or URL. Raises ProjectFileError."""
    kinds = [kind for kind in KINDS if kind in entry]
    if not kinds:
        raise ProjectFileError(f"an attachment needs one of {', '.join(map(repr, KINDS))}")
    if len(kinds) > 1:
        raise ProjectFileError(
            f"an attachment has {' and '.join(map(repr, kinds))}; write a separate entry for each"
        )
    location = entry[kinds[0]]
    if not isinstance(location, str) or not location:
        raise ProjectFileError(f"'{kinds[0]}' takes a path or a URL, not {show(location)}")
    if location.lower().startswith("file:"):
        raise ProjectFileError("a file is named by its path, without 'file:'")
    return kinds[0], location


def is_url(location: str) -> bool:
    """Return whether a location is a URL (sent as it is) and not a path."""
    return _URL.match(location) is not None


def media_type(kind: str, location: str, entry: dict[str, JSON]) -> str:
    """Return the entry's ``mime_type``, else the type of the file ending.

    A URL without a known ending has none (``""``). Raises ProjectFileError.
    """
    if "mime_type" in entry:
        return str(entry["mime_type"])
    try:
        name = PurePosixPath(urlsplit(location).path if is_url(location) else location).name
    except ValueError as error:
        raise ProjectFileError(f"{show(location)} is not a URL: {error}") from error
    ending = name.rpartition(".")[2].lower() if "." in name else ""
    if ending in MIME_TYPES[kind] or is_url(location):
        return MIME_TYPES[kind].get(ending, "")
    for other, endings in MIME_TYPES.items():
        if ending in endings:
            article = "an" if kind[0] in "aeiou" else "a"
            raise ProjectFileError(
                f"{name!r} is not {article} {kind} file by its name; "
                f"write '{other}:', or add its 'mime_type'"
            )
    raise ProjectFileError(f"the type of {name!r} is not known from its name; add its 'mime_type'")
