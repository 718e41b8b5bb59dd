"""Checks that are on by default: ``history`` in stateless variants, ``stream`` in streamed ones.

And the finding for an API error that no ``error`` check expects.
"""

from __future__ import annotations

from collections.abc import Container

from evalkit._lib.text import show
from evalkit.checks.core.base import Check
from evalkit.checks.history.check import History
from evalkit.checks.stream import Stream
from evalkit.transcript import Transcript, Turn
from evalkit.verdict import Finding, Where

DEFAULT_CHECKS = ("history", "stream")
"""The names of the checks that are on by default somewhere."""

_HISTORY = History()
_STREAM = Stream()


def defaults(transcript: Transcript, declared: Container[str]) -> list[Check]:
    """Return the checks that run over a conversation without being ``declared`` in the suite."""
    checks: list[Check] = []
    if transcript.stateless and "history" not in declared:
        checks.append(_HISTORY)
    if transcript.settings.get("stream") is True and "stream" not in declared:
        checks.append(_STREAM)
    return checks


def unexpected_error(turn: Turn) -> Finding:
    """Return the finding for an API error in a turn without an ``error`` check."""
    error = turn.error
    exchange = turn.exchanges[-1].number if turn.exchanges else None
    where = Where(turn=turn.number, exchange=exchange)
    if error is None:
        return Finding("api_error", "the turn ended in an unknown API error", where)
    return Finding(
        "api_error",
        f"the API answered {error.status} {error.code}: {show(error.message, 300)}",
        where,
        got=error.to_json(),
    )
