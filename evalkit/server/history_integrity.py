"""Detect histories that were altered, and calls without results. Pure; the key is an argument.

The real service is documented to verify function calls of the current turn only, and widely used
clients rebuild, shorten or invent older turns. So only an alteration there is certainly refused;
the errors about all others are marked as inferred.

``describe(index)`` names a step as the client can find it: ``input[3]`` if this request sent it,
``step 2 of the stored conversation`` otherwise.
"""

import base64
import hmac
from collections.abc import Callable, Iterator, Sequence

from evalkit.protocol.step_reader import RawStep, pair_calls
from evalkit.protocol.step_types import CLIENT_STEPS, STEP_TYPES
from evalkit.protocol.wire_facts import SENTINEL_SIGNATURES
from evalkit.server.history_seals import Segment, canonical_text, open_seal, seal, segment_codes
from evalkit.server.requests.error_response import ErrorResponse, bad_request

Describe = Callable[[int], str]
# Some clients treat signatures as bytes, and encode them.
_SENTINELS = frozenset(SENTINEL_SIGNATURES) | {
    base64.b64encode(text.encode()).decode() for text in SENTINEL_SIGNATURES
}


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
    for segment, codes in segment_codes(key, conversation):
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
    return canonical_text(one) == canonical_text(other)


def _alterations(
    key: bytes,
    conversation: Sequence[RawStep],
    segment: Segment,
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
    if signature in _SENTINELS or hmac.compare_digest(sent_signature, seal(key, codes).encode()):
        return
    sealed = open_seal(key, signature)
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
