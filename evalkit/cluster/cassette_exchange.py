"""The files of one cassette, sent to a worker and stored when they return.

While a worker records, the session locks the journal, as it does when it records itself: no other
session records the same cassette meanwhile.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from evalkit._lib.files import file_errors, read_file, write_atomic
from evalkit.cassette.files import media_folder, write_media
from evalkit.cassette.journal import CassetteJournal, journal_path
from evalkit.cluster.project_archive import media_files

Contents = dict[str, Any]
"""``cassette`` and ``journal``, bytes or None, and ``media``, bytes by name."""


class CassetteExchange:
    """One cassette while a worker records it. Raises what ``CassetteJournal.open`` raises."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._journal = CassetteJournal.open(journal_path(path))

    def store(self, returned: Contents) -> None:
        """Write what the worker recorded. Raises UsageError if it cannot be written."""
        for name, data in returned["media"].items():
            write_media(media_folder(self._path) / Path(name).name, data)
        if returned["cassette"] is not None:
            with file_errors(self._path, "cannot be written"):
                write_atomic(self._path, returned["cassette"])
        elif returned["is_unchanged"]:
            # Only its time says that it was recorded again.
            os.utime(self._path)
        if returned["journal"] is None:
            self._journal.remove()
        else:
            path = journal_path(self._path)
            with file_errors(path, "cannot be written"):
                write_atomic(path, returned["journal"])

    def close(self, *, is_stored: bool) -> None:
        """Release the lock; of a recording that did not return, nothing new is left."""
        if not is_stored and not self._journal.content.entries:
            self._journal.remove()
        self._journal.close()


def read_contents(path: Path) -> Contents:
    """Return the files of a cassette; None for one that does not exist. Raises UsageError."""
    contents: Contents = {"cassette": None, "journal": None, "media": {}}
    for key, file in (("cassette", path), ("journal", journal_path(path))):
        with file_errors(file, "cannot be read"), suppress(FileNotFoundError):
            contents[key] = data = read_file(file)
            for media in media_files(data, path):
                contents["media"][media.name] = read_file(media)
    return contents


def write_contents(path: Path, contents: Contents) -> None:
    """Write the files of a cassette into an empty folder."""
    files = {path: contents["cassette"], journal_path(path): contents["journal"]}
    files |= {media_folder(path) / name: data for name, data in contents["media"].items()}
    for file, data in files.items():
        if data is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
