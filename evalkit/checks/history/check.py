"""``history``: stateless fidelity. Every step must come back to the service exactly as it was received (guide section 4, protocol section
9).

For each request and the answered one before it, the later ``input`` must be: the earlier ``input``, then every step of the earlier answer
as received and in order, then what the client adds. The client's ``function_result``s may stand right after their calls, as the guide's
loop puts them, or after the last step. Compared are JSON values: key order and number spelling are no differences, every string counts
whole.

What passes is decided here, by identity and equality alone, because nearly every request passes; what is wrong is told by
``history_findings``. It reads exchanges only, so it judges anybody's traffic. Requests that name a ``previous_interaction_id`` leave the
history to the service: nothing of it is re-sent and nothing can be judged. Answers that failed are no part of a history; a run in the
background is what it ended as; the hops of a continued call are one answer, and each hop must repeat the input.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import is_
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple
from urllib.parse import unquote

from pydantic import Field

from evalkit._lib.json import JSON, equal
from evalkit.checks.core.base import Check, View
from evalkit.protocol.step_reader import RawStep, steps_of, strip_user_input
from evalkit.transcript import Exchange

if TYPE_CHECKING:
    from evalkit.checks.history.findings import Earlier
    from evalkit.verdict import Finding


Level = Literal["exact", "equivalent"]


class Kept(NamedTuple):
    """The history after an answered request: what was sent, what was received, and from which exchange."""

    sent: JSON
    received: list[RawStep]
    exchange: Exchange


class History(Check):
    """Each request of a stateless conversation re-sends the whole history, exactly as it was received.

    On by default in every stateless variant. The empty case: a conversation of one exchange, or one whose history the service keeps, has
    nothing to re-send and passes. A request that re-sends nothing of an earlier exchange is one ``history_truncated``.
    """

    name: ClassVar[str] = "history"
    shorthand: ClassVar[str | None] = "level"

    level: Level = Field(
        "exact",
        description="equivalent forgives nulls added or dropped where a field may be absent, as official SDKs do.",
    )

    def run(self, view: View) -> Iterator[Finding]:
        """Yield each deviation, with the exchange and the pointer into its request."""
        only = view.turn.number if view.turn is not None else None
        kept: Kept | None = None
        earlier: Earlier | None = None
        exchanges = [exchange for turn in view.transcript.turns for exchange in turn.exchanges]
        for place, exchange in enumerate(exchanges):
            request = exchange.request
            body = request.body
            if type(body) is not dict or request.method != "POST":
                kept = _polled(kept, exchange)
            else:
                stateful = body.get("previous_interaction_id")
                hop = body.get("continuation_token")
                if kept is not None and not stateful and (only is None or exchange.turn == only):
                    received = () if hop else kept.received
                    if not _faithful(kept.sent, received, body.get("input"), bool(hop)):
                        from evalkit.checks.history.findings import (
                            Earlier,
                            findings,
                        )  # what only explains is seldom needed

                        earlier = earlier or Earlier()
                        earlier.read(exchanges[earlier.count : place])
                        yield from findings(
                            (kept.sent, received, kept.exchange.number),
                            exchange,
                            bool(hop),
                            earlier,
                            self.level,
                        )
                kept = _after(kept, exchange, bool(hop), bool(stateful))


def _after(kept: Kept | None, exchange: Exchange, hop: bool, stateful: bool) -> Kept | None:
    """Return the history after an exchange: unchanged where it was not answered, gone where the service keeps it."""
    if stateful:
        return None
    interaction = exchange.interaction
    if interaction is None or exchange.error is not None or exchange.failure is not None:
        return kept
    received = steps_of(interaction)
    if hop and kept is not None:
        return Kept(kept.sent, [*kept.received, *strip_user_input(received)], exchange)
    return Kept(exchange.request.body.get("input"), received, exchange)


def _polled(kept: Kept | None, exchange: Exchange) -> Kept | None:
    """Take the steps of a run that was read until it ended (protocol section 8.1)."""
    interaction = exchange.interaction
    if (
        kept is None
        or interaction is None
        or exchange.error is not None
        or kept.exchange.interaction is None
    ):
        return kept
    identity = kept.exchange.interaction.get("id")
    if (
        not identity
        or unquote(exchange.request.path.rpartition("/")[2]) != identity
        or kept.received
    ):
        return kept
    return Kept(kept.sent, strip_user_input(steps_of(interaction)), kept.exchange)


def _same(left: Any, right: Any) -> bool:
    # == takes true for 1; equal text of equal values rules that out at the speed of C, and equal() decides the rest.
    return left is right or (left == right and (repr(left) == repr(right) or equal(left, right)))


def _faithful(sent: JSON, received: Sequence[RawStep], value: JSON, closed: bool) -> bool:
    """Say whether a later input surely is as it must be. False may also mean that it takes a closer look."""
    if closed:
        return _same(sent, value)
    if type(value) is not list or type(sent) is not list:
        return False
    at = len(sent)
    # A client that keeps its history in memory sends the very objects it received.
    if len(value) < at or not (all(map(is_, sent, value)) or _same(sent, value[:at])):
        return False
    calls: list[RawStep] = []
    results: list[RawStep] = []
    after_call = False
    for step in received:
        while at < len(value) and value[at] is not step and not _same(step, value[at]):
            if not after_call or not _is_step(value[at], "function_result"):
                return False
            results.append(value[at])
            at += 1
        if at >= len(value):
            return False
        at += 1
        after_call = step.get("type") == "function_call"
        if after_call:
            calls.append(step)
    for step in value[at:]:
        if _is_step(step, "function_result"):
            results.append(step)
        elif not _is_step(step, "user_input"):
            return False
    return not (calls or results) or _paired(calls, results)


def _is_step(item: JSON, kind: str) -> bool:
    return type(item) is dict and item.get("type") == kind


def _paired(calls: Sequence[RawStep], results: Sequence[RawStep]) -> bool:
    """Say whether each call surely has one result, by ids that are all there and all different."""
    if len(calls) != len(results):
        return False
    ids = [call.get("id") for call in calls]
    found = [result.get("call_id") for result in results]
    for key in (*ids, *found):
        if not key or not isinstance(key, str):
            return False
    return len(set(ids)) == len(ids) and set(ids) == set(found)
