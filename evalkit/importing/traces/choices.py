"""The answer among the messages that a call received: one choice, or the chunks of a stream. Pure.

Every choice has the reason of its end, and an index or a text. Items of OpenAI's Responses may have
reasons, too, but are a thought, a text or a call each. Chunks have a reason at the end only:
OpenTelemetry's instrumentation of google-genai records those of a stream as they arrived.
"""

from evalkit._lib.json import JSON
from evalkit.importing.traces.messages import MessageReader, parsed
from evalkit.protocol.step_reader import RawStep

_OF_CHOICES = frozenset(("finish_reason", "index"))
_TEXT_FIELDS = {"model_output": "content", "thought": "summary"}


def read_answer(reader: MessageReader, value: JSON) -> None:
    """Read the first choice; texts of chunks become one text."""
    messages = parsed(value)
    choices = [
        one
        for one in (messages if isinstance(messages, list) else ())
        if isinstance(one, dict) and one.keys() & _OF_CHOICES
    ]
    if len(choices) < 2 or len(choices) < len(messages):
        reader.add(messages, "assistant")
    elif all(one.get("finish_reason") for one in choices):
        is_each_whole = all("index" in one or _has_text(one) for one in choices)
        reader.add(choices[0] if is_each_whole else choices, "assistant")
    else:
        reader.add(choices, "assistant")
        reader.steps = _joined(reader.steps)


def _has_text(message: JSON) -> bool:
    reader = MessageReader()
    reader.add(message, "assistant")
    return any(step["type"] == "model_output" for step in reader.steps)


def _joined(steps: list[RawStep]) -> list[RawStep]:
    """Return steps in which neighbors of one type that have only text are one step."""
    joined: list[RawStep] = []
    for step in steps:
        before, text = _only_text(joined[-1]) if joined else "", _only_text(step)
        if before and text and joined[-1]["type"] == step["type"]:
            content = [{"type": "text", "text": before + text}]
            step = {**joined.pop(), **step, _TEXT_FIELDS[step["type"]]: content}
        joined.append(step)
    return joined


def _only_text(step: RawStep) -> str:
    match step.get(_TEXT_FIELDS.get(step["type"], "")):
        case [{"type": "text", "text": str(text)}]:
            return text
    return ""
