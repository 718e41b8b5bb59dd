"""The sans-IO conversation engine: a plan in, effects out, a transcript at the end."""

from evalkit.conversation.engine import (
    CallTool,
    Conversation,
    Effect,
    EndTurn,
    Pause,
    Send,
    converse,
    drive,
)
from evalkit.conversation.function_calls import ToolResult
from evalkit.conversation.plan import Plan, TurnSource, TurnView, context
from evalkit.conversation.simulator import SimulatedUser

__all__ = [
    "CallTool",
    "Conversation",
    "Effect",
    "EndTurn",
    "Pause",
    "Plan",
    "Send",
    "SimulatedUser",
    "ToolResult",
    "TurnSource",
    "TurnView",
    "context",
    "converse",
    "drive",
]
