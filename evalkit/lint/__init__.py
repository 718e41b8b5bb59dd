"""Rules over cassettes from any tool: what is wrong, risky or new in files and conversations."""

from evalkit.lint.linter import LintOutcome, lint
from evalkit.lint.rules import RULES, LintFinding, LintOptions, LintRule

__all__ = ["RULES", "LintFinding", "LintOptions", "LintOutcome", "LintRule", "lint"]
