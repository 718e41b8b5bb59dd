"""Sessions: hold variants over a transport, judge what happened, make result lines."""

from evalkit.session.runner import Outcome, Runner
from evalkit.session.settings import Settings

__all__ = ["Outcome", "Runner", "Settings"]
