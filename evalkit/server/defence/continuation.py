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

from evalkit.server.defence.signatures import state_of
from evalkit.server.requests.faults import ApiFault, refuse

RawStep = dict[str, Any]
_KIND = b"\x13"
_STATE, _SEAL = 32, 16
_SIZE = 2 + 2 * _STATE + _SEAL


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of an answer is asked for, counted from 0. ``state`` is that of what stands before it and is not sent again."""

    number: int = 0
    state: bytes = b""


def issue(key: bytes, part: Part, asked: Sequence[RawStep], answered: Sequence[RawStep]) -> str:
    """Return the token for the part after ``part``, whose question and answer are given."""
    held = _KIND + bytes([min(part.number + 1, 255)])
    if part.state:  # the question was sent again, and the parts before this one were not
        held += _padded(state_of(asked)) + state_of(answered, part.state)
    else:
        held += _padded(state_of(asked)) + _padded(state_of([*asked, *answered]))
    return base64.urlsafe_b64encode(held + _seal(key, held)).decode()


def read(key: bytes, token: str, base: Sequence[RawStep], sent: Sequence[RawStep]) -> Part:
    """Return the part a token asks for. Raises ApiFault (400) for one that is not of this server, or not of this conversation.

    ``base`` is the conversation kept under ``previous_interaction_id``, ``sent`` the steps of the request's input.
    """
    try:
        data = base64.b64decode(token.encode(), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        data = b""
    held, seal = data[:-_SEAL], data[-_SEAL:]
    if len(data) != _SIZE or not hmac.compare_digest(seal, _seal(key, held)):
        raise wrong("was not issued by this server")
    asked, answered = held[2 : 2 + _STATE], held[2 + _STATE :]
    if not sent and base and state_of(base) == answered:
        return Part(held[1])
    if sent and _padded(state_of([*base, *sent])) == asked:
        return Part(held[1], answered)
    if not sent:
        raise wrong(
            "belongs to another interaction than 'previous_interaction_id'; without one, send the input again"
        )
    raise wrong(
        "belongs to another request; send it with the same input, or with the id of the answer it came with and no input"
    )


def wrong(why: str) -> ApiFault:
    """Return the refusal of a token."""
    return refuse(f"'continuation_token' {why}.")


def _padded(state: bytes) -> bytes:
    return state or bytes(_STATE)


def _seal(key: bytes, held: bytes) -> bytes:
    return hmac.digest(key, b"continuation\0" + held, "sha256")[:_SEAL]
