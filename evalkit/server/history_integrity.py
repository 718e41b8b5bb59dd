"""Thought signatures that hold a conversation together, with no state kept: the server can tell its own history from any other.

Every answer begins with a ``thought``. Its signature is a keyed seal (HMAC-SHA256, RFC 2104) over three things: the conversation before
it, the thought itself, and each model step after it up to the next thought. Who re-sends a history re-sends the seals in it; the server
computes them anew and compares. Because the seal holds a short code for each part, a refusal can name the step that was altered:

    kind | number of parts | 8 bytes for each part: history, thought, step, step … | filler | 16 bytes over all that stands before

What two spellings of a step may differ in without being two steps (protocol section 9): key order, number spelling, nulls, which official
SDKs add and drop, and an empty signature, which calls have in a stream only (section 11). The client's steps (``user_input``,
``function_result``) are sealed as history by the next thought; results may stand behind their calls or behind the last one. Pure: no clock,
no chance; the key is given.

A *state* is the hash of a history up to a place. An answer that goes on where another stopped is signed upon the state behind that one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from evalkit._lib.json import canonical
from evalkit.protocol.step_types import CLIENT_STEPS, STEP_TYPES
from evalkit.server.requests.error_response import ErrorResponse, bad_request

RawStep = dict[str, Any]
DEFAULT_KEY = (
    b"evalkit serve: not a secret, it only tells this server's histories from altered ones"
)
_KIND = b"\x12"
_CODE, _SEAL = 8, 16
_LEAST, _SPREAD = 80, 120


@dataclass(slots=True)
class _Segment:
    """What one thought speaks for. Indexes count from 0 over the conversation; ``thought`` is None before the first one."""

    thought: int | None
    model: list[int] = field(default_factory=list)
    client: list[int] = field(default_factory=list)


def sign_answer(
    key: bytes, conversation: Sequence[RawStep], answer: Sequence[RawStep], state: bytes = b""
) -> list[RawStep]:
    """Return the steps of an answer with a signature in every thought. ``answer`` must begin with a thought.

    ``state`` is that of the history before ``conversation``, where the conversation does not hold all of it.
    """
    whole = [*conversation, *answer]
    first = len(conversation)
    signatures = {
        segment.thought: _seal(key, codes)
        for segment, codes in _sealed(key, whole, state)
        if segment.thought is not None
    }
    return [
        {**step, "signature": signatures[first + index]} if step["type"] == "thought" else step
        for index, step in enumerate(answer)
    ]


def state_of(steps: Sequence[RawStep], state: bytes = b"") -> bytes:
    """Return the state behind steps that follow a history of state ``state``: 32 bytes, or ``state`` where there are no steps."""
    for segment in _segments(steps):
        state = _next_state(state, _texts(steps, segment))
    return state


def verify_signatures(
    key: bytes, conversation: Sequence[RawStep], place: Callable[[int], str]
) -> None:
    """Raise ErrorResponse (400) naming the first step that is not as this server answered it. ``place`` names a step by its index."""
    for segment, codes in _sealed(key, conversation):
        if segment.thought is None:
            for index in segment.model:
                if conversation[index]["type"] in STEP_TYPES:
                    raise _refused(
                        place(index),
                        conversation[index],
                        "does not follow the signed thought it was answered with",
                    )
            continue
        thought = conversation[segment.thought]
        signature = thought.get("signature")
        if not isinstance(signature, str) or not signature:
            raise _refused(place(segment.thought), thought, "has no signature")
        if not hmac.compare_digest(
            signature.encode("utf-8", "surrogatepass"), _seal(key, codes).encode()
        ):
            raise _blame(key, conversation, segment, codes, place)


def is_same_step(one: RawStep, other: RawStep) -> bool:
    """Say whether two steps are one, however they are spelled."""
    return _text(one) == _text(other) and (
        one["type"] != "thought" or one.get("signature") == other.get("signature")
    )


def _blame(
    key: bytes,
    conversation: Sequence[RawStep],
    segment: _Segment,
    codes: list[bytes],
    place: Callable[[int], str],
) -> ErrorResponse:
    """Say which part a broken seal parts from; ``codes`` are those of what was sent."""
    assert segment.thought is not None
    thought = conversation[segment.thought]
    sealed = _open(key, thought["signature"])
    if sealed is None:
        return _refused(
            place(segment.thought), thought, "has a signature that this server did not make"
        )
    same = [
        index
        for index, step in enumerate(conversation)
        if step["type"] == "thought" and step.get("signature") == thought["signature"]
    ]
    if (
        len(same) > 1
    ):  # a signature seals all that stands before it, so no two thoughts have the same one
        return _refused(place(same[1]), thought, f"has the signature of {place(same[0])}")
    if sealed[0] != codes[0]:
        return _refused(
            place(segment.thought),
            thought,
            "was signed for another history: a step before it was altered, removed, added or moved",
        )
    if sealed[1] != codes[1]:
        return _refused(place(segment.thought), thought, "is not as it was answered")
    answered, sent = sealed[2:], codes[2:]
    for number, index in enumerate(segment.model):
        if number >= len(answered) or answered[number] != sent[number]:
            return _refused(place(index), conversation[index], _why(answered, sent, number))
    last = segment.model[-1] if segment.model else segment.thought
    return _refused(place(last), conversation[last], "was followed by a step that is missing")


def _why(answered: Sequence[bytes], sent: Sequence[bytes], number: int) -> str:
    """Say what is wrong with the first step that differs, number ``number`` of the codes of what was answered and of what was sent."""
    code = sent[number]
    if code in answered[number + 1 :]:
        return (
            "is not in its place"
            if answered[number] in sent[number + 1 :]
            else "was answered behind a step that is missing"
        )
    if code in answered[:number]:
        return "stands here a second time"
    if number >= len(answered) or answered[number] in sent[number + 1 :]:
        return "was not answered by this server"
    return "is not as it was answered"


def _refused(where: str, step: RawStep, why: str) -> ErrorResponse:
    return bad_request(
        f"{where}: this {step['type']} {why}. Send every step of a history exactly as it was received."
    )


def _sealed(
    key: bytes, steps: Sequence[RawStep], state: bytes = b""
) -> Iterator[tuple[_Segment, list[bytes]]]:
    """Yield every segment with the codes of its parts: the history before it, its thought, its model steps."""
    for segment in _segments(steps):
        texts = _texts(steps, segment)
        model = texts[1 : 1 + len(segment.model)]
        yield (
            segment,
            [
                _code(key, b"history", state),
                _code(key, b"thought", texts[0]),
                *(_code(key, b"step", text) for text in model),
            ],
        )
        state = _next_state(state, texts)


def _texts(steps: Sequence[RawStep], segment: _Segment) -> list[bytes]:
    head = _text(steps[segment.thought]) if segment.thought is not None else b""
    return [head, *(_text(steps[index]) for index in (*segment.model, *segment.client))]


def _next_state(state: bytes, texts: Sequence[bytes]) -> bytes:
    for text in texts:
        state = hashlib.sha256(state + hashlib.sha256(text).digest()).digest()
    return state


def _segments(steps: Sequence[RawStep]) -> Iterator[_Segment]:
    segment = _Segment(None)
    for index, step in enumerate(steps):
        kind = step["type"]
        if kind == "thought" or (
            kind == "user_input" and (segment.thought is not None or segment.model)
        ):
            if index:
                yield segment
            segment = _Segment(index if kind == "thought" else None)
        if kind in CLIENT_STEPS:
            segment.client.append(index)
        elif kind != "thought":
            segment.model.append(index)
    if steps:
        yield segment


def _text(step: RawStep) -> bytes:
    bare = {
        name: value
        for name, value in step.items()
        if not (name == "signature" and (value == "" or step["type"] == "thought"))
    }
    return canonical(_without_nulls(bare)).encode()


def _without_nulls(value: Any) -> Any:
    if type(value) is dict:
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    if type(value) is list:
        return [_without_nulls(item) for item in value]
    return value


def _code(key: bytes, part: bytes, data: bytes) -> bytes:
    return hmac.digest(key, part + b"\0" + data, "sha256")[:_CODE]


def _seal(key: bytes, codes: Sequence[bytes]) -> str:
    """Return the signature over the parts: 80 to 200 bytes for a usual answer, more where it has many steps; base64."""
    held = _KIND + bytes([min(len(codes), 255)]) + b"".join(codes[:255])
    wanted = _LEAST + hmac.digest(key, held, "sha256")[0] * _SPREAD // 255
    filler = b"".join(hmac.digest(key, held + bytes([number]), "sha256") for number in range(8))
    held += filler[: max(0, wanted - len(held) - _SEAL)]
    return base64.b64encode(
        held + hmac.digest(key, b"seal\0" + held + b"".join(codes[255:]), "sha256")[:_SEAL]
    ).decode()


def _open(key: bytes, signature: str) -> list[bytes] | None:
    """Return the codes a signature of this key holds; None where it is not of this key or not whole."""
    try:
        data = base64.b64decode(signature, validate=True)
    except (ValueError, binascii.Error):
        return None
    held, seal = data[:-_SEAL], data[-_SEAL:]
    if len(data) < _LEAST or held[:1] != _KIND or held[1] == 255:
        return None
    if not hmac.compare_digest(seal, hmac.digest(key, b"seal\0" + held, "sha256")[:_SEAL]):
        return None
    return [held[2 + number * _CODE : 2 + (number + 1) * _CODE] for number in range(held[1])]
