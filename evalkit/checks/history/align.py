"""Which step of a later request is which step of the history: matching two sequences of steps, and what the matching says about order.

Pure sequence theory, no step fields: steps are given as keys (equal keys, equal steps). The aim is the *smallest* story. Equal steps are
anchored by longest common subsequences, found by Hunt and Szymanski's method (1977: near linear where most keys are unique), steps of the
model before steps of the client, because a client says the same words ("go on") twice far more often than a model signs the same thought
twice. What is left is told as moves or as swaps, whichever are fewer.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence

Pairs = dict[int, int]
"""Index in the expected sequence to index in the one that came."""


def anchor(
    wanted: Sequence[Hashable],
    got: Sequence[Hashable],
    first: Sequence[bool],
    *,
    backward: bool = False,
) -> Pairs:
    """Match equal steps without crossing: those marked in ``first`` go before, the others fit in between.

    Of equal steps the earliest is taken, or going ``backward`` the latest.
    """
    if backward:
        pairs = anchor(wanted[::-1], got[::-1], first[::-1])
        return {len(wanted) - 1 - row: len(got) - 1 - column for row, column in pairs.items()}
    head = 0
    while head < min(len(wanted), len(got)) and wanted[head] == got[head]:
        head += 1
    pairs = {index: index for index in range(head)}
    strong = [index for index in range(head, len(wanted)) if first[index]]
    pairs.update(_common(wanted, got, strong, range(head, len(got))))
    weak: list[int] = []
    floor = head
    for index in [*range(head, len(wanted)), len(wanted)]:
        if index < len(wanted) and index not in pairs:
            weak.append(index)
        elif index == len(wanted) or index in pairs:
            ceiling = pairs.get(index, len(got))
            pairs.update(_common(wanted, got, weak, range(floor, ceiling)))
            weak, floor = [], ceiling + 1
    return pairs


def stayed(wanted: Sequence[Hashable], got: Sequence[Hashable]) -> Pairs:
    """Match equal steps at the same place: where two steps changed places, all others stayed, however alike they are."""
    return {
        index: index
        for index, (want, came) in enumerate(zip(wanted, got, strict=False))
        if want == came
    }


def _common(
    wanted: Sequence[Hashable], got: Sequence[Hashable], rows: Sequence[int], columns: range
) -> Pairs:
    """Return a longest common subsequence of the chosen rows and columns."""
    if not rows or not columns:
        return {}
    places: dict[Hashable, list[int]] = defaultdict(list)
    for column in reversed(columns):
        places[got[column]].append(column)
    tops: list[int] = []
    links: list[tuple[int, int, int]] = []
    ends: list[int] = []
    for row in rows:
        for column in places.get(wanted[row], ()):
            length = bisect_left(tops, column)
            if length < len(tops) and tops[length] == column:
                continue
            links.append((row, column, ends[length - 1] if length else -1))
            if length == len(tops):
                tops.append(column)
                ends.append(len(links) - 1)
            else:
                tops[length] = column
                ends[length] = len(links) - 1
    pairs: Pairs = {}
    at = ends[-1] if ends else -1
    while at >= 0:
        row, column, at = links[at]
        pairs[row] = column
    return pairs


def gaps(pairs: Pairs, wanted: int, got: int) -> Iterator[tuple[range, range]]:
    """Yield the stretches between neighbouring pairs: the unmatched part of either sequence."""
    left = right = 0
    for index in [*sorted(pairs), wanted]:
        column = pairs.get(index, got)
        if index > left or column > right:
            yield range(left, index), range(right, column)
        left, right = index + 1, column + 1


def disorder(pairs: Pairs) -> tuple[list[int], list[tuple[int, int]]]:
    """Tell how a matching that may cross differs from one in order: ``(steps that moved, steps that changed places)``, as expected indexes.

    One of the two lists is empty: the story with fewer events is told, moves where both are as short.
    """
    rows = sorted(pairs)
    columns = sorted(pairs.values())
    rank = {column: place for place, column in enumerate(columns)}
    order = [rank[pairs[row]] for row in rows]
    if order == sorted(order):
        return [], []
    swaps = []
    work = order.copy()
    for place in range(len(work)):
        while work[place] != place:
            other = work[place]
            swaps.append((rows[min(place, other)], rows[max(place, other)]))
            work[place], work[other] = work[other], work[place]
    kept = set(_longest_rise(order))
    moved = [rows[place] for place in range(len(order)) if place not in kept]
    return ([], swaps) if len(swaps) < len(moved) else (moved, [])


def _longest_rise(order: Sequence[int]) -> list[int]:
    """Return the places of a longest increasing subsequence."""
    tops: list[int] = []
    ends: list[int] = []
    before: list[int] = []
    for place, value in enumerate(order):
        length = bisect_left(tops, value)
        before.append(ends[length - 1] if length else -1)
        if length == len(tops):
            tops.append(value)
            ends.append(place)
        else:
            tops[length] = value
            ends[length] = place
    found = []
    at = ends[-1] if ends else -1
    while at >= 0:
        found.append(at)
        at = before[at]
    return found[::-1]
