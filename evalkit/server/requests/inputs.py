"""Read the four forms of ``input`` as a list of steps (docs/protocol.md section 2.1). Pure.

A string, a content block or a list of content blocks become one ``user_input`` step whose
``content`` is a list. A list of steps is not changed, so that unknown fields and types survive and
signatures can be verified. A single step object, which only one SDK sends, is a list of one step.
An item of an unknown type needs only its ``type``. Every error names its path.

Some clients send function results as content of a ``user_input`` step; they become steps of their
own, at the position where they are.
"""

import re
from collections.abc import Sequence

from evalkit._lib.json import JSON
from evalkit.protocol.input_reader import items_of
from evalkit.protocol.step_reader import RawStep
from evalkit.protocol.step_types import CLIENT_STEPS, CONTENT_TYPES, MEDIA_TYPES
from evalkit.server.requests.bodies import ARRAY, BASE64, BOOLEAN, STRING, check, validator
from evalkit.server.requests.error_response import OnViolation, bad_request, raise_known_violation

_STEP_OBJECT = {
    "type": "object",
    "not": {"anyOf": [{"required": ["role"]}, {"required": ["parts"]}]},
    "description": 'an object {"type": "user_input", "content": […]}, without role and parts',
}
_INPUT = validator(
    {
        "type": ["string", "object", "array"],
        "if": {"type": "object"},
        "then": _STEP_OBJECT,
        "minItems": 1,
        "items": _STEP_OBJECT,
        "description": "a string, an object, or a list with at least one item",
    }
)
_ITEM = validator(
    {
        "type": "object",
        "required": ["type"],
        "properties": {"type": {"type": "string", "minLength": 1, "description": "a type"}},
    }
)
_MEDIA = validator(
    {
        "properties": {"data": BASE64},
        "anyOf": [
            {"required": [name], "properties": {name: {"not": {"type": "null"}}}}
            for name in ("data", "uri")
        ],
        "description": "a block with data or uri",
    }
)
_VALIDATORS = {
    **dict.fromkeys(MEDIA_TYPES, _MEDIA),
    "text": validator({"required": ["text"], "properties": {"text": {"type": "string"}}}),
    "user_input": validator(
        {
            "required": ["content"],
            "properties": {"content": {"type": ["object", "array", "string"]}},
        }
    ),
    "thought": validator({"properties": {"signature": STRING, "summary": ARRAY}}),
    "model_output": validator({"properties": {"content": {"type": ["array", "string", "null"]}}}),
    "function_call": validator(
        {
            "required": ["name", "arguments"],
            "properties": {
                "id": STRING,
                "name": {"type": "string"},
                "arguments": {"type": "object"},
            },
        }
    ),
    "function_result": validator(
        {
            "required": ["result"],
            "properties": {
                "call_id": STRING,
                "result": {"type": ["string", "object", "array"]},
                "is_error": BOOLEAN,
            },
        }
    ),
}
"""The fields of content blocks and steps, by type."""


def steps_of_input(value: JSON) -> list[RawStep]:
    """Return the steps of an ``input``."""
    return [step for _, step in read_input(value)]


def read_input(
    value: JSON, on_violation: OnViolation = raise_known_violation
) -> list[tuple[str, RawStep]]:
    """Return the steps of an ``input``, each after its position, for example ``input[2]``.

    Raises ErrorResponse (400) naming the position, for example ``input[2].content[0].data``.
    """
    check(value, _INPUT, "input")
    parts = value if isinstance(value, list) else [value]
    for index, part in enumerate(parts):
        _check_item(part, f"input[{index}]" if parts is value else "input", on_violation)
    are_contents = {
        isinstance(part, str) or (part.get("type") or "text") in CONTENT_TYPES for part in parts
    }
    if len(are_contents) == 2:
        message = (
            "'input' mixes steps and contents; put the contents into a step of type user_input."
        )
        on_violation(bad_request(message, is_inferred=True))
    # The API spells a JSON Pointer as ``input[2].content[0]``.
    return [
        (re.sub(r"\.([0-9]+)", r"[\1]", item.pointer[1:].replace("/", ".")), item.step)
        for item in items_of(value)
    ]


def last_messages(steps: Sequence[RawStep]) -> list[RawStep]:
    """Return the user's messages at the end of the input; a GET lists them before the answer."""
    start = len(steps)
    while start and steps[start - 1]["type"] in CLIENT_STEPS:
        start -= 1
    return [step for step in steps[start:] if step["type"] == "user_input"]


def _check_item(item: JSON, path: str, on_violation: OnViolation) -> None:
    """Check a content block or a step, and the content of a message."""
    if isinstance(item, str):
        return
    if not (isinstance(item, dict) and item.get("type") is None and "text" in item):
        check(item, _ITEM, path)
    kind = item.get("type") or "text"
    check(item, _VALIDATORS.get(kind, _ITEM), path, on_violation)
    content = item["content"] if kind == "user_input" else ()
    if isinstance(content, dict):
        content = [content]
    for index, block in enumerate(() if isinstance(content, str) else content):
        _check_item(block, f"{path}.content[{index}]", on_violation)
