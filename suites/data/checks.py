"""Checks of this project's own: functions that a suite names with ``python:``."""

from __future__ import annotations

from collections.abc import Iterator

from evalkit import Transcript, Turn


def has_environment(transcript: Transcript, turn: Turn | None) -> Iterator[str]:
    """The agent must say which environment it worked in, and the same one in every turn."""
    found = [
        held.interaction.get("environment_id") if held.interaction else None
        for held in transcript.turns
    ]
    if not all(found):
        yield f"an answer without environment_id: {found}"
    elif len(set(found)) > 1:
        yield f"the environment changed: {found}"
