"""Topic ``calls``: every call has its result, and every result its call, over a whole conversation.

In a stateless conversation the history check sees to that from the second request on; here is judged what it cannot see: conversations
whose history the service keeps, the first request, the end, and the calls of tools that run at the service.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from evalkit._lib.json import JSON
from evalkit._lib.text import show
from evalkit.lint.findings import Found
from evalkit.lint.tape import Tape
from evalkit.protocol.step_reader import pair_calls, steps_of
from evalkit.protocol.step_types import SERVER_CALLS
from evalkit.transcript import Exchange

RawStep = dict[str, JSON]


def calls(tape: Tape) -> Iterator[Found]:
    """Yield calls without results and results without calls."""
    told = set()
    for thread in tape.threads:
        for found in _conversation(thread):
            mark = (found.code, found.exchange, found.pointer)
            if mark not in told:
                told.add(mark)
                yield found
    for exchange in tape.api:
        yield from _at_the_service(exchange)


def _conversation(thread: Sequence[Exchange]) -> Iterator[Found]:
    asked: dict[str, str] = {}  # every call's id and name
    answered: set[str] = set()
    waiting: dict[
        str, tuple[int, int]
    ] = {}  # calls of the last answer: exchange and place among its steps
    elsewhere = judged = False
    known = set()
    for exchange in thread:
        body = exchange.request.body
        if exchange.request.method == "POST" and isinstance(body, dict):
            previous = body.get("previous_interaction_id")
            elsewhere = elsewhere or bool(
                previous and not (isinstance(previous, str) and previous in known)
            )
            given = _input_steps(body)
            mine = bool(previous) or not judged
            usable = exchange.error is None and exchange.failure is None
            asked.update({id_: call.name for id_, call in _calls(given).items()})
            for index, step in enumerate(given):
                if step.get("type") != "function_result":
                    continue
                id_ = step.get("call_id")
                if isinstance(id_, str) and id_:
                    answered.add(id_)
                    if mine and not elsewhere and id_ not in asked:
                        yield _unpaired(exchange, index, step, id_)
            if mine and usable:
                due = waiting if previous else _calls(given)
                for id_ in [id_ for id_ in due if id_ not in answered]:
                    yield _left(exchange, asked.get(id_, ""), id_)
            judged = judged or not previous
        interaction = exchange.interaction
        if interaction is None or exchange.error is not None:
            continue
        identity = interaction.get("id")
        if isinstance(identity, str) and identity:
            known.add(identity)
        steps = steps_of(interaction)
        new = _calls(steps)
        asked.update({id_: call.name for id_, call in new.items()})
        open_ = interaction.get("status") == "requires_action"
        waiting = (
            {id_: (exchange.number, new[id_].place) for id_ in new if id_ not in answered}
            if open_
            else {}
        )
    for id_, (number, place) in waiting.items():
        if id_ not in answered:
            message = f"the call of {show(asked.get(id_, ''), 40)} waits for a result: the conversation ends here"
            yield Found("call_open", message, number, "response", f"/steps/{place}", got=id_)


def _unpaired(exchange: Exchange, index: int, step: RawStep, id_: str) -> Found:
    message = (
        f"the result of {show(step.get('name') or id_, 40)} answers no call of this conversation"
    )
    pointer = f"/input/{index}" if isinstance(exchange.request.body["input"], list) else "/input"
    return Found(
        "result_unpaired", message, exchange.number, "request", f"{pointer}/call_id", got=id_
    )


def _left(exchange: Exchange, name: str, id_: str) -> Found:
    message = f"the call of {show(name or id_, 40)} is left without a result"
    return Found("call_unanswered", message, exchange.number, "request", "/input", id_)


class _Call(NamedTuple):
    name: str
    place: int


def _calls(steps: Sequence[RawStep]) -> dict[str, _Call]:
    return {
        id_: _Call(str(step.get("name") or ""), place)
        for place, step in enumerate(steps)
        if step.get("type") == "function_call" and isinstance(id_ := step.get("id"), str) and id_
    }


def _input_steps(body: dict[str, JSON]) -> list[RawStep]:
    """Return an input's items, those that are no objects as empty ones, so that places stay."""
    given = body.get("input")
    items = given if isinstance(given, list) else [given]
    return [item if isinstance(item, dict) else {} for item in items]


def _at_the_service(exchange: Exchange) -> Iterator[Found]:
    interaction = exchange.interaction
    if interaction is None or interaction.get("status") != "completed":
        return
    steps = steps_of(interaction)
    pairing = pair_calls(steps)
    for call, result in pairing.pairs:
        kind = steps[call].get("type")
        if result is None and kind in SERVER_CALLS and kind != "tool_search_call":
            yield Found(
                "server_call_unpaired",
                f"{kind} has no result",
                exchange.number,
                "response",
                f"/steps/{call}",
            )
    for orphan in pairing.orphans:
        kind = steps[orphan].get("type")
        if kind not in ("function_result", "tool_search_result"):
            yield Found(
                "server_call_unpaired",
                f"{kind} answers no call",
                exchange.number,
                "response",
                f"/steps/{orphan}",
            )
