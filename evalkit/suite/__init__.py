"""The suite language: YAML files of scenarios, loaded into Suites and expanded into Variants (docs/suites.md is its reference)."""

from evalkit.suite.catalog import BadArguments, CheckCatalog
from evalkit.suite.loading import load
from evalkit.suite.plan import Scenario, Suite
from evalkit.suite.prepared import Expectation, TurnPlan
from evalkit.suite.tools import Tool, ToolOutcome
from evalkit.suite.variants import Variant, expand

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
    "expand",
    "load",
]
