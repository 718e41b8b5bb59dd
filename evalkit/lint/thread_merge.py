"""Join conversations that were separated because a client altered their history.

``conversation.demultiplex`` follows ids, signatures and beginnings, because it must not mix
conversations while they run. A client that drops every thought destroys all three, and its next
request looks like a new conversation, which no rule could check. In a finished cassette nothing can
be mixed up any more, so such a request is joined to the conversation with which it shares most
steps of the model, the latest one among equals.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

from evalkit.conversation.history_digest import input_steps, is_client_step, step_digest
from evalkit.protocol.step_reader import RawStep, steps_of
from evalkit.transcript import Exchange

_MOST_PLACES = 16  # a step that occurs more often does not identify a conversation

Thread = list[Exchange]
_Place = tuple[int, int]
"""A thread's index, and the number of its exchanges up to a response."""


def merge_threads(threads: Sequence[Sequence[Exchange]]) -> list[Thread]:
    """Return the conversations; one that starts with a re-sent history follows its origin."""
    merged: list[Thread] = []
    places: dict[bytes, list[_Place]] = {}  # of each step of the model, by digest
    for thread in sorted(threads, key=lambda thread: thread[0].number):
        origin = _find_origin(thread[0], merged, places)
        if origin is None:
            index = len(merged)
            merged.append(list(thread))
        else:
            index, length = origin
            whole = length == len(merged[index])
            if whole and merged[index][-1].number < thread[0].number:
                merged[index] += thread
            else:
                shared = merged[index][:length]
                index = len(merged)
                merged.append([*shared, *thread])
        for position in range(len(merged[index]) - len(thread), len(merged[index])):
            for digest in _model_digests(steps_of(merged[index][position].interaction or {})):
                known = places.setdefault(digest, [])
                if len(known) <= _MOST_PLACES:
                    known.append((index, position + 1))
    return merged


def resends_model_steps(exchange: Exchange) -> bool:
    """Return whether a request re-sends steps of a model."""
    return bool(_resent_model_steps(exchange))


def _find_origin(
    first: Exchange, merged: list[Thread], places: dict[bytes, list[_Place]]
) -> _Place | None:
    votes: Counter[_Place] = Counter()
    for digest in _model_digests(_resent_model_steps(first)):
        known = places.get(digest, ())
        if len(known) <= _MOST_PLACES:
            votes.update(
                (index, length)
                for index, length in known
                if merged[index][length - 1].number < first.number
            )
    # Add the votes up by conversation: its later responses contain none of its earlier steps.
    totals: Counter[int] = Counter()
    for (index, _), count in votes.items():
        totals[index] += count
    if not totals:
        return None
    most = max(totals.values())
    best = max(index for index, count in totals.items() if count == most)
    return best, max(length for index, length in votes if index == best)


def _resent_model_steps(exchange: Exchange) -> list[RawStep]:
    body = exchange.request.body
    if (
        exchange.request.method != "POST"
        or not isinstance(body, dict)
        or body.get("previous_interaction_id")
    ):
        return []
    return [step for step in input_steps(body.get("input")) if not is_client_step(step)]


def _model_digests(steps: Sequence[RawStep]) -> Iterator[bytes]:
    return (step_digest(step) for step in steps if not is_client_step(step))
