"""Run a recorded conversation again with some answers changed. Nothing is sent or executed.

The engine converses as it did, with the recorded messages of the user. A turn gets its recorded
answers in order; what it asks beyond them is answered as its last request was. A function returns
what it returned for the same arguments, else what it returned last: no code of the project runs.
"""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any, NamedTuple

from evalkit._lib.json import dumps
from evalkit.conversation import CallTool, Plan, ToolResult, converse, drive
from evalkit.errors import Disconnected
from evalkit.probe.recorded import Changed, Mutant, copy_json
from evalkit.protocol.stream_writer import events_of, sse_text
from evalkit.transcript import Exchange, Request, Response, Transcript, Turn


class MessageAsRecorded(NamedTuple):
    """The source of a turn whose message is known."""

    message: list[dict[str, Any]]

    def content(self, _: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the recorded message."""
        return self.message


def converse_again(plan: Plan, recorded: Transcript, mutant: Mutant) -> Transcript:
    """Return the conversation of a plan with the answers that a mutant changes."""
    if mutant.requests is not None:
        transcript = _with_own_requests(recorded)
        mutant.requests(transcript)
        return transcript
    answers = _Answers(recorded.turns, mutant.answers)
    results = _RecordedResults(recorded)
    again = drive(converse(plan), answers.send, results.call, lambda _: None, answers.end_turn)
    for turn, before in zip(again.turns, recorded.turns, strict=True):
        turn.entry, turn.simulated = before.entry, before.simulated
    return replace(recorded, turns=again.turns, crash=again.crash)


class _Answers:
    """The answers of each turn, in order; the changed ones in place of the recorded."""

    def __init__(self, turns: Sequence[Turn], changed: Mapping[int, Changed]) -> None:
        self._queues = [_queue(turn, changed) for turn in turns]
        self._turn = self._used = 0

    def send(self, _: Request) -> Response:
        """Return the next answer of the turn. Raises Disconnected where it has none."""
        queue = self._queues[self._turn]
        if not queue:
            raise Disconnected("the turn has no answer")
        response = queue[min(self._used, len(queue) - 1)]
        self._used += 1
        return response

    def end_turn(self, _: Turn) -> bool:
        """Continue with the answers of the next turn."""
        self._turn, self._used = self._turn + 1, 0
        return True


def _queue(turn: Turn, changed: Mapping[int, Changed]) -> list[Response]:
    """Return the answers of a turn, and its last recorded one for what is asked beyond them."""
    recorded = [(one, one.response) for one in turn.exchanges if one.response is not None]
    answers = [_answer(exchange, response, changed) for exchange, response in recorded]
    queue = [answer for answer in answers if answer is not None]
    return [*queue, recorded[-1][1]] if queue else []


def _answer(
    exchange: Exchange, response: Response, changed: Mapping[int, Changed]
) -> Response | None:
    if exchange.number not in changed:
        return response
    new = changed[exchange.number]
    if new is None:
        return None
    if not isinstance(new, dict):
        text = "".join(f"data: {dumps(event)}\n\n" for event in new)
    else:
        text = dumps(new) if exchange.events is None else "".join(sse_text(events_of(new)))
    answer = copy(response)
    answer.text = text
    return answer


class _RecordedResults:
    """What the functions of a conversation returned."""

    def __init__(self, transcript: Transcript) -> None:
        self._by_arguments: dict[tuple[str, str], ToolResult] = {}
        self._by_name: dict[str, ToolResult] = {}
        steps = [step.raw for turn in transcript.turns for step in turn.steps]
        calls = {step.get("id"): step for step in steps if step.get("type") == "function_call"}
        for step in steps:
            call = calls.get(step.get("call_id"))
            if step.get("type") == "function_result" and call is not None:
                result = ToolResult(step.get("result"), bool(step.get("is_error")))
                self._by_arguments[str(call.get("name")), dumps(call.get("arguments"))] = result
                self._by_name[str(call.get("name"))] = result

    def call(self, call: CallTool) -> ToolResult:
        """Return the recorded result of a call, or that there is no such function."""
        recorded = self._by_arguments.get((call.name, dumps(call.arguments)))
        return recorded or self._by_name.get(call.name) or ToolResult(None, declared=False)


def _with_own_requests(transcript: Transcript) -> Transcript:
    """Return a copy of a transcript whose requests may be changed."""
    changed = copy(transcript)
    changed.turns = []
    for turn in transcript.turns:
        own = copy(turn)
        own.exchanges = [copy(exchange) for exchange in turn.exchanges]
        changed.turns.append(own)
    return changed


def message_sources(transcript: Transcript) -> list[MessageAsRecorded]:
    """Return the user's messages of a conversation as the turns of a plan."""
    return [MessageAsRecorded(copy_json(turn.user)) for turn in transcript.turns]
