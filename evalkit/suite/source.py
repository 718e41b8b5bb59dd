"""A suite file's text as people see it: its name, its lines, and where each value stands.

Positions cost a second parse, so they are taken when the first problem must be shown and never before. A path names a value from the top
of the document, e.g. ``("scenarios", 0, "turns", 1, "user")``; where a path is not in the text (a value that is missing, or stands behind
a YAML alias), the nearest value around it answers.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Literal

from evalkit._lib.yaml import Position
from evalkit.errors import Problem
from evalkit.suite.catalog import Path

On = Literal["key", "value"]
YAML_BREAKS = "\r\n|[\n\r\x85\u2028\u2029]"  # as libyaml counts lines (yaml_private.h, IS_BREAK)
PLAIN_BREAKS = "\r\n|[\n\r]"
_TOP = Position(1, 1)


class Source:
    """One text file of a suite. ``name`` is what messages call it: the path from the project root, with ``/``."""

    def __init__(self, name: str, text: str, breaks: str = YAML_BREAKS) -> None:
        self.name = name
        self.text = text
        self._breaks = breaks

    @cached_property
    def lines(self) -> list[str]:
        """The lines without their ends."""
        return re.split(self._breaks, self.text)

    @cached_property
    def positions(self) -> dict[Path, Position]:
        """Where every value stands; empty for a text that is not YAML."""
        from evalkit._lib.yaml import YamlError, locate

        try:
            return locate(self.text)
        except YamlError:
            return {}

    def line(self, number: int) -> str:
        """Return a line by its number from 1, ``""`` where there is none."""
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""

    def place(self, path: Path, on: On = "value", word: str = "") -> tuple[int, int]:
        """Return line and column of a value, of its key, or of the first ``word`` inside the value."""
        held = self.positions.get(path)
        while held is None and path:
            path, on = path[:-1], "value"
            held = self.positions.get(path)
        held = held or _TOP
        if on == "key" and held.key_line:
            return held.key_line, held.key_column
        line, column = held.line, held.column
        if held.key_line and not self._stands(line, column):
            return held.key_line, held.key_column
        return self._find(word, line, column) if word else (line, column)

    def token(self, path: Path) -> str:
        """Return a value of one line as it is spelled in the text, a comment left out; ``""`` where it cannot be told."""
        held = self.positions.get(path)
        if held is None:
            return ""
        found = re.match(r"[^\s,#\[\]{}]+", self.line(held.line)[held.column - 1 :])
        return found.group() if found else ""

    def problem(self, line: int, column: int, message: str, hints: tuple[str, ...] = ()) -> Problem:
        """Make a problem of this file, its source line included."""
        return Problem(self.name, line, column, message, source=self.line(line), hints=hints)

    def _stands(self, line: int, column: int) -> bool:
        """Say whether a value has text of its own; libyaml gives an empty one the place right after its colon."""
        return self.line(line)[column - 1 : column].strip(" \t,]}") != ""

    def _find(self, word: str, line: int, column: int) -> tuple[int, int]:
        """Look for a whole word from here on, as far as the value can reach: its own line, and the deeper-indented ones of a block."""
        pattern = re.compile(rf"(?<![\w.]){re.escape(word)}(?!\w)")
        first = self.line(line)
        if first[column - 1 : column] == "*":
            return line, column
        found = pattern.search(first, column - 1)
        if found:
            return line, found.start() + 1
        indent = len(first) - len(first.lstrip())
        for number in range(line + 1, len(self.lines) + 1):
            text = self.line(number)
            if text.strip() and len(text) - len(text.lstrip()) <= indent:
                break
            found = pattern.search(text)
            if found:
                return number, found.start() + 1
        return line, column
