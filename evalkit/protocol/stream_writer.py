"""The events that a service streams for an Interaction, and their text: the inverse of assembling.

For servers and tests. The table ``SPLITS`` says for each type of step which fields travel in
``step.start`` and which in deltas (docs/protocol.md sections 6 and 11). Steps of other types travel
whole in ``step.start``, and so does a field that no delta can restore (two adjacent text blocks,
content of an unknown type). Hence, for all steps that are JSON objects:
``assemble(events_of(x)).interaction["steps"] == x["steps"]``.
"""

import re
from collections.abc import Callable, Iterator

from evalkit._lib.json import JSON, dumps
from evalkit.protocol.sse import DONE
from evalkit.protocol.step_draft import continues_audio
from evalkit.protocol.step_reader import type_of
from evalkit.protocol.step_types import CALL_OF, MEDIA_TYPES, RESULT_OF
from evalkit.protocol.stream_order import COMPLETED, CREATED, DELTA, START, STATUS, STOP

Deltas = list[dict[str, JSON]]
Split = Callable[[dict[str, JSON], int], Deltas]

_WORD = re.compile(r"\S+\s*|\s+")
_FIELDS_OF_CREATED = ("id", "object", "model", "agent")
_FIELDS_WITH_OWN_DELTAS = frozenset({"type", "text", "annotations"})


def events_of(
    interaction: dict[str, JSON], *, event_ids: bool = True, words_per_delta: int = 1
) -> list[dict[str, JSON]]:
    """Return the raw events of a finished interaction, in the order of docs/protocol.md section 6.

    ``event_ids`` numbers them ``"1"``, ``"2"`` …; text is split after every ``words_per_delta``
    words. An interaction without ``id`` gets the empty one, as the service sends for a response
    that is not stored. The interaction is not changed, but the events share its values.
    """
    id_ = interaction.get("id", "")
    created = {
        "id": id_,
        **{key: interaction[key] for key in _FIELDS_OF_CREATED if key in interaction},
        "status": "in_progress",
    }
    events: list[dict[str, JSON]] = [
        {"event_type": CREATED, "interaction": created},
        {"event_type": STATUS, "interaction_id": id_, "status": "in_progress"},
    ]
    steps = interaction.get("steps")
    for index, step in enumerate(steps if isinstance(steps, list) else ()):
        events += _step_events(index, step, words_per_delta)
    final = {"id": id_, **{key: value for key, value in interaction.items() if key != "steps"}}
    events.append({"event_type": COMPLETED, "interaction": final})
    if event_ids:
        for number, event in enumerate(events, 1):
            event["event_id"] = str(number)
    return events


def sse_text(events: list[dict[str, JSON]], done: bool = True) -> list[str]:
    """Return the frames of events as ASCII text, and the closing ``[DONE]``."""
    frames = [f"event: {_frame_name(event)}\ndata: {dumps(event)}\n\n" for event in events]
    if done:
        frames.append(f"event: done\ndata: {DONE}\n\n")
    return frames


def _frame_name(event: dict[str, JSON]) -> str:
    name = event.get("event_type")
    return name if isinstance(name, str) and name.isascii() and name.isprintable() else "message"


def _step_events(index: int, step: dict[str, JSON], words: int) -> Iterator[dict[str, JSON]]:
    start = dict(step)
    split = SPLITS.get(type_of(step))
    deltas = split(start, words) if split else []
    yield {"event_type": START, "index": index, "step": start}
    for delta in deltas:
        yield {"event_type": DELTA, "index": index, "delta": delta}
    yield {"event_type": STOP, "index": index}


def _split_output(start: dict[str, JSON], words: int) -> Deltas:
    content = start.get("content")
    if not isinstance(content, list) or not _can_be_split(content):
        return []
    del start["content"]
    deltas: Deltas = []
    for block in content:
        if block["type"] != "text":
            deltas.append(block)
            continue
        parts = _WORD.findall(block["text"]) or [""]
        for at in range(0, len(parts), max(1, words)):
            deltas.append({"type": "text", "text": "".join(parts[at : at + words])})
        deltas[-1] |= {
            key: value for key, value in block.items() if key not in _FIELDS_WITH_OWN_DELTAS
        }
        if "annotations" in block:
            deltas.append({"type": "text_annotation_delta", "annotations": block["annotations"]})
    return deltas


def _can_be_split(content: list[JSON]) -> bool:
    """Return whether deltas restore a content list.

    That takes known blocks only, and none that would be joined to the block before it.
    """
    before: dict[str, JSON] = {}
    for block in content:
        if not isinstance(block, dict):
            return False
        kind = type_of(block)
        if kind == "text":
            fits = (
                isinstance(block.get("text"), str)
                and isinstance(block.get("annotations", []), list)
                and before.get("type") != "text"
            )
        else:
            fits = kind in MEDIA_TYPES and not (kind == "audio" and continues_audio(before, block))
        if not fits:
            return False
        before = block
    return bool(content)


def _split_thought(start: dict[str, JSON], words: int) -> Deltas:
    deltas: Deltas = []
    summary = start.get("summary")
    if isinstance(summary, list) and summary and all(isinstance(item, dict) for item in summary):
        deltas += [{"type": "thought_summary", "content": item} for item in start.pop("summary")]
    if isinstance(start.get("signature"), str):
        deltas.append({"type": "thought_signature", "signature": start.pop("signature")})
    return deltas


def _split_function_call(start: dict[str, JSON], words: int) -> Deltas:
    deltas: Deltas = []
    arguments = start.get("arguments")
    if isinstance(arguments, dict) and arguments:
        start["arguments"] = {}
        deltas.append({"type": "arguments_delta", "arguments": dumps(arguments)})
    if start.get("signature") == "":
        deltas.append({"type": "thought_signature", "signature": ""})
    start.setdefault("signature", "")
    return deltas


def _split_search(start: dict[str, JSON], words: int) -> Deltas:
    deltas = _split_typed(start, words)
    start.setdefault("signature", "")
    return deltas


def _split_typed(start: dict[str, JSON], words: int) -> Deltas:
    delta: dict[str, JSON] = {}
    arguments = start.get("arguments")
    if isinstance(arguments, dict) and arguments:
        start["arguments"] = {}
        delta["arguments"] = arguments
    for key in ("result", "is_error"):
        if key in start:
            delta[key] = start.pop(key)
    if isinstance(start.get("signature"), str):
        delta["signature"] = start.pop("signature")
    return [{"type": start["type"], **delta}] if delta else []


SPLITS: dict[str, Split] = {
    "model_output": _split_output,
    "thought": _split_thought,
    **dict.fromkeys((*RESULT_OF, *CALL_OF), _split_typed),
    "function_call": _split_function_call,
    "google_search_call": _split_search,
    "google_search_result": _split_search,
}
"""The split of each type of step: moves fields from the step of ``step.start`` into deltas.

Function calls and searches start with an empty ``signature``, as those of the service do.
"""
