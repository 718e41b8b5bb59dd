"""Match received items with expected entries, one to one, in the best way.

Each entry accepts some of the items, between ``least`` and ``most`` of them. Taking the first
entry that fits each item would make the verdict depend on the order of the entries: an entry that
accepts much takes the item that another one needs. Here augmenting paths (Kuhn 1955; Hopcroft and
Karp 1973) fill as many required places as possible, then assign as many items as possible. A place
once filled stays filled while paths are augmented (Mendelsohn and Dulmage 1958), so if any
assignment satisfies everything, the one found does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Assignment(NamedTuple):
    """The entry of each item, or None; and how many required items each entry still misses."""

    entry_of: list[int | None]
    missing: list[int]

    @property
    def unassigned(self) -> list[int]:
        """The items without an entry."""
        return [item for item, entry in enumerate(self.entry_of) if entry is None]


def assign(
    accepts: Sequence[Sequence[int]], limits: Sequence[tuple[int, int | None]], count: int
) -> Assignment:
    """Assign ``count`` items to entries.

    ``accepts[entry]`` are the items that an entry accepts, ``limits[entry]`` the least and the
    greatest number of them (None: any number).
    """
    entry_of: list[int | None] = [None] * count
    for entry, (least, _) in enumerate(limits):
        while entry_of.count(entry) < least and _fill(entry, accepts, entry_of):
            pass
    for item in range(count):
        if entry_of[item] is None:
            _place(item, accepts, limits, entry_of)
    missing = [max(0, least - entry_of.count(entry)) for entry, (least, _) in enumerate(limits)]
    return Assignment(entry_of, missing)


def _fill(start: int, accepts: Sequence[Sequence[int]], entry_of: list[int | None]) -> bool:
    """Give an entry one more item: a free one, or one of an entry that finds another instead."""
    origins: dict[int, tuple[int, int]] = {}
    queue = [start]
    for entry in queue:
        for item in accepts[entry]:
            owner = entry_of[item]
            if owner is None:
                entry_of[item] = entry
                while entry != start:
                    entry, item = origins[entry]
                    entry_of[item] = entry
                return True
            if owner != start and owner not in origins:
                origins[owner] = (entry, item)
                queue.append(owner)
    return False


def _place(
    start: int,
    accepts: Sequence[Sequence[int]],
    limits: Sequence[tuple[int, int | None]],
    entry_of: list[int | None],
) -> None:
    """Find an entry for an item: one with room, or the place of an item that finds another."""
    origins: dict[int, tuple[int, int]] = {}
    queue = [start]
    full: set[int] = set()
    for item in queue:
        for entry in range(len(accepts)):
            if item not in accepts[entry] or entry in full:
                continue
            most = limits[entry][1]
            if most is None or entry_of.count(entry) < most:
                entry_of[item] = entry
                while item != start:
                    item, entry = origins[item]
                    entry_of[item] = entry
                return
            full.add(entry)
            for other in [index for index, owner in enumerate(entry_of) if owner == entry]:
                origins[other] = (item, entry)
                queue.append(other)
