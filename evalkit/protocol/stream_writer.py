"""The inverse of ``assemble``: the events a service would stream for an Interaction, and their text. For servers and for tests.

A table says, for each step type, which fields travel in ``step.start`` and which as deltas (protocol sections 6 and 11); types it does
not know travel whole in ``step.start``, and so does any field whose value no delta could rebuild (two text blocks side by side, content
of an unknown type). Hence, for all steps that are JSON objects: ``assemble(events_of(x)).interaction["steps"] == x["steps"]``.

Times, connections and keep-alives are the server's business.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from evalkit._lib.json import JSON, dumps
from evalkit.protocol.folding import continues_audio
from evalkit.protocol.sse import DONE
from evalkit.protocol.step_types import CALL_OF, MEDIA_TYPES, RESULT_OF
from evalkit.protocol.stream_order import COMPLETED, CREATED, DELTA, START, STATUS, STOP

Deltas = list[dict[str, JSON]]
Split = Callable[[dict[str, JSON], int], Deltas]

_WORD = re.compile(r"\S+\s*|\s+")
_PARTIAL = ("id", "object", "model", "agent")


def events_of(
    interaction: dict[str, JSON], *, event_ids: bool = True, words_per_delta: int = 1
) -> list[dict[str, JSON]]:
    """Return the raw events of an interaction that ended, in the order of protocol section 6.

    ``event_ids`` numbers them ``"1"``, ``"2"`` …; text comes in pieces of ``words_per_delta`` words. An interaction without ``id``
    streams the empty one, as the service does for answers it does not store. The interaction is not changed, but the events share its
    values.
    """
    id_ = interaction.get("id", "")
    created = {
        "id": id_,
        **{key: interaction[key] for key in _PARTIAL if key in interaction},
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
    """Return the frames of events as text, ``event: NAME``, ``data: JSON``, blank line, and the closing ``[DONE]``. ASCII only."""
    frames = [f"event: {_name(event)}\ndata: {dumps(event)}\n\n" for event in events]
    if done:
        frames.append(f"event: done\ndata: {DONE}\n\n")
    return frames


def _name(event: dict[str, JSON]) -> str:
    name = event.get("event_type")
    return name if isinstance(name, str) and name.isascii() and name.isprintable() else "message"


def _step_events(index: int, step: dict[str, JSON], words: int) -> Iterator[dict[str, JSON]]:
    start = dict(step)
    kind = step.get("type")
    split = SPLITS.get(kind) if isinstance(kind, str) else None
    deltas = split(start, words) if split else []
    yield {"event_type": START, "index": index, "step": start}
    for delta in deltas:
        yield {"event_type": DELTA, "index": index, "delta": delta}
    yield {"event_type": STOP, "index": index}


def _split_output(start: dict[str, JSON], words: int) -> Deltas:
    content = start.get("content")
    if not isinstance(content, list) or not _expressible(content):
        return []
    del start["content"]
    deltas: Deltas = []
    for block in content:
        if block["type"] != "text":
            deltas.append(block)
            continue
        pieces = _WORD.findall(block["text"])
        texts = [
            "".join(pieces[at : at + words]) for at in range(0, len(pieces), max(1, words))
        ] or [""]
        deltas += [{"type": "text", "text": text} for text in texts]
        deltas[-len(texts)].update(
            {key: value for key, value in block.items() if key not in _STREAMED_APART}
        )
        if "annotations" in block:
            deltas.append({"type": "text_annotation_delta", "annotations": block["annotations"]})
    return deltas


_STREAMED_APART = frozenset({"type", "text", "annotations"})


def _expressible(content: list[JSON]) -> bool:
    """Say whether deltas rebuild a content list: not empty, known blocks only, and none that would run into the one before."""
    before: dict[str, JSON] = {}
    for block in content:
        if not isinstance(block, dict):
            return False
        if block.get("type") == "text":
            fits = (
                isinstance(block.get("text"), str)
                and isinstance(block.get("annotations", []), list)
                and before.get("type") != "text"
            )
        else:
            fits = _is_media(block) and not (
                block["type"] == "audio" and continues_audio(before, block)
            )
        if not fits:
            return False
        before = block
    return bool(content)


def _is_media(block: dict[str, JSON]) -> bool:
    kind = block.get("type")
    return isinstance(kind, str) and kind in MEDIA_TYPES


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
    "function_call": _split_function_call,
    **dict.fromkeys(
        [*(kind for kind in RESULT_OF if kind != "function_call"), *CALL_OF], _split_typed
    ),
    "google_search_call": _split_search,
    "google_search_result": _split_search,
}
"""How each step type is streamed: takes from the copy of the step that ``step.start`` will carry what goes by deltas, and returns these.

Function calls and searches start with an empty ``signature``, as the service's do.
"""
