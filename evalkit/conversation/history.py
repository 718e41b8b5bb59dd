"""The two ways of keeping history: what goes into a request as ``input``, and what ties it to what was said before.

*Stateful*: the service keeps the conversation; a request names the last interaction by ``previous_interaction_id`` and carries only what is
new (guide section 4). *Stateless*: ``store: false``, and the client re-sends everything (guide section 4, protocol section 9): the earlier
input, then every received step exactly as received (the very objects, so nothing can be added, dropped or re-spelled), each
``function_result`` right after its call, then what is new. It relies on no id: real answers have none then (protocol section 11).

Nothing here sends, reads answers or runs tools.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from evalkit._lib.json import JSON

Part = dict[str, JSON]
"""The part of a request body that history decides: ``input`` and what stands before it."""


class NotHeld(Exception):
    """The turn cannot go on for what the service answered; the message is the reason. Never leaves this room."""


class Keeper(Protocol):
    """Keeps the history of one conversation."""

    def ask(self, content: str | list[dict[str, Any]]) -> Part:
        """Return the part that carries the user's message."""
        ...

    def keep(self, interaction_id: str, steps: list[dict[str, JSON]]) -> None:
        """Remember an answer: its id (``""`` where it had none), its steps with the client's results already in place."""
        ...

    def reply(self, results: list[dict[str, JSON]]) -> Part:
        """Return the part that carries function results; :meth:`keep` has had them too."""
        ...


class Stateful:
    """The service keeps the history."""

    def __init__(self, fields: Mapping[str, JSON]) -> None:
        self._previous: JSON = fields.get("previous_interaction_id")
        self._lost = False

    def ask(self, content: str | list[dict[str, Any]]) -> Part:
        """Return the message as the guide sends it: a string stays one, content blocks are the input (guide sections 2 and 5)."""
        return self._part(content)

    def keep(self, interaction_id: str, steps: list[dict[str, JSON]]) -> None:
        """Remember the id; the steps are the service's to keep."""
        self._previous = interaction_id
        self._lost = not interaction_id

    def reply(self, results: list[dict[str, JSON]]) -> Part:
        """Return the results alone (guide section 9)."""
        return self._part(results)

    def _part(self, content: JSON) -> Part:
        if self._lost:
            raise NotHeld(
                "the last answer has no id, so a stateful conversation cannot go on from it"
            )
        return (
            {"input": content}
            if self._previous is None
            else {"previous_interaction_id": self._previous, "input": content}
        )


class Stateless:
    """The client keeps the history."""

    def __init__(self, fields: Mapping[str, JSON]) -> None:
        self._store: JSON = fields.get("store", False)
        self._steps: list[dict[str, JSON]] = []

    def ask(self, content: str | list[dict[str, Any]]) -> Part:
        """Return the history and the message as a ``user_input`` step."""
        self._steps.append({"type": "user_input", "content": blocks(content)})
        return self._part()

    def keep(self, interaction_id: str, steps: list[dict[str, JSON]]) -> None:
        """Append the steps to the history."""
        self._steps += steps

    def reply(self, results: list[dict[str, JSON]]) -> Part:
        """Return the history, which holds the results right after their calls."""
        return self._part()

    def _part(self) -> Part:
        # A copy: the transcript holds earlier requests, which must not grow with the history.
        return {"store": self._store, "input": self._steps.copy()}


KEEPERS: dict[str, type[Stateful] | type[Stateless]] = {
    "stateful": Stateful,
    "stateless": Stateless,
}


def blocks(content: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a message as content blocks."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def continued(part: Part, store: JSON, interaction_id: str, token: str) -> Part:
    """Return the part of the next hop of a call that hit its decode limit (protocol section 8.3).

    With ``store: false`` the input goes out again; else ``previous_interaction_id`` names the hop that issued the token, with no input.
    """
    if part.get("store", store) is False:
        return {**part, "continuation_token": token}
    if not interaction_id:
        raise NotHeld("the answer asks to be continued and has no id to continue from")
    return {"previous_interaction_id": interaction_id, "continuation_token": token}
