"""What a loaded suite is: Suite, Scenario and their parts, variables not filled in yet. Made by ``load``, read by ``expand``.

Variants of one scenario share everything that does not differ: request fields without templates, expectations, prepared checks. So
nothing here may be changed by its reader.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from evalkit._lib.files import sha256
from evalkit._lib.json import JSON
from evalkit.errors import Problem, SuiteErrors
from evalkit.suite import catalog
from evalkit.suite.cases import Row
from evalkit.suite.files import FileFault
from evalkit.suite.prepared import Expectation, Workshop
from evalkit.suite.tools import Tool


class Turn(NamedTuple):
    """One turn of a scenario, before its variables are known. ``expect`` holds its expectations, one list for each row."""

    number: int
    line: int
    user: JSON
    attach: Sequence[dict[str, JSON]]
    templated: bool
    path: catalog.Path
    expect: Sequence[Sequence[Expectation]]


class Axis(NamedTuple):
    """One setting that may be a list. ``listed``: it was given as one, so each value makes a variant and a part of its name."""

    name: str
    values: tuple[JSON, ...]
    listed: bool


class Scenario(NamedTuple):
    """One conversation to hold, defaults merged in. ``fields`` are its request fields but for those that vary, templates not rendered.

    ``target`` names the function that holds the turns, None where evalkit does.
    """

    id: str
    title: str
    description: str
    tags: tuple[str, ...]
    line: int
    path: catalog.Path
    axes: tuple[Axis, ...]
    rows: tuple[Row, ...]
    variables: tuple[Mapping[str, JSON], ...]
    fields: Mapping[str, JSON]
    request: Mapping[str, JSON]
    templated: bool
    tools: Mapping[str, Tool]
    turns: Sequence[Turn]
    expect: Sequence[Sequence[Expectation]]
    max_tool_rounds: int
    repeat: int
    timeout: float | None
    stop_on_failure: bool
    target: str | None = None


@dataclass(frozen=True, eq=False)
class Suite:
    """One loaded suite file. ``label`` is its path from the project root, as messages call it."""

    name: str
    path: Path
    description: str
    vars: Mapping[str, JSON]
    tools: Mapping[str, Tool]
    scenarios: Sequence[Scenario]
    workshop: Workshop = field(repr=False)
    used: Sequence[tuple[str, Path]] = field(repr=False)

    @property
    def label(self) -> str:
        """The path from the project root."""
        return self.workshop.source.name

    @cached_property
    def digest(self) -> str:
        """Hex SHA-256 of the file's text; where it uses files, of that and each file's name and SHA-256.

        Raises SuiteErrors: a file is gone.
        """
        own = sha256(self.workshop.source.text)
        if not self.used:
            return own
        try:
            return sha256(
                "\n".join(
                    [own, *(f"{name} {sha256(path.read_bytes())}" for name, path in self.used)]
                )
            )
        except OSError as error:
            raise SuiteErrors(
                [Problem(self.label, 1, 1, f"a file of this suite cannot be read: {error}")]
            ) from error

    def file(self, name: str) -> Path:
        """Return the file that a name in this suite means. Raises SuiteErrors: missing, or outside the project."""
        try:
            return self.workshop.files.find(name)
        except FileFault as fault:
            raise SuiteErrors([Problem(self.label, 1, 1, str(fault))]) from fault
