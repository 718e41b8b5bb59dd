"""A temporary file for texts that a report writes later, in another order.

Small runs stay in memory, so that a report of any size needs little memory and no small one a file.
"""

from tempfile import SpooledTemporaryFile
from typing import NamedTuple

IN_MEMORY = 256 << 10
"""Bytes above which a spool is a file on the disk."""


class TextSpan(NamedTuple):
    """The position of a text in its spool."""

    offset: int
    size: int


class TextSpool:
    """Stores texts; close it to drop them. Texts must be encodable as UTF-8."""

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - closed by close()
        self._end = 0

    def put(self, text: str) -> TextSpan:
        """Store a text and return where it is."""
        data = text.encode()
        span = TextSpan(self._end, len(data))
        self._file.seek(span.offset)
        self._file.write(data)
        self._end += span.size
        return span

    def get(self, span: TextSpan) -> str:
        """Return a stored text."""
        self._file.seek(span.offset)
        return self._file.read(span.size).decode()

    def close(self) -> None:
        """Drop all texts."""
        self._file.close()
