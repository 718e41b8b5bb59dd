"""The four shapes of ``input`` as one: a list of steps (protocol section 2.1). Pure; what cannot be read is refused with its path.

A string, one content, a list of contents become one ``user_input`` step whose ``content`` is a list; a list of steps stays as it came, so
that unknown fields and types survive and signatures can be verified by value. A single step object, which only one SDK sends, is a list of
one. Nulls are absences. What a step must hold is the table ``_NEEDS``; unknown step types must hold nothing but a ``type``.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence

from evalkit._lib.json import JSON
from evalkit._lib.json import json_type as json_kind
from evalkit.protocol.step_types import CLIENT_STEPS, CONTENT_TYPES, MEDIA_TYPES
from evalkit.server.requests.error_response import bad_request

RawStep = dict[str, JSON]


def steps_of_input(value: JSON) -> list[RawStep]:
    """Return the steps an ``input`` stands for. Raises ErrorResponse (400) naming the place, e.g. ``input[2].content[0].data``."""
    if isinstance(value, str):
        return [{"type": "user_input", "content": [{"type": "text", "text": value}]}]
    single = isinstance(value, Mapping)
    if single:
        value = [value]

    def where(index: int) -> str:
        return "input" if single else f"input[{index}]"

    if not isinstance(value, list):
        raise bad_request(f"'input' must be a string, an object or a list, got {_a(value)}.")
    if not value:
        raise bad_request("'input' is empty.")
    kinds = {_shape(item, where(index)) for index, item in enumerate(value)}
    if kinds == {"content"}:
        return [
            {
                "type": "user_input",
                "content": [_content(item, where(index)) for index, item in enumerate(value)],
            }
        ]
    if kinds == {"step"}:
        return [_step(item, where(index)) for index, item in enumerate(value)]
    raise bad_request(
        "'input' mixes steps and contents; put the contents into a step of type user_input."
    )


def last_messages(steps: Sequence[RawStep]) -> list[RawStep]:
    """Return the user's messages at the end of what was sent: those that a GET shows before the answer."""
    start = len(steps)
    while start and steps[start - 1]["type"] in CLIENT_STEPS:
        start -= 1
    return [step for step in steps[start:] if step["type"] == "user_input"]


def _shape(item: JSON, where: str) -> str:
    if not isinstance(item, Mapping):
        raise bad_request(f"'{where}' must be an object, got {_a(item)}.")
    if "role" in item or "parts" in item:
        raise bad_request(
            f'\'{where}\' uses the old schema of role and parts; send {{"type": "user_input", "content": […]}}.'
        )
    kind = item.get("type")
    if kind is None and isinstance(item.get("text"), str):
        return "content"
    if not isinstance(kind, str) or not kind:
        raise bad_request(f"'type' at '{where}' is missing.")
    return "content" if kind in CONTENT_TYPES else "step"


def _content(item: JSON, where: str) -> dict[str, JSON]:
    """Return one content block with its type; text must have its text, media its data (base64) or uri."""
    if isinstance(item, str):
        return {"type": "text", "text": item}
    if not isinstance(item, Mapping):
        raise bad_request(f"'{where}' must be an object, got {_a(item)}.")
    block = dict(item)
    if block.get("type") is None and isinstance(block.get("text"), str):
        block["type"] = "text"
    kind = block.get("type")
    if not isinstance(kind, str) or not kind:
        raise bad_request(f"'type' at '{where}' is missing.")
    if kind == "text" and not isinstance(block.get("text"), str):
        raise bad_request(f"'{where}.text' must be a string, got {_a(block.get('text'))}.")
    if kind in MEDIA_TYPES:
        _check_media(block, where)
    return block


def _check_media(block: Mapping[str, JSON], where: str) -> None:
    data, uri = block.get("data"), block.get("uri")
    if data is None and uri is None:
        raise bad_request(f"'{where}' needs data or uri.")
    if data is not None:
        try:
            base64.b64decode(data, validate=True)
        except (TypeError, ValueError, binascii.Error):
            raise bad_request(f"'{where}.data' is not base64.") from None


def _step(item: Mapping[str, JSON], where: str) -> RawStep:
    step = dict(item)
    for name, need in _NEEDS.get(step["type"], {}).items():
        need(step, name, f"{where}.{name}")
    return step


def _blocks(step: RawStep, name: str, where: str) -> None:
    content = step.get(name)
    if isinstance(content, str | Mapping):
        content = [content]
    if not isinstance(content, list):
        raise bad_request(f"'{where}' must be a list of contents or a string, got {_a(content)}.")
    step[name] = [_content(block, f"{where}[{index}]") for index, block in enumerate(content)]


def _of(*kinds: str) -> Callable[[RawStep, str, str], None]:
    def need(step: RawStep, name: str, where: str) -> None:
        if json_kind(step.get(name)) not in kinds:
            wanted = " or ".join("nothing" if kind == "null" else _an(kind) for kind in kinds)
            raise bad_request(f"'{where}' must be {wanted}, got {_a(step.get(name))}.")

    return need


_NEEDS: dict[str, dict[str, Callable[[RawStep, str, str], None]]] = {
    "user_input": {"content": _blocks},
    "thought": {"signature": _of("string", "null"), "summary": _of("array", "null")},
    "model_output": {"content": _of("array", "string", "null")},
    "function_call": {
        "id": _of("string", "null"),
        "name": _of("string"),
        "arguments": _of("object"),
    },
    "function_result": {
        "call_id": _of("string", "null"),
        "result": _of("string", "object", "array"),
        "is_error": _of("boolean", "null"),
    },
}


def _a(value: JSON) -> str:
    return "nothing" if value is None else _an(json_kind(value))


def _an(kind: str) -> str:
    return f"a{'n' if kind[0] in 'aeiou' else ''} {kind}"
