"""Long base64 data of a report, stored once.

A picture that a user sent is in the user's message, in every request that repeats the history, and
in every variant of the scenario. In the lines of a page its data is replaced by a name,
``evalkit-media:<digest>``; the data itself is in the page once, for the script to find by that
name. Longer data is in a file of the run directory already (``results.media``); of such files the
page has the small ones, and shows the others as long as they are beside it.
"""

import base64
import re
from collections.abc import Iterator
from pathlib import Path

from evalkit._lib.files import sha256
from evalkit.reports.text_spool import TextSpan, TextSpool
from evalkit.results.media import read_file

LONG = 2048
"""Characters of base64 from which on data is stored once."""

TOO_LONG = 16 << 20
"""Characters of base64 above which the page leaves data out."""

EMBEDDED = 1 << 20
"""Bytes of a media file up to which the page has its content."""

NAME = "evalkit-media:"
# A plain string: only runs with media need the pattern, and re caches compiled patterns.
_DATA = rf'("data": ?")([A-Za-z0-9+/]{{{LONG - 2},}}={{0,2}})(?=")'
_FILE = rf'("data": ?"){NAME}sha256:([0-9a-f]{{64}})\.([a-z0-9]{{1,8}})(?=")'


class MediaStore:
    """The media of one page; memory grows with the number of different media, not their size.

    ``directory`` is the run's.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._spool = TextSpool()
        self._spans: dict[str, TextSpan] = {}
        self.linked: set[str] = set()
        """Names of the media files that the page shows from beside it."""

    def extract(self, line: str) -> str:
        """Store the long base64 data of a result line and return the line with names instead."""
        if '"data":' not in line:
            return line
        if NAME in line:
            line = re.sub(_FILE, self._load, line)
        return re.sub(_DATA, self._store, line) if len(line) >= LONG else line

    def _load(self, match: re.Match[str]) -> str:
        start, digest, extension = match.groups()
        name = f"{digest}.{extension}"
        if digest[:20] not in self._spans and name not in self.linked:
            data = read_file(self._directory, name)
            if data is not None and len(data) > EMBEDDED:
                self.linked.add(name)
            elif data is not None:
                self._spans[digest[:20]] = self._spool.put(base64.b64encode(data).decode())
        if name in self.linked:
            return match[0]
        return f"{start}{NAME}{digest[:20]}"

    def _store(self, match: re.Match[str]) -> str:
        data = match.group(2)
        digest = sha256(data)[:20]
        if digest not in self._spans and len(data) <= TOO_LONG:
            self._spans[digest] = self._spool.put(data)
        return f"{match.group(1)}{NAME}{digest}"

    @property
    def size(self) -> int:
        """Characters of all media."""
        return sum(span.size for span in self._spans.values())

    def items(self) -> Iterator[tuple[str, str]]:
        """Yield ``(digest, data)`` of each medium."""
        for digest, span in self._spans.items():
            yield digest, self._spool.get(span)

    def close(self) -> None:
        """Drop everything."""
        self._spool.close()
