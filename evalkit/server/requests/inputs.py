"""Read the four forms of ``input`` as a list of steps (docs/protocol.md section 2.1). Pure.

A string, a content block or a list of content blocks become one ``user_input`` step whose
``content`` is a list. A list of steps is not changed, so that unknown fields and types survive and
signatures can be verified. A single step object, which only one SDK sends, is a list of one step.
An item of an unknown type needs only its ``type``. Every error names its path.

Some clients send function results as content of a ``user_input`` step; they become steps of their
own, at the position where they are.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

from evalkit._lib.json import JSON
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
    if isinstance(value, list):
        paths = [f"input[{index}]" for index in range(len(value))]
        items = [
            (path, _read_item(item, path, on_violation))
            for path, item in zip(paths, value, strict=True)
        ]
    else:
        items = [("input", _read_item(value, "input", on_violation))]
    if len({_is_content(item) for item in items}) == 2:
        message = (
            "'input' mixes steps and contents; put the contents into a step of type user_input."
        )
        on_violation(bad_request(message, is_inferred=True))
    steps: list[tuple[str, RawStep]] = []
    for are_contents, group in groupby(items, _is_content):
        if are_contents:
            contents = list(group)
            step = {"type": "user_input", "content": [content for _, content in contents]}
            steps.append((contents[0][0], step))
        else:
            for path, step in group:
                steps += _split_results(path, step)
    return steps


def _is_content(item: tuple[str, RawStep]) -> bool:
    return item[1]["type"] in CONTENT_TYPES


def _split_results(path: str, step: RawStep) -> Iterator[tuple[str, RawStep]]:
    """Yield the function results in a message's content as steps, and the rest as messages."""
    content = step["content"] if step["type"] == "user_input" else []
    if all(block["type"] != "function_result" for block in content):
        yield path, step
        return
    numbered = list(enumerate(content))
    for is_result, group in groupby(numbered, lambda one: one[1]["type"] == "function_result"):
        blocks = list(group)
        first = f"{path}.content[{blocks[0][0]}]"
        if not is_result:
            yield first, {**step, "content": [block for _, block in blocks]}
            continue
        for index, block in blocks:
            yield f"{path}.content[{index}]", block


def last_messages(steps: Sequence[RawStep]) -> list[RawStep]:
    """Return the user's messages at the end of the input; a GET lists them before the answer."""
    start = len(steps)
    while start and steps[start - 1]["type"] in CLIENT_STEPS:
        start -= 1
    return [step for step in steps[start:] if step["type"] == "user_input"]


def _read_item(item: JSON, path: str, on_violation: OnViolation) -> dict[str, JSON]:
    """Return a content block or step with its type; the content of a message becomes a list."""
    if isinstance(item, str):
        item = {"text": item}
    if isinstance(item, dict) and item.get("type") is None and isinstance(item.get("text"), str):
        item = {**item, "type": "text"}
    check(item, _ITEM, path)
    check(item, _VALIDATORS.get(item["type"], _ITEM), path, on_violation)
    if item["type"] != "user_input":
        return dict(item)
    content = item["content"] if isinstance(item["content"], list) else [item["content"]]
    blocks = [
        _read_item(block, f"{path}.content[{index}]", on_violation)
        for index, block in enumerate(content)
    ]
    return {**item, "content": blocks}
