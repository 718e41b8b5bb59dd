"""The ``input`` of a request as steps, with a JSON Pointer to each, whatever shape it was sent in.

Protocol section 2.1: ``input`` may be a string, one content object, a list of content objects (each of these is one ``user_input``) or a
list of steps; a ``user_input``'s ``content`` may be a string, which is one text block (section 10, row 4). Two requests that say the same
in two of these shapes have the same history. Steps of the model are never rewritten: there, every difference counts.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from evalkit._lib.json import JSON, pointer
from evalkit.protocol.step_reader import type_of
from evalkit.protocol.step_types import CONTENT_TYPES

RawStep = dict[str, Any]
_CONTENT = frozenset(CONTENT_TYPES)
_INPUT = "/input"


class Item(NamedTuple):
    """One step of an input, and ``pointer`` to it in the request body.

    Where the step was rewritten, what stands here under the path ``here`` stands there at ``there``; ``whole``: as one plain string.
    """

    step: RawStep
    pointer: str
    here: str | None = None
    there: str = ""
    whole: bool = False

    def locate(self, path: str) -> str:
        """Return the pointer in the request body to a path inside the step as it is read here."""
        if self.here is None:
            return self.pointer + path
        if path == self.here or path.startswith(f"{self.here}/"):
            return self.there if self.whole else self.there + path[len(self.here) :]
        return self.pointer


def items_of(value: JSON) -> list[Item]:
    """Return an input of any shape as steps; nothing (absent, null) is no step."""
    if value is None:
        return []
    if isinstance(value, str):
        return [Item(_message([_text(value)]), _INPUT, "/content", _INPUT, whole=True)]
    if isinstance(value, dict):
        return [
            Item(_message([_typed(value)]), _INPUT, "/content/0", _INPUT)
            if _is_content(value)
            else _item(value, _INPUT)
        ]
    if not isinstance(value, list):
        return [Item({"type": "", "value": value}, _INPUT, "/value", _INPUT)]
    if value and all(isinstance(item, dict) and _is_content(item) for item in value):
        return [Item(_message([_typed(item) for item in value]), _INPUT, "/content", _INPUT)]
    return [_listed(item, f"{_INPUT}{pointer(index)}") for index, item in enumerate(value)]


def readable(step: RawStep) -> RawStep:
    """Return a step as it is compared: a ``user_input`` with its content as a list of typed blocks, any other as it is."""
    return _item(step, "").step


def _listed(item: JSON, at: str) -> Item:
    if not isinstance(item, dict):
        return Item({"type": "", "value": item}, at, "/value", at)
    return (
        Item(_message([_typed(item)]), at, "/content/0", at)
        if _is_content(item)
        else _item(item, at)
    )


def _item(step: RawStep, at: str) -> Item:
    content = step.get("content")
    if step.get("type") == "user_input":
        if isinstance(content, str):
            return Item(
                {**step, "content": [_text(content)]}, at, "/content", f"{at}/content", whole=True
            )
        if isinstance(content, dict):
            return Item({**step, "content": [_typed(content)]}, at, "/content/0", f"{at}/content")
        if isinstance(content, list) and any(
            isinstance(block, dict) and "type" not in block for block in content
        ):
            return Item(
                {
                    **step,
                    "content": [
                        _typed(block) if isinstance(block, dict) else block for block in content
                    ],
                },
                at,
            )
    return Item(step, at)


def _is_content(value: RawStep) -> bool:
    return type_of(value) in _CONTENT or ("type" not in value and "text" in value)


def _typed(block: RawStep) -> RawStep:
    return {"type": "text", **block} if "type" not in block and "text" in block else block


def _text(text: str) -> RawStep:
    return {"type": "text", "text": text}


def _message(blocks: list[RawStep]) -> RawStep:
    return {"type": "user_input", "content": blocks}
