"""Text put aside while the rest is not known yet: rows in the order of the run go in, a report takes them out in its own order.

Small runs stay in memory, larger ones go to a temporary file, so that a report of any size needs little memory.
"""

from __future__ import annotations

from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import NamedTuple, Self

IN_MEMORY = 256 << 10
"""Bytes from which on a spool is a file: a page has three of them, at the end of a session that holds much already, and a file costs no time."""


JOINED = 64 << 10
"""Bytes of short texts that are written at once, and up to which neighbours are one piece: a place for each of many would be much to hold."""


class Piece(NamedTuple):
    """Where a text lies in its spool."""

    offset: int
    size: int


class Spool:
    """A heap of texts. A context manager: leaving it drops everything."""

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - closed by close()
        self._end = 0
        self._unwritten: list[bytes] = []
        self._written = 0

    def put(self, text: str) -> Piece:
        """Put a text aside and return where. Text must be encodable: what comes from a model was made visible before."""
        data = text.encode()
        piece = Piece(self._end, len(data))
        self._end += len(data)
        self._unwritten.append(data)
        if self._end - self._written > JOINED:
            self._write()
        return piece

    def _write(self) -> None:
        self._file.seek(self._written)
        self._file.write(b"".join(self._unwritten))
        self._unwritten.clear()
        self._written = self._end

    def put_on(self, pieces: list[Piece], text: str) -> None:
        """Put a text aside at the end of others that are wanted in this order, as one piece with the last of them where it is their neighbour."""
        piece = self.put(text)
        if pieces:
            offset, size = pieces[-1]
            if offset + size == piece.offset and size + piece.size <= JOINED:
                pieces[-1] = Piece(offset, size + piece.size)
                return
        pieces.append(piece)

    def get(self, piece: Piece) -> str:
        """Return the text that was put aside."""
        if self._unwritten:
            self._write()
        self._file.seek(piece.offset)
        return self._file.read(piece.size).decode()

    def close(self) -> None:
        """Drop everything."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
