"""Functions that the shipped suites name with ``python:``."""

from __future__ import annotations

from collections.abc import Iterator

from evalkit import Transcript, Turn


def has_environment(transcript: Transcript, turn: Turn | None) -> Iterator[str]:
    """Check that every turn names its environment, and that all name the same one."""
    environments = [
        each.interaction.get("environment_id") if each.interaction else None
        for each in transcript.turns
    ]
    if not all(environments):
        yield f"an interaction without environment_id: {environments}"
    elif len(set(environments)) > 1:
        yield f"the environment changed: {environments}"
