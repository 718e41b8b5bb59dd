"""Reading a script's YAML with located problems: every reader takes a value and its path, and notes what is wrong instead of raising.

All problems of a file are told at once, each with file:line:column, the nearest valid word, the source line and a caret. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from evalkit._lib import yaml
from evalkit._lib.json import JSON
from evalkit._lib.json import json_type as json_kind
from evalkit._lib.text import did_you_mean, show
from evalkit._lib.yaml import Position
from evalkit.errors import Problem, ScriptError
from evalkit.server.scripting.templates import Render, ScriptTemplateError, compile_value

Path = tuple[str | int, ...]
T = TypeVar("T")


class ScriptReader:
    """The problems of one script file, and the names its templates may use."""

    def __init__(self, text: str, name: str) -> None:
        self._text = text
        self._name = name
        self._found: list[tuple[Path, str, bool]] = []
        self._positions: dict[Path, Position] = {}
        self.names: frozenset[str] = frozenset()

    def load(self) -> JSON:
        """Parse the file. Raises ScriptError where it is not YAML."""
        try:
            return yaml.load(self._text)
        except yaml.YamlError as error:
            raise ScriptError(
                str(self._problem(error.line, error.column, error.message))
            ) from error

    def add(self, path: Path, message: str, *, key: bool = False) -> None:
        """Note a problem of the value at ``path``, or with ``key`` of the key that leads to it."""
        self._found.append((path, message, key))

    def raise_any(self) -> None:
        """Raise ScriptError with every problem, in file order; return where there is none."""
        if not self._found:
            return
        problems = []
        for path, message, key in self._found:
            place = self._place(path)
            at_key = key and place.key_line
            problems.append(
                self._problem(
                    place.key_line if at_key else place.line,
                    place.key_column if at_key else place.column,
                    message,
                )
            )
        raise ScriptError(
            "\n".join(
                map(str, sorted(problems, key=lambda problem: (problem.line, problem.column)))
            )
        )

    def line(self, path: Path) -> int:
        """Return the line a value starts on."""
        return self._place(path).line

    def _place(self, path: Path) -> Position:
        """Return where a value stands, or where the nearest thing around it does."""
        self._positions = self._positions or yaml.locate(self._text)
        while path and path not in self._positions:
            path = path[:-1]
        return self._positions.get(path, Position(1, 1))

    def _problem(self, line: int, column: int, message: str) -> Problem:
        lines = self._text.splitlines()
        source = lines[line - 1] if 0 < line <= len(lines) else ""
        return Problem(self._name, line, column, message, source=source)

    # Readers of one value. Each returns None (or what is empty) where it noted a problem.

    def of(self, value: JSON, path: Path, *kinds: str) -> bool:
        """Say whether a value has one of the JSON types, noting it where it has not."""
        if json_kind(value) in kinds:
            return True
        self.add(
            path,
            f"must be {' or '.join(kinds)}, got {'nothing' if value is None else f'{json_kind(value)} {show(value, 40)}'}",
        )
        return False

    def mapping(self, value: JSON, path: Path, keys: Iterable[str], what: str) -> dict[str, JSON]:
        """Return a mapping's known keys; unknown ones are noted with the nearest valid word."""
        if not self.of(value, path, "object"):
            return {}
        known = list(keys)
        for key in value:
            if key not in known:
                self.add(
                    (*path, key),
                    f"unknown {what} {key!r}{did_you_mean(key, known)}; there are {', '.join(known)}",
                    key=True,
                )
        return {key: item for key, item in value.items() if key in known}

    def texts(self, value: JSON, path: Path) -> list[str]:
        """Return a string or a list of strings as a list."""
        items = value if isinstance(value, list) else [value]
        for index, item in enumerate(items):
            self.of(item, (*path, index) if isinstance(value, list) else path, "string")
        return [item for item in items if isinstance(item, str)]

    def number(self, value: JSON, path: Path, *, whole: bool = False) -> float:
        """Return a number that is not negative."""
        if not self.of(value, path, "number"):
            return 0
        if value < 0 or (whole and value != int(value)):
            self.add(
                path, f"must be {'a whole number ' if whole else ''}not below 0, got {show(value)}"
            )
            return 0
        return float(value)

    def template(self, value: JSON, path: Path, more: Iterable[str] = ()) -> Render:
        """Return what renders a value; a template that cannot be read is noted."""
        try:
            return compile_value(value, self.names | frozenset(more))
        except ScriptTemplateError as error:
            self.add((*path, *error.path), str(error))
            return lambda context: None

    def regex(self, value: JSON, path: Path) -> re.Pattern[str] | None:
        """Return a regular expression, upper and lower case the same, ``.`` matching newlines too."""
        if not self.of(value, path, "string"):
            return None
        try:
            return re.compile(value, re.IGNORECASE | re.DOTALL)
        except re.error as error:
            self.add(path, f"not a regular expression: {error}")
            return None


def by_key(
    notes: ScriptReader,
    value: JSON,
    path: Path,
    table: Mapping[str, Callable[[ScriptReader, JSON, Path], T]],
    what: str,
) -> dict[str, T]:
    """Read every entry of a mapping with the reader the table has for its key."""
    return {
        key: table[key](notes, item, (*path, key))
        for key, item in notes.mapping(value, path, table, what).items()
    }
