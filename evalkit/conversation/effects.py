"""The effects of the engine, and the synchronous driver that carries them out.

The engine is sans-IO: it yields one of four effects. The driver carries it out and sends the
result in, or throws the error that occurred. Effects are values only; they contain no transport,
clock or tool.

| effect | the driver sends in |
|---|---|
| ``Send`` | the ``Response`` |
| ``Pause`` | nothing (``None``) |
| ``CallTool`` | a ``ToolResult`` |
| ``EndTurn`` | whether to continue with the next turn |
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, NamedTuple, TypeAlias

from evalkit._lib.json import JSON
from evalkit.errors import EvalkitError
from evalkit.transcript import Request, Response, Transcript, Turn


class Send(NamedTuple):
    """Send this request. An API error is a response too."""

    request: Request


class Pause(NamedTuple):
    """Wait before the next poll of a background run. A replaying driver does not wait."""

    seconds: float


class CallTool(NamedTuple):
    """Run a function that the model called. ``call_id`` is None for a call without an id."""

    name: str
    arguments: dict[str, JSON]
    call_id: str | None


class EndTurn(NamedTuple):
    """A turn that was begun is over, whatever its outcome.

    A turn that did not complete ends the conversation in any case.
    """

    turn: Turn


class ToolResult(NamedTuple):
    """The result of a function. ``declared`` is False if no such function is declared."""

    result: JSON
    is_error: bool = False
    declared: bool = True


Effect: TypeAlias = Send | Pause | CallTool | EndTurn
Conversation: TypeAlias = Generator[Effect, Any, Transcript]


def drive(
    conversation: Conversation,
    send: Callable[[Request], Response],
    call_tool: Callable[[CallTool], ToolResult],
    pause: Callable[[float], None],
    end_turn: Callable[[Turn], bool],
) -> Transcript:
    """Run a conversation to its end with these functions and return the transcript.

    Their EvalkitErrors become part of the transcript; any other exception is a bug and propagates.
    """
    resume: Callable[[Any], Effect] = conversation.send
    result: Any = None
    while True:
        try:
            effect = resume(result)
        except StopIteration as end:
            transcript: Transcript = end.value
            return transcript
        resume = conversation.send
        try:
            match effect:
                case Send(request):
                    result = send(request)
                case EndTurn(turn):
                    result = end_turn(turn)
                case CallTool():
                    result = call_tool(effect)
                case Pause(seconds):
                    pause(seconds)
                    result = None
        except EvalkitError as error:
            resume, result = conversation.throw, error
