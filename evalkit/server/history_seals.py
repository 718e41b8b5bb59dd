"""Seals of a history: signatures from which a server without memory knows what it sent. Pure.

Every answer begins with a ``thought``. Its signature is a keyed seal (HMAC-SHA256, RFC 2104) over
the conversation before it, the thought itself, and each model step after it up to the next thought.
A client that sends a history back sends the seals with it; the server computes them again and
compares, without any stored state. The seal contains a short code for each part, so that an error
can name the altered step:

    kind | number of parts | 8 bytes for each part: history, thought, step, step …
    | filler | 16 bytes over all of it

Two spellings of a step are the same step if they differ only in key order, number spelling, nulls
(official SDKs add and drop them, docs/protocol.md section 9), or an empty signature, which calls
have only in a stream (section 11). The client's steps (``user_input``, ``function_result``) are
sealed as history by the next thought.

A *state* is the hash of a history up to some step. An answer that continues another one is signed
on top of the state after that one.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from evalkit._lib.json import canonical, without_nulls
from evalkit.protocol.step_reader import RawStep
from evalkit.protocol.step_types import CLIENT_STEPS

DEFAULT_KEY = (
    b"evalkit serve: not a secret, it only tells this server's histories from altered ones"
)
SEAL_SIZE = 16
"""Bytes of the code at the end of a seal or token."""
_KIND = b"\x12"
_CODE_SIZE = 8
_MIN_SIZE, _SIZE_RANGE = 80, 120


@dataclass(slots=True)
class Segment:
    """A thought and the steps up to the next one, as indexes into the conversation.

    ``thought`` is None before the first thought.
    """

    thought: int | None
    model: list[int] = field(default_factory=list)
    client: list[int] = field(default_factory=list)


def sign_answer(
    key: bytes, conversation: Sequence[RawStep], answer: Sequence[RawStep], state: bytes = b""
) -> list[RawStep]:
    """Return the steps of an answer with a signature in every thought.

    ``answer`` must begin with a thought. ``state`` is that of the history before ``conversation``,
    if the conversation does not contain all of it.
    """
    signatures = {
        segment.thought: seal(key, codes)
        for segment, codes in segment_codes(key, [*conversation, *answer], state)
    }
    return [
        {**step, "signature": signatures[index]} if step["type"] == "thought" else step
        for index, step in enumerate(answer, len(conversation))
    ]


def state_of(steps: Sequence[RawStep], state: bytes = b"") -> bytes:
    """Return the state after steps that follow a history of state ``state``.

    The state has 32 bytes; without steps it is ``state``.
    """
    for segment in _segments(steps):
        state = _next_state(state, _segment_texts(steps, segment))
    return state


def segment_codes(
    key: bytes, steps: Sequence[RawStep], state: bytes = b""
) -> Iterator[tuple[Segment, list[bytes]]]:
    """Yield every segment with its codes: the history before it, its thought, its model steps."""
    for segment in _segments(steps):
        thought, *others = _segment_texts(steps, segment)
        model = others[: len(segment.model)]
        yield (
            segment,
            [
                keyed_code(key, b"history", state),
                keyed_code(key, b"thought", thought),
                *(keyed_code(key, b"step", text) for text in model),
            ],
        )
        state = _next_state(state, [thought, *others])


def _segment_texts(steps: Sequence[RawStep], segment: Segment) -> list[bytes]:
    thought = canonical_text(steps[segment.thought]) if segment.thought is not None else b""
    return [
        thought,
        *(canonical_text(steps[index]) for index in (*segment.model, *segment.client)),
    ]


def _next_state(state: bytes, texts: Sequence[bytes]) -> bytes:
    for text in texts:
        state = hashlib.sha256(state + hashlib.sha256(text).digest()).digest()
    return state


def _segments(steps: Sequence[RawStep]) -> Iterator[Segment]:
    """Split a conversation at its thoughts, and at a question that no thought follows yet."""
    segment = Segment(None)
    for index, step in enumerate(steps):
        kind = step["type"]
        has_answer = segment.thought is not None or segment.model
        if kind == "thought" or (kind == "user_input" and has_answer):
            if index:
                yield segment
            segment = Segment(index if kind == "thought" else None)
        if kind in CLIENT_STEPS:
            segment.client.append(index)
        elif kind != "thought":
            segment.model.append(index)
    if steps:
        yield segment


def canonical_text(step: RawStep) -> bytes:
    """Return one text for all spellings of a step; a thought's signature is not part of it."""
    step = dict(step)
    if step["type"] == "thought" or step.get("signature") == "":
        step.pop("signature", None)
    return canonical(without_nulls(step)).encode()


def keyed_code(key: bytes, purpose: bytes, data: bytes, size: int = _CODE_SIZE) -> bytes:
    """Return a code over data for a purpose, which only the owner of the key can compute."""
    return hmac.digest(key, purpose + b"\0" + data, "sha256")[:size]


def seal(key: bytes, codes: Sequence[bytes]) -> str:
    """Return the signature over the parts, in base64.

    Usual answers have 80 to 200 bytes, as the service's signatures do; long answers have more.
    """
    content = _KIND + bytes([min(len(codes), 255)]) + b"".join(codes[:255])
    size = _MIN_SIZE + hmac.digest(key, content, "sha256")[0] * _SIZE_RANGE // 255
    filler = b"".join(hmac.digest(key, content + bytes([number]), "sha256") for number in range(8))
    content += filler[: max(0, size - len(content) - SEAL_SIZE)]
    # The number of parts has one byte. Further codes are sealed, but not readable.
    digest = keyed_code(key, b"seal", content + b"".join(codes[255:]), SEAL_SIZE)
    return base64.b64encode(content + digest).decode()


def open_seal(key: bytes, signature: str) -> list[bytes] | None:
    """Return the codes in a signature; None if it is not from this key or not intact."""
    try:
        data = base64.b64decode(signature, validate=True)
    except ValueError:
        return None
    content, digest = data[:-SEAL_SIZE], data[-SEAL_SIZE:]
    if len(data) < _MIN_SIZE or content[:1] != _KIND or content[1] == 255:
        return None
    if not hmac.compare_digest(digest, keyed_code(key, b"seal", content, SEAL_SIZE)):
        return None
    starts = range(2, 2 + content[1] * _CODE_SIZE, _CODE_SIZE)
    return [content[start : start + _CODE_SIZE] for start in starts]
