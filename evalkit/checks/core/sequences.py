"""Match received items with expected ones: in the order of a pattern, or in any order.

A pattern is Glushkov's automaton: one state per word, no empty moves, run with the set of possible
states. Matching is linear in the steps for every pattern (no backtracking). ``align`` finds the
cheapest edit of a sequence that does not match: Dijkstra's algorithm over (step, position). Steps
are given as the positions that each of them fits. So the automaton does not know what a step is,
and serves step types as well as calls with arguments.

In any order, each entry accepts some of the items, between ``least`` and ``most`` of them. Taking
the first entry that fits each item would make the verdict depend on the order of the entries: an
entry that accepts much takes the item that another one needs. Here augmenting paths (Kuhn 1955;
Hopcroft and Karp 1973) fill as many required places as possible, then assign as many items as
possible. A place once filled stays filled while paths are augmented (Mendelsohn and Dulmage 1958),
so if any assignment satisfies everything, the one found does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from heapq import heappop, heappush
from typing import NamedTuple

from evalkit.checks.core.formatting import table

ANY = "."
"""The word of a pattern that fits every item."""
_MAX_CELLS = 250_000
_MAX_STATES = 5_000
# A different step costs more than a missing one, and less than a missing and an unexpected one.
_MISSING, _UNEXPECTED, _DIFFERENT = 2, 2, 3


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
    # First what is required, then what is allowed.
    for bounds in ([least for least, _ in limits], [most for _, most in limits]):
        for entry, bound in enumerate(bounds):
            while (bound is None or entry_of.count(entry) < bound) and _fill(
                entry, accepts, entry_of
            ):
                pass
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


class AlignedRow(NamedTuple):
    """A position (from 1) beside a step (from 0), either may be None; ``cost`` 0 if they match."""

    position: int | None
    step: int | None
    cost: int

    @property
    def note(self) -> str:
        """What is wrong in this row, ``""`` if nothing is."""
        if not self.cost:
            return ""
        if self.step is None:
            return "missing"
        return "unexpected" if self.position is None else "different"


class Part(NamedTuple):
    """A part of an automaton: whether it may be empty, its first and its last positions."""

    may_be_empty: bool
    first: frozenset[int]
    last: frozenset[int]


NOTHING = Part(True, frozenset(), frozenset())


class Automaton:
    """Positions from 1 with their words; 0 is the start.

    ``labels`` are the words with their repeat signs. ``following[p]`` are the positions that may
    come after ``p``.
    """

    def __init__(self) -> None:
        self.words = [""]
        self.labels = [""]
        self.following: list[set[int]] = [set()]
        self.accepting: frozenset[int] = frozenset()

    @classmethod
    def of_sequence(cls, words: Iterable[tuple[str, bool, bool]]) -> Automaton:
        """Return the automaton of words in order: (label, is optional, may be repeated)."""
        automaton, whole = cls(), NOTHING
        for label, is_optional, is_repeated in words:
            part = automaton.repeat(automaton.add(label), is_optional, is_repeated)
            whole = automaton.join(whole, part)
        return automaton.finish(whole)

    def add(self, label: str) -> Part:
        """Add a position."""
        self.words.append(label)
        self.labels.append(label)
        self.following.append(set())
        position = frozenset({len(self.labels) - 1})
        return Part(False, position, position)

    def join(self, left: Part, right: Part) -> Part:
        """Join two parts in sequence."""
        self._connect(left.last, right.first)
        first = left.first | right.first if left.may_be_empty else left.first
        last = left.last | right.last if right.may_be_empty else right.last
        return Part(left.may_be_empty and right.may_be_empty, first, last)

    def repeat(self, part: Part, is_optional: bool, is_repeated: bool) -> Part:
        """Let a part be left out, or be repeated."""
        if is_repeated:
            self._connect(part.last, part.first)
        return part._replace(may_be_empty=part.may_be_empty or is_optional)

    def finish(self, part: Part) -> Automaton:
        """Make ``part`` the whole automaton."""
        self.following[0] = set(part.first)
        self.accepting = part.last | {0} if part.may_be_empty else part.last
        return self

    def _connect(self, sources: Iterable[int], targets: Iterable[int]) -> None:
        for position in sources:
            self.following[position].update(targets)

    def accepts(self, fits: Iterable[Collection[int]], *, allow_extra: bool = False) -> bool:
        """Return whether steps match, ``fits`` being the positions that each of them fits."""
        states = {0}
        for positions in fits:
            moved = {to for state in states for to in self.following[state] if to in positions}
            states = moved | states if allow_extra else moved
        return not states.isdisjoint(self.accepting)

    def includes(self, other: Automaton) -> bool | None:
        """Return whether this accepts every sequence that another accepts; None if it is unknown.

        All sequences of both are tried at once, by the sets of positions that they lead to. A word
        that neither names stands for all others; ``.`` fits any.
        """
        words = {*self.words[1:], *other.words[1:], ""} - {ANY}
        start = frozenset({0}), frozenset({0})
        seen, queue = {start}, [start]
        while queue:
            mine, its = queue.pop()
            if not other.accepting.isdisjoint(its) and self.accepting.isdisjoint(mine):
                return False
            for word in words:
                moved = self._moved(mine, word), other._moved(its, word)
                if moved[1] and moved not in seen:
                    seen.add(moved)
                    queue.append(moved)
            if len(seen) > _MAX_STATES:
                return None
        return True

    def _moved(self, states: Iterable[int], word: str) -> frozenset[int]:
        return frozenset(
            to for state in states for to in self.following[state] if self.words[to] in (word, ANY)
        )

    def align(
        self, fits: Sequence[Collection[int]], *, allow_extra: bool = False
    ) -> list[AlignedRow] | None:
        """Return the cheapest alignment of steps with the automaton, as rows in order.

        With ``allow_extra`` steps that fit nothing cost nothing, and no row is *different*. None
        where the comparison would be too large to show.
        """
        if (len(fits) + 1) * len(self.labels) > _MAX_CELLS:
            return None
        start = goal = (0, 0)
        costs = {start: 0}
        origins: dict[tuple[int, int], tuple[tuple[int, int], AlignedRow]] = {}
        # Of equally cheap alignments, the one that differs last reads best: steps count first.
        queue = [(0, 0, 0)]
        while queue:
            cost, negative_step, position = heappop(queue)
            node = (-negative_step, position)
            if cost > costs[node]:
                continue
            if node[0] == len(fits) and position in self.accepting:
                goal = node
                break
            for row in self._moves(node, fits, allow_extra):
                step = node[0] + (row.step is not None)
                target = (step, position if row.position is None else row.position)
                total = cost + row.cost
                if total < costs.get(target, total + 1):
                    costs[target] = total
                    origins[target] = (node, row)
                    heappush(queue, (total, -step, target[1]))
        rows = []
        while goal != start:
            goal, row = origins[goal]
            rows.append(row)
        return rows[::-1]

    def _moves(
        self, node: tuple[int, int], fits: Sequence[Collection[int]], allow_extra: bool
    ) -> list[AlignedRow]:
        step, position = node
        following = sorted(self.following[position])
        rows = []
        if step < len(fits):
            for to in following:
                if to in fits[step]:
                    rows.append(AlignedRow(to, step, 0))
                elif not allow_extra:
                    rows.append(AlignedRow(to, step, _DIFFERENT))
            rows.append(AlignedRow(None, step, 0 if allow_extra else _UNEXPECTED))
        return rows + [AlignedRow(to, None, _MISSING) for to in following]


def alignment_table(
    rows: Sequence[AlignedRow],
    expected: Sequence[str],
    got: Sequence[str],
    numbers: Sequence[str] = (),
) -> str:
    """Return rows as a table: the texts of the positions beside those of the steps.

    ``numbers`` are the numbers of the steps, for a column before them.
    """
    lines = [["expected", "got"]]
    for row in rows:
        left = "-" if row.position is None else expected[row.position]
        lines.append([left, "-" if row.step is None else got[row.step], row.note])
    if numbers:
        column = ["" if row.step is None else numbers[row.step] for row in rows]
        lines = [[number, *line] for number, line in zip(["", *column], lines, strict=True)]
    return table(lines)
