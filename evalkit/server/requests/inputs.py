"""Read the four forms of ``input`` as a list of steps (docs/protocol.md section 2.1). Pure.

A string, a content block or a list of content blocks become one ``user_input`` step whose
``content`` is a list. A list of steps is not changed, so that unknown fields and types survive and
signatures can be verified. A single step object, which only one SDK sends, is a list of one step.
Null means absent. The required fields of a step are the table ``_STEP_FIELDS``; an unknown step
type needs only a ``type``. Every error names its path.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence

from evalkit._lib.json import JSON, json_type
from evalkit.protocol.step_reader import RawStep
from evalkit.protocol.step_types import CLIENT_STEPS, CONTENT_TYPES, MEDIA_TYPES
from evalkit.server.requests.error_response import bad_request

_STEP_FIELDS: dict[str, dict[str, tuple[str, ...]]] = {
    "user_input": {"content": ("object", "array", "string")},
    "thought": {"signature": ("string", "null"), "summary": ("array", "null")},
    "model_output": {"content": ("array", "string", "null")},
    "function_call": {"id": ("string", "null"), "name": ("string",), "arguments": ("object",)},
    "function_result": {
        "call_id": ("string", "null"),
        "result": ("string", "object", "array"),
        "is_error": ("boolean", "null"),
    },
}
"""The JSON types that fields of a step may have; with ``null``, the field may be absent."""


def steps_of_input(value: JSON) -> list[RawStep]:
    """Return the steps of an ``input``.

    Raises ErrorResponse (400) naming the position, for example ``input[2].content[0].data``.
    """
    if isinstance(value, str):
        return [{"type": "user_input", "content": [{"type": "text", "text": value}]}]
    if isinstance(value, Mapping):
        items = {"input": value}
    elif isinstance(value, list):
        items = {f"input[{index}]": item for index, item in enumerate(value)}
    else:
        raise bad_request(f"'input' must be a string, an object or a list, got {_a(value)}.")
    if not items:
        raise bad_request("'input' must not be empty.")
    forms = {_form(item, path) for path, item in items.items()}
    if forms == {"content"}:
        blocks = [_read_block(item, path) for path, item in items.items()]
        return [{"type": "user_input", "content": blocks}]
    if forms == {"step"}:
        return [_read_step(item, path) for path, item in items.items()]
    raise bad_request(
        "'input' mixes steps and contents; put the contents into a step of type user_input."
    )


def last_messages(steps: Sequence[RawStep]) -> list[RawStep]:
    """Return the user's messages at the end of the input; a GET lists them before the answer."""
    start = len(steps)
    while start and steps[start - 1]["type"] in CLIENT_STEPS:
        start -= 1
    return [step for step in steps[start:] if step["type"] == "user_input"]


def _form(item: JSON, path: str) -> str:
    """Return whether an item is a ``content`` or a ``step``."""
    if not isinstance(item, Mapping):
        raise bad_request(f"'{path}' must be an object, got {_a(item)}.")
    if "role" in item or "parts" in item:
        raise bad_request(
            f"'{path}' uses the old schema of role and parts; "
            'send {"type": "user_input", "content": […]}.'
        )
    kind = item.get("type")
    if kind is None and isinstance(item.get("text"), str):
        return "content"
    if not isinstance(kind, str) or not kind:
        raise bad_request(f"'type' at '{path}' is missing.")
    return "content" if kind in CONTENT_TYPES else "step"


def _read_block(item: JSON, path: str) -> dict[str, JSON]:
    """Return one content block with its type; text needs a text, media need data or uri."""
    if isinstance(item, str):
        return {"type": "text", "text": item}
    if not isinstance(item, Mapping):
        raise bad_request(f"'{path}' must be an object, got {_a(item)}.")
    block = dict(item)
    if block.get("type") is None and isinstance(block.get("text"), str):
        block["type"] = "text"
    kind = block.get("type")
    if not isinstance(kind, str) or not kind:
        raise bad_request(f"'type' at '{path}' is missing.")
    if kind == "text" and not isinstance(block.get("text"), str):
        raise bad_request(f"'{path}.text' must be a string, got {_a(block.get('text'))}.")
    if kind in MEDIA_TYPES:
        _check_media(block, path)
    return block


def _check_media(block: Mapping[str, JSON], path: str) -> None:
    data = block.get("data")
    if data is None and block.get("uri") is None:
        raise bad_request(f"'{path}' needs data or uri.")
    if data is not None:
        try:
            base64.b64decode(data, validate=True)
        except (TypeError, ValueError, binascii.Error):
            raise bad_request(f"'{path}.data' is not base64.") from None


def _read_step(item: Mapping[str, JSON], path: str) -> RawStep:
    step = dict(item)
    for name, types in _STEP_FIELDS.get(step["type"], {}).items():
        value = step.get(name)
        if json_type(value) not in types:
            expected = " or ".join(
                "nothing" if kind == "null" else _article(kind) for kind in types
            )
            raise bad_request(f"'{path}.{name}' must be {expected}, got {_a(value)}.")
    if step["type"] == "user_input":
        content = step["content"]
        blocks = content if isinstance(content, list) else [content]
        step["content"] = [
            _read_block(block, f"{path}.content[{index}]") for index, block in enumerate(blocks)
        ]
    return step


def _a(value: JSON) -> str:
    return "nothing" if value is None else _article(json_type(value))


def _article(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"
