"""Steps, contents, tools and other JSON values as lines of text, nested by indentation. Pure.

What differs in an equal step is left out: ids, signatures, times and counts.
"""

from collections.abc import Iterable, Iterator

from evalkit._lib.json import JSON, compact
from evalkit.cassette.files import PREFIX, decode_media
from evalkit.protocol.step_reader import RawStep, type_of
from evalkit.protocol.wire_facts import VOLATILE_MEASURES, VOLATILE_NAMES

_LONGEST_VALUE = 70
_STEP_NAMES = {
    "user_input": "user",
    "function_call": "call",
    "function_result": "result",
    "model_output": "answer",
}


def step_lines(step: RawStep) -> Iterator[str]:
    """Yield what a step is and, below, what it says."""
    kind = type_of(step)
    name = step.get("name")
    title = f"{_STEP_NAMES.get(kind, kind)} {name if isinstance(name, str) else ''}".rstrip()
    if step.get("is_error") is True:
        title += " (error)"
    hidden = {"type", "name", "is_error", *VOLATILE_NAMES, *VOLATILE_MEASURES}
    rest = {key: value for key, value in step.items() if key not in hidden}
    lines: list[str] = []
    for key in ("summary", "content", "arguments", "result"):
        if key in rest:
            lines += _part_lines(rest.pop(key))
    yield from headed(title, [*lines, *value_lines(rest)] if rest else lines)


def _part_lines(value: JSON) -> Iterator[str]:
    if isinstance(value, list) and value and all(_is_block(item) for item in value):
        return content_lines(value)
    return text_lines(value) if isinstance(value, str) else value_lines(value)


def _is_block(value: JSON) -> bool:
    return isinstance(value, dict) and isinstance(value.get("type"), str)


def content_lines(blocks: Iterable[JSON]) -> Iterator[str]:
    """Yield the texts of content, and the type of everything else in brackets."""
    for block in blocks:
        if not isinstance(block, dict):
            yield from value_lines(block)
            continue
        rest = {key: value for key, value in block.items() if key != "type"}
        if isinstance(text := rest.get("text"), str):
            del rest["text"]
            yield from text_lines(text)
        else:
            yield f"[{type_of(block)}]"
        for key, value in rest.items():
            for item in value if key == "annotations" and isinstance(value, list) else [value]:
                yield f"[{key}] {_data_name(item) if key == 'data' else compact(item)}"


def _data_name(data: JSON) -> str:
    """Return the name of media by their digest, whether a cassette has them in a file or not."""
    if not isinstance(data, str):
        return compact(data)
    decoded = decode_media(data)
    return decoded[0] if decoded else data.removeprefix(f"{PREFIX}sha256:")


def tool_lines(tool: JSON) -> Iterator[str]:
    """Yield the declaration of a tool."""
    if not isinstance(tool, dict):
        yield from member_lines("tool", tool)
        return
    name = tool.get("name")
    is_function = tool.get("type") == "function" and isinstance(name, str)
    yield f"tool {name if is_function else tool.get('type')}"
    description = tool.get("description")
    if isinstance(description, str):
        yield from indent(text_lines(description))
    hidden = {"type", "name"} if is_function else {"type"}
    if isinstance(description, str):
        hidden.add("description")
    if rest := {key: value for key, value in tool.items() if key not in hidden}:
        yield from indent(value_lines(rest))


def headed(title: str, lines: Iterable[str]) -> Iterator[str]:
    """Yield a title and the lines below it."""
    yield title
    yield from indent(lines)


def indent(lines: Iterable[str]) -> Iterator[str]:
    """Return lines one level deeper."""
    return (f"  {line}" if line else "" for line in lines)


def text_lines(text: str) -> Iterator[str]:
    """Return the lines of a text."""
    return iter(text.removesuffix("\n").split("\n"))


def value_lines(value: JSON) -> Iterator[str]:
    """Yield a JSON value as nested lines, strings of several lines as they are."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from member_lines(key, item)
    elif isinstance(value, list) and value:
        for item in value:
            first, *rest = member_lines("-", item)
            yield first.replace("-:", "-", 1)
            yield from rest
    else:
        yield compact(value)


def member_lines(key: str, value: JSON) -> Iterator[str]:
    """Yield a member of an object, on one line if it is short."""
    if isinstance(value, str) and "\n" in value:
        yield from headed(f"{key}: |", text_lines(value))
        return
    short = compact(value)
    if isinstance(value, dict | list) and value and len(short) > _LONGEST_VALUE:
        yield from headed(f"{key}:", value_lines(value))
    else:
        yield f"{key}: {short}"
