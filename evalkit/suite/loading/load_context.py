"""What the parts of one suite file share while it is loaded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evalkit._lib.json import JSON
from evalkit._lib.problems import ProblemList
from evalkit._lib.yaml import ListLines
from evalkit.suite.loading.cases import CaseReader
from evalkit.suite.model.deferred import SuiteResources
from evalkit.suite.model.expectation_parser import ExpectationEntry
from evalkit.suite.model.tools import Tool


@dataclass(slots=True, eq=False, kw_only=True)
class LoadContext:
    """One suite file being loaded.

    ``verified_tools`` are the tools whose templates have been verified. ``entries`` are parsed
    expectations and their checks (None with templates) by the JSON text of the entry.
    """

    lines: ListLines
    scenario_lines: Sequence[int]
    problems: ProblemList
    resources: SuiteResources
    check_names: Mapping[str, None]
    cases: CaseReader
    vars: Mapping[str, JSON]
    tools: Mapping[str, Tool]
    verified_tools: set[str] = field(default_factory=set)
    entries: dict[str, tuple[ExpectationEntry, Any]] = field(default_factory=dict)
