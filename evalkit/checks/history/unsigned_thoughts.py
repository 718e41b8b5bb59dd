"""Thoughts without a signature before a function call whose result is sent.

The service has been seen to return such a thought, and then to refuse the function result with
400 "Request contains an invalid argument." (docs/protocol.md sections 7 and 12). It is a warning,
because the request may be accepted, and because the client cannot mend it.
"""

from collections.abc import Iterator, Sequence

from evalkit._lib.text import shorten, show
from evalkit.checks.history.matching import call_key
from evalkit.protocol.input_reader import items_of
from evalkit.protocol.step_reader import RawStep, steps_of, type_of
from evalkit.transcript import Exchange
from evalkit.verdict import Finding, Severity, Where


def unsigned_thoughts(exchanges: Sequence[Exchange]) -> Iterator[Finding]:
    """Yield each unsigned thought before an answered function call, once.

    A thought that was received with a signature and is sent without it is not one: that is
    ``signature_altered``.
    """
    if not any(map(_has_unsigned_thought, exchanges)):
        return
    reported: set[str | None] = set()
    responses: dict[str, tuple[Exchange, list[RawStep]]] = {}
    for exchange in exchanges:
        body = exchange.request.body
        if isinstance(body, dict):
            items = items_of(body.get("input"))
            results = [item.step for item in items if type_of(item.step) == "function_result"]
            answered = {call_key(step.get("call_id")) for step in results} - reported
            if answered:
                steps = [item.step for item in items]
                origin, part, pointers = exchange, "request", [item.pointer for item in items]
                previous = body.get("previous_interaction_id")
                if isinstance(previous, str) and previous in responses:
                    origin, steps = responses[previous]
                    part, pointers = "response", [f"/steps/{at}" for at in range(len(steps))]
                for index, call in _before_calls(steps):
                    key = call_key(call.get("id"))
                    if key in answered:
                        reported.add(key)
                        where = Where(
                            turn=origin.turn,
                            exchange=origin.number,
                            part=part,
                            pointer=pointers[index],
                        )
                        yield _finding(call, steps[index], where)
        if exchange.interaction is not None and exchange.error is None:
            steps, identity = steps_of(exchange.interaction), exchange.interaction.get("id")
            calls = {call_key(step.get("id")) for step in steps if step.get("id")}
            reported |= calls - {call_key(call.get("id")) for _, call in _before_calls(steps)}
            if isinstance(identity, str):
                responses[identity] = exchange, steps


def _has_unsigned_thought(exchange: Exchange) -> bool:
    body = exchange.request.body
    sent = body.get("input") if isinstance(body, dict) else None
    steps = [*(sent if isinstance(sent, list) else [sent]), *steps_of(exchange.interaction or {})]
    return any(
        step.get("type") == "thought" and not step.get("signature")
        for step in steps
        if isinstance(step, dict)
    )


def _before_calls(steps: Sequence[RawStep]) -> Iterator[tuple[int, RawStep]]:
    """Yield each function call with the index of the unsigned thought that is nearest before it."""
    thought: int | None = None
    for index, step in enumerate(steps):
        kind = type_of(step)
        if kind == "thought":
            thought = None if step.get("signature") else index
        elif kind == "function_call" and thought is not None:
            yield thought, step
        elif kind not in ("function_call", "function_result"):
            thought = None


def _finding(call: RawStep, thought: RawStep, where: Where) -> Finding:
    return Finding(
        "thought_unsigned",
        f"the thought before function_call {shorten(str(call.get('name')), 40)} has no signature;"
        " the service may refuse the function_result with status 400",
        where,
        severity=Severity.WARN,
        got=thought.get("signature"),
        detail=f"thought  {show(thought, 200)}",
    )
