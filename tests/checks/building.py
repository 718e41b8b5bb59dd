"""Transcripts from short JSON, for tests and for the examples of docs/checks.

``{"turns": [turn…], "settings": {…}}``, or one turn alone. A turn is ``{"user", "status", "entry",
"simulated", "exchanges": [exchange…]}``, or with one exchange the keys of both. An exchange is ``{"input",
"request": {more body fields}, "steps", "status", "usage", "id", "interaction": {more fields},
"events", "event_ms", "elapsed_ms", "source", "error": {status, code, message}, "method", "path",
"problems", "failure", "resumed"}``; every key is optional. Texts, statuses and timelines follow as in the engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalkit.protocol.step_reader import output_text, strip_user_input
from evalkit.protocol.stream_assembler import assemble
from evalkit.transcript import (
    ApiError,
    Exchange,
    Request,
    Response,
    SimulatedTurn,
    Step,
    Transcript,
    Turn,
)

_TURN = ("user", "outcome", "reason")


def transcript(source: Any) -> Transcript:
    """Build a transcript from its short form."""
    if isinstance(source, list):
        source = {"turns": source}
    elif "turns" not in source:
        source = {"turns": [source], "settings": source.get("settings", {})}
    out = Transcript(dict(source.get("settings", {})))
    number = 0
    for place, item in enumerate(source["turns"], 1):
        turn = Turn(
            place,
            item.get("user", ""),
            outcome=item.get("outcome", "completed"),
            reason=item.get("reason"),
            entry=item.get("entry", 0),
            simulated=SimulatedTurn(**item["simulated"]) if "simulated" in item else None,
        )
        out.turns.append(turn)
        exchanges = item.get("exchanges", [item])
        for short in exchanges:
            number += 1
            _add(turn, exchange(short, number, place))
        last = len(turn.exchanges)
        answer = [step.raw for step in turn.steps if step.exchange == number] if last else []
        turn.text = item.get("text", output_text(answer))
    return out


def exchange(short: Mapping[str, Any], number: int, turn: int) -> Exchange:
    """Build one exchange."""
    method = short.get("method", "POST")
    body = (
        {**({"input": short["input"]} if "input" in short else {}), **short.get("request", {})}
        if method == "POST"
        else None
    )
    exchange = Exchange(
        number, turn, Request(method, short.get("path", "/v1beta/interactions"), body)
    )
    events = short.get("events")
    kind = "text/event-stream" if events is not None else "application/json"
    error = short.get("error")
    exchange.response = Response(
        error["status"] if error else 200,
        {"content-type": kind},
        "",
        elapsed_ms=short.get("elapsed_ms"),
        event_ms=tuple(short.get("event_ms", ())),
        broken=short.get("broken"),
        source=short.get("source", "replayed"),
    )
    if error:
        exchange.error = ApiError(error["status"], error["code"], error["message"], error)
        return exchange
    if events is not None:
        exchange.events = events
        result = assemble(events)
        exchange.interaction = result.interaction
        exchange.problems = [problem.to_json() for problem in result.problems]
    else:
        exchange.interaction = {
            "status": short.get("status", "completed"),
            "steps": short.get("steps", []),
        }
        exchange.interaction |= {
            key: short[key] for key in ("usage", "id") if key in short
        } | short.get("interaction", {})
    exchange.problems += short.get("problems", [])
    exchange.failure = short.get("failure")
    exchange.resumed = short.get("resumed", False)
    return exchange


def _add(turn: Turn, exchange: Exchange) -> None:
    sent = exchange.request.body.get("input") if isinstance(exchange.request.body, dict) else None
    results = (
        [step for step in sent if isinstance(step, dict) and step.get("type") == "function_result"]
        if isinstance(sent, list)
        else []
    )
    for result in results:
        calls = [
            place
            for place, step in enumerate(turn.steps)
            if step.type == "function_call"
            and step.raw.get("id") == result.get("call_id")
            and not any(s.raw is result for s in turn.steps)
        ]
        is_present = any(step.raw == result for step in turn.steps)
        if not is_present and turn.exchanges and calls:
            turn.steps.insert(calls[-1] + 1, Step(result, "client", exchange.number))
        elif not is_present and turn.exchanges:
            turn.steps.append(Step(result, "client", exchange.number))
    turn.exchanges.append(exchange)
    turn.error = exchange.error
    if exchange.error:
        turn.outcome = "api_error"
    if exchange.interaction is not None:
        steps = exchange.interaction.get("steps") or []
        fresh = strip_user_input(steps) if exchange.request.method == "GET" else steps
        turn.steps += [Step(step, "model", exchange.number) for step in fresh]
        turn.status = exchange.interaction.get("status")
