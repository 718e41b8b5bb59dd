"""Locked conversations: each turn continues the turns of another conversation. Pure.

The first request of a turn contains the turns before it, so that everything that a check reads of
them is in the transcript.
"""

from dataclasses import replace

from evalkit._lib.json import JSON
from evalkit.protocol.input_reader import input_steps
from evalkit.protocol.step_reader import RawStep, content_blocks, output_text, type_of
from evalkit.protocol.step_types import CLIENT_STEPS
from evalkit.transcript import Step, Transcript, Turn


def continued_conversation(transcript: Transcript, turn: Turn) -> Transcript:
    """Return the conversation that a turn ends: the turns that it continues, and the turn."""
    body = turn.exchanges[0].request.body if turn.exchanges else None
    earlier: list[Turn] = []
    for step in input_steps(body.get("input") if isinstance(body, dict) else None):
        if type_of(step) == "user_input":
            earlier.append(Turn(0, content_blocks(step)))
        elif earlier:
            is_result = type_of(step) in CLIENT_STEPS
            earlier[-1].steps.append(Step(step, "client" if is_result else "model", 0))
    # The last message is the turn's own; before the others may be what the scenario gives.
    earlier = earlier[-turn.number : -1]
    for number, one in enumerate(earlier, 1):
        one.number = one.entry = number
        one.text = output_text([step.raw for step in one.steps])
    return replace(transcript, turns=[*earlier, turn])


def without_thoughts(turn: Turn) -> Turn:
    """Return a turn without what binds it to its model: thoughts and signatures."""
    steps = [step for step in turn.steps if step.type != "thought"]
    return replace(turn, steps=[step._replace(raw=_unsigned(step.raw)) for step in steps])


def _unsigned(step: RawStep) -> RawStep:
    unsigned = {name: value for name, value in step.items() if name != "signature"}
    content: JSON = unsigned.get("content")
    if isinstance(content, list):
        unsigned["content"] = [_unsigned(one) if isinstance(one, dict) else one for one in content]
    return unsigned
