"""Folding deltas into a step: a table from delta type to fold.

Source: protocol section 6 (table of delta types) and section 11. A fold changes the draft and returns None, or says in a few words why the
delta does not fit the step; it never raises and never changes the event it reads. The step under construction is ``draft``'s, the order of
events ``stream_states``'s: neither is looked at here.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable

from evalkit._lib.json import JSON
from evalkit.protocol.step_draft import StepDraft
from evalkit.protocol.step_types import CALL_OF, RESULT_OF

Fold = Callable[[StepDraft, dict[str, JSON]], str | None]


def fold(draft: StepDraft, delta: dict[str, JSON]) -> tuple[str, str] | None:
    """Fold one delta into its step; return a problem code and its detail where it does not fit.

    A delta without type is read by its field, as the service's own examples ask. An unknown type is folded like a typed call or result
    where it is the step's own type, and otherwise left alone: unknown is no problem.
    """
    kind = delta.get("type")
    if not isinstance(kind, str):
        kind = next((known for field, known in UNTYPED.items() if field in delta), None)
        if kind is None:
            return "delta_type_missing", ""
    known = DELTAS.get(kind)
    if known is None:
        if kind == draft.kind:
            _merge(draft, delta)
        return None
    complaint = known(draft, delta)
    return None if complaint is None else ("delta_does_not_fit", complaint)


def _text(draft: StepDraft, delta: dict[str, JSON]) -> str | None:
    text = delta.get("text")
    if draft.text and type(text) is str and len(delta) == 2 and "type" in delta:
        draft.text.append(text)
        return None
    if complaint := _needs(draft, "text", _SPOKEN):
        return complaint
    if type(text) is not str:
        return "text without a text"
    if draft.audio:
        draft.settle()
    content = draft.content()
    block = content[-1] if content else None
    if type(block) is not dict or block.get("type") != "text":
        block = {"type": "text", "text": ""}
        content.append(block)
    draft.text.append(text)
    for key, value in delta.items():
        if key == "annotations":
            _annotate(block, value)
        elif key not in _FRAME:
            block[key] = value
    return None


def _annotations(draft: StepDraft, delta: dict[str, JSON]) -> str | None:
    if complaint := _needs(draft, "text_annotation_delta", _SPOKEN):
        return complaint
    content = draft.content()
    block = next(
        (item for item in reversed(content) if type(item) is dict and item.get("type") == "text"),
        None,
    )
    if block is None:
        draft.settle()
        block = {"type": "text", "text": ""}
        content.append(block)
    return _annotate(block, delta.get("annotations"))


def _annotate(block: dict[str, JSON], annotations: JSON) -> str | None:
    if type(annotations) is not list:
        return "annotations that are no list"
    held = block.get("annotations")
    block["annotations"] = [*held, *annotations] if type(held) is list else annotations.copy()
    return None


def _media(draft: StepDraft, delta: dict[str, JSON]) -> str | None:
    if complaint := _needs(draft, str(delta.get("type")), _SPOKEN):
        return complaint
    draft.settle()
    draft.content().append(delta.copy())
    return None


def _audio(draft: StepDraft, delta: dict[str, JSON]) -> str | None:
    if complaint := _needs(draft, "audio", _SPOKEN):
        return complaint
    content = draft.content()
    last = content[-1] if content else None
    if (
        draft.text
        or type(last) is not dict
        or last.get("type") != "audio"
        or not continues_audio(last, delta)
    ):
        draft.settle()
        content.append(delta.copy())
        return None
    if not draft.audio:
        draft.audio.append(last["data"])
    draft.audio.append(delta["data"])
    return None


def continues_audio(block: dict[str, JSON], delta: dict[str, JSON]) -> bool:
    """Say whether an audio delta goes on where an audio block ends: both hold inline data, and nothing else about them differs."""
    return (
        _is_base64(block.get("data"))
        and _is_base64(delta.get("data"))
        and all(block.get(key) == delta[key] for key in delta if key != "data")
    )


def _is_base64(value: JSON) -> bool:
    if type(value) is not str or not value:
        return False
    try:
        binascii.a2b_base64(value, strict_mode=True)
    except ValueError:
        return False
    return True


def _summary(draft: StepDraft, delta: dict[str, JSON]) -> str | None:
    if complaint := _needs(draft, "thought_summary", _THOUGHTFUL):
        return complaint
    content = delta.get("content")
    if type(content) is not dict:
        return "thought_summary without a content block"
    summary = draft.step.get("summary")
    if type(summary) is not list:
        summary = draft.step["summary"] = []
    summary.append(content)
    return None


def _signature(draft: StepDraft, delta: dict[str, JSON]) -> str | None:
    signature = delta.get("signature")
    if type(signature) is not str:
        return "thought_signature without a signature"
    _sign(draft, signature)
    return None


def _sign(draft: StepDraft, signature: JSON) -> None:
    draft.explicit = True
    if signature or not draft.step.get("signature"):
        draft.step["signature"] = signature


def _arguments(draft: StepDraft, delta: dict[str, JSON]) -> str | None:
    if draft.kind in _NO_CALLS:
        return f"arguments_delta in a {draft.kind} step"
    arguments = delta.get("arguments")
    if type(arguments) is dict:
        _merge(draft, delta)
        return "arguments_delta whose arguments are an object, not text"
    if type(arguments) is not str:
        return "arguments_delta without arguments"
    if draft.arguments is None:
        draft.arguments = []
    draft.arguments.append(arguments)
    return None


def _typed(draft: StepDraft, delta: dict[str, JSON]) -> str | None:
    if delta["type"] != draft.kind:
        return f"{delta['type']} in a {draft.kind or 'typeless'} step"
    _merge(draft, delta)
    return None


def _merge(draft: StepDraft, delta: dict[str, JSON]) -> None:
    draft.settle()
    step = draft.step
    for key, value in delta.items():
        if key == "type":
            continue
        if key == "signature":
            _sign(draft, value)
        elif key == "arguments" and type(value) is dict and type(held := step.get(key)) is dict:
            step[key] = {**held, **value}
        else:
            step[key] = value


def _needs(draft: StepDraft, delta: str, allowed: frozenset[str]) -> str | None:
    if draft.kind in allowed or draft.kind not in _KNOWN:
        return None
    return f"{delta} in a {draft.kind} step"


_FRAME = frozenset({"type", "text"})
_SPOKEN = frozenset({"model_output", "user_input"})
_THOUGHTFUL = frozenset({"thought"})
_NO_CALLS = frozenset({"model_output", "user_input", "thought", *CALL_OF})
_KNOWN = frozenset({*_SPOKEN, *_THOUGHTFUL, *CALL_OF, *RESULT_OF})

UNTYPED: dict[str, str] = {"text": "text", "content": "thought_summary"}
"""How to read a delta without type: by the first of these fields it has (protocol section 6)."""

DELTAS: dict[str, Fold] = {
    "text": _text,
    "text_annotation_delta": _annotations,
    "text_annotation": _annotations,
    "image": _media,
    "video": _media,
    "document": _media,
    "audio": _audio,
    "thought_summary": _summary,
    "thought_signature": _signature,
    "arguments_delta": _arguments,
    **dict.fromkeys((*RESULT_OF, *CALL_OF), _typed),
}
"""Every known delta type and its fold."""
