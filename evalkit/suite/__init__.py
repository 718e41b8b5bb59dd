"""The suite language: YAML files of scenarios (docs/suites.md).

``model/`` holds what a suite means, ``loading/`` reads a file into it, ``messages`` words mistakes.
"""

from evalkit.suite.loading.loader import load
from evalkit.suite.model.deferred import Expectation, TurnPlan
from evalkit.suite.model.expansion import cassettes_of, expand
from evalkit.suite.model.expectation_parser import BadArguments, CheckCatalog
from evalkit.suite.model.suite import Scenario, Suite
from evalkit.suite.model.tools import Tool, ToolOutcome
from evalkit.suite.model.variants import Variant

__all__ = [
    "BadArguments",
    "CheckCatalog",
    "Expectation",
    "Scenario",
    "Suite",
    "Tool",
    "ToolOutcome",
    "TurnPlan",
    "Variant",
    "cassettes_of",
    "expand",
    "load",
]
