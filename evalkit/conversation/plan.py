"""What a conversation is planned to be: request fields, turns, history mode, limits. Values only.

A turn's content is computed when the turn begins, because it may quote earlier turns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from evalkit._lib.json import JSON, MISSING, loads
from evalkit._lib.text import shorten
from evalkit.conversation.simulator import SimulatedUser
from evalkit.errors import Failed
from evalkit.protocol.wire_facts import DEFAULT_API_VERSION
from evalkit.transcript import Turn

HistoryMode = Literal["stateful", "stateless"]


class TurnSource(Protocol):
    """The source of a turn's message."""

    def content(self, context: Mapping[str, Any], /) -> str | list[dict[str, Any]]:
        """Return the user's message: text, or content blocks.

        ``context`` is that of :func:`context` for the earlier turns. An EvalkitError makes the
        turn incomplete.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One conversation.

    ``fields`` are request fields in wire form (``model`` or ``agent``, ``tools``, …). All of them
    are in every POST, because the API inherits nothing but the conversation (docs/protocol.md
    section 2). ``store``, ``stream`` and ``background`` among them are sent unchanged;
    ``previous_interaction_id`` makes the first turn continue a stored interaction; ``input`` and
    ``continuation_token`` are ignored, because the engine sets them.

    ``max_tool_rounds`` limits the rounds of function results in a turn, ``max_polls`` the polls of
    a background run (a driver ends them by time), ``max_hops`` the continuations of a response.
    A simulated user among the ``turns`` makes as many turns as its conversation has.
    ``stop_after`` says, by the number of an entry of ``turns``, after how many responses it ends
    even if the model waits for results or a run goes on. ``given`` are steps of a conversation that
    the first turn continues. With ``locked`` each turn continues as many turns of that conversation
    as are before it, and not those of its own. ``settings`` are added to those of the transcript.
    """

    fields: Mapping[str, JSON]
    turns: Sequence[TurnSource | SimulatedUser]
    history: HistoryMode = "stateful"
    stream: bool = False
    background: bool = False
    max_tool_rounds: int = 8
    poll_seconds: float = 5.0
    api_version: str = DEFAULT_API_VERSION
    settings: Mapping[str, JSON] = field(default_factory=dict)
    max_polls: int = 100_000
    max_hops: int = 64
    stop_after: Mapping[int, int] = field(default_factory=dict)
    given: Sequence[dict[str, JSON]] = ()
    locked: Sequence[Turn] | None = None


class TurnView:
    """An earlier turn as templates see it: ``text``, and ``json``, the text parsed."""

    __slots__ = ("_json", "_turn")

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._json: JSON = MISSING

    @property
    def text(self) -> str:
        """The turn's output text."""
        return self._turn.text

    @property
    def json(self) -> JSON:
        """The turn's output text as a JSON value. Raises Failed if it is not JSON."""
        if self._json is MISSING:
            try:
                self._json = loads(self.text)
            except (ValueError, RecursionError) as error:
                text = shorten(self.text)
                raise Failed(
                    f"the text of turn {self._turn.number} is not JSON ({error}): {text}"
                ) from None
        return self._json


def context(turns: Sequence[Turn]) -> dict[str, Any]:
    """Return what templates see of turns: ``turns``, and ``previous``, the last or None."""
    views = [TurnView(turn) for turn in turns]
    return {"previous": views[-1] if views else None, "turns": views}
