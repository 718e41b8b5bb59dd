"""``latency``: budgets of time.

What is judged was measured where the conversation was live; a replay says *recorded* and never times itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, Self

from pydantic import Field, model_validator

from evalkit.checks.core.base import Check, View, option_error
from evalkit.checks.core.formatting import table
from evalkit.checks.core.options import format_number
from evalkit.transcript import Exchange
from evalkit.verdict import Finding, Severity, Where

_SILENT = frozenset({"thought_signature", "thought_summary"})
"""Deltas that bring nothing of the answer."""


class Latency(Check):
    """The answers of the turn came in time; over the conversation, all of them together did.

    The empty case: an exchange without a measured time (a cassette that tells none) cannot break a budget; the check passes and warns.
    """

    name: ClassVar[str] = "latency"
    shorthand: ClassVar[str | None] = "max_ms"

    max_ms: float | None = Field(
        None, ge=0, description="Most milliseconds allowed for all exchanges together."
    )
    first_token_ms: float | None = Field(
        None,
        ge=0,
        description="Most milliseconds until the first part of the answer streamed in, per exchange.",
    )

    @model_validator(mode="after")
    def _validate(self) -> Self:
        if self.max_ms is None and self.first_token_ms is None:
            raise option_error("needs 'max_ms' or 'first_token_ms'")
        return self

    def run(self, view: View) -> Iterator[Finding]:
        """Yield each budget that is broken, and a warning for times nobody measured."""
        exchanges = view.exchanges
        where = Where(turn=view.turn.number if view.turn is not None else None)
        if self.max_ms is not None:
            yield from self._total(exchanges, self.max_ms, where)
        if self.first_token_ms is not None:
            yield from first_tokens(exchanges, self.first_token_ms)

    def _total(
        self, exchanges: Sequence[Exchange], limit: float, where: Where
    ) -> Iterator[Finding]:
        times = [
            (item, item.response.elapsed_ms)
            for item in exchanges
            if item.response is not None and item.response.elapsed_ms is not None
        ]
        if len(times) < len(exchanges) or not exchanges:
            message = f"the time of {len(exchanges) - len(times)} of {len(exchanges)} exchanges was never measured"
            yield Finding("latency_unmeasured", message, where, severity=Severity.WARN)
        total = sum(time for _, time in times)
        if total > limit:
            rows = [
                [f"exchange {item.number}", f"{format_number(round(time, 1))} ms", source(item)]
                for item, time in times
            ]
            message = f"{_sources(exchanges)} {format_number(round(total, 1))} ms, at most {format_number(limit)} ms are allowed"
            yield Finding(
                "latency_exceeded",
                message,
                where,
                expected={"max_ms": limit},
                got=round(total, 3),
                detail=table(rows),
            )


def first_tokens(exchanges: Sequence[Exchange], limit: float) -> Iterator[Finding]:
    """Yield a finding for each streamed exchange whose first part came too late, and a warning where nothing tells when it came."""
    for exchange in exchanges:
        if exchange.events is None:
            continue
        where = Where(turn=exchange.turn, exchange=exchange.number)
        time = first_token_ms(exchange)
        if time is None:
            yield Finding(
                "latency_unmeasured",
                "the time of the first token was never measured",
                where,
                severity=Severity.WARN,
            )
        elif time > limit:
            message = f"{source(exchange)} {format_number(round(time, 1))} ms to the first token, at most {format_number(limit)} ms are allowed"
            yield Finding(
                "first_token_late",
                message,
                where,
                expected={"first_token_ms": limit},
                got=round(time, 3),
            )


def first_token_ms(exchange: Exchange) -> float | None:
    """Return when the first delta that is part of the answer arrived, or None where that is not known."""
    times = exchange.response.event_ms if exchange.response is not None else ()
    for event, time in zip(exchange.events or (), times, strict=False):
        delta = (
            event.get("delta")
            if isinstance(event, dict) and event.get("event_type") == "step.delta"
            else None
        )
        if isinstance(delta, dict) and delta.get("type") not in _SILENT:
            return time
    return None


def source(exchange: Exchange) -> str:
    """Return ``recorded`` for a time that comes from a cassette, else ``measured``."""
    return (
        "recorded"
        if exchange.response is not None and exchange.response.source == "replayed"
        else "measured"
    )


def _sources(exchanges: Sequence[Exchange]) -> str:
    return " and ".join(sorted({source(exchange) for exchange in exchanges}))
