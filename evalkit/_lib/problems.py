"""Problems in a user's YAML file, located by the path of a value.

``SourceText`` finds the line and column of a path; ``ProblemList`` collects the problems of a file
and of those it includes, and raises all of them at once. Positions need a second parse of the text,
so they are computed when the first problem is added.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from pydantic import ValidationError

from evalkit._lib.text import shorten
from evalkit._lib.yaml import ListLines, Position, ValuePath, YamlError, locate
from evalkit.errors import Problem

KeyOrValue = Literal["key", "value"]
YAML_LINE_BREAKS = (
    "\r\n|[\n\r\x85\u2028\u2029]"  # as libyaml counts lines (yaml_private.h, IS_BREAK)
)
PLAIN_LINE_BREAKS = "\r\n|[\n\r]"


class PathProblem(NamedTuple):
    """One problem and the path of its value.

    ``on`` says whether the key or the value is wrong.
    """

    path: ValuePath
    message: str
    on: KeyOrValue = "value"
    hints: tuple[str, ...] = ()


class SourceText:
    """The text of one file. ``name`` is how messages refer to the file.

    A text that is not YAML is one value.
    """

    def __init__(
        self, name: str, text: str, line_breaks: str = YAML_LINE_BREAKS, *, is_yaml: bool = True
    ) -> None:
        self.name = name
        self.text = text
        self._line_breaks = line_breaks
        self._is_yaml = is_yaml

    @cached_property
    def lines(self) -> list[str]:
        """The lines without their ends."""
        return re.split(self._line_breaks, self.text)

    @cached_property
    def positions(self) -> dict[ValuePath, Position]:
        """The position of every value; empty for a text that is not YAML."""
        try:
            return locate(self.text) if self._is_yaml else {}
        except YamlError:
            return {}

    def line(self, number: int) -> str:
        """Return a line by its number from 1, ``""`` if the text has fewer lines."""
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""

    def position(
        self, path: ValuePath, on: KeyOrValue = "value", word: str = ""
    ) -> tuple[int, int]:
        """Return line and column of a value, its key, or the first ``word`` in it.

        A path that is not in the text (a missing value, a value behind a YAML alias) has the
        position of the nearest value around it.
        """
        while path and path not in self.positions:
            path, on = path[:-1], "value"
        position = self.positions.get(path, Position(1, 1))
        line, column = position.line, position.column
        if position.key_line and (on == "key" or not self._has_text(line, column)):
            return position.key_line, position.key_column
        return self._find_word(word, line, column) if word else (line, column)

    def token(self, path: ValuePath) -> str:
        """Return a one-line value as it is spelled, ``""`` if its position is unknown."""
        position = self.positions.get(path)
        if position is None:
            return ""
        match = re.match(r"[^\s,#\[\]{}]+", self.line(position.line)[position.column - 1 :])
        return match.group() if match else ""

    def problem(self, line: int, column: int, message: str, hints: tuple[str, ...] = ()) -> Problem:
        """Build a problem of this file, with its source line."""
        return Problem(self.name, line, column, message, source=self.line(line), hints=hints)

    def _has_text(self, line: int, column: int) -> bool:
        """Return whether a value is written out.

        libyaml gives an empty value the position after its colon.
        """
        return self.line(line)[column - 1 : column].strip(" \t,]}") != ""

    def _find_word(self, word: str, line: int, column: int) -> tuple[int, int]:
        """Find a whole word on the value's line, or on the indented lines below it."""
        first = self.line(line)
        if first[column - 1 : column] == "*":  # an alias: the value is written somewhere else
            return line, column
        pattern = re.compile(rf"(?<![\w.]){re.escape(word)}(?!\w)")
        match = pattern.search(first, column - 1)
        if match:
            return line, match.start() + 1
        indent = len(first) - len(first.lstrip())
        for number in range(line + 1, len(self.lines) + 1):
            text = self.line(number)
            if self._is_yaml and text.strip() and len(text) - len(text.lstrip()) <= indent:
                break
            match = pattern.search(text)
            if match:
                return number, match.start() + 1
        return line, column


class ProblemList:
    """The problems of one file. A problem that is added twice is reported once.

    ``describe`` names the part of the file that a path leads to; its text precedes the message.
    ``included`` are the sources of values that are written in other files, by their paths.
    """

    def __init__(
        self,
        source: SourceText,
        describe: Callable[[ValuePath], str] = lambda path: "",
        included: Mapping[ValuePath, SourceText] = MappingProxyType({}),
    ) -> None:
        self.source = source
        self._describe = describe
        self._included = included
        self._problems: dict[tuple[str, int, int, str], Problem] = {}

    def __bool__(self) -> bool:
        return bool(self._problems)

    def add(
        self,
        path: ValuePath,
        message: str,
        *,
        on: KeyOrValue = "value",
        word: str = "",
        hints: tuple[str, ...] = (),
    ) -> None:
        """Add a problem by its path.

        ``word`` narrows the position to a word in the value.
        """
        source, inside = self.source_of(path)
        line, column = source.position(inside, on, word)
        part = self._describe(path)
        self.add_located(
            source.problem(line, column, f"{part}: {message}" if part else message, hints)
        )

    def source_of(self, path: ValuePath) -> tuple[SourceText, ValuePath]:
        """Return the file in which a value is written, and its path there."""
        for length in range(len(path), -1, -1):
            if path[:length] in self._included:
                return self._included[path[:length]], path[length:]
        return self.source, path

    def place(self, path: ValuePath) -> str:
        """Return where the key of a value is, ``file:line:column``."""
        source, inside = self.source_of(path)
        line, column = source.position(inside, "key")
        return f"{source.name}:{line}:{column}"

    def extend(self, problems: Iterable[PathProblem]) -> None:
        """Add several problems by their paths."""
        for problem in problems:
            self.add(problem.path, problem.message, on=problem.on, hints=problem.hints)

    def add_located(self, problem: Problem) -> None:
        """Add a problem that is located already, in this file or another one."""
        key = problem.path, problem.line, problem.column, problem.message
        self._problems.setdefault(key, problem)

    def has_problem_at(self, path: ValuePath) -> bool:
        """Return whether a problem at the position of this value has been added."""
        source, inside = self.source_of(path)
        position = (source.name, *source.position(inside))
        return any(key[:3] == position for key in self._problems)

    def in_file_order(self) -> list[Problem]:
        """Return the problems, sorted by file, line and column."""
        return [self._problems[key] for key in sorted(self._problems, key=lambda key: key[:3])]

    def raise_any(self, error_type: Callable[[list[Problem]], Exception]) -> None:
        """Raise ``error_type`` with all problems; return if there are none."""
        if self._problems:
            raise error_type(self.in_file_order())


def first_entry_problem(
    error: ValidationError, document: Any, lines: ListLines, entries: str
) -> tuple[int, str]:
    """Return the line and text of the first problem of a file that is a list of ``entries``."""
    first = error.errors(include_url=False)[0]
    line, path = 1, first["loc"]
    if len(path) > 1:
        line, path = lines.of(document[entries])[int(path[1])], path[2:]
    key = shorten(".".join(map(str, path)), 60) or "the entry"
    return line, f"{key}: {first['msg'].removeprefix('Value error, ')}"
