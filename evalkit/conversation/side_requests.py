"""Requests about a conversation that are recorded beside it: of judges and simulated users. Pure.

They are in the same cassette as the conversation, so they must be recognizable without the suite:
their labels (docs/protocol.md section 2, ``labels``) say who sent them. The service stores labels
and otherwise ignores them. A decision (section 12) has no labels: the names of its questions say
it.

The text of a model is hostile, and here another model reads it. So it is marked as data three
times: the instruction says so, it is JSON with one entry per line, so that no text can look like a
line of ours, and it is between two lines with a number that no text inside has.

The same conversation gives the same request, so that it is found in the cassette. Nothing in it is
a digest of the conversation: a recording is redacted, and must give the same request then. The
service does not store the request (``store: false``). A change of its texts makes every recording
of it a miss.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from typing import Any, Literal

from evalkit._lib.exact_json import write_exact
from evalkit._lib.json import JSON
from evalkit._lib.text import plural, show
from evalkit.protocol.step_reader import content_blocks, output_text
from evalkit.protocol.wire_facts import (
    DEFAULT_API_VERSION,
    interactions_path,
    resource_path,
)
from evalkit.transcript import Exchange, Request, Step, Turn

SideRole = Literal["judge", "simulator"]
_VERSION = "1"
"""Increased by a change of the meaning of these requests."""

_QUESTION = "evalkit.judge"
"""How the names of a judge's questions begin."""

_SIGNATURES = frozenset(("signature", "thought_signature"))
_OMITTED = _SIGNATURES | {"id", "call_id", "type"}
_MAX_DATA = 200
# Line ends to some readers, and surrogates, which UTF-8 cannot encode.
_BREAKS = re.compile("[\x85\u2028\u2029\ud800-\udfff]")


def side_role(body: Any) -> SideRole | None:
    """Return who sent a request body beside a conversation, None for any other body."""
    labels, questions = (
        body.get(name) if isinstance(body, Mapping) else None for name in ("labels", "questions")
    )
    if isinstance(questions, Mapping) and questions:
        is_judge = all(str(name).startswith(_QUESTION) for name in questions)
        return "judge" if is_judge else None
    role = labels.get("evalkit") if isinstance(labels, Mapping) else None
    return role if role in ("judge", "simulator") else None


def is_side_request(request: Request) -> bool:
    """Return whether a request is about the conversation that it was recorded with."""
    return request.method == "POST" and side_role(request.body) is not None


def side_request(
    role: SideRole,
    *,
    model: JSON,
    instruction: str,
    texts: Iterable[str],
    schema: JSON,
    generation_config: Mapping[str, JSON] | None,
) -> Request:
    """Return a request to a model that answers with a JSON document."""
    body: dict[str, JSON] = {
        "model": model,
        "input": [{"type": "text", "text": text} for text in texts],
        "system_instruction": instruction,
        "response_format": {"type": "text", "mime_type": "application/json", "schema": schema},
        "labels": {"evalkit": role, "version": _VERSION},
        "store": False,
    }
    if generation_config:
        body["generation_config"] = dict(generation_config)
    return Request("POST", interactions_path(DEFAULT_API_VERSION), body)


def decision_request(*, model: str, texts: Iterable[str], questions: Mapping[str, JSON]) -> Request:
    """Return a judge's request to the decisions resource; ``""`` names a question without a name.

    The texts are sent once, however many questions there are.
    """
    body: dict[str, JSON] = {
        "model": model,
        "input": [{"type": "text", "text": text} for text in texts],
        "questions": {_question_id(name): question for name, question in questions.items()},
    }
    return Request("POST", resource_path(DEFAULT_API_VERSION, "decisions"), body)


def decision_answers(
    exchange: Exchange, names: Iterable[str], subject: str
) -> tuple[dict[str, JSON], str]:
    """Return the answers to questions by name, and why there are none, ``""`` if there are.

    ``subject`` names in the reason who should have answered.
    """
    if reason := _failure_text(exchange, subject):
        return {}, reason
    body = exchange.interaction or {}
    feedback = body.get("prompt_feedback")
    if isinstance(feedback, dict) and feedback.get("block_reason"):
        message = feedback.get("block_reason_message")
        more = f" ({show(message, 200)})" if message else ""
        return {}, f"{subject}'s input was blocked: {show(feedback['block_reason'])}{more}"
    found = body.get("answers")
    answers = found if isinstance(found, dict) else {}
    for name in names:
        if _question_id(name) not in answers:
            question = f"the question {show(name)}" if name else "the question"
            return {}, f"{subject} did not answer {question}"
    return {name: answers[_question_id(name)] for name in names}, ""


def _question_id(name: str) -> str:
    return f"{_QUESTION}.{name}" if name else _QUESTION


def answer_text(exchange: Exchange, subject: str) -> tuple[str, str]:
    """Return the text of an answer, and why there is none, ``""`` if there is one.

    ``subject`` names in the reason who should have answered.
    """
    if reason := _failure_text(exchange, subject):
        return "", reason
    interaction = exchange.interaction or {}
    if (status := interaction.get("status")) not in ("completed", None):
        return "", f"{subject}'s answer did not end: its status is {show(status)}"
    return output_text(interaction.get("steps") or []), ""


def _failure_text(exchange: Exchange, subject: str) -> str:
    if exchange.error is not None:
        return f"{subject} did not answer: the API returned {exchange.error.summary}"
    if exchange.interaction is None or exchange.failure is not None:
        reason = exchange.failure or "there is no Interaction"
        return f"{subject}'s answer cannot be read: {reason}"
    return ""


def object_schema(properties: Mapping[str, JSON]) -> dict[str, JSON]:
    """Return the schema of an object with exactly these properties."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def whole_conversation(turns: Iterable[Turn]) -> Iterator[dict[str, JSON]]:
    """Yield the entries of everything that a judge may see: messages, outputs, calls, errors."""
    for turn in turns:
        yield {"turn": turn.number, "user": _content(turn.user)}
        for step in turn.steps:
            if step.type != "thought":
                yield {"turn": turn.number, **_entry(step)}
        if turn.error is not None:
            yield {"turn": turn.number, "error": turn.error.to_json()}
        elif not turn.steps:
            yield {"turn": turn.number, "model": ""}


def visible_conversation(
    given: Iterable[dict[str, JSON]], turns: Iterable[Turn]
) -> Iterator[dict[str, JSON]]:
    """Yield the entries of what a user sees: the messages and the outputs.

    ``given`` are the steps before the first turn.
    """
    steps = list(given)
    for turn in turns:
        steps += turn.history
    for step in steps:
        if step.get("type") == "user_input":
            yield {"user": _content(content_blocks(step))}
        elif step.get("type") == "model_output":
            yield {"model": _content(content_blocks(step))}


def fenced(entries: Iterable[dict[str, JSON]]) -> str:
    """Return a conversation as JSON, one entry per line, between two lines with a number.

    No text in the conversation has that number beside the same words.
    """
    lines = [write_exact(entry, ensure_ascii=False) for entry in entries]
    text = _BREAKS.sub(lambda found: f"\\u{ord(found[0]):04x}", "\n".join(lines))
    used = set(re.findall(r"conversation ([0-9]+) ", text))
    mark = next(number for number in count(1) if str(number) not in used)
    return f"----- conversation {mark} -----\n{text}\n----- end of conversation {mark} -----"


def _entry(step: Step) -> dict[str, JSON]:
    raw = step.raw
    if step.type == "model_output":
        return {"model": _content(content_blocks(raw))}
    if step.type == "function_call":
        return {"call": raw.get("name"), "arguments": _reduced(raw.get("arguments"))}
    if step.type == "function_result":
        error = {"is_error": True} if raw.get("is_error") is True else {}
        return {"result_of": raw.get("name"), "result": _reduced(raw.get("result")), **error}
    fields = {key: _reduced(value) for key, value in raw.items() if key not in _OMITTED}
    return {"step": step.type, **fields}


def _content(blocks: JSON) -> JSON:
    """Return content for the reader: text alone as a string, else blocks without media data."""
    is_text = isinstance(blocks, list) and all(
        isinstance(block, dict) and block.keys() == {"type", "text"} for block in blocks
    )
    return "".join(str(block["text"]) for block in blocks) if is_text else _reduced(blocks)


def _reduced(value: JSON) -> JSON:
    """Return a value without signatures and long media data."""
    if isinstance(value, list):
        return [_reduced(item) for item in value]
    if not isinstance(value, dict):
        return value
    fields = {key: _reduced(item) for key, item in value.items() if key not in _SIGNATURES}
    data = fields.get("data")
    if isinstance(data, str) and len(data) > _MAX_DATA:
        fields["data"] = f"({plural(len(data), 'character')}, not shown)"
    return fields
