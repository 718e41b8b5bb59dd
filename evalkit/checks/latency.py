"""``latency``: time budgets.

Times are measured while a conversation is live. In replay they are the recorded ones.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Self

from pydantic import Field, model_validator

from evalkit.checks.core.arguments import format_number
from evalkit.checks.core.base import Check, View, option_error
from evalkit.checks.core.formatting import table
from evalkit.checks.core.strictness import Strictness
from evalkit.transcript import Exchange
from evalkit.verdict import Finding, Severity, Where

_NOT_OUTPUT = frozenset({"thought_signature", "thought_summary"})
"""Types of deltas that are not part of the model's answer."""


class Latency(Check):
    """The responses of the turn, or of the whole conversation, were received in time.

    The empty case: an exchange without a measured time (a cassette without times) cannot exceed a
    budget; the check passes with a warning.
    """

    name: ClassVar[str] = "latency"
    shorthand: ClassVar[str | None] = "max_ms"
    strictness: ClassVar[Mapping[str, Strictness]] = {"max_ms": "lower", "first_token_ms": "lower"}

    max_ms: float | None = Field(
        None, ge=0, description="Most milliseconds allowed for all exchanges together."
    )
    first_token_ms: float | None = Field(
        None,
        ge=0,
        description="Most milliseconds until the first part of a streamed answer, per exchange.",
    )

    @model_validator(mode="after")
    def _refuse_no_budget(self) -> Self:
        if self.max_ms is None and self.first_token_ms is None:
            raise option_error("needs 'max_ms' or 'first_token_ms'")
        return self

    def run(self, view: View) -> Iterator[Finding]:
        """Yield each budget that is exceeded, and a warning for times that were not measured."""
        if self.max_ms is not None:
            yield from _total_time(view, self.max_ms)
        if self.first_token_ms is not None:
            yield from first_token_findings(view.exchanges, self.first_token_ms)


def _total_time(view: View, limit: float) -> Iterator[Finding]:
    exchanges = view.exchanges
    times = [
        (exchange, exchange.response.elapsed_ms)
        for exchange in exchanges
        if exchange.response is not None and exchange.response.elapsed_ms is not None
    ]
    if len(times) < len(exchanges) or not exchanges:
        missing = f"{len(exchanges) - len(times)} of {len(exchanges)} exchanges"
        yield Finding(
            "latency_unmeasured",
            f"the time of {missing} was not measured",
            view.where,
            severity=Severity.WARN,
        )
    total = sum(time for _, time in times)
    if total > limit:
        sources = " and ".join(sorted({_source(exchange) for exchange in exchanges}))
        rows = [
            [f"exchange {each.number}", _format_ms(time), _source(each)] for each, time in times
        ]
        yield Finding(
            "latency_exceeded",
            f"{sources} {_format_ms(total)}, expected at most {_format_ms(limit)}",
            view.where,
            expected={"max_ms": limit},
            got=round(total, 3),
            detail=table(rows),
        )


def first_token_findings(exchanges: Sequence[Exchange], limit: float) -> Iterator[Finding]:
    """Yield each streamed exchange whose first part was late, a warning where it is unknown."""
    for exchange in exchanges:
        if exchange.events is None:
            continue
        where = Where(turn=exchange.turn, exchange=exchange.number)
        time = first_token_ms(exchange)
        if time is None:
            yield Finding(
                "latency_unmeasured",
                "the time of the first token was not measured",
                where,
                severity=Severity.WARN,
            )
        elif time > limit:
            yield Finding(
                "first_token_late",
                f"{_source(exchange)} {_format_ms(time)} to the first token,"
                f" expected at most {_format_ms(limit)}",
                where,
                expected={"first_token_ms": limit},
                got=round(time, 3),
            )


def first_token_ms(exchange: Exchange) -> float | None:
    """Return when the first delta of the answer was received, None where that is unknown."""
    times = exchange.response.event_ms if exchange.response is not None else ()
    for event, time in zip(exchange.events or (), times, strict=False):
        if isinstance(event, dict) and event.get("event_type") == "step.delta":
            delta = event.get("delta")
            if isinstance(delta, dict) and delta.get("type") not in _NOT_OUTPUT:
                return time
    return None


def _source(exchange: Exchange) -> str:
    response = exchange.response
    is_recorded = response is not None and response.source == "replayed"
    return "recorded" if is_recorded else "measured"


def _format_ms(time: float) -> str:
    return f"{format_number(round(time, 1))} ms"
