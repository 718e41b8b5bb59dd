"""Continuation tokens (protocol section 8.3): what carries an answer over several requests, with no state kept. Pure.

An answer that ends in ``requires_continuation`` has a token. Who wants the rest sends the request again with the token: stored
interactions by ``previous_interaction_id`` and no input, others with the input they sent at first. The token holds which part comes next
and two states of the history (see ``signatures``), behind the question and behind the answer so far, under a seal of the server's key:

    kind | number of the next part | state behind the question | state behind the answer | 16 bytes over all that stands before
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.server.history_integrity import state_of
from evalkit.server.requests.error_response import ErrorResponse, bad_request

RawStep = dict[str, Any]
_KIND = b"\x13"
_STATE, _SEAL = 32, 16
_SIZE = 2 + 2 * _STATE + _SEAL


@dataclass(frozen=True, slots=True)
class AnswerPart:
    """Which part of an answer is asked for, counted from 0. ``state`` is that of what stands before it and is not sent again."""

    number: int = 0
    state: bytes = b""


def issue_token(
    key: bytes, part: AnswerPart, asked: Sequence[RawStep], answered: Sequence[RawStep]
) -> str:
    """Return the token for the part after ``part``, whose question and answer are given."""
    held = _KIND + bytes([min(part.number + 1, 255)])
    if part.state:  # the question was sent again, and the parts before this one were not
        held += _padded(state_of(asked)) + state_of(answered, part.state)
    else:
        held += _padded(state_of(asked)) + _padded(state_of([*asked, *answered]))
    return base64.urlsafe_b64encode(held + _seal(key, held)).decode()


def read_token(
    key: bytes, token: str, base: Sequence[RawStep], sent: Sequence[RawStep]
) -> AnswerPart:
    """Return the part a token asks for. Raises ErrorResponse (400) for one that is not of this server, or not of this conversation.

    ``base`` is the conversation kept under ``previous_interaction_id``, ``sent`` the steps of the request's input.
    """
    try:
        data = base64.b64decode(token.encode(), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        data = b""
    held, seal = data[:-_SEAL], data[-_SEAL:]
    if len(data) != _SIZE or not hmac.compare_digest(seal, _seal(key, held)):
        raise invalid_token("was not issued by this server")
    asked, answered = held[2 : 2 + _STATE], held[2 + _STATE :]
    if not sent and base and state_of(base) == answered:
        return AnswerPart(held[1])
    if sent and _padded(state_of([*base, *sent])) == asked:
        return AnswerPart(held[1], answered)
    if not sent:
        raise invalid_token(
            "belongs to another interaction than 'previous_interaction_id'; without one, send the input again"
        )
    raise invalid_token(
        "belongs to another request; send it with the same input, or with the id of the answer it came with and no input"
    )


def invalid_token(why: str) -> ErrorResponse:
    """Return the refusal of a token."""
    return bad_request(f"'continuation_token' {why}.")


def _padded(state: bytes) -> bytes:
    return state or bytes(_STATE)


def _seal(key: bytes, held: bytes) -> bytes:
    return hmac.digest(key, b"continuation\0" + held, "sha256")[:_SEAL]
