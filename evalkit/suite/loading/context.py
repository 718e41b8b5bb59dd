"""What the parts of the loader share while one suite file is loaded."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from evalkit._lib.json import JSON
from evalkit._lib.problems import ProblemList
from evalkit._lib.yaml import ListLines
from evalkit.suite.loading.cases import CaseReader
from evalkit.suite.model.deferred import SuiteResources
from evalkit.suite.model.tools import Tool


@dataclass(slots=True, eq=False, kw_only=True)
class LoadContext:
    """One suite file being loaded.

    ``verified_tools`` are the tools whose templates have been verified.
    """

    lines: ListLines
    problems: ProblemList
    resources: SuiteResources
    check_names: Mapping[str, None]
    cases: CaseReader
    vars: Mapping[str, JSON]
    tools: Mapping[str, Tool]
    verified_tools: set[str] = field(default_factory=set)
