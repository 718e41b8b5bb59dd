"""The port through which the suite language uses checks.

The suite package is below the checks package: it parses ``expect:`` entries and lets a CheckCatalog
build each check. The plugin and the command line pass the real catalog, tests pass a small one.
"""

from collections.abc import Sequence
from typing import Protocol

from evalkit._lib.json import JSON
from evalkit._lib.yaml import ValuePath


class BadArguments(ValueError):
    """A check refuses its argument.

    ``problems`` are pairs of a path inside the argument and a message. A message that starts with
    ``unknown`` is about the key that ends its path, any other about the value there. The text after
    ``; valid:`` in a message is display_path on a line of its own.
    """

    def __init__(self, problems: Sequence[tuple[ValuePath, str]]) -> None:
        self.problems = list(problems)
        super().__init__("; ".join(message for _, message in self.problems))


class CheckCatalog(Protocol):
    """The checks that a suite may name."""

    def names(self) -> Sequence[str]:
        """Return the name of every check."""

    def build(self, name: str, argument: JSON, *, bare: bool) -> object:
        """Return the check of ``name: argument``, or of ``name`` alone with ``bare``.

        Raises BadArguments.
        """

    def schema(self, name: str) -> dict[str, JSON]:
        """Return the JSON Schema (2020-12) of a check's argument.

        Its ``$ref`` point into its own ``$defs``.
        """

    def files(self, name: str, argument: JSON) -> list[tuple[ValuePath, str]]:
        """Return the file names in an argument, each with its path inside the argument."""
