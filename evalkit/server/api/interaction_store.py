"""Stored interactions: their conversations, and background runs that end after a number of polls.

A background run is answered when it starts; the first ``polls`` GET requests still report it as
``in_progress``. It does not depend on time, so that every recording is the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evalkit._lib import clock
from evalkit._lib.files import sha256
from evalkit._lib.json import JSON, canonical
from evalkit.protocol.step_reader import RawStep
from evalkit.server.api.collection import ResourceCollection
from evalkit.server.requests.error_response import OnViolation, bad_request

_RUNNING_FIELDS = (
    "id",
    "object",
    "model",
    "agent",
    "created",
    "updated",
    "environment_id",
    "service_tier",
)
"""The fields of an interaction that is in progress, besides its status."""


@dataclass(slots=True, kw_only=True)
class StoredInteraction:
    """One interaction.

    ``final`` is its state when it has ended. ``questions`` are the ``user_input`` steps that a GET
    lists first, ``sent`` the input of its request as steps, ``conversation`` every step up to the
    end of the answer. ``remaining_polls`` still find it running. ``must_notify``: webhooks are to
    be notified when it ends, as they are of background runs. ``webhook_config`` is the request's.
    """

    final: dict[str, JSON]
    questions: Sequence[RawStep]
    sent: Sequence[RawStep]
    conversation: tuple[RawStep, ...]
    remaining_polls: int = 0
    must_notify: bool = False
    webhook_config: Mapping[str, JSON] | None = None

    @property
    def is_running(self) -> bool:
        """Whether it is still in progress."""
        return self.remaining_polls > 0

    def current(self) -> dict[str, JSON]:
        """Return the interaction in its current state, without its input."""
        if not self.is_running:
            return self.final
        fields = {name: self.final[name] for name in _RUNNING_FIELDS if name in self.final}
        return {"id": "", "status": "in_progress", **fields}

    def poll(self) -> None:
        """Count one poll; the last one ends the run."""
        if self.is_running:
            self.remaining_polls -= 1
            self.final["updated"] = clock.timestamp()

    def finish(self) -> None:
        """End the run now."""
        if self.is_running:
            self.remaining_polls = 1
            self.poll()

    def cancel(self) -> None:
        """Cancel the run; one that has ended does not change."""
        if self.is_running:
            for name in ("usage", "errors", "error"):
                self.final.pop(name, None)
            answer_start = len(self.conversation) - len(self.final["steps"])
            self.conversation = self.conversation[:answer_start]
            self.final.update(status="cancelled", steps=[])
            self.finish()


class InteractionStore(ResourceCollection[StoredInteraction]):
    """The stored interactions. ``rule_uses`` counts the script's rules by index."""

    def __init__(self) -> None:
        super().__init__("interaction", "interactions", StoredInteraction.current)
        self.rule_uses: Counter[int] = Counter()
        self._requests: Counter[str] = Counter()

    def next_seed(self, body: Mapping[str, JSON]) -> str:
        """Return the hex digest from which the ids of an answer are derived.

        It depends on the request and on how often this request was received, so that ids do not
        change when other conversations are added or removed.
        """
        request = sha256(canonical(dict(body)))
        self._requests[request] += 1
        return sha256(f"{request} {self._requests[request]}")

    def find_previous(self, interaction_id: str, on_violation: OnViolation) -> StoredInteraction:
        """Return the interaction that a request continues. Raises ErrorResponse (404).

        Continuing one that is still running is a violation; if tolerated, its final state is
        continued.
        """
        stored = self.find(interaction_id, "'previous_interaction_id': ")
        if stored.is_running:
            on_violation(
                bad_request(
                    f"'previous_interaction_id': interaction '{interaction_id}' "
                    "is still in_progress.",
                    code="failed_precondition",
                )
            )
        return stored
