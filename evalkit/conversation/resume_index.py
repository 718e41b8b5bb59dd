"""Places that conversations can go on from, found by the histories that lead there. Pure.

Of places that a history leads to equally well, one still open goes before one that was continued already, one whose requests said the same about
everything but the history before others, one that no request was refused at before one that was tried, and the oldest before younger ones.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.conversation.history_digest import Trail


@dataclass(slots=True, eq=False)
class Node:
    """A place from which a conversation can go on: after an answer. ``depth`` counts the conversation's requests up to there, ``trail`` is
    the history there and ``before`` that of the request, ``style`` says what its requests say beside the history; ``tried``: a request from
    there was refused.
    """

    thread: int
    depth: int
    trail: Trail
    before: Trail
    style: bytes
    open: bool = True
    tried: bool = False


class Places:
    """All places, by history. Finding one costs what the history is long."""

    def __init__(self) -> None:
        # Digest of the steps, digest of the results, style: see Trail.
        self._known: dict[bytes, dict[bytes, dict[bytes, _Queue]]] = {}

    def put(self, node: Node) -> None:
        """Offer a place, for the first time or again. Where no model has said anything yet, there is none."""
        if node.trail.models:
            styles = self._known.setdefault(node.trail.steps, {}).setdefault(node.trail.results, {})
            styles.setdefault(node.style, _Queue()).put(node)

    def longest(self, chain: Sequence[Trail], style: bytes) -> tuple[Node | None, int]:
        """Return the place that the longest beginning of a history leads to, and how many steps that is; None and 0 where none does.

        ``chain`` are the trails before and after each step. A place that was continued already is returned where none is open.
        """
        results = {trail.results for trail in chain}
        for at in range(len(chain) - 1, 0, -1):
            if (
                chain[at].steps == chain[at - 1].steps
                or (places := self._known.get(chain[at].steps)) is None
            ):
                continue
            fitting = [places[key] for key in places.keys() & results]
            found = [styles[style].first() for styles in fitting if style in styles]
            if not any(node.open for node in found):
                found += [queue.first() for styles in fitting for queue in styles.values()]
            if found:
                return next((node for node in found if node.open), found[0]), at
        return None, 0


class _Queue:
    """Places that are the same to any request."""

    def __init__(self) -> None:
        self._fresh: deque[Node] = deque()
        self._tried: deque[Node] = deque()

    def put(self, node: Node) -> None:
        (self._tried if node.tried else self._fresh).append(node)
        self._closed = node

    def first(self) -> Node:
        for queue in (self._fresh, self._tried):
            while queue and not (queue[0].open and queue[0].tried is (queue is self._tried)):
                self._closed = queue.popleft()
            if queue:
                return queue[0]
        return self._closed
