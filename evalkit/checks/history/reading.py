"""One way to read which item of a later request is which step of the history. Pure; what follows from it is ``history_diff``'s to tell.

A reading starts from anchors (equal steps in order), and explains the rest by the first of these that fits: a result that answers a call
of the earlier answer; an equal step elsewhere, which moved; a step alike in the same gap between anchors, which was altered. What is left
on the side of the history is missing, what is left on the side of the request is new, doubled or made up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property

from evalkit._lib.json import equal
from evalkit.checks.history.align import Pairs, gaps
from evalkit.checks.history.input import Item, RawStep
from evalkit.checks.history.step import Wanted, call_key, key_of, likeness
from evalkit.protocol.step_reader import pair_calls, type_of
from evalkit.protocol.step_types import CLIENT_STEPS


class Case:
    """A history and the request that should re-send it. ``closed``: the client must add nothing (the next hop of a continued call)."""

    def __init__(self, wanted: Sequence[Wanted], items: Sequence[Item], closed: bool) -> None:
        self.wanted = wanted
        self.items = items
        self.closed = closed
        self.keys = [key_of(want.step) for want in wanted]
        self.got_keys = [key_of(item.step) for item in items]

    @cached_property
    def waiting(self) -> list[int]:
        """The calls of the earlier answer that wait for the client's result.

        Not those that have one in the history already, nor those that only repeat an answered call: an answer may show it again (last
        sample of guide section 9). Ids may repeat from answer to answer.
        """
        steps = [want.step for want in self.wanted]
        answered = {
            call_key(step.get("call_id")) for step in steps if step.get("type") == "function_result"
        } - {None}
        return [
            call
            for call, result in pair_calls(steps).pairs
            if result is None
            and self.wanted[call].answered
            and steps[call].get("type") == "function_call"
            and not (
                call_key(steps[call].get("id")) in answered
                and any(equal(steps[call], steps[other]) for other in range(call))
            )
        ]

    def calls(self) -> Iterator[RawStep]:
        """Every function call of the history and of the request."""
        steps = [*(want.step for want in self.wanted), *(item.step for item in self.items)]
        return (step for step in steps if step.get("type") == "function_call")


class Reading:
    """``anchors`` and ``pairs`` (anchors and moved steps) and ``altered`` lead from step to item, ``answers`` from result to call.

    ``left`` are the items that nothing explains. ``last_is_new``: the last thing the client could have added is new, never an older step.
    """

    def __init__(self, case: Case, anchors: Pairs, last_is_new: bool) -> None:
        self.case = case
        self.anchors = anchors
        self.pairs: Pairs = dict(anchors)
        self.altered: Pairs = {}
        self.answers: dict[int, int] = {}
        self.left = set(range(len(case.items))) - set(anchors.values())
        self._last_is_new = last_is_new
        self._tail = max(anchors.values(), default=-1) + 1
        self._find_answers()
        self._find_moved()
        self._find_altered()
        self._find_answers()

    def place(self, index: int) -> int | None:
        """Return the item that a step was re-sent as, moved or altered or not."""
        return self.pairs.get(index, self.altered.get(index))

    def client_adds(self, item: int) -> bool:
        """Say whether an item may be something new from the client: of its own kind, after the history."""
        return (
            item >= self._tail
            and not self.case.closed
            and type_of(self.case.items[item].step) in CLIENT_STEPS
        )

    def _spare(self, item: int) -> bool:
        """Say whether an item may be taken for an older step."""
        if not self._last_is_new or not self.client_adds(item):
            return True
        return any(other > item for other in (*self.left, *self.answers) if self.client_adds(other))

    def _find_answers(self) -> None:
        """Find the results of the waiting calls, by id or, where either has none, by order. Altered calls also go by their new id."""
        wanted, items = self.case.wanted, self.case.items
        calls = [call for call in self.case.waiting if call not in self.answers.values()]
        lost = [
            want.step
            for index, want in enumerate(wanted)
            if index not in self.pairs and want.step.get("type") == "function_result"
        ]
        older = {call_key(step.get("call_id")) for step in lost} - {None}
        for item in sorted(self.left) if calls else ():
            step = items[item].step
            if step.get("type") != "function_result":
                continue
            key = call_key(step.get("call_id"))
            for call in calls:
                sent = items[self.altered[call]].step if call in self.altered else {}
                ids = {call_key(wanted[call].step.get("id")), call_key(sent.get("id"))} - {None}
                if (key in ids) if key is not None and ids else key not in older:
                    self.answers[item] = call
                    self.left.discard(item)
                    calls.remove(call)
                    break

    def _find_moved(self) -> None:
        places = defaultdict(list)
        for item in sorted(self.left):
            places[self.case.got_keys[item]].append(item)
        for index, key in enumerate(self.case.keys):
            if index not in self.pairs:
                self._take(index, places.get(key, ()), self.pairs)

    def _find_altered(self) -> None:
        """Pair steps alike in the same gap: those of one type and id before those of one type before those of one content."""
        wanted, items = self.case.wanted, self.case.items
        for rows, columns in gaps(self.anchors, len(wanted), len(items)):
            lost = [index for index in rows if index not in self.pairs]
            free = [item for item in columns if item in self.left]
            if not lost or not free:
                continue
            for trait in (_identity, _kind):
                alike = defaultdict(list)
                for item in free:
                    alike[trait(items[item].step)].append(item)
                for index in lost:
                    mark = trait(wanted[index].step)
                    if index not in self.altered and mark is not None:
                        self._take(index, alike.get(mark, ()), self.altered)
            for index in lost:
                if index not in self.altered:
                    near = (
                        item
                        for item in free
                        if item in self.left and likeness(wanted[index].step, items[item].step)
                    )
                    self._take(index, near, self.altered)

    def _take(self, index: int, candidates: Sequence[int] | Iterator[int], found: Pairs) -> None:
        for item in candidates:
            if item in self.left and self._spare(item):
                found[index] = item
                self.left.discard(item)
                return


def _identity(step: RawStep) -> tuple[str, str] | None:
    key = call_key(step.get("id")) or call_key(step.get("call_id"))
    return (str(step.get("type")), key) if key is not None else None


def _kind(step: RawStep) -> tuple[str, str]:
    return str(step.get("type")), ""
