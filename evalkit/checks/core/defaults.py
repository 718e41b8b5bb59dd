"""Checks that need not be declared: ``history`` in every stateless variant, ``stream`` in every streamed one (design section 3).

And the finding for an API error that nobody expected, which is no check's: a turn without an ``error`` check has to say it all the same.
"""

from __future__ import annotations

from collections.abc import Container
from functools import cache

from evalkit._lib.text import show
from evalkit.checks.core.base import Check
from evalkit.transcript import Transcript, Turn
from evalkit.verdict import Finding, Where

DEFAULT_CHECKS = ("history", "stream")
"""The names of the checks that are on by default somewhere."""


def defaults(transcript: Transcript, declared: Container[str]) -> list[Check]:
    """Return the checks that run over this conversation though the suite does not name them; ``declared`` are the names it does."""
    checks = []
    if transcript.stateless and "history" not in declared:
        checks.append(_history())
    if transcript.settings.get("stream") is True and "stream" not in declared:
        checks.append(_stream())
    return checks


def unexpected_error(turn: Turn) -> Finding:
    """Return the finding for an API error in a turn that declares no ``error`` check."""
    error, last = turn.error, turn.exchanges[-1].number if turn.exchanges else None
    where = Where(turn=turn.number, exchange=last)
    if error is None:
        return Finding(
            "api_error", "the turn ended in an API error of which nothing is known", where
        )
    return Finding(
        "api_error",
        f"the API answered {error.status} {error.code}: {show(error.message, 300)}",
        where,
        got=error.to_json(),
    )


@cache
def _history() -> Check:
    from evalkit.checks.history.check import History

    return History()


@cache
def _stream() -> Check:
    from evalkit.checks.stream import Stream

    return Stream()
