"""``stream``: what was streamed kept the order, assembled, and is what was stored.

The order is judged where the stream is read (``protocol.stream_order``); its problems stand in ``Exchange.problems`` and become findings
here under the same codes. Added here is what needs more than one exchange or a clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar
from urllib.parse import unquote

from pydantic import Field

from evalkit._lib.json import JSON, MISSING, differences
from evalkit._lib.text import show
from evalkit.checks.core.base import Check, View
from evalkit.checks.core.formatting import against, excerpt
from evalkit.checks.latency import first_tokens
from evalkit.protocol.step_reader import is_running, steps_of, strip_user_input
from evalkit.protocol.stream_order import COMPLETED, ERROR
from evalkit.transcript import Exchange
from evalkit.verdict import Finding, Where

_ENDED = frozenset({"completed_missing", "empty_stream", "error_event"})


class Stream(Check):
    """Every streamed answer kept the order of events, was completed, and equals the stored interaction where that was read too.

    On by default in streamed variants. ``first_token_ms`` is judged only where the time was measured in this session, never in replay.

    The empty case: with no exchange at all there is nothing to say; exchanges none of which was streamed are a finding.
    """

    name: ClassVar[str] = "stream"

    first_token_ms: float | None = Field(
        None,
        ge=0,
        description="Most milliseconds until the first part of the answer; live only.",
    )

    def run(self, view: View) -> Iterator[Finding]:
        """Yield every problem of every stream in view."""
        exchanges = view.exchanges
        streamed = [
            exchange
            for exchange in exchanges
            if exchange.events is not None or exchange.request.streamed
        ]
        if exchanges and not streamed:
            yield Finding(
                "not_streamed",
                "no answer was streamed",
                Where(turn=view.turn.number if view.turn is not None else None),
            )
        for exchange in streamed:
            yield from _problems(exchange)
            if exchange.events is not None and exchange.interaction is not None:
                yield from _against_stored(exchange, exchanges)
        if self.first_token_ms is not None:
            live = [
                exchange
                for exchange in streamed
                if exchange.response is not None and exchange.response.source != "replayed"
            ]
            yield from first_tokens(live, self.first_token_ms)


def _problems(exchange: Exchange) -> Iterator[Finding]:
    codes = set()
    for problem in exchange.problems:
        code, event = str(problem.get("code", "stream_problem")), problem.get("event")
        codes.add(code)
        at = f"event {event}: " if event else ""
        yield Finding(
            code,
            f"{at}{problem.get('message', '')}",
            _where(exchange),
            detail=_around(exchange, event),
        )
    response = exchange.response
    if response is None or exchange.error is not None:
        return
    if response.broken and codes.isdisjoint(_ENDED):
        yield Finding(
            "stream_broken", f"the stream broke off: {show(response.broken)}", _where(exchange)
        )
    elif exchange.events is None and "not_streamed" not in codes:
        kind = response.headers.get("content-type", "no content type")
        yield Finding("not_streamed", f"a stream was asked for, got {show(kind)}", _where(exchange))
    elif (
        exchange.events is not None
        and codes.isdisjoint(_ENDED)
        and not any(_type(event) in (COMPLETED, ERROR) for event in exchange.events)
    ):
        yield Finding(
            "completed_missing", "the stream ended without interaction.completed", _where(exchange)
        )


def _around(exchange: Exchange, number: JSON) -> str:
    """Show the event a problem speaks of, and the one before it."""
    events = exchange.events or []
    if not isinstance(number, int) or not 1 <= number <= len(events):
        return ""
    return "\n".join(
        f"event {place}  {show(events[place - 1], 200)}"
        for place in range(max(1, number - 1), number + 1)
    )


def _type(event: JSON) -> JSON:
    return event.get("event_type") if isinstance(event, dict) else None


def _where(exchange: Exchange) -> Where:
    return Where(turn=exchange.turn, exchange=exchange.number, part="response", pointer="")


def _against_stored(exchange: Exchange, exchanges: Sequence[Exchange]) -> Iterator[Finding]:
    """Compare an assembled interaction with the one a later GET returned."""
    assembled = exchange.interaction or {}
    identity = assembled.get("id")
    if not identity or is_running(assembled):
        return
    for other in exchanges:
        stored = other.interaction
        if (
            stored is None
            or other is exchange
            or other.request.method != "GET"
            or is_running(stored)
        ):
            continue
        if unquote(other.request.path.rpartition("/")[2]) != identity:
            continue
        left = {"status": assembled.get("status"), "steps": strip_user_input(steps_of(assembled))}
        right = {"status": stored.get("status"), "steps": strip_user_input(steps_of(stored))}
        for pointer, got, expected in differences(left, right):
            if pointer.endswith("/signature") and {expected or "", got or ""} == {""}:
                # A step starts with an empty signature when streamed and without any when not (protocol section 11).
                continue
            message = f"the streamed interaction is not the one stored (exchange {other.number}): {pointer} differs"
            where = Where(
                turn=exchange.turn, exchange=exchange.number, pointer=pointer, part="response"
            )
            detail = against(
                MISSING if expected is MISSING else excerpt(expected),
                MISSING if got is MISSING else excerpt(got),
            )
            yield Finding(
                "stored_differs",
                message,
                where,
                expected=excerpt(expected),
                got=excerpt(got),
                detail=detail,
            )
            return
