"""What a server keeps in memory: stored interactions, their conversations, background runs counted by polls.

A background run is answered the moment it starts and shown when it was polled often enough: the first ``polls`` GETs find it
``in_progress``. No time passes, so that a recording is the same each time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from evalkit._lib import clock
from evalkit._lib.files import sha256
from evalkit._lib.json import JSON, canonical
from evalkit.server.requests.error_response import ErrorResponse, OnViolation, bad_request

RawStep = dict[str, JSON]


@dataclass(slots=True)
class StoredInteraction:
    """One kept interaction.

    ``final`` is what it becomes, ``asked`` the ``user_input`` steps a GET shows first, ``sent`` this request's input as steps,
    ``conversation`` every step up to and with the answer. ``left``: polls that still find it running. ``hooks`` is the request's
    ``webhook_config``; ``untold``: its end is still to be told to webhooks, which is so of runs in the background.
    """

    final: dict[str, JSON]
    asked: Sequence[RawStep]
    sent: Sequence[RawStep]
    conversation: tuple[RawStep, ...]
    left: int = 0
    untold: bool = False
    hooks: Mapping[str, JSON] | None = None

    @property
    def running(self) -> bool:
        """Whether it is still in progress."""
        return self.left > 0

    def shown(self) -> dict[str, JSON]:
        """Return the interaction as it stands now, without its leading input."""
        if not self.running:
            return self.final
        names = (
            "id",
            "object",
            "model",
            "agent",
            "created",
            "updated",
            "environment_id",
            "service_tier",
        )
        return {
            "id": "",
            "status": "in_progress",
            **{name: self.final[name] for name in names if name in self.final},
        }

    def start(self, polls: int) -> None:
        """Run in the background, for so many polls."""
        self.left, self.untold = polls, True

    def poll(self) -> None:
        """Count one poll; the last one ends the run."""
        if self.running:
            self.left -= 1
            self.final["updated"] = clock.timestamp()

    def finish(self) -> None:
        """Let the run end now."""
        if self.running:
            self.left = 1
            self.poll()

    def cancel(self) -> None:
        """Cancel a running interaction; one that ended stays as it is."""
        if self.running:
            for name in ("usage", "errors", "error"):
                self.final.pop(name, None)
            self.conversation = self.conversation[
                : len(self.conversation) - len(self.final["steps"])
            ]
            self.final.update(status="cancelled", steps=[])
            self.finish()


@dataclass(slots=True)
class InteractionStore:
    """Everything a server keeps. ``used`` counts rules of the script by index."""

    used: Counter[int] = field(default_factory=Counter)
    _seen: Counter[str] = field(default_factory=Counter)
    _held: dict[str, StoredInteraction] = field(default_factory=dict)

    def seed(self, body: Mapping[str, JSON]) -> str:
        """Return the hex digest an answer's ids are made from: of the request, and of how often this server has seen it.

        Counting each request by itself keeps ids the same when other conversations come and go.
        """
        request = sha256(canonical(dict(body)))
        self._seen[request] += 1
        return sha256(f"{request} {self._seen[request]}")

    def add(self, stored: StoredInteraction) -> None:
        """Keep an interaction."""
        self._held[stored.final["id"]] = stored

    def get(self, id_: str) -> StoredInteraction:
        """Return a kept interaction. Raises ErrorResponse (404)."""
        held = self._held.get(id_)
        if held is None:
            raise ErrorResponse(404, f"Interaction '{id_}' was not found.")
        return held

    def previous(self, id_: str, defend: OnViolation) -> StoredInteraction:
        """Return the interaction a request continues. Raises ErrorResponse: 404 for an unknown id.

        One that still runs is a breach for ``defend`` to judge; let pass, it is continued from what it will be.
        """
        held = self._held.get(id_)
        if held is None:
            raise ErrorResponse(
                404, f"'previous_interaction_id': interaction '{id_}' was not found."
            )
        if held.running:
            defend(
                bad_request(
                    f"'previous_interaction_id': interaction '{id_}' is still in_progress.",
                    code="failed_precondition",
                )
            )
        return held

    def delete(self, id_: str) -> None:
        """Forget an interaction; what continues it keeps its own conversation. Raises ErrorResponse (404)."""
        self.get(id_)
        del self._held[id_]
