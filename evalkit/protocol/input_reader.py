"""Read the ``input`` of a request, in any of its shapes, as steps. Pure.

An ``input`` may be a string, one content object, a list of content objects (each of these is one
``user_input``), one step or a list of steps (docs/protocol.md section 2.1). A ``user_input``'s
``content`` may be a string, which is one text block. Some clients (the Vercel AI SDK) send
``function_result`` items among the contents of a ``user_input``; they are results like any other.
"""

from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

from evalkit._lib.json import JSON, MISSING, resolve_pointer
from evalkit.protocol.step_reader import RawStep, content_blocks, type_of
from evalkit.protocol.step_types import CONTENT_TYPES


class InputItem(NamedTuple):
    """One step of an input, and the pointer to it in the request body.

    ``source`` is the step as it was sent, None where it was sent as a string or as content.
    """

    step: RawStep
    pointer: str
    source: RawStep | None

    def locate(self, path: str) -> str:
        """Return the pointer in the request body to a path in the step, as far as possible."""
        parts = path.split("/")[1:]
        value: JSON = self.source
        for depth, part in enumerate(parts):
            child = resolve_pointer(value, f"/{part}")
            is_absent_key = isinstance(value, dict | list) and depth == len(parts) - 1
            if child is MISSING and not is_absent_key:
                return "/".join([self.pointer, *parts[:depth]])
            value = child
        return self.pointer + path


def items_of(value: JSON) -> list[InputItem]:
    """Return an input of any shape as steps, none where it is absent or null."""
    if value is None:
        return []
    is_content_list = isinstance(value, list) and value != [] and all(map(_is_content, value))
    if isinstance(value, str) or is_content_list:
        return [InputItem(_user_input(value), "/input", None)]
    if isinstance(value, list):
        return [
            item for index, part in enumerate(value) for item in _items(part, f"/input/{index}")
        ]
    return list(_items(value, "/input"))


def input_steps(value: JSON) -> list[RawStep]:
    """Return an ``input`` as steps; values that are not objects are left out."""
    return [item.step for item in items_of(value) if item.source is not None or item.step["type"]]


def comparable(step: RawStep) -> RawStep:
    """Return a step as it is compared: a ``user_input`` with its content as typed blocks."""
    if step.get("type") == "user_input" and "content" in step:
        return {**step, "content": _blocks(step["content"])}
    return step


def _items(value: JSON, pointer: str) -> Iterator[InputItem]:
    if not isinstance(value, dict):
        yield InputItem({"type": "", "value": value}, pointer, None)
    elif _is_content(value):
        yield InputItem(_user_input(value), pointer, None)
    else:
        blocks = content_blocks(value) if type_of(value) == "user_input" else []
        if not any(map(_is_result, blocks)):
            yield InputItem(comparable(value), pointer, value)
            return
        for is_result, group in groupby(enumerate(blocks), lambda item: _is_result(item[1])):
            items = list(group)
            if is_result:
                for index, block in items:
                    yield InputItem(block, f"{pointer}/content/{index}", block)
            else:
                yield InputItem(_user_input([block for _, block in items]), pointer, None)


def _user_input(content: JSON) -> RawStep:
    return {"type": "user_input", "content": _blocks(content)}


def _blocks(content: JSON) -> JSON:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if isinstance(content, dict):
        return [_typed(content)]
    return [_typed(block) for block in content] if isinstance(content, list) else content


def _typed(block: JSON) -> JSON:
    if isinstance(block, str):
        return {"type": "text", "text": block}
    is_untyped_text = isinstance(block, dict) and block.get("type") is None and "text" in block
    return {**block, "type": "text"} if is_untyped_text else block


def _is_result(block: JSON) -> bool:
    return isinstance(block, dict) and type_of(block) == "function_result"


def _is_content(value: JSON) -> bool:
    if not isinstance(value, dict):
        return False
    return type_of(value) in CONTENT_TYPES or (value.get("type") is None and "text" in value)
