"""Run the variants of suites over a transport, evaluate them, render their result lines."""

from evalkit.session.outcomes import VariantOutcome
from evalkit.session.runner import Runner
from evalkit.session.settings import Settings

__all__ = ["Runner", "Settings", "VariantOutcome"]
