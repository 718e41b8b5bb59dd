"""Which item of a request re-sends which step of the history.

Two requests with the same meaning in two shapes of ``input`` (``protocol.input_reader``) have the
same history. Steps of the model are never rewritten: there, every difference counts.

Steps are compared by keys (equal keys, equal steps), in this order:

1. A step that occurs once in the history and once in the request is re-sent there, moved or not.
   Not a user's message: users repeat themselves ("go on").
2. The largest set of such pairs in the same order are the anchors (as in a patience diff).
   Messages and repeated steps are paired in the gaps between them.
3. A remaining step that is equal to a remaining item was moved.
4. A remaining step and a remaining item in the same gap that are alike are one altered step.
5. Results of the client that answer calls of the last response are new.

With ``last_is_new`` the last item that the client can have added is new, never an older step that
was moved or altered.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from functools import cached_property
from typing import NamedTuple

from evalkit._lib.json import JSON, canonical
from evalkit.protocol.input_reader import InputItem
from evalkit.protocol.step_reader import RawStep, pair_calls, type_of
from evalkit.protocol.step_types import CLIENT_STEPS

Pairs = dict[int, int]
"""Index of a step of the history to the index of an item of the request."""


class HistoryStep(NamedTuple):
    """A step that must be re-sent.

    ``is_new`` says that it belongs to the last response; ``source`` names where it was sent or
    received, for messages.
    """

    step: RawStep
    is_new: bool
    source: str


class Matching:
    """The steps of a history matched with the items of the request that should re-send it.

    ``pairs`` are equal steps, ``altered`` changed ones. ``answers`` leads from the item of a new
    result to the step of its call. ``unexplained`` are the remaining items. With ``is_closed`` the
    client must not add anything.
    """

    def __init__(
        self,
        history: Sequence[HistoryStep],
        items: Sequence[InputItem],
        *,
        is_closed: bool,
        last_is_new: bool,
    ) -> None:
        self.history = history
        self.items = items
        self.step_keys = [canonical(each.step) for each in history]
        self.item_keys = [canonical(item.step) for item in items]
        self.pairs: Pairs = {}
        self.altered: Pairs = {}
        self.answers: dict[int, int] = {}
        self.unexplained = set(range(len(items)))
        self._is_closed = is_closed
        self._last_is_new = last_is_new
        self._match_unique()
        self._anchors = {row: self.pairs[row] for row in rising_rows(self.pairs)}
        self._match_repeated()
        self._tail = max(self._anchors.values(), default=-1) + 1
        self._match_moved()
        self._match_altered()
        self._match_answers()

    def place(self, index: int) -> int | None:
        """Return the item that re-sends a step, equal or altered, or None."""
        return self.pairs.get(index, self.altered.get(index))

    def expected_place(self, index: int) -> int:
        """Return the item index at which a missing step belongs."""
        placed = self.altered | self._anchors
        before = max((row for row in placed if row < index), default=None)
        place = placed[before] + 1 if before is not None else 0
        while self.answers.get(place, index) < index:
            place += 1
        return place

    def may_be_added(self, item: int) -> bool:
        """Return whether an item may be new: one of the client's steps, after the history."""
        is_client_step = type_of(self.items[item].step) in CLIENT_STEPS
        return item >= self._tail and is_client_step and not self._is_closed

    @cached_property
    def waiting_calls(self) -> list[int]:
        """The calls of the last response that wait for the client's result.

        A call that repeats an answered one is not waiting: a response may show it again. Ids may
        repeat from response to response.
        """
        steps = [each.step for each in self.history]
        results = [step for step in steps if step.get("type") == "function_result"]
        answered = {call_key(step.get("call_id")) for step in results} - {None}
        return [
            call
            for call, result in pair_calls(steps).pairs
            if steps[call].get("type") == "function_call"
            and result is None
            and self.history[call].is_new
            and not (
                call_key(steps[call].get("id")) in answered
                and self.step_keys[call] in self.step_keys[:call]
            )
        ]

    def _match_unique(self) -> None:
        step_counts, item_counts = Counter(self.step_keys), Counter(self.item_keys)
        items = {key: item for item, key in enumerate(self.item_keys) if item_counts[key] == 1}
        for index, key in enumerate(self.step_keys):
            is_message = self.history[index].step.get("type") == "user_input"
            if step_counts[key] == 1 and key in items and not is_message:
                self._pair(index, items[key], self.pairs)

    def _match_repeated(self) -> None:
        for rows, columns in self._gaps():
            if columns.stop < len(self.items) and len(columns) <= len(rows):
                # Nothing was added here, so compare from the end: histories are cut at the start.
                for index, item in zip(reversed(rows), reversed(columns), strict=False):
                    if self.step_keys[index] != self.item_keys[item]:
                        break
                    self._anchor(index, item)
            free = self._free_by(columns, lambda item: self.item_keys[item])
            start = columns.start
            for index in rows:
                candidates = free.get(self.step_keys[index], [])
                at = bisect_left(candidates, start)
                if index not in self.pairs and at < len(candidates):
                    self._anchor(index, candidates[at])
                    start = candidates[at] + 1

    def _anchor(self, index: int, item: int) -> None:
        self._anchors[index] = item
        self._pair(index, item, self.pairs)

    def _match_moved(self) -> None:
        free = self._free_by(range(len(self.items)), lambda item: self.item_keys[item])
        for index, key in enumerate(self.step_keys):
            if index not in self.pairs:
                self._take(index, free.get(key, ()), self.pairs)
        self._prefer_same_places()

    def _prefer_same_places(self) -> None:
        """Exchange equal steps, so that most stayed in place, where fewer steps were moved then."""
        by_key = defaultdict(list)
        for index in sorted(self.pairs):
            by_key[self.step_keys[index]].append(index)
        stable: Pairs = {}
        for rows in by_key.values():
            columns = {self.pairs[row] for row in rows}
            same = columns.intersection(rows)
            stable |= {row: row for row in same}
            stable |= dict(zip(sorted({*rows} - same), sorted(columns - same), strict=True))
        self.pairs = min(self.pairs, stable, key=_count_moves)

    def _match_altered(self) -> None:
        for rows, columns in self._gaps():
            for trait in (_identity, type_of, _all_but_type):
                marks = {item: trait(self.items[item].step) for item in columns}
                free = self._free_by(columns, marks.__getitem__)
                for index in rows:
                    mark = trait(self.history[index].step)
                    if self.place(index) is None and mark is not None:
                        self._take(index, free.get(mark, ()), self.altered)

    def _match_answers(self) -> None:
        """Match new results with waiting calls: by id, or by order where either has none."""
        calls = list(self.waiting_calls)
        for item in sorted(self.unexplained) if calls else ():
            step = self.items[item].step
            if step.get("type") != "function_result":
                continue
            key = call_key(step.get("call_id"))
            for call in calls:
                # The client may answer a call under the id that it changed it to.
                sent = self.items[self.altered[call]].step if call in self.altered else {}
                ids = {call_key(self.history[call].step.get("id")), call_key(sent.get("id"))} - {
                    None
                }
                if key in ids or key is None or not ids:
                    self.answers[item] = call
                    self.unexplained.discard(item)
                    calls.remove(call)
                    break

    def _gaps(self) -> list[tuple[range, range]]:
        """Return the steps and the items between neighboring anchors."""
        gaps = []
        row = column = 0
        for index, item in [*sorted(self._anchors.items()), (len(self.history), len(self.items))]:
            if row < index and column < item:
                gaps.append((range(row, index), range(column, item)))
            row, column = index + 1, item + 1
        return gaps

    def _free_by(self, items: range, trait: Callable[[int], Hashable]) -> dict[Hashable, list[int]]:
        """Group unexplained items by a trait."""
        groups: dict[Hashable, list[int]] = defaultdict(list)
        for item in items:
            if item in self.unexplained:
                groups[trait(item)].append(item)
        return groups

    def _take(self, index: int, candidates: Sequence[int], pairs: Pairs) -> None:
        """Pair a step with the first candidate that is free and may be an older step."""
        for item in candidates:
            if item in self.unexplained and not self._is_new(item):
                self._pair(index, item, pairs)
                break

    def _is_new(self, item: int) -> bool:
        if not self._last_is_new or not self.may_be_added(item):
            return False
        return not any(other > item and self.may_be_added(other) for other in self.unexplained)

    def _pair(self, index: int, item: int, pairs: Pairs) -> None:
        pairs[index] = item
        self.unexplained.discard(item)


def call_key(value: JSON) -> str | None:
    """Return a call's id or a result's call_id as text, or None where it is unusable."""
    is_id = isinstance(value, str | int) and not isinstance(value, bool) and value != ""
    return str(value) if is_id else None


def _identity(step: RawStep) -> Hashable:
    key = call_key(step.get("id")) or call_key(step.get("call_id"))
    return (type_of(step), key) if key is not None else None


def _all_but_type(step: RawStep) -> Hashable:
    rest = {key: value for key, value in step.items() if key != "type"}
    return canonical(rest) if rest else None


def disorder(pairs: Pairs) -> tuple[list[int], list[tuple[int, int]]]:
    """Return the steps that were moved, or those that changed places, whichever are fewer."""
    rows = sorted(pairs)
    if [pairs[row] for row in rows] == sorted(pairs.values()):
        return [], []
    rank = {column: position for position, column in enumerate(sorted(pairs.values()))}
    order = [rank[pairs[row]] for row in rows]
    swaps = []
    for position in range(len(order)):
        while order[position] != position:
            other = order[position]
            swaps.append((rows[min(position, other)], rows[max(position, other)]))
            order[position], order[other] = order[other], order[position]
    in_order = set(rising_rows(pairs))
    moved = [row for row in rows if row not in in_order]
    return ([], swaps) if len(swaps) < len(moved) else (moved, [])


def _count_moves(pairs: Pairs) -> int:
    moved, swapped = disorder(pairs)
    return len(moved) + len(swapped)


def rising_rows(pairs: Pairs) -> list[int]:
    """Return the rows of a longest set of pairs in which the columns rise with the rows."""
    tops: list[int] = []
    ends: list[int] = []
    previous: dict[int, int] = {}
    for row in sorted(pairs):
        length = bisect_left(tops, pairs[row])
        if length:
            previous[row] = ends[length - 1]
        tops[length : length + 1] = [pairs[row]]
        ends[length : length + 1] = [row]
    rows = ends[-1:]
    while rows and rows[-1] in previous:
        rows.append(previous[rows[-1]])
    return rows[::-1]
