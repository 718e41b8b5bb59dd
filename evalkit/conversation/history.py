"""The two history modes: what a request has as ``input``, and how it refers to what came before.

*Stateful*: the service stores the conversation; a request names the last interaction by
``previous_interaction_id`` and contains only what is new. *Stateless*: ``store: false``, and the
client re-sends everything (docs/protocol.md section 9): the earlier input, then every received
step exactly as received (the same objects, so nothing can change), each ``function_result`` right
after its call, then what is new. It relies on no id, because real responses have none then
(docs/protocol.md section 11).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from evalkit._lib.json import JSON
from evalkit.transcript import ApiError

RequestPart = dict[str, JSON]
"""The fields of a request body that the history decides, ``input`` among them."""


class TurnEnded(Exception):
    """The turn cannot continue: an API error, or for the given reason. Internal to the engine."""

    def __init__(self, reason: str | None = None, error: ApiError | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.error = error


class StatefulHistory:
    """The service stores the history."""

    def __init__(self, fields: Mapping[str, JSON], given: Sequence[dict[str, JSON]] = ()) -> None:
        self._previous: JSON = fields.get("previous_interaction_id") or None
        self._given = list(given)

    def message(
        self, content: str | list[dict[str, Any]], results: Sequence[dict[str, JSON]] = ()
    ) -> RequestPart:
        """Return the part with a user's message; a string stays one, as in the API's guide.

        ``results`` of calls that the turn before left open are sent with it.
        """
        before = [*self._given, *results]
        self._given = []
        return self._part([*before, _user_input(content)] if before else content)

    def results(self, results: list[dict[str, JSON]]) -> RequestPart:
        """Return the part with function results, which :meth:`add` has received too."""
        return self._part(results)

    def add(self, interaction_id: str, steps: list[dict[str, JSON]]) -> None:
        """Add a response: its id (``""`` without one), its steps with the client's results."""
        self._previous = interaction_id

    def _part(self, content: JSON) -> RequestPart:
        if self._previous is None:
            return {"input": content}
        if not self._previous:
            raise TurnEnded(
                "the last response has no id, so a stateful conversation cannot continue from it"
            )
        return {"previous_interaction_id": self._previous, "input": content}


class StatelessHistory:
    """The client stores the history."""

    def __init__(self, fields: Mapping[str, JSON], given: Sequence[dict[str, JSON]] = ()) -> None:
        self._store: JSON = fields.get("store", False)
        self._steps = list(given)

    def message(
        self, content: str | list[dict[str, Any]], results: Sequence[dict[str, JSON]] = ()
    ) -> RequestPart:
        """Return the history, results of open calls, and the message as a ``user_input`` step."""
        self._steps += [*results, _user_input(content)]
        return self._part()

    def results(self, results: list[dict[str, JSON]]) -> RequestPart:
        """Return the history, which includes the results right after their calls."""
        return self._part()

    def add(self, interaction_id: str, steps: list[dict[str, JSON]]) -> None:
        """Append the steps to the history."""
        self._steps += steps

    def _part(self) -> RequestPart:
        # A copy, because the transcript's earlier requests must not grow with the history.
        return {"store": self._store, "input": self._steps.copy()}


HISTORIES: dict[str, type[StatefulHistory] | type[StatelessHistory]] = {
    "stateful": StatefulHistory,
    "stateless": StatelessHistory,
}


def _user_input(content: str | list[dict[str, Any]]) -> dict[str, JSON]:
    return {"type": "user_input", "content": blocks(content)}


def blocks(content: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a message as content blocks."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def continued(part: RequestPart, store: JSON, interaction_id: str, token: str) -> RequestPart:
    """Return the part that continues a response at its length limit (docs/protocol.md section 8.3).

    With ``store: false`` the input is sent again; else ``previous_interaction_id`` names the
    response that has the token, without any input.
    """
    if part.get("store", store) is False:
        return {**part, "continuation_token": token}
    if not interaction_id:
        raise TurnEnded("the response asks to be continued and has no id to continue from")
    return {"previous_interaction_id": interaction_id, "continuation_token": token}
