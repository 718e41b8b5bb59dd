"""What the parts of one suite file share while it is loaded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evalkit._lib.json import JSON
from evalkit._lib.problems import ProblemList
from evalkit._lib.yaml import ListLines, ValuePath
from evalkit.suite.loading.cases import CaseReader
from evalkit.suite.loading.fragments import Declarations
from evalkit.suite.model.deferred import SuiteResources
from evalkit.suite.model.expectation_parser import ExpectationEntry
from evalkit.suite.model.tools import Tool


@dataclass(slots=True, eq=False, kw_only=True)
class LoadContext:
    """One suite file being loaded.

    ``declared`` is what it and its fragments declare. ``verified_tools`` are the tools whose
    templates have been verified. ``entries`` are parsed expectations and their checks (None with
    templates) by the JSON text of the entry.
    """

    lines: ListLines
    use_lines: Sequence[int]
    scenario_lines: Sequence[int]
    problems: ProblemList
    resources: SuiteResources
    check_names: Mapping[str, None]
    cases: CaseReader
    declared: Declarations
    tools: Mapping[str, Tool]
    verified_tools: set[str] = field(default_factory=set)
    used_expectations: set[str] = field(default_factory=set)
    entries: dict[str, tuple[ExpectationEntry, Any]] = field(default_factory=dict)

    def lines_of(self, items: list[JSON], path: ValuePath) -> Sequence[int]:
        """Return the line of each item of a list in the suite file.

        What a fragment contains has the line of the fragment's entry in ``use``.
        """
        if path[:1] == ("use",):
            return [self.use_lines[int(path[1])]] * len(items)
        return self.lines.of(items)
