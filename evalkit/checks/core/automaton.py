"""A position automaton over steps: does a sequence match, and if not, what is the cheapest way to make it match?

Theory: a pattern becomes Glushkov's automaton (one state per word, no empty moves), run with the set of possible states as the bits of one
integer, so matching is linear in the steps whatever the pattern (no backtracking), and transitions are remembered. Where a sequence does
not match, ``align`` finds the cheapest edit that would make it match: Dijkstra over (step, state). What a position accepts may be given as
bit masks, so that the same automaton serves entries with names and arguments. How patterns are written is ``patterns``'s business.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import NamedTuple

ANY = "."
_MAX_CELLS = 250_000
_MISSING, _EXTRA, _DIFFERENT = 2, 2, 3
"""Prices of an edit: one different step is dearer than one missing and cheaper than one missing and one extra."""


class Row(NamedTuple):
    """One row of an alignment: a position of the automaton (from 1), a step (from 0), either None; ``cost`` 0 where they match."""

    position: int | None
    step: int | None
    cost: int


class Part(NamedTuple):
    """A piece of an automaton under construction: whether it may be empty, and the positions it begins and ends with, as bits."""

    empty: bool
    first: int
    last: int


class Automaton:
    """Positions 1..n with their labels; bit 0 is the start. ``follow[p]`` are the positions that may come after ``p``."""

    __slots__ = ("_steps", "_types", "accepting", "follow", "labels", "words")

    def __init__(self) -> None:
        self.words: list[str] = [""]
        self.labels: list[str] = [""]
        self.follow: list[int] = [0]
        self.accepting = 0
        self._types: dict[str, int] = {}
        self._steps: dict[tuple[int, str], int] = {}

    def atom(self, word: str) -> Part:
        """Add a position."""
        self.words.append(word)
        self.labels.append(word)
        self.follow.append(0)
        bit = 1 << (len(self.words) - 1)
        return Part(False, bit, bit)

    def then(self, left: Part, right: Part) -> Part:
        """Join two pieces in sequence."""
        self._lead(left.last, right.first)
        first = left.first | right.first if left.empty else left.first
        last = left.last | right.last if right.empty else right.last
        return Part(left.empty and right.empty, first, last)

    def repeat(self, part: Part, empty: bool, again: bool) -> Part:
        """Let a piece be left out, or come again."""
        if again:
            self._lead(part.last, part.first)
        return Part(part.empty or empty, part.first, part.last)

    def finish(self, part: Part) -> Automaton:
        """Make ``part`` the whole."""
        self.follow[0] = part.first
        self.accepting = part.last | part.empty
        return self

    def _lead(self, froms: int, to: int) -> None:
        for position in bits(froms):
            self.follow[position] |= to

    def mask(self, kind: str) -> int:
        """Return the positions whose word is this step type, or any."""
        found = self._types.get(kind)
        if found is None:
            found = self._types[kind] = sum(
                1 << place for place, word in enumerate(self.words) if place and word in (kind, ANY)
            )
        return found

    def matches(self, types: Sequence[str]) -> bool:
        """Say whether a whole sequence of step types matches."""
        state, known = 1, self._steps
        for kind in types:
            after = known.get((state, kind))
            if after is None:
                after = known[state, kind] = self.move(state, self.mask(kind))
            state = after
            if not state:
                return False
        return bool(state & self.accepting)

    def accepts(self, masks: Sequence[int]) -> bool:
        """Say the same of steps given as the positions each could stand at."""
        state = 1
        for mask in masks:
            state = self.move(state, mask)
        return bool(state & self.accepting)

    def move(self, state: int, mask: int) -> int:
        """Return the states after one step that fits the positions in ``mask``."""
        after = 0
        for position in bits(state):
            after |= self.follow[position]
        return after & mask


def bits(mask: int) -> list[int]:
    """Return the numbers of the bits that are set, in order."""
    found = []
    while mask:
        low = mask & -mask
        found.append(low.bit_length() - 1)
        mask ^= low
    return found


def align(automaton: Automaton, masks: Sequence[int], *, extra: int = _EXTRA) -> list[Row] | None:
    """Return the cheapest alignment of steps (``masks``: the positions each fits) with the automaton, as rows in order.

    ``extra`` is the price of a step that the automaton does not ask for: 0 where such steps are allowed, and then nothing counts as
    *different*. None where the comparison would be too large to show.
    """
    count = len(masks)
    if (count + 1) * len(automaton.words) > _MAX_CELLS:
        return None
    start = (0, 0)
    paid: dict[tuple[int, int], int] = {start: 0}
    came: dict[tuple[int, int], tuple[tuple[int, int], Row]] = {}
    # The step count goes first among equals: the alignment that parts latest reads best.
    queue: list[tuple[int, int, int]] = [(0, 0, 0)]
    goal = start
    while queue:
        cost, minus_step, position = heappop(queue)
        step = -minus_step
        node = (step, position)
        if cost > paid[node]:
            continue
        if step == count and automaton.accepting >> position & 1:
            goal = node
            break
        moves: list[tuple[int, int, Row]] = []
        after = bits(automaton.follow[position])
        if step < count:
            mask = masks[step]
            for to in after:
                if mask >> to & 1:
                    moves.append((step + 1, to, Row(to, step, 0)))
                elif extra:
                    moves.append((step + 1, to, Row(to, step, _DIFFERENT)))
            moves.append((step + 1, position, Row(None, step, extra)))
        moves += [(step, to, Row(to, None, _MISSING)) for to in after]
        for next_step, to, row in moves:
            price, key = cost + row.cost, (next_step, to)
            if price < paid.get(key, price + 1):
                paid[key] = price
                came[key] = (node, row)
                heappush(queue, (price, -next_step, to))
    rows = []
    while goal != start:
        goal, row = came[goal]
        rows.append(row)
    return rows[::-1]
