"""The sans-IO conversation engine: a plan in, effects out, a transcript at the end."""

from evalkit.conversation.effects import (
    CallTool,
    Conversation,
    Effect,
    EndTurn,
    Pause,
    Send,
    ToolResult,
    drive,
)
from evalkit.conversation.engine import converse
from evalkit.conversation.plan import Plan, TurnSource, TurnView, context

__all__ = [
    "CallTool",
    "Conversation",
    "Effect",
    "EndTurn",
    "Pause",
    "Plan",
    "Send",
    "ToolResult",
    "TurnSource",
    "TurnView",
    "context",
    "converse",
    "drive",
]
