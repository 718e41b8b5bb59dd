"""What the engine asks of the world: four effects, and nothing else.

The engine is sans-IO. It yields one of these, whoever drives it does the deed and sends the result in, or throws the exception it met.
An effect carries values only; nothing here may hold a transport, a clock or a tool.

| effect | the driver sends in |
|---|---|
| ``Send`` | the ``Response`` |
| ``Pause`` | nothing (``None``) |
| ``CallTool`` | a ``ToolResult`` |
| ``EndTurn`` | whether to go on with the next turn |
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple, TypeAlias

from evalkit._lib.json import JSON
from evalkit.transcript import Request, Transcript, Turn


class Send(NamedTuple):
    """Send this request; the answer is a ``Response``, an API's error answer included."""

    request: Request


class Pause(NamedTuple):
    """Wait before the next poll of a run in the background. A driver that replays does not wait."""

    seconds: float


class CallTool(NamedTuple):
    """Run a function the model called; the answer is a ``ToolResult``. ``call_id`` is None where the call had no id."""

    name: str
    arguments: dict[str, JSON]
    call_id: str | None


class EndTurn(NamedTuple):
    """A turn that was begun is over, whatever became of it; the answer says whether to go on.

    A turn that did not complete ends the conversation in any case. Turns that are not run have no such effect.
    """

    turn: Turn


class ToolResult(NamedTuple):
    """What a function gave. ``declared`` is False where no function of that name was declared: the model is told so."""

    result: JSON
    is_error: bool = False
    declared: bool = True


Effect: TypeAlias = Send | Pause | CallTool | EndTurn
Conversation: TypeAlias = Generator[Effect, Any, Transcript]
