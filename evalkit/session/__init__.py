"""Sessions: hold variants over a transport, judge what happened, make result lines."""

from evalkit.session.runner import Runner, VariantOutcome
from evalkit.session.settings import Settings

__all__ = ["Runner", "Settings", "VariantOutcome"]
