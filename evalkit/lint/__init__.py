"""What is wrong, risky or new in cassettes of any origin: rules over files, recordings and the conversations in them."""

from evalkit.lint.findings import LintFinding
from evalkit.lint.linting import Outcome, lint
from evalkit.lint.options import Options
from evalkit.lint.rules import RULES, Rule

__all__ = ["RULES", "LintFinding", "Options", "Outcome", "Rule", "lint"]
