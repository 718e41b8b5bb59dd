"""Where the values of a document stand in its text. Values only: whoever parsed the text has made them."""

from __future__ import annotations

from typing import Any, NamedTuple


class Position(NamedTuple):
    """Where a value stands in the text, and where its key does if it has one; lines and columns count from 1."""

    line: int
    column: int
    key_line: int = 0
    key_column: int = 0


class ListLines:
    """The lines of list items, counted from 1, of one loaded document.

    ``nulls``: a plain null, or an empty value, is in it somewhere; ``beyond_json``: a number that is infinite or none, or binary data.
    """

    def __init__(
        self,
        value: Any,
        lines: dict[int, list[int]],
        nulls: bool = False,
        beyond_json: bool = False,
    ) -> None:
        self.nulls = nulls
        self.beyond_json = beyond_json
        self._held = value  # keeps every list alive, so that no id is used twice
        self._lines = lines

    def of(self, items: list[Any]) -> list[int]:
        """Return the line of each item of a list that came from the document itself (the very object); none for any other."""
        return self._lines.get(id(items), [])
