"""Who stands for whom: the best one-to-one assignment of what came to what was expected.

Expected entries accept some of the items that came, each entry between ``min`` and ``max`` of them. Taking the first fitting entry for each
item (greedy) makes the verdict depend on the order in which entries are written: an entry that accepts much takes the item that another
one needs. Here augmenting paths (Kuhn 1955; Hopcroft and Karp 1973) find an assignment that first fills as many required places as can be
filled and then places as many items as can be placed. A place once filled stays filled while paths are augmented (Mendelsohn and Dulmage
1958), so when any assignment satisfies everything, the one found does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple


class Assignment(NamedTuple):
    """``entry_of[item]`` is the entry an item stands for, or None; ``lacking[entry]`` how many required items an entry still lacks."""

    entry_of: list[int | None]
    lacking: list[int]

    @property
    def left(self) -> list[int]:
        """The items that stand for nothing."""
        return [item for item, entry in enumerate(self.entry_of) if entry is None]


def assign(
    accepts: Sequence[Sequence[int]], limits: Sequence[tuple[int, int | None]], count: int
) -> Assignment:
    """Assign ``count`` items to entries.

    ``accepts[entry]`` are the items an entry takes, ``limits[entry]`` the least and greatest number of them (None: any number).
    """
    entry_of: list[int | None] = [None] * count
    held: list[set[int]] = [set() for _ in accepts]
    for entry, (least, _) in enumerate(limits):
        while len(held[entry]) < least and _fill(entry, accepts, entry_of, held):
            pass
    takers: list[list[int]] = [[] for _ in range(count)]
    for entry, items in enumerate(accepts):
        for item in items:
            takers[item].append(entry)
    for item in range(count):
        if entry_of[item] is None:
            _place(item, takers, limits, entry_of, held)
    return Assignment(
        entry_of, [max(0, least - len(held[entry])) for entry, (least, _) in enumerate(limits)]
    )


def _fill(
    start: int, accepts: Sequence[Sequence[int]], entry_of: list[int | None], held: list[set[int]]
) -> bool:
    """Give ``start`` one more item: a free one, or one of another entry which then finds itself another."""
    came: dict[int, tuple[int, int]] = {}
    queue, seen = deque([start]), {start}
    while queue:
        entry = queue.popleft()
        for item in accepts[entry]:
            holder = entry_of[item]
            if holder is None:
                while True:
                    entry_of[item] = entry
                    held[entry].add(item)
                    if entry == start:
                        return True
                    # The item this entry gives away goes to the entry that asked for it.
                    asker, given = came[entry]
                    held[entry].discard(given)
                    entry, item = asker, given
            elif holder not in seen:
                seen.add(holder)
                came[holder] = (entry, item)
                queue.append(holder)
    return False


def _place(
    start: int,
    takers: Sequence[Sequence[int]],
    limits: Sequence[tuple[int, int | None]],
    entry_of: list[int | None],
    held: list[set[int]],
) -> None:
    """Find a place for ``start``: in an entry with room, or in place of an item which then finds itself another entry."""
    came: dict[int, tuple[int, int]] = {}
    queue, seen = deque([start]), {start}
    while queue:
        item = queue.popleft()
        for entry in takers[item]:
            most = limits[entry][1]
            if most is None or len(held[entry]) < most:
                while True:
                    old = entry_of[item]
                    if old is not None:
                        held[old].discard(item)
                    entry_of[item] = entry
                    held[entry].add(item)
                    if item == start:
                        return
                    # The item that moved out leaves its place to the one that pushed it.
                    item, entry = came[item]
            for other in held[entry]:
                if other not in seen:
                    seen.add(other)
                    came[other] = (item, entry)
                    queue.append(other)
