"""Calls and results of a conversation: every result answers a call before it, every call is answered before the talk goes on.

What a request adds to a stored conversation is new: an answer that the conversation holds and the request sends again stood there twice.
Pure. A step is named as the client can find it: ``input[3]`` where it was sent in this request, ``steps[1] of v1_…`` where it is kept here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from evalkit.protocol.step_reader import pair_calls
from evalkit.protocol.step_types import CLIENT_STEPS
from evalkit.server.history_integrity import is_same_step
from evalkit.server.requests.error_response import bad_request

RawStep = dict[str, Any]


def check_pairs(conversation: Sequence[RawStep], place: Callable[[int], str]) -> None:
    """Raise ErrorResponse (400) for a ``function_result`` without its call and for a ``function_call`` without its result.

    ``place`` names a step by its index in ``conversation``. Steps of server tools are the server's own business and not judged.
    """
    pairing = pair_calls(conversation)
    for index in pairing.orphans:
        step = conversation[index]
        if step["type"] == "function_result":
            call_id = step.get("call_id")
            why = (
                f"answers the call '{call_id}', which"
                if call_id
                else "has no call_id, and a call waiting for it"
            )
            twice = call_id and any(
                other.get("type") == "function_call" and other.get("id") == call_id
                for other in conversation
            )
            raise bad_request(
                f"{place(index)}: this function_result answers the call '{call_id}' a second time."
                if twice
                else f"{place(index)}: this function_result {why} is not in the conversation."
            )
    for call, result in pairing.pairs:
        step = conversation[call]
        if step["type"] != "function_call":
            continue
        if result is None:
            raise bad_request(
                f"{place(call)}: the function_call '{step.get('id')}' ({step.get('name')}) has no function_result."
            )
        if result < call:
            raise bad_request(
                f"{place(result)}: this function_result stands before its call '{step.get('id')}'."
            )


def check_new(
    base: Sequence[RawStep], sent: Sequence[RawStep], place: Callable[[int], str]
) -> None:
    """Raise ErrorResponse (400) for a step of the model that is sent although the stored conversation holds it.

    A question may be asked again in the same words, so the client's own steps are not judged here; a result that comes twice is
    ``check_pairs``'s.
    """
    for offset, step in enumerate(sent):
        if step["type"] in CLIENT_STEPS:
            continue
        known = next(
            (
                index
                for index, other in enumerate(base)
                if other["type"] == step["type"] and is_same_step(other, step)
            ),
            None,
        )
        if known is not None:
            raise bad_request(
                f"{place(len(base) + offset)}: this {step['type']} is {place(known)} already. "
                "With 'previous_interaction_id' send only what is new; to send a history, leave the id out."
            )
