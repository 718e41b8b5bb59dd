"""``stream``: a stream had its events in order, was completed, and is what the service stored.

The order of events is checked where the stream is read (``protocol.stream_order``). Its problems
are in ``Exchange.problems`` and become findings with the same codes. This check adds what needs
more than one exchange, or a clock.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import unquote

from pydantic import Field

from evalkit._lib.json import JSON, differences
from evalkit._lib.text import show
from evalkit.checks.core.base import Check, View
from evalkit.checks.core.formatting import against, excerpt
from evalkit.checks.core.strictness import Strictness
from evalkit.checks.latency import first_token_findings
from evalkit.protocol.step_reader import is_running, steps_of, strip_user_input
from evalkit.protocol.stream_order import COMPLETED, ERROR
from evalkit.transcript import Exchange
from evalkit.verdict import Finding, Where

_END_PROBLEMS = frozenset({"completed_missing", "empty_stream", "error_event"})
_CUT = _END_PROBLEMS | {"stream_broken"}


class Stream(Check):
    """Every stream had its events in order, was completed, and equals the stored interaction.

    The stored interaction is compared where it was read too. On by default in streamed variants.
    ``first_token_ms`` is checked only where the time was measured in this session, never in
    replay. The empty case: without any exchange nothing is reported; exchanges none of which was
    streamed are a finding.
    """

    name: ClassVar[str] = "stream"
    strictness: ClassVar[Mapping[str, Strictness]] = {"first_token_ms": "lower"}

    first_token_ms: float | None = Field(
        None,
        ge=0,
        description="Most milliseconds until the first part of the answer; live only.",
    )

    def run(self, view: View) -> Iterator[Finding]:
        """Yield every problem of every stream in view."""
        exchanges = view.exchanges
        streamed = [each for each in exchanges if each.events is not None or each.request.streamed]
        if exchanges and not streamed:
            yield Finding("not_streamed", "no response was streamed", view.where)
        for exchange in streamed:
            yield from _problems(exchange, exchanges)
            yield from _stored_differences(exchange, exchanges)
        if self.first_token_ms is not None:
            live = [
                each
                for each in streamed
                if each.response is not None and each.response.source != "replayed"
            ]
            yield from first_token_findings(live, self.first_token_ms)


def _problems(exchange: Exchange, exchanges: Sequence[Exchange]) -> Iterator[Finding]:
    where = Where(turn=exchange.turn, exchange=exchange.number, part="response", pointer="")
    findings = [*_event_problems(exchange, where), *_end_problems(exchange, where)]
    is_cut = any(finding.code in _CUT for finding in findings)
    if is_cut:
        findings = [each for each in findings if each.code != "step_not_stopped"]
    if is_cut and (exchange.resumed or _stored_run(exchange, exchanges)):
        # The run goes on without its stream (docs/protocol.md sections 8.1 and 12).
        findings = [each for each in findings if each.code not in _CUT]
        if not exchange.resumed:
            reason = show(exchange.failure)
            if exchange.error is not None:
                reason = exchange.error.summary
            message = f"the stream was cut, and polling completed the run: {reason}"
            findings.append(Finding("stream_cut", message, where).as_warning())
    yield from findings


def _event_problems(exchange: Exchange, where: Where) -> Iterator[Finding]:
    for problem in exchange.problems:
        code, event = str(problem.get("code", "stream_problem")), problem.get("event")
        prefix = f"event {event}: " if event else ""
        finding = Finding(
            code, f"{prefix}{problem.get('message', '')}", where, detail=_around(exchange, event)
        )
        yield finding.as_warning() if code == "error_recovered" else finding


def _end_problems(exchange: Exchange, where: Where) -> Iterator[Finding]:
    response, events = exchange.response, exchange.events
    if response is None or exchange.error is not None:
        return
    codes = {problem.get("code") for problem in exchange.problems}
    has_ended = not codes.isdisjoint(_END_PROBLEMS)
    if response.broken and not has_ended:
        yield Finding("stream_broken", f"the stream broke off: {show(response.broken)}", where)
    elif events is None:
        if "not_streamed" not in codes:
            got = show(response.headers.get("content-type", "no content type"))
            yield Finding("not_streamed", f"expected a stream, got {got}", where)
    elif not has_ended and not any(_type(event) in (COMPLETED, ERROR) for event in events):
        yield Finding("completed_missing", "the stream ended without interaction.completed", where)


def _around(exchange: Exchange, number: Any) -> str:
    """Return the event with a problem, and the one before it."""
    events = exchange.events or []
    if not isinstance(number, int) or not 1 <= number <= len(events):
        return ""
    numbers = range(max(1, number - 1), number + 1)
    return "\n".join(f"event {each}  {show(events[each - 1], 200)}" for each in numbers)


def _type(event: JSON) -> JSON:
    return event.get("event_type") if isinstance(event, dict) else None


def _stored_run(exchange: Exchange, exchanges: Sequence[Exchange]) -> Exchange | None:
    """Return the GET that read the ended run of a stream, None where there is none."""
    identity = (exchange.interaction or {}).get("id")
    for other in exchanges if identity else ():
        stored = other.interaction
        if stored is None or other.request.method != "GET" or other is exchange:
            continue
        is_same = unquote(other.request.path.rpartition("/")[2]) == identity
        is_whole = other.events is None or "steps" in stored
        if is_same and is_whole and not is_running(stored):
            return other
    return None


def _stored_differences(exchange: Exchange, exchanges: Sequence[Exchange]) -> Iterator[Finding]:
    """Yield the first difference of a streamed interaction from the one that a GET returned."""
    streamed, other = exchange.interaction, _stored_run(exchange, exchanges)
    has_failed = exchange.failure is not None or exchange.error is not None
    if exchange.events is None or streamed is None or other is None or has_failed:
        return
    stored = other.interaction or {}
    if "steps" in streamed and not is_running(streamed):
        for pointer, got, expected in differences(_comparable(streamed), _comparable(stored)):
            # A streamed step starts with an empty signature, another one without any
            # (docs/protocol.md section 11).
            if pointer.endswith("/signature") and {expected or "", got or ""} == {""}:
                continue
            yield Finding(
                "stored_differs",
                "the streamed interaction is not the stored one"
                f" (exchange {other.number}): {pointer} differs",
                Where(
                    turn=exchange.turn, exchange=exchange.number, pointer=pointer, part="response"
                ),
                expected=excerpt(expected),
                got=excerpt(got),
                detail=against(excerpt(expected), excerpt(got)),
            )
            return


def _comparable(interaction: dict[str, JSON]) -> JSON:
    steps = strip_user_input(steps_of(interaction))
    return {"status": interaction.get("status"), "steps": steps}
