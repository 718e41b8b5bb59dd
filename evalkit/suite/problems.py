"""Collecting every problem of one suite file, each located and told apart by where it stands.

A message starts with the scenario and turn it is about, taken from the path: ``scenario 'london', turn 1: …``. The same problem found
twice (defaults are looked at once for every scenario) is told once.
"""

from __future__ import annotations

from typing import NamedTuple

from evalkit._lib.json import JSON
from evalkit.errors import Problem, SuiteErrors
from evalkit.suite.catalog import Path
from evalkit.suite.source import On, Source


class Wrong(NamedTuple):
    """One thing that is wrong, by its path in the document."""

    path: Path
    message: str
    on: On = "value"
    hints: tuple[str, ...] = ()


class Problems:
    """The problems of one file so far; ``raw`` is the document as loaded, asked for the names of scenarios."""

    def __init__(self, source: Source, raw: JSON) -> None:
        self._source = source
        self._raw = raw
        self._found: dict[tuple[str, int, int, str], Problem] = {}
        self._places: set[tuple[str, int, int]] = set()

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(
        self,
        path: Path,
        message: str,
        *,
        on: On = "value",
        word: str = "",
        hints: tuple[str, ...] = (),
    ) -> None:
        """Note a problem of the suite file itself, located by path; ``word`` narrows it to a word inside the value."""
        line, column = self._source.place(path, on, word)
        where = whereabouts(path, self._raw)
        self.note(
            self._source.problem(line, column, f"{where}: {message}" if where else message, hints)
        )

    def add_if_new(self, path: Path, message: str, *, on: On = "value") -> None:
        """Note a problem unless another one is at the same place already."""
        if (self._source.name, *self._source.place(path, on)) not in self._places:
            self.add(path, message, on=on)

    def note(self, problem: Problem) -> None:
        """Note a problem that is located already, in whatever file."""
        self._places.add((problem.path, problem.line, problem.column))
        self._found.setdefault(
            (problem.path, problem.line, problem.column, problem.message), problem
        )

    def raise_any(self) -> None:
        """Raise SuiteErrors if there is a problem."""
        if self._found:
            raise SuiteErrors(list(self._found.values()))


def whereabouts(path: Path, raw: JSON) -> str:
    """Return ``scenario 'london', turn 1`` for a path inside it, ``tool 'x'``, ``defaults``, or ``""`` for the suite's own keys."""
    if len(path) < 2:
        return ""
    top, second, *rest = path
    if top == "tools":
        return f"tool {second!r}"
    if top == "scenarios" and isinstance(second, int):
        words = f"scenario {scenario_name(raw, second)}"
    elif top == "defaults":
        words, rest = "defaults", [second, *rest]
    else:
        return ""
    if len(rest) > 1 and rest[0] in ("turns", "cases") and isinstance(rest[1], int):
        words += f", {'turn' if rest[0] == 'turns' else 'case'} {rest[1] + 1}"
    return words


def scenario_name(raw: JSON, index: int) -> str:
    """Return a scenario's quoted id, or its number from 1 where it has none."""
    try:
        name = raw["scenarios"][index]["id"]
    except (LookupError, TypeError):
        name = None
    return repr(name) if isinstance(name, str) and 0 < len(name) <= 80 else str(index + 1)
