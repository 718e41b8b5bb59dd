"""What became of a history in a later request: the smallest list of deviations, each with its own code and place. Pure.

Given are the steps that must be re-sent (the earlier input and the earlier answer) and the items that were. Every item and every step is
explained once, by the first rule that fits:

| rule | tells |
|---|---|
| equal, in order | nothing |
| a result that answers a call of the earlier answer, right after the calls or after the answer | nothing; elsewhere ``step_reordered`` |
| equal, out of order | ``step_reordered``: as moves or as swaps, whichever are fewer |
| alike, in one gap between equal ones | ``signature_altered``, ``null_added``, ``null_dropped``, ``step_altered``/``input_rewritten`` |
| equal to a step that was re-sent already | ``step_duplicated`` |
| the client's own, after the history | nothing: this is what the client adds; a result that answers no call is ``result_unpaired`` |
| as received before, though the earlier request had lost or altered it | nothing: that loss was told then |
| any other item | ``step_invented`` |
| steps not re-sent | ``step_missing`` each; two or more at the beginning or the end are one ``history_truncated`` |
| calls of the earlier answer that are re-sent without a result | ``call_unanswered`` |

So one dropped step is one finding, one swap one, one altered signature one. Where a matching can be read in several ways (a user who says
"go on" twice, a step that stands twice), all readings are tried and the one with the fewest deviations is told. Among equals the plain
one wins: steps of the model are matched before steps of the client, and the last thing the client could have added is new, not an older
step that moved.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from evalkit._lib.json import MISSING, equal
from evalkit._lib.text import plural, show
from evalkit.checks.history_align import Pairs, anchor, disorder, gaps
from evalkit.checks.history_input import Item, RawStep
from evalkit.checks.history_step import Deviation, Wanted, call_key, changed, describe, key_of, likeness
from evalkit.checks.showing import keep, table
from evalkit.protocol.reading import pair_calls
from evalkit.protocol.steps import CLIENT_STEPS

_SHOWN = 12


def deviations(
    wanted: Sequence[Wanted], items: Sequence[Item], known: set[str], *, streamed: bool = False, closed: bool = False
) -> list[Deviation]:
    """Return the smallest story of what became of a history, in the order of the request.

    ``known`` are the keys of all steps received or sent before. ``streamed``: answers were, so an empty signature may be there or not
    (protocol section 11). ``closed``: the client must add nothing (the next hop of a continued call).
    """
    keys, got_keys = [key_of(want.step) for want in wanted], [key_of(item.step) for item in items]
    best: list[Deviation] | None = None
    for backward, all_alike, last_is_new in product((False, True), (False, True), (True, False)):
        anchors = anchor(keys, got_keys, [all_alike or not want.client for want in wanted], backward=backward)
        story = _Reading(wanted, items, keys, got_keys, anchors, known, streamed, closed, last_is_new).tell()
        if best is None or len(story) < len(best):
            best = story
        if len(best) <= 1:
            break
    return best or []


class _Reading:
    """One way to read which item is which step."""

    def __init__(
        self,
        wanted: Sequence[Wanted],
        items: Sequence[Item],
        keys: Sequence[str],
        got_keys: Sequence[str],
        anchors: Pairs,
        known: set[str],
        streamed: bool,
        closed: bool,
        last_is_new: bool,
    ) -> None:
        self.wanted = wanted
        self.items = items
        self.known = known
        self.streamed = streamed
        self.closed = closed
        self.last_is_new = last_is_new
        self.keys = keys
        self.got_keys = got_keys
        self.anchors = anchors
        self.tail = max(self.anchors.values(), default=-1) + 1
        self.pairs: Pairs = dict(self.anchors)
        self.altered: Pairs = {}
        self.answers: dict[int, int] = {}
        self.left: set[int] = set(range(len(items))) - set(self.anchors.values())
        self.displaced: set[int] = set()

    def tell(self) -> list[Deviation]:
        """Return every deviation, in the order of the request."""
        self._find_answers()
        self._find_moved()
        self._find_altered()
        self._find_answers()
        found = [*self._order(), *self._changes(), *self._others(), *self._missing(), *self._placement()]
        unpaired = sum(deviation.code == "result_unpaired" for deviation in found)
        # A result that names a wrong call leaves a call without one: that is one fault, not two.
        found += list(self._unanswered())[unpaired:]
        return sorted(found, key=lambda deviation: [part.zfill(6) for part in deviation.pointer.split("/")])

    def _client_adds(self, index: int) -> bool:
        return index >= self.tail and not self.closed and self.items[index].step.get("type") in CLIENT_STEPS

    def _spare(self, index: int) -> bool:
        """Whether an item may be taken for an older step: not if nothing that the client could have added stands after it."""
        if not self.last_is_new or not self._client_adds(index):
            return True
        return any(other > index for other in (*self.left, *self.answers) if self._client_adds(other))

    def _find_answers(self) -> None:
        """Find the results that answer the calls of the earlier answer, by id or, where either has none, by order."""
        # Calls that have their result in the history already wait for none; ids may repeat from answer to answer.
        waiting = {pair.call_index for pair in pair_calls([want.step for want in self.wanted]).pairs if pair.result_index is None}
        calls = [index for index in sorted(waiting) if self.wanted[index].answered and self._is(index, "function_call")]
        calls = [index for index in calls if index not in self.answers.values() and not self._echo(index)]
        lost = [index for index in range(len(self.wanted)) if index not in self.pairs and self._is(index, "function_result")]
        older = {call_key(self.wanted[index].step.get("call_id")) for index in lost} - {None}
        for result in sorted(self.left):
            step = self.items[result].step
            if step.get("type") != "function_result":
                continue
            key = call_key(step.get("call_id"))
            for call in calls:
                own = self._ids(call)
                if (key in own) if key is not None and own else key not in older:
                    self.answers[result] = call
                    self.left.discard(result)
                    calls.remove(call)
                    break

    def _is(self, index: int, kind: str) -> bool:
        return self.wanted[index].step.get("type") == kind

    def _ids(self, call: int) -> set[str]:
        """Return what a call goes by: its id, and the one it was re-sent with if that was altered."""
        sent = self.items[self.altered[call]].step.get("id") if call in self.altered else None
        return {key for key in (call_key(self.wanted[call].step.get("id")), call_key(sent)) if key is not None}

    def _echo(self, index: int) -> bool:
        """Whether a call repeats one that was answered before: an answer may show it again (last sample of guide section 9)."""
        call = self.wanted[index].step
        answered = {call_key(want.step.get("call_id")) for want in self.wanted if want.step.get("type") == "function_result"}
        key = call_key(call.get("id"))
        earlier = (want.step for want in self.wanted[:index] if want.step.get("type") == "function_call")
        return key is not None and key in answered and any(equal(call, other) for other in earlier)

    def _find_moved(self) -> None:
        for index, key in enumerate(self.keys):
            if index in self.pairs:
                continue
            for item in sorted(self.left):
                if self.got_keys[item] == key and self._spare(item):
                    self.pairs[index] = item
                    self.left.discard(item)
                    break

    def _find_altered(self) -> None:
        for rows, columns in gaps(self.anchors, len(self.wanted), len(self.items)):
            open_items = [item for item in columns if item in self.left]
            for enough in (3, 2, 1):
                for index in rows:
                    if index in self.pairs or index in self.altered:
                        continue
                    for item in open_items:
                        if item in self.left and likeness(self.wanted[index].step, self.items[item].step) >= enough and self._spare(item):
                            self.altered[index] = item
                            self.left.discard(item)
                            break

    def _order(self) -> Iterator[Deviation]:
        moved, swapped = disorder(self.pairs)
        self.displaced = {*moved, *(index for pair in swapped for index in pair)}
        for index in moved:
            item = self.items[self.pairs[index]]
            before = self.wanted[index - 1] if index else None
            place = f"after {describe(before.step)}" if before is not None else "first"
            message = f"{self._name(index)} was moved; it belongs {place}"
            yield Deviation("step_reordered", item.pointer, message, place, keep(item.step), self._sequence())
        for one, other in swapped:
            item, second = self.items[self.pairs[other]], self.items[self.pairs[one]]
            message = f"{self._name(one)} and {self._name(other)} changed places ({item.pointer} and {second.pointer})"
            yield Deviation("step_reordered", item.pointer, message, keep(self.wanted[one].step), keep(item.step), self._sequence())

    def _changes(self) -> Iterator[Deviation]:
        for index, place in self.altered.items():
            want, item = self.wanted[index], self.items[place]
            if self.got_keys[place] in self.known:
                continue
            yield from changed(want, item, self._name(index), self.streamed)

    def _others(self) -> Iterator[Deviation]:
        sent = {self.got_keys[place] for place in (*self.pairs.values(), *self.altered.values())}
        ids = {call_key(want.step.get("call_id")) for want in self.wanted if want.step.get("type") == "function_result"}
        ids |= {call_key(self.items[place].step.get("call_id")) for place in self.answers}
        calls = {call_key(step.get("id")) for step in self._calls()}
        for place in sorted(self.left):
            item, key = self.items[place], self.got_keys[place]
            kind = item.step.get("type")
            call = call_key(item.step.get("call_id")) if kind == "function_result" else None
            if self._client_adds(place) and kind == "user_input":
                continue
            if key in sent or (call is not None and call in ids):
                yield Deviation("step_duplicated", item.pointer, f"{describe(item.step)} is sent again", MISSING, keep(item.step))
            elif kind == "function_result" and call not in calls:
                told = f"call_id {show(item.step.get('call_id'))}" if call is not None else "it has no call_id, and no call waits"
                message = f"a function_result answers no call of the history: {told}"
                known = sorted(str(key) for key in calls if key is not None)
                yield Deviation(
                    "result_unpaired", item.locate("/call_id" if call is not None else ""), message, known, item.step.get("call_id")
                )
            elif key not in self.known and not self._client_adds(place):
                message = f"{describe(item.step)} was never received, nor is it new from the client"
                yield Deviation("step_invented", item.pointer, message, MISSING, keep(item.step), self._sequence())

    def _calls(self) -> Iterator[RawStep]:
        steps = [*(want.step for want in self.wanted), *(item.step for item in self.items)]
        return (step for step in steps if step.get("type") == "function_call")

    def _missing(self) -> Iterator[Deviation]:
        lost = [index for index in range(len(self.wanted)) if index not in self.pairs and index not in self.altered]
        count = len(self.wanted)
        head = next((place for place, index in enumerate(lost) if index != place), len(lost))
        tail = next((place for place, index in enumerate(reversed(lost)) if index != count - 1 - place), len(lost))
        runs = [lost[:head]] if head > 1 else []
        runs += [lost[len(lost) - tail :]] if tail > 1 and head < len(lost) else []
        told = {index for run in runs for index in run}
        for run in runs:
            what = "all" if len(run) == count else f"the first {len(run)}" if run[0] == 0 else f"the last {len(run)}"
            message = f"{what} of {plural(count, 'step')} of the history {'is' if count == 1 else 'are'} not re-sent"
            rows = [[self.wanted[index].origin, describe(self.wanted[index].step)] for index in run[:_SHOWN]]
            more = f"\nand {len(run) - _SHOWN} more" if len(run) > _SHOWN else ""
            expected = [describe(self.wanted[index].step) for index in run]
            yield Deviation("history_truncated", self._belongs(run[0]), message, expected, MISSING, table(rows) + more)
        for index in lost:
            if index not in told:
                message = f"{self._name(index)} is not re-sent"
                yield Deviation("step_missing", self._belongs(index), message, keep(self.wanted[index].step), MISSING, self._sequence())

    def _belongs(self, index: int) -> str:
        """Return the pointer to where a step should stand."""
        placed = {**self.altered, **self.anchors}
        before = max((row for row in placed if row < index), default=None)
        if self.items and not self.items[0].pointer.startswith("/input/"):
            return "/input"
        place = placed[before] + 1 if before is not None else 0
        while self.answers.get(place, index) < index:
            place += 1
        return f"/input/{place}"

    def _placement(self) -> Iterator[Deviation]:
        """Tell of results that stand neither right after their call nor after the whole answer."""
        in_place = {place: index for index, place in self.pairs.items() if index not in self.displaced}
        end = max((place for place, index in in_place.items() if self.wanted[index].answered), default=-1)
        for result, call in self.answers.items():
            at = self.pairs.get(call, self.altered.get(call))
            # A step that was moved, invented or doubled into the gap has been told by itself.
            if at is None or result > end or call in self.displaced:
                continue
            between = [place for place in range(at + 1, result) if place in in_place]
            if result < at or any(self.items[place].step.get("type") not in ("function_call", "function_result") for place in between):
                item = self.items[result]
                message = f"{describe(item.step)} stands neither right after its call nor after the answer"
                yield Deviation("step_reordered", item.pointer, message, "after its function_call", keep(item.step), self._sequence())

    def _unanswered(self) -> Iterator[Deviation]:
        answered = set(self.answers.values())
        history = pair_calls([want.step for want in self.wanted])
        for call, result in history.pairs:
            want = self.wanted[call]
            place = self.pairs.get(call, self.altered.get(call))
            if not want.answered or want.step.get("type") != "function_call" or result is not None or call in answered or place is None:
                continue
            if not self._echo(call):
                wanted_result = {"type": "function_result", "call_id": want.step.get("id")}
                yield Deviation("call_unanswered", self.items[place].pointer, f"{self._name(call)} got no function_result", wanted_result)

    def _name(self, index: int) -> str:
        want = self.wanted[index]
        return f"{describe(want.step)} ({want.origin})"

    def _sequence(self) -> str:
        """Show what must be sent beside what was, around the first place where they part."""
        placed = {**self.pairs, **self.altered}
        back = {item: index for index, item in placed.items()}
        rows, index = [], 0
        for place, item in enumerate(self.items):
            while index < len(self.wanted) and index not in placed:
                rows.append(["", describe(self.wanted[index].step), "-"])
                index += 1
            match = back.get(place)
            left = describe(self.wanted[match].step) if match is not None else "-"
            rows.append([item.pointer, left, describe(item.step)])
            index = max(index, match + 1 if match is not None else 0)
        rows += [["", describe(self.wanted[rest].step), "-"] for rest in range(index, len(self.wanted)) if rest not in placed]
        parts = next((place for place, row in enumerate(rows) if row[1] != row[2]), 0)
        start = max(0, parts - 3) if len(rows) > _SHOWN else 0
        shown = rows[start : start + _SHOWN]
        note = [f"… {start} before"] if start else []
        note += [f"… {len(rows) - start - _SHOWN} after"] if len(rows) > start + _SHOWN else []
        return "\n".join([table([["", "expected", "got"], *shown]), *note])
