"""The port through which the suite language knows checks: their names, arguments and schemas, never what they do.

The suite room stands below the checks: it parses ``expect:`` entries and asks a CheckCatalog to build each one. Whoever composes the
house (plugin, command line) passes the real catalog in; a test passes a small one of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from evalkit._lib.json import JSON

Path = tuple[str | int, ...]


class BadArguments(ValueError):
    """A check refuses its argument. ``problems`` are ``(path inside the argument, message)``; ``()`` is the argument itself.

    A message that starts with ``unknown`` is about the key that ends its path, any other about the value there. What follows ``; valid:``
    in a message is shown on a line of its own.
    """

    def __init__(self, problems: Sequence[tuple[Path, str]]) -> None:
        self.problems = list(problems)
        super().__init__("; ".join(message for _, message in self.problems))


class CheckCatalog(Protocol):
    """What the suite language asks of the checks."""

    def names(self) -> Sequence[str]:
        """Return every word that may stand in an ``expect:`` entry."""

    def build(self, name: str, argument: JSON, *, bare: bool) -> object:
        """Return the check object of ``name: argument``, or of ``name`` alone (``bare``, argument None). Raises BadArguments."""

    def schema(self, name: str) -> dict[str, JSON]:
        """Return the JSON Schema (2020-12) of what may stand after ``name:``; its ``$ref`` point into its own ``$defs``."""

    def files(self, name: str, argument: JSON) -> list[tuple[Path, str]]:
        """Return the file names an argument speaks of, each with its path inside the argument."""
