"""A step of a stream under construction, and what each type of delta does to it.

Source: docs/protocol.md section 6 (table of delta types) and section 11. A draft starts as a copy
of the step in ``step.start``; :func:`fold` applies a delta by the table ``DELTAS``. A fold never
raises and never changes the event; it returns a few words if the delta does not fit the step. Text,
arguments and audio are collected in lists and joined once, so that a long answer takes linear time.
The order of events is the business of ``stream_order``.
"""

import base64
import binascii
import re
from collections.abc import Callable

from evalkit._lib.exact_json import RepeatedKeyError
from evalkit._lib.json import JSON, json_type, loads
from evalkit._lib.text import shorten
from evalkit.protocol.step_reader import content_blocks, type_of
from evalkit.protocol.step_types import CALL_OF, RESULT_OF

_CALLS_AND_RESULTS = frozenset({*CALL_OF, *RESULT_OF})
_WITH_CONTENT = frozenset({"model_output", "user_input"})
_WITH_SUMMARY = frozenset({"thought"})
_WITHOUT_ARGUMENTS = frozenset({*_WITH_CONTENT, *_WITH_SUMMARY, *CALL_OF})
_KNOWN = frozenset({*_WITH_CONTENT, *_WITH_SUMMARY, *_CALLS_AND_RESULTS})
_SURROGATE_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")


class StepDraft:
    """One step of a stream while its events arrive.

    ``kind`` is the type of the step (``""`` if it has none), ``state`` a state of
    ``stream_order.STEP``, ``last_event`` the number of the last event of this step.
    """

    def __init__(self, step: dict[str, JSON], number: int) -> None:
        self.kind = type_of(step)
        self.step = step.copy()
        self.state = "open"
        self.last_event = number
        self.text: list[str] = []
        self.audio: list[str] = []
        self.arguments: list[str] | None = None
        self.signature_arrived = False
        # Folds change these blocks, and the event must stay as received.
        for key in ("content", "summary"):
            if isinstance(items := step.get(key), list):
                self.step[key] = [item.copy() if isinstance(item, dict) else item for item in items]

    def content(self) -> list[JSON]:
        """Return the step's ``content`` as a list that can be changed, created if missing."""
        content = self.step["content"] = content_blocks(self.step)
        return content

    def last_block(self, kind: str) -> dict[str, JSON] | None:
        """Return the last content block if it has this type."""
        content = self.content()
        block = content[-1] if content else None
        return block if isinstance(block, dict) and block.get("type") == kind else None

    def flush(self) -> None:
        """Put collected text and audio into the last content block."""
        if self.text:
            block = self.step["content"][-1]
            text = block.get("text")
            block["text"] = (text if isinstance(text, str) else "") + _join_text(self.text)
            self.text = []
        if self.audio:
            self.step["content"][-1]["data"] = _join_base64(self.audio)
            self.audio = []

    def set_signature(self, signature: JSON) -> None:
        """Store a signature; an empty one does not replace another."""
        self.signature_arrived = True
        if signature or not self.step.get("signature"):
            self.step["signature"] = signature

    def merge(self, delta: dict[str, JSON]) -> None:
        """Store the fields of a delta in the step; arguments that are objects are merged."""
        self.flush()
        for key, value in delta.items():
            current = self.step.get(key)
            if key == "type":
                continue
            if key == "signature":
                self.set_signature(value)
            elif key == "arguments" and isinstance(value, dict) and isinstance(current, dict):
                self.step[key] = {**current, **value}
            else:
                self.step[key] = value

    def finish(self) -> tuple[dict[str, JSON], str | None, str]:
        """Return the step, and the code and detail of a problem of its arguments.

        Arguments that are not JSON stay text. An empty ``signature`` of ``step.start`` that no
        delta filled is dropped from calls and results, because the same step has none in a
        response without a stream (docs/protocol.md section 11).
        """
        self.flush()
        step = self.step
        if (
            step.get("signature") == ""
            and not self.signature_arrived
            and self.kind in _CALLS_AND_RESULTS
        ):
            del step["signature"]
        if self.arguments is None:
            return step, None, ""
        text = _join_text(self.arguments)
        try:
            step["arguments"] = loads(text) if text.strip() else {}
        except (ValueError, RecursionError) as error:
            step["arguments"] = text
            reason = f" ({error})" if isinstance(error, RepeatedKeyError) else ""
            return step, "arguments_not_json", shorten(text, 60) + reason
        if isinstance(step["arguments"], dict):
            return step, None, ""
        return step, "arguments_not_object", json_type(step["arguments"])


def _join_text(parts: list[str]) -> str:
    # A service that counts in UTF-16 may cut a surrogate pair in two.
    return _SURROGATE_PAIR.sub(
        lambda pair: pair.group().encode("utf-16-le", "surrogatepass").decode("utf-16-le"),
        "".join(parts),
    )


def _join_base64(chunks: list[str]) -> str:
    return base64.b64encode(b"".join(map(binascii.a2b_base64, chunks))).decode("ascii")


def fold(draft: StepDraft, delta: dict[str, JSON]) -> tuple[str, str] | None:
    """Apply one delta to its step; return the code and detail of a problem if it does not fit.

    The type of an untyped delta follows from its fields, as in examples of the documentation. An
    unknown type that is the step's own is merged like a call or result, any other is ignored.
    """
    kind = type_of(delta) or next((UNTYPED[field] for field in UNTYPED if field in delta), "")
    if not kind:
        return "delta_type_missing", ""
    if kind in DELTAS:
        complaint = DELTAS[kind](draft, delta)
        return ("delta_does_not_fit", complaint) if complaint else None
    if kind == draft.kind:
        draft.merge(delta)
    return None


def _fold_text(draft: StepDraft, delta: dict[str, JSON]) -> str | None:
    if complaint := _misplaced(draft, "text", _WITH_CONTENT):
        return complaint
    if not isinstance(delta.get("text"), str):
        return "text without a text"
    block = draft.last_block("text")
    if block is None:
        draft.flush()
        block = {"type": "text", "text": ""}
        draft.content().append(block)
    draft.text.append(delta["text"])
    for key, value in delta.items():
        if key == "annotations":
            _add_annotations(block, value)
        elif key not in ("type", "text"):
            block[key] = value
    return None


def _fold_annotations(draft: StepDraft, delta: dict[str, JSON]) -> str | None:
    if complaint := _misplaced(draft, "text_annotation_delta", _WITH_CONTENT):
        return complaint
    for block in reversed(draft.content()):
        if isinstance(block, dict) and block.get("type") == "text":
            return _add_annotations(block, delta.get("annotations"))
    draft.flush()
    block = {"type": "text", "text": ""}
    draft.content().append(block)
    return _add_annotations(block, delta.get("annotations"))


def _add_annotations(block: dict[str, JSON], annotations: JSON) -> str | None:
    if not isinstance(annotations, list):
        return "annotations that are not a list"
    current = block.get("annotations")
    block["annotations"] = [*current, *annotations] if isinstance(current, list) else annotations[:]
    return None


def _fold_media(draft: StepDraft, delta: dict[str, JSON]) -> str | None:
    if complaint := _misplaced(draft, type_of(delta), _WITH_CONTENT):
        return complaint
    draft.flush()
    draft.content().append(delta.copy())
    return None


def _fold_audio(draft: StepDraft, delta: dict[str, JSON]) -> str | None:
    block = None if _misplaced(draft, "audio", _WITH_CONTENT) else draft.last_block("audio")
    if block is None or not continues_audio(block, delta):
        return _fold_media(draft, delta)
    if not draft.audio:
        draft.audio.append(block["data"])
    draft.audio.append(delta["data"])
    return None


def continues_audio(block: dict[str, JSON], delta: dict[str, JSON]) -> bool:
    """Return whether audio data of a delta belongs at the end of an audio block.

    Both have inline data, and no other field of the delta differs.
    """
    return (
        _is_base64(block.get("data"))
        and _is_base64(delta.get("data"))
        and all(block.get(key) == delta[key] for key in delta if key != "data")
    )


def _is_base64(value: JSON) -> bool:
    if not isinstance(value, str) or not value:
        return False
    try:
        binascii.a2b_base64(value, strict_mode=True)
    except ValueError:
        return False
    return True


def _fold_summary(draft: StepDraft, delta: dict[str, JSON]) -> str | None:
    if complaint := _misplaced(draft, "thought_summary", _WITH_SUMMARY):
        return complaint
    if not isinstance(delta.get("content"), dict):
        return "thought_summary without a content block"
    if not isinstance(draft.step.get("summary"), list):
        draft.step["summary"] = []
    draft.step["summary"].append(delta["content"])
    return None


def _fold_signature(draft: StepDraft, delta: dict[str, JSON]) -> str | None:
    if not isinstance(delta.get("signature"), str):
        return "thought_signature without a signature"
    draft.set_signature(delta["signature"])
    return None


def _fold_arguments(draft: StepDraft, delta: dict[str, JSON]) -> str | None:
    if draft.kind in _WITHOUT_ARGUMENTS:
        return f"arguments_delta in a {draft.kind} step"
    arguments = delta.get("arguments")
    if isinstance(arguments, dict):
        draft.merge(delta)
        return "arguments_delta with an object instead of text"
    if not isinstance(arguments, str):
        return "arguments_delta without arguments"
    if draft.arguments is None:
        draft.arguments = []
    draft.arguments.append(arguments)
    return None


def _fold_typed(draft: StepDraft, delta: dict[str, JSON]) -> str | None:
    if delta["type"] != draft.kind:
        return f"{delta['type']} in a {draft.kind or 'typeless'} step"
    draft.merge(delta)
    return None


def _misplaced(draft: StepDraft, delta: str, allowed: frozenset[str]) -> str | None:
    if draft.kind in allowed or draft.kind not in _KNOWN:
        return None
    return f"{delta} in a {draft.kind} step"


Fold = Callable[[StepDraft, dict[str, JSON]], str | None]

UNTYPED: dict[str, str] = {"text": "text", "content": "thought_summary"}
"""The type of a delta without type, by the first of these fields that it has (section 6)."""

DELTAS: dict[str, Fold] = {
    "text": _fold_text,
    "text_annotation_delta": _fold_annotations,
    "text_annotation": _fold_annotations,
    "image": _fold_media,
    "video": _fold_media,
    "document": _fold_media,
    "audio": _fold_audio,
    "thought_summary": _fold_summary,
    "thought_signature": _fold_signature,
    "arguments_delta": _fold_arguments,
    **dict.fromkeys((*RESULT_OF, *CALL_OF), _fold_typed),
}
"""The fold of every known type of delta."""
