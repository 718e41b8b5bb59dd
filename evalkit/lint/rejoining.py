"""Conversations put together again whose history was altered so much that nothing telling of it is left. Pure.

``conversation.threads`` follows ids, signatures and beginnings, for it must not mix conversations while they run. A client that drops every
thought destroys all three, and its next request looks like a conversation of its own, which no rule could judge. Here all is over and nothing
is at stake but a finding: such a request is taken to go on from the answer with which it shares most steps of a model, the latest of equals.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from evalkit.conversation.history_digest import START, RawStep, input_steps, is_client
from evalkit.protocol.step_reader import steps_of
from evalkit.transcript import Exchange

_COMMON = 16  # what this many answers said tells no conversation from another

Threads = list[list[Exchange]]


def rejoined(threads: Sequence[Sequence[Exchange]]) -> Threads:
    """Return the conversations, those that begin in the middle behind the one they go on from."""
    found: Threads = []
    said: dict[bytes, list[tuple[int, int]]] = {}
    for thread in sorted(threads, key=lambda thread: thread[0].number):
        at = _origin(thread[0], found, said)
        if at is None:
            home = len(found)
            found.append(list(thread))
        elif at[1] == len(found[at[0]]) and found[at[0]][-1].number < thread[0].number:
            home = at[0]
            found[home] += thread
        else:
            home = len(found)
            found.append([*found[at[0]][: at[1]], *thread])
        new = len(found[home]) - len(thread)
        for place in range(new, len(found[home])):
            for key in _keys(steps_of(found[home][place].interaction or {})):
                places = said.setdefault(key, [])
                if len(places) <= _COMMON:
                    places.append((home, place + 1))
    return found


def begins_in_the_middle(exchange: Exchange) -> bool:
    """Say whether a request re-sends steps of a model: as the first of its conversation, it has a beginning that is not there."""
    return bool(_resent(exchange))


def _origin(
    first: Exchange, found: Threads, said: dict[bytes, list[tuple[int, int]]]
) -> tuple[int, int] | None:
    votes: Counter[tuple[int, int]] = Counter()
    for key in _keys(_resent(first)):
        places = said.get(key, ())
        if len(places) <= _COMMON:
            votes.update(
                (home, place)
                for home, place in places
                if found[home][place - 1].number < first.number
            )
    # A conversation's later answers vote for themselves, but what they follow is shared: the latest answer of the one most shared with counts.
    homes: Counter[int] = Counter()
    for (home, _), count in votes.items():
        homes[home] += count
    if not homes:
        return None
    most = max(homes.values())
    home = max(home for home, count in homes.items() if count == most)
    return home, max(place for other, place in votes if other == home)


def _resent(exchange: Exchange) -> list[RawStep]:
    body = exchange.request.body
    if (
        exchange.request.method != "POST"
        or not isinstance(body, dict)
        or body.get("previous_interaction_id")
    ):
        return []
    return [step for step in input_steps(body.get("input")) if not is_client(step)]


def _keys(steps: Sequence[RawStep]) -> Iterator[bytes]:
    return (START.after(step).steps for step in steps if not is_client(step))
