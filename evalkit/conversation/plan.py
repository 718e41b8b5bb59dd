"""What a conversation is to be: the fields sent with every request, the turns, the two ways of keeping history.

Values only. Where a plan comes from (a suite, a test) is not known here; a turn's content is asked for when its time comes, because it may
quote earlier turns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, Protocol

from evalkit._lib.json import JSON, MISSING, loads
from evalkit._lib.text import shorten
from evalkit.errors import Failed
from evalkit.protocol.wire_facts import DEFAULT_API_VERSION
from evalkit.transcript import Turn

History = Literal["stateful", "stateless"]


class TurnSource(Protocol):
    """Where a turn's message comes from."""

    def content(self, context: Mapping[str, Any], /) -> str | list[dict[str, Any]]:
        """Return the user's message: text, or content blocks.

        ``context`` is that of :func:`context` over the earlier turns. May raise any EvalkitError: the turn is then not held.
        """
        ...


class Plan(NamedTuple):
    """One conversation to hold.

    ``fields`` are the request fields in wire form (``model`` or ``agent``, ``tools``, ``system_instruction`` …): all of them go with every
    POST, because the API inherits nothing but the conversation (protocol section 2). A ``store``, ``stream`` or ``background`` among them
    goes out as it stands; ``previous_interaction_id`` chains the first turn of a stateful conversation to a stored one; ``input`` and
    ``continuation_token`` are the engine's and are ignored.

    ``max_tool_rounds`` counts rounds of function results within a turn. ``poll_seconds`` stands between two polls, ``max_polls`` ends a run
    that never ends (the default is a day at five seconds), ``max_hops`` a turn that is continued for ever. ``settings`` are copied into the
    transcript, beside ``fields`` and the three words ``history``, ``stream`` and ``background``.
    """

    fields: Mapping[str, JSON]
    turns: Sequence[TurnSource]
    history: History = "stateful"
    stream: bool = False
    background: bool = False
    max_tool_rounds: int = 8
    poll_seconds: float = 5.0
    api_version: str = DEFAULT_API_VERSION
    settings: Mapping[str, JSON] = MappingProxyType({})
    max_polls: int = 17_280
    max_hops: int = 64


class TurnView:
    """An earlier turn as a later turn's template sees it: ``text``, and ``json``, the text parsed."""

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
        """The turn's output text as a JSON value. Raises Failed where it is not JSON."""
        if self._json is MISSING:
            try:
                self._json = loads(self.text)
            except (ValueError, RecursionError) as error:
                raise Failed(
                    f"the text of turn {self._turn.number} is not JSON ({error}): {shorten(self.text)}"
                ) from None
        return self._json


def context(turns: Sequence[Turn]) -> dict[str, Any]:
    """Return what a template sees of some turns: ``previous``, the last one (None where there is none), and ``turns``, all of them."""
    views = [TurnView(turn) for turn in turns]
    return {"previous": views[-1] if views else None, "turns": views}
