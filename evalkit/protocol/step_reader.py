"""Reading raw steps: the text, the media, the calls and their results, the words a citation cites.

Plain functions over raw steps (JSON objects, as ``steps_of`` gives them), for the hot path: no models, no copies, nothing raised whatever
the objects hold. What is not as the protocol says is passed over, never repaired. Judging (is this citation right? was that call
expected?) is the checks' business.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from evalkit._lib.json import JSON
from evalkit.protocol.step_types import CALL_OF, CLIENT_STEPS, RESULT_OF, RUNNING

RawStep = dict[str, JSON]


def content_blocks(step: RawStep) -> list[JSON]:
    """Return a step's content blocks; a string counts as one text block (protocol section 10, row 4), nothing as none."""
    content = step.get("content")
    if isinstance(content, list):
        return content
    return [{"type": "text", "text": content}] if isinstance(content, str) else []


def steps_of(interaction: Mapping[str, JSON]) -> list[RawStep]:
    """Return an interaction's steps; none where it has none yet. Items that are no objects are left out."""
    steps = interaction.get("steps")
    if not isinstance(steps, list):
        return []
    for step in steps:
        if type(step) is not dict:
            return [step for step in steps if isinstance(step, dict)]
    return steps


def type_of(step: Mapping[str, JSON]) -> str:
    """Return a step's or a content's type, ``""`` where it has none or one that is no string: safe to look up in any table."""
    kind = step.get("type")
    return kind if isinstance(kind, str) else ""


def is_running(interaction: Mapping[str, JSON]) -> bool:
    """Say whether an interaction is still under way. An unknown status, none, or one that is no string says it is not."""
    status = interaction.get("status")
    return isinstance(status, str) and status in RUNNING


def output_text(steps: Sequence[RawStep]) -> str:
    """Return the answer's text as both SDKs compute it (protocol section 3); ``""`` where there is none.

    From the end backwards: stop at ``user_input``, skip ``thought``, skip tool steps and other content until text is found, then stop at
    the next of them.
    """
    found: list[str] = []
    collecting = False
    for step in reversed(steps):
        kind = step.get("type")
        if kind == "model_output":
            for block in reversed(content_blocks(step)):
                if isinstance(block, dict) and block.get("type") == "text":
                    collecting = True
                    text = block.get("text")
                    if isinstance(text, str):
                        found.append(text)
                elif collecting:
                    return "".join(reversed(found))
        elif kind == "user_input" or (collecting and kind != "thought"):
            break
    return found[0] if len(found) == 1 else "".join(reversed(found))


def output_media(steps: Sequence[RawStep], kind: str) -> list[dict[str, JSON]]:
    """Return the content blocks of type ``kind`` (image, audio, video, document) that the model put out, in order.

    Only what stands after the last ``user_input`` counts; the SDKs' ``output_image`` is the last item.
    """
    found: list[dict[str, JSON]] = []
    for step in steps:
        match step.get("type"):
            case "user_input":
                found.clear()
            case "model_output":
                found += [
                    block
                    for block in content_blocks(step)
                    if isinstance(block, dict) and block.get("type") == kind
                ]
    return found


class TextBlock(NamedTuple):
    """A text content and where it stands: indexes from 0 into the steps and into the step's ``content``."""

    step: int
    content: int
    text: str
    annotations: list[dict[str, JSON]]


def text_blocks(steps: Sequence[RawStep]) -> Iterator[TextBlock]:
    """Yield every text block of every ``model_output``, with its annotations (those that are objects)."""
    for index, step in enumerate(steps):
        if step.get("type") != "model_output":
            continue
        for place, block in enumerate(content_blocks(step)):
            if (
                isinstance(block, dict)
                and block.get("type") == "text"
                and isinstance(text := block.get("text"), str)
            ):
                annotations = block.get("annotations")
                kept = (
                    [item for item in annotations if isinstance(item, dict)]
                    if isinstance(annotations, list)
                    else []
                )
                yield TextBlock(index, place, text, kept)


def function_calls(steps: Sequence[RawStep]) -> list[RawStep]:
    """Return the ``function_call`` steps, in order."""
    return [step for step in steps if step.get("type") == "function_call"]


def strip_user_input(steps: Sequence[RawStep]) -> list[RawStep]:
    """Drop the client's own steps that a stored interaction's GET shows first, so that it compares with the POST's answer."""
    for index, step in enumerate(steps):
        kind = step.get("type")
        if not isinstance(kind, str) or kind not in CLIENT_STEPS:
            return list(steps[index:])
    return []


class Pair(NamedTuple):
    """A call and its result, as indexes from 0 into the steps; ``result_index`` None where the call has no result."""

    call_index: int
    result_index: int | None


class Pairing(NamedTuple):
    """Every call in order, paired or not, and the indexes of results that no call asked for."""

    pairs: list[Pair]
    orphans: list[int]


def pair_calls(steps: Sequence[RawStep]) -> Pairing:
    """Pair calls with results, of every known call type: by id, else by order (protocol section 4; section 10, row 3).

    By id: a result answers the first unanswered call of its type whose ``id`` is its ``call_id``. By order: where either has no id, a
    result answers the first unanswered call of its type before it that lacks an id, or any such call when it lacks the ``call_id`` itself.
    """
    calls: dict[int, tuple[str, str | int | None]] = {}
    results: list[tuple[int, str, str | int | None]] = []
    for index, step in enumerate(steps):
        kind = step.get("type")
        if not isinstance(kind, str):
            continue
        if kind in RESULT_OF:
            calls[index] = (kind, _key(step.get("id")))
        elif kind in CALL_OF:
            results.append((index, CALL_OF[kind], _key(step.get("call_id"))))
    if not calls and not results:
        return Pairing([], [])

    answer: dict[int, int] = {}
    left = []
    by_id: dict[tuple[str, str | int], list[int]] = {}
    for index, (kind, id_) in reversed(calls.items()):
        if id_ is not None:
            by_id.setdefault((kind, id_), []).append(index)
    for result in results:
        index, kind, call_id = result
        if call_id is not None and (waiting := by_id.get((kind, call_id))):
            answer[waiting.pop()] = index
        else:
            left.append(result)

    orphans = []
    for index, kind, call_id in left:
        for call, (call_kind, id_) in calls.items():
            if call > index:
                continue
            if call_kind == kind and call not in answer and (id_ is None or call_id is None):
                answer[call] = index
                break
        else:
            orphans.append(index)
    return Pairing([Pair(call, answer.get(call)) for call in calls], orphans)


def _key(value: JSON) -> str | int | None:
    return value if isinstance(value, str | int) and value != "" else None


class Cited(NamedTuple):
    """The words an annotation's span names. ``code`` is ``""`` or a key of ``SPAN_PROBLEMS``, ``problem`` its sentence."""

    text: str
    ok: bool
    problem: str = ""
    code: str = ""


SPAN_PROBLEMS: dict[str, str] = {
    "no_span": "start_index or end_index is no whole number",
    "negative": "the span starts or ends before the text",
    "reversed": "the span ends before it starts",
    "empty": "the span is empty",
    "past_end": "the span ends after the text",
    "inside_character": "the span cuts a character in two",
}


def cited_text(text: str, start: JSON, end: JSON) -> Cited:
    """Return the words between two offsets: UTF-8 bytes, end exclusive (protocol section 5).

    Reads what it can of a wrong span: offsets are clamped to the text; a cut inside a character falls back to code-point offsets. An absent
    ``start`` is 0. Digits in a string count as a number.
    """
    first, last = _offset(start, 0), _offset(end, None)
    if first is None or last is None:
        return _span("", "no_span")
    data = text.encode("utf-8", "surrogatepass")
    size = len(data)
    code = ""
    if first < 0 or last < 0:
        code = "negative"
    elif last < first:
        code = "reversed"
    elif last == first:
        code = "empty"
    elif last > size:
        code = "past_end"
    low, high = max(0, min(first, size)), max(0, min(last, size))
    try:
        return _span(data[low:high].decode("utf-8", "surrogatepass"), code)
    except UnicodeDecodeError:
        return _span(text[low:high], code or "inside_character")


def _span(text: str, code: str) -> Cited:
    return Cited(text, not code, SPAN_PROBLEMS[code] if code else "", code)


def _offset(value: JSON, default: int | None) -> int | None:
    match value:
        case None:
            return default
        case bool():
            return None
        case int():
            return value
        case float() if value.is_integer():
            return int(value)
        case str() if value.isascii() and value.isdigit() and len(value) < 20:
            return int(value)
        case _:
            return None
