"""Record and replay an application's own HTTP traffic, and check its conversations."""

from evalkit.taping.conversations import ContinuityWarning, TapedConversation, TapedTurn
from evalkit.taping.expectations import ExpectationWarning
from evalkit.taping.tapes import Tape, UnansweredWarning, UnplayedWarning, tape
from evalkit.taping.target_runner import TargetContext

__all__ = [
    "ContinuityWarning",
    "ExpectationWarning",
    "Tape",
    "TapedConversation",
    "TapedTurn",
    "TargetContext",
    "UnansweredWarning",
    "UnplayedWarning",
    "tape",
]
