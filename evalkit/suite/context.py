"""What every part of the reader shares while one suite file is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from evalkit._lib.json import JSON
from evalkit._lib.yaml import ListLines
from evalkit.suite.cases import DataRow, Rows
from evalkit.suite.plan import Axis
from evalkit.suite.prepared import Expectation, Workshop
from evalkit.suite.problems import Problems
from evalkit.suite.salvage import Broken
from evalkit.suite.tools import Tool


class Settings(NamedTuple):
    """What a scenario says beside its turns. ``listed``: one of its axes is a list; ``fields`` are its request fields but for those.

    ``templated``: a template is in what is sent; ``holds_template``: in that, or in what a tool answers.
    """

    axes: tuple[Axis, ...]
    listed: bool
    fields: Mapping[str, JSON]
    tools: Mapping[str, Tool]
    templated: bool
    holds_template: bool


@dataclass(slots=True, eq=False, repr=False)
class Reading:
    """One suite file being read.

    ``raw`` is the document as loaded, ``broken`` what the models refused of it, ``checks`` the names of all checks.
    The rest are caches: what scenarios have in common is worked out once, and held once to the end of a session.
    """

    raw: Mapping[str, JSON]
    lines: ListLines
    problems: Problems
    broken: Broken
    workshop: Workshop
    checks: Mapping[str, None]
    vars: Mapping[str, JSON] = field(default_factory=dict)
    tools: Mapping[str, Tool] = field(default_factory=dict)
    case_files: dict[str, list[DataRow]] = field(default_factory=dict)
    built: dict[tuple[str, str | bytes], tuple[JSON, object]] = field(default_factory=dict)
    no_rows: Rows | None = None
    verified: set[str] = field(default_factory=set)
    tags: dict[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict)
    settings: dict[tuple[bool, tuple[str, ...]], Settings] = field(default_factory=dict)
    default_expect: Sequence[Expectation] | None = None

    def line(self, items: JSON, index: int, otherwise: int = 1) -> int:
        """Return the line on which an entry of one of the document's own lists starts."""
        lines = self.lines.of(items) if type(items) is list else []
        return lines[index] if index < len(lines) else otherwise
