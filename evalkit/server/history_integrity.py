"""Detect histories that were altered, and calls without results. Pure; the key is an argument.

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

The real service is documented to verify function calls of the current turn only, and widely used
clients rebuild, shorten or invent older turns. So only an alteration there is certainly refused;
the errors about all others are marked as inferred.

A *state* is the hash of a history up to some step. An answer that continues another one is signed
on top of the state after that one.

``describe(index)`` names a step as the client can find it: ``input[3]`` if this request sent it,
``step 2 of the stored conversation`` otherwise.

An answer that ends in ``requires_continuation`` has a *continuation token* (docs/protocol.md
section 8.3). To get the rest, a client sends the request again with the token: for stored
interactions with ``previous_interaction_id`` and no input, for others with the original input. The
token contains the number of the next part and two states, sealed with the server's key:

    kind | number of the next part | state after the question | state after the answer
    | 16 bytes over all of it
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from evalkit._lib.json import canonical
from evalkit.protocol.step_reader import RawStep, pair_calls
from evalkit.protocol.step_types import CLIENT_STEPS, STEP_TYPES
from evalkit.protocol.wire_facts import SENTINEL_SIGNATURES
from evalkit.server.requests.error_response import ErrorResponse, bad_request

Describe = Callable[[int], str]
DEFAULT_KEY = (
    b"evalkit serve: not a secret, it only tells this server's histories from altered ones"
)
_KIND = b"\x12"
_CODE_SIZE, _SEAL_SIZE = 8, 16
_MIN_SIZE, _SIZE_RANGE = 80, 120
_TOKEN_KIND = b"\x13"
# Some clients treat signatures as bytes, and encode them.
_SENTINELS = frozenset(SENTINEL_SIGNATURES) | {
    base64.b64encode(text.encode()).decode() for text in SENTINEL_SIGNATURES
}
_STATE_SIZE = 32
_TOKEN_SIZE = 2 + 2 * _STATE_SIZE + _SEAL_SIZE


@dataclass(slots=True)
class _Segment:
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
        segment.thought: _seal(key, codes)
        for segment, codes in _segment_codes(key, [*conversation, *answer], state)
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


def find_alterations(
    key: bytes, conversation: Sequence[RawStep], describe: Describe
) -> Iterator[ErrorResponse]:
    """Yield an error (400) about each step that differs from what this server sent.

    Of inferred errors only the first is yielded, because one alteration changes every seal after
    it.
    """
    kinds = [step["type"] for step in conversation]
    turn_start = len(kinds) - kinds[::-1].index("user_input") if "user_input" in kinds else 0
    is_reported = False
    for segment, codes in _segment_codes(key, conversation):
        is_checked = any(
            index >= turn_start and kinds[index] == "function_call" for index in segment.model
        )
        for index, problem, breaks_call in _alterations(
            key, conversation, segment, codes, describe
        ):
            is_inferred = not (is_checked and breaks_call)
            if is_inferred and is_reported:
                continue
            is_reported = True
            yield bad_request(
                f"{describe(index)}: this {kinds[index]} {problem}. "
                "Send every step of a history exactly as it was received.",
                is_inferred=is_inferred,
            )


def check_pairs(conversation: Sequence[RawStep], describe: Describe) -> None:
    """Raise ErrorResponse (400) for a ``function_result`` without its call, and the reverse.

    Steps of server tools are not checked; only the server creates them.
    """
    pairing = pair_calls(conversation)
    for index in pairing.orphans:
        step = conversation[index]
        if step["type"] != "function_result":
            continue
        call_id = step.get("call_id")
        if not call_id:
            problem = "has no call_id, and no call waits for it"
        elif any(
            other.get("type") == "function_call" and other.get("id") == call_id
            for other in conversation
        ):
            problem = f"answers the call '{call_id}' a second time"
        else:
            problem = f"answers the call '{call_id}', which is not in the conversation"
        raise bad_request(f"{describe(index)}: this function_result {problem}.")
    for call, result in pairing.pairs:
        step = conversation[call]
        if step["type"] != "function_call":
            continue
        if result is None:
            raise bad_request(
                f"{describe(call)}: the function_call '{step.get('id')}' ({step.get('name')}) "
                "has no function_result."
            )
        if result < call:
            raise bad_request(
                f"{describe(result)}: this function_result precedes its call '{step.get('id')}'."
            )


def find_repeated(step: RawStep, stored: Sequence[RawStep]) -> int | None:
    """Return the index of the stored step that a client sends again, None for a new one.

    Steps of the client are new: a user may ask the same question twice, and ``check_pairs`` finds a
    repeated result. A thought is the same if its signature is; clients drop its summary.
    """
    if step["type"] in CLIENT_STEPS:
        return None
    return next((index for index, other in enumerate(stored) if _is_same_step(other, step)), None)


def _is_same_step(one: RawStep, other: RawStep) -> bool:
    if one["type"] == other["type"] == "thought" and one.get("signature"):
        return bool(one["signature"] == other.get("signature"))
    return _canonical_text(one) == _canonical_text(other)


def _alterations(
    key: bytes,
    conversation: Sequence[RawStep],
    segment: _Segment,
    codes: list[bytes],
    describe: Describe,
) -> Iterator[tuple[int, str, bool]]:
    """Yield the steps that break a seal: index, problem, and whether it is about a signed call.

    ``codes`` are those of the steps that were sent.
    """
    if segment.thought is None:
        for index in segment.model:
            step = conversation[index]
            signature = step.get("signature")
            is_sentinel = isinstance(signature, str) and signature in _SENTINELS
            if step["type"] in STEP_TYPES and not is_sentinel:
                yield index, "does not follow its signed thought", False
        return
    signature = conversation[segment.thought].get("signature")
    if not isinstance(signature, str) or not signature:
        yield segment.thought, "has no signature", True
        return
    sent_signature = signature.encode("utf-8", "surrogatepass")
    if signature in _SENTINELS or hmac.compare_digest(sent_signature, _seal(key, codes).encode()):
        return
    sealed = _open_seal(key, signature)
    if sealed is None:
        yield segment.thought, "has a signature that this server did not create", True
        return
    # A signature covers the whole history before it, so it cannot be valid in two positions.
    same = [
        index
        for index, step in enumerate(conversation)
        if step["type"] == "thought" and step.get("signature") == signature
    ]
    if len(same) > 1:
        yield same[1], f"has the signature of {describe(same[0])}", True
        return
    if sealed[0] != codes[0]:
        problem = "a step before it was altered, removed, added or moved"
        yield segment.thought, f"was signed for another history: {problem}", False
    if sealed[1] != codes[1]:
        yield segment.thought, "is not as this server sent it", False
    original, sent = sealed[2:], codes[2:]
    for number, index in enumerate(segment.model):
        if number >= len(original) or original[number] != sent[number]:
            is_call = conversation[index]["type"] == "function_call"
            is_new = is_call and sent[number] not in original
            yield index, _difference(original, sent, number), is_new
    if len(original) > len(sent):
        last = segment.model[-1] if segment.model else segment.thought
        yield last, "was followed by a step that is missing", False


def _difference(original: Sequence[bytes], sent: Sequence[bytes], number: int) -> str:
    """Describe the first step that differs, by the codes of the original and the sent steps."""
    code = sent[number]
    expected = original[number] if number < len(original) else None
    if code in original[number + 1 :]:
        if expected in sent[number + 1 :]:
            return "is out of order"
        return "was sent by this server after a step that is missing"
    if code in original[:number]:
        return "is repeated"
    if expected is None or expected in sent[number + 1 :]:
        return "was not sent by this server"
    return "is not as this server sent it"


def _segment_codes(
    key: bytes, steps: Sequence[RawStep], state: bytes = b""
) -> Iterator[tuple[_Segment, list[bytes]]]:
    """Yield every segment with its codes: the history before it, its thought, its model steps."""
    for segment in _segments(steps):
        thought, *others = _segment_texts(steps, segment)
        model = others[: len(segment.model)]
        yield (
            segment,
            [
                _code(key, b"history", state),
                _code(key, b"thought", thought),
                *(_code(key, b"step", text) for text in model),
            ],
        )
        state = _next_state(state, [thought, *others])


def _segment_texts(steps: Sequence[RawStep], segment: _Segment) -> list[bytes]:
    thought = _canonical_text(steps[segment.thought]) if segment.thought is not None else b""
    return [
        thought,
        *(_canonical_text(steps[index]) for index in (*segment.model, *segment.client)),
    ]


def _next_state(state: bytes, texts: Sequence[bytes]) -> bytes:
    for text in texts:
        state = hashlib.sha256(state + hashlib.sha256(text).digest()).digest()
    return state


def _segments(steps: Sequence[RawStep]) -> Iterator[_Segment]:
    """Split a conversation at its thoughts, and at a question that no thought follows yet."""
    segment = _Segment(None)
    for index, step in enumerate(steps):
        kind = step["type"]
        has_answer = segment.thought is not None or segment.model
        if kind == "thought" or (kind == "user_input" and has_answer):
            if index:
                yield segment
            segment = _Segment(index if kind == "thought" else None)
        if kind in CLIENT_STEPS:
            segment.client.append(index)
        elif kind != "thought":
            segment.model.append(index)
    if steps:
        yield segment


def _canonical_text(step: RawStep) -> bytes:
    """Return one text for all spellings of a step; a thought's signature is not part of it."""
    step = dict(step)
    if step["type"] == "thought" or step.get("signature") == "":
        step.pop("signature", None)
    return canonical(_without_nulls(step)).encode()


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def _code(key: bytes, purpose: bytes, data: bytes, size: int = _CODE_SIZE) -> bytes:
    return hmac.digest(key, purpose + b"\0" + data, "sha256")[:size]


def _seal(key: bytes, codes: Sequence[bytes]) -> str:
    """Return the signature over the parts, in base64.

    Usual answers have 80 to 200 bytes, as the service's signatures do; long answers have more.
    """
    content = _KIND + bytes([min(len(codes), 255)]) + b"".join(codes[:255])
    size = _MIN_SIZE + hmac.digest(key, content, "sha256")[0] * _SIZE_RANGE // 255
    filler = b"".join(hmac.digest(key, content + bytes([number]), "sha256") for number in range(8))
    content += filler[: max(0, size - len(content) - _SEAL_SIZE)]
    # The number of parts has one byte. Further codes are sealed, but not readable.
    digest = _code(key, b"seal", content + b"".join(codes[255:]), _SEAL_SIZE)
    return base64.b64encode(content + digest).decode()


def _open_seal(key: bytes, signature: str) -> list[bytes] | None:
    """Return the codes in a signature; None if it is not from this key or not intact."""
    try:
        data = base64.b64decode(signature, validate=True)
    except (ValueError, binascii.Error):
        return None
    content, digest = data[:-_SEAL_SIZE], data[-_SEAL_SIZE:]
    if len(data) < _MIN_SIZE or content[:1] != _KIND or content[1] == 255:
        return None
    if not hmac.compare_digest(digest, _code(key, b"seal", content, _SEAL_SIZE)):
        return None
    starts = range(2, 2 + content[1] * _CODE_SIZE, _CODE_SIZE)
    return [content[start : start + _CODE_SIZE] for start in starts]


@dataclass(frozen=True, slots=True)
class AnswerPart:
    """The requested part of an answer, counted from 0.

    ``state`` is that of the history before it, if the request does not send this history again.
    """

    number: int = 0
    state: bytes = b""


def issue_token(
    key: bytes, part: AnswerPart, question: Sequence[RawStep], answer: Sequence[RawStep]
) -> str:
    """Return the token for the part after ``part``."""
    content = _TOKEN_KIND + bytes([min(part.number + 1, 255)]) + _padded(state_of(question))
    # With a state, the question was sent again and the parts before this one were not.
    after = state_of(answer, part.state) if part.state else state_of([*question, *answer])
    content += _padded(after)
    return base64.urlsafe_b64encode(
        content + _code(key, b"continuation", content, _SEAL_SIZE)
    ).decode()


def read_token(
    key: bytes, token: str, stored: Sequence[RawStep], sent: Sequence[RawStep]
) -> AnswerPart:
    """Return the part that a token requests.

    ``stored`` is the conversation of ``previous_interaction_id``, ``sent`` the steps of the
    request's input. Raises ErrorResponse (400) for a token of another server or conversation.
    """
    try:
        data = base64.b64decode(token.encode(), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        data = b""
    content, seal = data[:-_SEAL_SIZE], data[-_SEAL_SIZE:]
    if len(data) != _TOKEN_SIZE or not hmac.compare_digest(
        seal, _code(key, b"continuation", content, _SEAL_SIZE)
    ):
        raise _invalid("was not issued by this server")
    number, question, answer = content[1], content[2:-_STATE_SIZE], content[-_STATE_SIZE:]
    if not sent and stored and state_of(stored) == answer:
        return AnswerPart(number)
    if sent and _padded(state_of([*stored, *sent])) == question:
        return AnswerPart(number, answer)
    if not sent:
        raise _invalid(
            "belongs to another interaction than 'previous_interaction_id'; "
            "without an id, send the input again"
        )
    raise _invalid(
        "belongs to another request; send it with the same input, "
        "or with the id of its interaction and no input"
    )


def _invalid(problem: str) -> ErrorResponse:
    return bad_request(f"'continuation_token' {problem}.")


def _padded(state: bytes) -> bytes:
    return state or bytes(_STATE_SIZE)
