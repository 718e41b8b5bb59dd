"""Operators that change streams, and the history that a client sends again."""

from collections.abc import Callable, Iterator
from itertools import pairwise

from evalkit._lib.json import JSON
from evalkit.probe.recorded import Mutant, Recorded, copy_json
from evalkit.transcript import Exchange, Transcript, Turn

Input = list[dict[str, JSON]]


def cut_streams(recorded: Recorded) -> Iterator[Mutant]:
    """Yield mutants whose stream ends in the middle."""
    for turn, exchange, events in _streams(recorded):
        half = events[: len(events) // 2]
        change = f"the stream ends after {len(half)} of {len(events)} events"
        yield _stream("stream_cut", turn, change, exchange, half)


def reordered_streams(recorded: Recorded) -> Iterator[Mutant]:
    """Yield mutants in which an event of a stream arrived before the one that starts its step."""
    for turn, exchange, events in _streams(recorded):
        kinds = [event.get("event_type") if isinstance(event, dict) else None for event in events]
        for index, pair in enumerate(pairwise(kinds)):
            if pair == ("step.start", "step.delta"):
                swapped = [*events[:index], events[index + 1], events[index], *events[index + 2 :]]
                change = f"event {index + 2} arrived before event {index + 1}"
                yield _stream("stream_reordered", turn, change, exchange, swapped)


def _history(
    operator: str, change: str, edit: Callable[[Input], bool]
) -> Callable[[Recorded], Iterator[Mutant]]:
    """Return an operator that edits the history of each request that sends one again.

    ``edit`` changes a list of steps in place and returns whether it found what to change.
    """

    def mutate(recorded: Recorded) -> Iterator[Mutant]:
        for turn in recorded.turns:
            for exchange in turn.exchanges:
                steps = _sent_history(exchange)
                if steps is not None and edit(copy_json(steps)):
                    yield Mutant(
                        operator=operator,
                        turn=turn.number,
                        change=f"{change} in request {exchange.number}",
                        answers={},
                        requests=_edit_of(exchange.number, edit),
                        suggestion="history",
                    )

    return mutate


def _drop_thought(steps: Input) -> bool:
    return _drop(steps, lambda step: step.get("type") == "thought")


def _drop_first(steps: Input) -> bool:
    return _drop(steps, lambda step: step.get("type") == "user_input") if len(steps) > 2 else False


def _drop(steps: Input, is_dropped: Callable[[dict[str, JSON]], bool]) -> bool:
    index = next((i for i, step in enumerate(steps) if is_dropped(step)), None)
    if index is not None:
        del steps[index]
    return index is not None


def _lose_signature(steps: Input) -> bool:
    signed = next((step for step in steps if step.get("signature")), None)
    if signed is not None:
        del signed["signature"]
    return signed is not None


def _alter_signature(steps: Input) -> bool:
    signed = next((step for step in steps if step.get("signature")), None)
    if signed is not None:
        signed["signature"] = f"{str(signed['signature'])[:-4]}AAAA"
    return signed is not None


def _rewrite_output(steps: Input) -> bool:
    for step in steps:
        content = step.get("content")
        if step.get("type") == "model_output" and isinstance(content, list):
            for block in content:
                if isinstance(block, dict) and isinstance(block.get("text"), str):
                    block["text"] = f"{block['text']} (summarized)"
                    return True
    return False


lost_thoughts = _history("thought_lost", "a thought is missing", _drop_thought)
lost_signatures = _history("signature_lost", "a signature is missing", _lose_signature)
altered_signatures = _history("signature_altered", "a signature was altered", _alter_signature)
truncated_histories = _history("history_truncated", "the first message is missing", _drop_first)
rewritten_histories = _history("history_rewritten", "an answer was rewritten", _rewrite_output)


def _edit_of(number: int, edit: Callable[[Input], bool]) -> Callable[[Transcript], None]:
    def change(transcript: Transcript) -> None:
        for exchange in transcript.exchanges:
            steps = _sent_history(exchange)
            if exchange.number == number and steps is not None:
                body = {**exchange.request.body, "input": copy_json(steps)}
                edit(body["input"])
                exchange.request = exchange.request._replace(body=body)

    return change


def _sent_history(exchange: Exchange) -> Input | None:
    """Return the steps that a stateless request sends again, None for any other request."""
    body = exchange.request.body
    steps = body.get("input") if isinstance(body, dict) else None
    if body is None or body.get("previous_interaction_id") or not isinstance(steps, list):
        return None
    has_answers = any(
        isinstance(step, dict) and step.get("type") not in ("user_input", "function_result")
        for step in steps
    )
    return steps if has_answers and all(isinstance(step, dict) for step in steps) else None


def _streams(recorded: Recorded) -> Iterator[tuple[Turn, Exchange, list[JSON]]]:
    for turn in recorded.turns:
        for exchange in turn.exchanges:
            if exchange.events and len(exchange.events) > 3:
                yield turn, exchange, exchange.events


def _stream(
    operator: str, turn: Turn, change: str, exchange: Exchange, events: list[JSON]
) -> Mutant:
    return Mutant(
        operator=operator,
        turn=turn.number,
        change=change,
        answers={exchange.number: events},
        suggestion="stream",
    )
