"""Functions over raw steps: text, media, calls with their results, and cited text.

A raw step is a JSON object as the service sent it. Nothing here copies, changes or raises: a value
that has not the documented shape is skipped.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from evalkit._lib.json import JSON
from evalkit.protocol.step_types import CALL_OF, CLIENT_STEPS, RESULT_OF, RUNNING

RawStep = dict[str, JSON]


def content_blocks(step: RawStep) -> list[JSON]:
    """Return a step's content blocks; text is one block (docs/protocol.md section 10, row 4)."""
    content = step.get("content")
    if isinstance(content, list):
        return content
    return [{"type": "text", "text": content}] if isinstance(content, str) else []


def texts_of(blocks: Iterable[JSON]) -> list[str]:
    """Return the texts of content blocks of any type."""
    return [
        block["text"]
        for block in blocks
        if isinstance(block, dict) and isinstance(block.get("text"), str)
    ]


def steps_of(interaction: Mapping[str, JSON]) -> list[RawStep]:
    """Return an interaction's steps; items that are not objects are left out."""
    steps = interaction.get("steps")
    return [step for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []


def type_of(item: Mapping[str, JSON]) -> str:
    """Return the type of a step, content or delta, ``""`` if it has none."""
    kind = item.get("type")
    return kind if isinstance(kind, str) else ""


def may_be_predefined(name: JSON, tools: JSON) -> bool:
    """Return whether a function may be one of ``computer_use``, which no tool declares by name."""
    return any(
        isinstance(tool, dict)
        and tool.get("type") == "computer_use"
        and name not in (tool.get("excluded_predefined_functions") or ())
        for tool in (tools if isinstance(tools, list) else ())
    )


def is_running(interaction: Mapping[str, JSON]) -> bool:
    """Return whether an interaction is still running; with an unknown status it is not."""
    status = interaction.get("status")
    return isinstance(status, str) and status in RUNNING


def output_text(steps: Sequence[RawStep]) -> str:
    """Return the text of the answer as both SDKs compute it (docs/protocol.md section 3).

    Backwards from the end: stop at ``user_input`` and skip ``thought``; skip tool steps and other
    content until text is found, then stop at the next of them.
    """
    texts: list[str] = []
    text_seen = False
    for step in reversed(steps):
        kind = step.get("type")
        if kind == "model_output":
            for block in reversed(content_blocks(step)):
                if isinstance(block, dict) and block.get("type") == "text":
                    text_seen = True
                    if isinstance(text := block.get("text"), str):
                        texts.append(text)
                elif text_seen:
                    return "".join(reversed(texts))
        elif kind == "user_input" or (text_seen and kind != "thought"):
            break
    return "".join(reversed(texts))


class TextBlock(NamedTuple):
    """A text block and its position: indexes from 0 into the steps and the step's ``content``."""

    step: int
    content: int
    text: str
    annotations: list[dict[str, JSON]]


def text_blocks(steps: Sequence[RawStep]) -> Iterator[TextBlock]:
    """Yield every text block of every ``model_output``, with its annotations."""
    for step_index, step in enumerate(steps):
        if step.get("type") != "model_output":
            continue
        for index, block in enumerate(content_blocks(step)):
            if not isinstance(block, dict) or block.get("type") != "text":
                continue
            text, annotations = block.get("text"), block.get("annotations")
            if isinstance(text, str):
                items = annotations if isinstance(annotations, list) else []
                objects = [item for item in items if isinstance(item, dict)]
                yield TextBlock(step_index, index, text, objects)


def strip_user_input(steps: Sequence[RawStep]) -> list[RawStep]:
    """Drop the client's steps that a GET shows first, so that the rest compares with the POST."""
    for index, step in enumerate(steps):
        if type_of(step) not in CLIENT_STEPS:
            return list(steps[index:])
    return []


class CallPair(NamedTuple):
    """Indexes from 0 of a call and its result; ``result_index`` is None without a result."""

    call_index: int
    result_index: int | None


class CallPairing(NamedTuple):
    """Every call in order, and the indexes of results without a call."""

    pairs: list[CallPair]
    orphans: list[int]


def pair_calls(steps: Sequence[RawStep]) -> CallPairing:
    """Pair calls with results: by id, else by order (docs/protocol.md section 10, row 3).

    By id: a result belongs to the first call of its type without a result whose ``id`` is the
    result's ``call_id``. By order: a result belongs to the first earlier call of its type without a
    result, if the call has no ``id`` or the result no ``call_id``.
    """
    # Index to type and id; for a result, the type of its call.
    calls: dict[int, tuple[str, str | int | None]] = {}
    results: dict[int, tuple[str, str | int | None]] = {}
    for index, step in enumerate(steps):
        kind = type_of(step)
        if kind in RESULT_OF:
            calls[index] = (kind, _valid_id(step.get("id")))
        elif kind in CALL_OF:
            results[index] = (CALL_OF[kind], _valid_id(step.get("call_id")))

    open_calls_by_id: dict[tuple[str, str | int], list[int]] = {}
    for index, (kind, id_) in reversed(calls.items()):
        if id_ is not None:
            open_calls_by_id.setdefault((kind, id_), []).append(index)
    result_of_call: dict[int, int] = {}
    unpaired = []
    for index, (kind, call_id) in results.items():
        if call_id is not None and (open_calls := open_calls_by_id.get((kind, call_id))):
            result_of_call[open_calls.pop()] = index
        else:
            unpaired.append(index)

    orphans = []
    for index in unpaired:
        kind, call_id = results[index]
        for call, (call_kind, id_) in calls.items():
            may_pair = call_kind == kind and (id_ is None or call_id is None)
            if call < index and may_pair and call not in result_of_call:
                result_of_call[call] = index
                break
        else:
            orphans.append(index)
    return CallPairing([CallPair(call, result_of_call.get(call)) for call in calls], orphans)


def _valid_id(value: JSON) -> str | int | None:
    return value if isinstance(value, str | int) and value != "" else None


class CitedText(NamedTuple):
    """The text of an annotation's span.

    ``code`` is a key of ``SPAN_PROBLEMS``, ``""`` for a correct span.
    """

    text: str
    code: str = ""

    @property
    def ok(self) -> bool:
        """Whether the span is correct."""
        return not self.code

    @property
    def problem(self) -> str:
        """The message of ``code``."""
        return SPAN_PROBLEMS.get(self.code, "")


SPAN_PROBLEMS: dict[str, str] = {
    "no_span": "start_index or end_index is not a whole number",
    "negative": "the span starts or ends before the text",
    "reversed": "the span ends before it starts",
    "empty": "the span is empty",
    "past_end": "the span ends after the text",
    "inside_character": "the span cuts a character in two",
}


def cited_text(text: str, start: JSON, end: JSON) -> CitedText:
    """Return the text between two UTF-8 byte offsets, end exclusive (docs/protocol.md section 5).

    Of an incorrect span as much as possible is read: offsets are clamped to the text; offsets
    inside a character count code points instead. A missing ``start`` is 0, digits are a number.
    """
    first, last = whole_number(0 if start is None else start), whole_number(end)
    if first is None or last is None:
        return CitedText("", "no_span")
    data = text.encode("utf-8", "surrogatepass")
    code = ""
    if first < 0 or last < 0:
        code = "negative"
    elif last < first:
        code = "reversed"
    elif last == first:
        code = "empty"
    elif last > len(data):
        code = "past_end"
    low, high = (max(0, min(offset, len(data))) for offset in (first, last))
    try:
        return CitedText(data[low:high].decode("utf-8", "surrogatepass"), code)
    except UnicodeDecodeError:
        return CitedText(text[low:high], code or "inside_character")


def whole_number(value: JSON) -> int | None:
    """Return a number that may be spelled as ``1.0`` or ``"1"``, None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        return int(value)
    return None
