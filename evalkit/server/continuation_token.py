"""Continuation tokens of answers that end in ``requires_continuation``. Pure.

See docs/protocol.md section 8.3. To get the rest, a client sends the request again with the token:
for stored interactions with ``previous_interaction_id`` and no input, for others with the original
input. The token contains the number of the next part and two states of
:mod:`evalkit.server.history_seals`, sealed with the server's key:

    kind | number of the next part | state after the question | state after the answer
    | 16 bytes over all of it
"""

import base64
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.protocol.step_reader import RawStep
from evalkit.server.history_seals import SEAL_SIZE, keyed_code, state_of
from evalkit.server.requests.error_response import ErrorResponse, bad_request

_TOKEN_KIND = b"\x13"
_STATE_SIZE = 32
_TOKEN_SIZE = 2 + 2 * _STATE_SIZE + SEAL_SIZE


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
        content + keyed_code(key, b"continuation", content, SEAL_SIZE)
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
    except ValueError:
        data = b""
    content, seal = data[:-SEAL_SIZE], data[-SEAL_SIZE:]
    if len(data) != _TOKEN_SIZE or not hmac.compare_digest(
        seal, keyed_code(key, b"continuation", content, SEAL_SIZE)
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
