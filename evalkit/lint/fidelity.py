"""Topic ``history``: each conversation of a cassette, judged by the check of that name at level ``exact``.

Nulls that official SDKs add and drop are warnings by their rules' severity. Where the service keeps the history there is nothing to compare;
then what ``previous_interaction_id`` names should stand in the cassette, or the conversation began elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator

from evalkit._lib.text import show
from evalkit.checks.core.base import View
from evalkit.checks.history.check import History
from evalkit.lint.findings import Found
from evalkit.lint.rejoining import begins_in_the_middle
from evalkit.lint.tape import Tape
from evalkit.transcript import Exchange, Transcript, Turn
from evalkit.verdict import Finding

_EXACT = History(level="exact")


def fidelity(tape: Tape) -> Iterator[Found]:
    """Yield how histories deviate from what was received, and interactions that are continued but not here."""
    told: set[tuple[str, int | None, str | None]] = set()
    begun: set[int] = set()
    judged: set[int] = set()
    for thread in tape.threads:
        first = thread[0]
        if first.number not in begun and begins_in_the_middle(first):
            message = (
                "it re-sends a history of which nothing is in this cassette: it cannot be judged"
            )
            yield Found("history_unknown", message, first.number, "request", "/input")
        begun.add(first.number)
        transcript = Transcript(turns=[Turn(1, [], _unjudged(thread, judged))])
        judged.update(exchange.number for exchange in thread)
        for finding in _EXACT.run(View(transcript)):
            found = found_of(finding)
            mark = (found.code, found.exchange, found.pointer)
            if mark not in told:  # forks of a conversation share its beginning
                told.add(mark)
                yield found
    yield from _unknown(tape)


def _unjudged(thread: list[Exchange], judged: set[int]) -> list[Exchange]:
    """Return a conversation from the last answer on that it shares with one judged before: a thousand forks are not judged a thousand times."""
    start = 0
    for place, exchange in enumerate(thread):
        if exchange.number not in judged:
            return thread[start:]
        body = exchange.request.body
        create = (
            exchange.request.method == "POST"
            and isinstance(body, dict)
            and not body.get("continuation_token")
        )
        if (
            create
            and exchange.interaction is not None
            and exchange.error is None
            and exchange.failure is None
        ):
            start = place
    return thread[start:]


def found_of(finding: Finding) -> Found:
    """Return what a check found as lint tells it."""
    where = finding.where
    return Found(
        finding.code,
        finding.message,
        where.exchange,
        where.part,
        where.pointer,
        finding.expected,
        finding.got,
    )


def _unknown(tape: Tape) -> Iterator[Found]:
    known = set()
    for exchange in tape.api:
        body = exchange.request.body
        previous = body.get("previous_interaction_id") if isinstance(body, dict) else None
        if isinstance(previous, str) and previous and previous not in known:
            message = f"it continues {show(previous, 40)}, which is not in this cassette: its history cannot be judged"
            yield Found(
                "previous_unknown",
                message,
                exchange.number,
                "request",
                "/previous_interaction_id",
                got=previous,
            )
        identity = (exchange.interaction or {}).get("id")
        if isinstance(identity, str):
            known.add(identity)
