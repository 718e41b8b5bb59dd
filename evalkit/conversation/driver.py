"""The synchronous driver: does what the engine asks, one effect after another.

It holds no policy: what a tool is, how a request travels and whether a pause really waits is in the four functions given. Their
EvalkitErrors are handed to the engine, which writes them into the transcript; any other exception is a bug and passes through.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from evalkit.conversation.effects import CallTool, Conversation, Effect, EndTurn, Send, ToolResult
from evalkit.errors import EvalkitError
from evalkit.transcript import Request, Response, Transcript, Turn


def drive(
    conversation: Conversation,
    send: Callable[[Request], Response],
    call_tool: Callable[[CallTool], ToolResult],
    pause: Callable[[float], None],
    end_turn: Callable[[Turn], bool],
) -> Transcript:
    """Drive a conversation to its end and return the transcript."""
    advance: Callable[[Any], Effect] = conversation.send
    outcome: Any = None
    while True:
        try:
            effect = advance(outcome)
        except StopIteration as end:
            transcript: Transcript = end.value
            return transcript
        advance = conversation.send
        try:
            if isinstance(effect, Send):
                outcome = send(effect.request)
            elif isinstance(effect, EndTurn):
                outcome = end_turn(effect.turn)
            elif isinstance(effect, CallTool):
                outcome = call_tool(effect)
            else:
                pause(effect.seconds)
                outcome = None
        except EvalkitError as error:
            outcome, advance = error, conversation.throw
