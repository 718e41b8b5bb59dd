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
step that moved. How a request is read is ``history_reading``'s business.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from functools import cached_property
from itertools import product

from evalkit._lib.json import MISSING
from evalkit._lib.text import plural, show
from evalkit.checks.core.formatting import keep, table
from evalkit.checks.history.align import anchor, disorder, stayed
from evalkit.checks.history.input import Item
from evalkit.checks.history.reading import Case, Reading
from evalkit.checks.history.step import Deviation, Wanted, call_key, changed, describe

_SHOWN = 12
_AROUND = 3


def deviations(
    wanted: Sequence[Wanted],
    items: Sequence[Item],
    known: Container[str],
    *,
    streamed: bool = False,
    closed: bool = False,
) -> list[Deviation]:
    """Return the smallest story of what became of a history, in the order of the request.

    ``known`` are the keys of all steps received or sent before. ``streamed``: answers were, so an empty signature may be there or not
    (protocol section 11). ``closed``: the client must add nothing (the next hop of a continued call).
    """
    case = Case(wanted, items, closed)
    best: list[Deviation] | None = None
    for reading in _readings(case):
        story = _Story(reading, known, streamed).tell()
        if best is None or len(story) < len(best):
            best = story
        if len(best) <= 1:
            break
    return best or []


def _readings(case: Case) -> Iterator[Reading]:
    for backward, all_alike, last_is_new in product((False, True), (False, True), (True, False)):
        anchors = anchor(
            case.keys,
            case.got_keys,
            [all_alike or not want.client for want in case.wanted],
            backward=backward,
        )
        yield Reading(case, anchors, last_is_new)
    for last_is_new in (True, False):
        yield Reading(case, stayed(case.keys, case.got_keys), last_is_new)


class _Story:
    """What one reading amounts to."""

    def __init__(self, reading: Reading, known: Container[str], streamed: bool) -> None:
        self.reading = reading
        self.wanted, self.items = reading.case.wanted, reading.case.items
        self.known = known
        self.streamed = streamed
        moved, swapped = disorder(reading.pairs)
        self.moved = moved
        self.swapped = swapped
        self.displaced = {*moved, *(index for pair in swapped for index in pair)}

    def tell(self) -> list[Deviation]:
        """Return every deviation, in the order of the request."""
        found = [
            *self._order(),
            *self._changes(),
            *self._others(),
            *self._missing(),
            *self._placement(),
        ]
        unpaired = sum(deviation.code == "result_unpaired" for deviation in found)
        # A result that names a wrong call leaves a call without one: that is one fault, not two.
        found += list(self._unanswered())[unpaired:]
        return sorted(
            found, key=lambda deviation: [part.zfill(6) for part in deviation.pointer.split("/")]
        )

    def _order(self) -> Iterator[Deviation]:
        pairs = self.reading.pairs
        for index in self.moved:
            item = self.items[pairs[index]]
            before = self.wanted[index - 1] if index else None
            place = f"after {describe(before.step)}" if before is not None else "first"
            message = f"{self._name(index)} was moved; it belongs {place}"
            yield Deviation(
                "step_reordered",
                item.pointer,
                message,
                place,
                keep(item.step),
                self._around(pairs[index]),
            )
        for one, other in self.swapped:
            item, second = self.items[pairs[other]], self.items[pairs[one]]
            message = f"{self._name(one)} and {self._name(other)} changed places ({item.pointer} and {second.pointer})"
            yield Deviation(
                "step_reordered",
                item.pointer,
                message,
                keep(self.wanted[one].step),
                keep(item.step),
                self._around(pairs[other]),
            )

    def _changes(self) -> Iterator[Deviation]:
        for index, place in self.reading.altered.items():
            want, item = self.wanted[index], self.items[place]
            if self.reading.case.got_keys[place] in self.known:
                continue
            yield from changed(want, item, self._name(index), self.streamed)

    def _others(self) -> Iterator[Deviation]:
        sent = {
            self.reading.case.got_keys[place]
            for place in (*self.reading.pairs.values(), *self.reading.altered.values())
        }
        ids = {
            call_key(want.step.get("call_id"))
            for want in self.wanted
            if want.step.get("type") == "function_result"
        }
        ids |= {call_key(self.items[place].step.get("call_id")) for place in self.reading.answers}
        calls = {call_key(step.get("id")) for step in self.reading.case.calls()}
        for place in sorted(self.reading.left):
            item, key = self.items[place], self.reading.case.got_keys[place]
            kind = item.step.get("type")
            call = call_key(item.step.get("call_id")) if kind == "function_result" else None
            if self.reading.client_adds(place) and kind == "user_input":
                continue
            if key in sent or (call is not None and call in ids):
                yield Deviation(
                    "step_duplicated",
                    item.pointer,
                    f"{describe(item.step)} is sent again",
                    MISSING,
                    keep(item.step),
                )
            elif kind == "function_result" and call not in calls:
                told = (
                    f"call_id {show(item.step.get('call_id'))}"
                    if call is not None
                    else "it has no call_id, and no call waits"
                )
                message = f"a function_result answers no call of the history: {told}"
                known = sorted(str(key) for key in calls if key is not None)
                yield Deviation(
                    "result_unpaired",
                    item.locate("/call_id" if call is not None else ""),
                    message,
                    known,
                    item.step.get("call_id"),
                )
            elif key not in self.known and not self.reading.client_adds(place):
                message = f"{describe(item.step)} was never received, nor is it new from the client"
                yield Deviation(
                    "step_invented",
                    item.pointer,
                    message,
                    MISSING,
                    keep(item.step),
                    self._around(place),
                )

    def _missing(self) -> Iterator[Deviation]:
        lost = [index for index in range(len(self.wanted)) if self.reading.place(index) is None]
        count = len(self.wanted)
        head = next((place for place, index in enumerate(lost) if index != place), len(lost))
        tail = next(
            (place for place, index in enumerate(reversed(lost)) if index != count - 1 - place),
            len(lost),
        )
        runs = [lost[:head]] if head > 1 else []
        runs += [lost[len(lost) - tail :]] if tail > 1 and head < len(lost) else []
        told = {index for run in runs for index in run}
        for run in runs:
            what = (
                "all"
                if len(run) == count
                else f"the first {len(run)}"
                if run[0] == 0
                else f"the last {len(run)}"
            )
            message = f"{what} of {plural(count, 'step')} of the history {'is' if count == 1 else 'are'} not re-sent"
            rows = [
                [self.wanted[index].origin, describe(self.wanted[index].step)]
                for index in run[:_SHOWN]
            ]
            more = f"\nand {len(run) - _SHOWN} more" if len(run) > _SHOWN else ""
            expected = [describe(self.wanted[index].step) for index in run]
            yield Deviation(
                "history_truncated",
                self._belongs(run[0]),
                message,
                expected,
                MISSING,
                table(rows) + more,
            )
        for index in lost:
            if index not in told:
                message = f"{self._name(index)} is not re-sent"
                yield Deviation(
                    "step_missing",
                    self._belongs(index),
                    message,
                    keep(self.wanted[index].step),
                    MISSING,
                    self._around(lost=index),
                )

    def _belongs(self, index: int) -> str:
        """Return the pointer to where a step should stand."""
        placed = {**self.reading.altered, **self.reading.anchors}
        before = max((row for row in placed if row < index), default=None)
        if self.items and not self.items[0].pointer.startswith("/input/"):
            return "/input"
        place = placed[before] + 1 if before is not None else 0
        while self.reading.answers.get(place, index) < index:
            place += 1
        return f"/input/{place}"

    def _placement(self) -> Iterator[Deviation]:
        """Tell of results that stand neither right after their call nor after the whole answer."""
        in_place = {
            place: index
            for index, place in self.reading.pairs.items()
            if index not in self.displaced
        }
        end = max(
            (place for place, index in in_place.items() if self.wanted[index].answered), default=-1
        )
        for result, call in self.reading.answers.items():
            at = self.reading.place(call)
            # A step that was moved, invented or doubled into the gap has been told by itself.
            if at is None or result > end or call in self.displaced:
                continue
            between = [place for place in range(at + 1, result) if place in in_place]
            if result < at or any(
                self.items[place].step.get("type") not in ("function_call", "function_result")
                for place in between
            ):
                item = self.items[result]
                message = f"{describe(item.step)} stands neither right after its call nor after the answer"
                yield Deviation(
                    "step_reordered",
                    item.pointer,
                    message,
                    "after its function_call",
                    keep(item.step),
                    self._around(result),
                )

    def _unanswered(self) -> Iterator[Deviation]:
        answered = set(self.reading.answers.values())
        for call in self.reading.case.waiting:
            place = self.reading.place(call)
            if call not in answered and place is not None:
                result = {"type": "function_result", "call_id": self.wanted[call].step.get("id")}
                yield Deviation(
                    "call_unanswered",
                    self.items[place].pointer,
                    f"{self._name(call)} got no function_result",
                    result,
                )

    def _name(self, index: int) -> str:
        want = self.wanted[index]
        return f"{describe(want.step)} ({want.origin})"

    def _around(self, place: int | None = None, lost: int | None = None) -> str:
        """Show what must be sent beside what was, around an item or around a step that is lost."""
        at = next(
            row
            for row, (index, item) in enumerate(self._rows)
            if (item == place if lost is None else index == lost)
        )
        start = max(0, at - _AROUND) if len(self._rows) > _SHOWN else 0
        shown = self._rows[start : start + _SHOWN]
        rows = [
            [
                self.items[item].pointer if item is not None else "",
                describe(self.wanted[index].step) if index is not None else "-",
                describe(self.items[item].step) if item is not None else "-",
            ]
            for index, item in shown
        ]
        note = [f"… {start} before"] if start else []
        note += (
            [f"… {len(self._rows) - start - _SHOWN} after"]
            if len(self._rows) > start + _SHOWN
            else []
        )
        return "\n".join([table([["", "expected", "got"], *rows]), *note])

    @cached_property
    def _rows(self) -> list[tuple[int | None, int | None]]:
        """Every step and every item, matched ones in one row: lost steps stand where they belong in the history."""
        place = self.reading.place
        back = {
            item: index for index in range(len(self.wanted)) if (item := place(index)) is not None
        }
        rows: list[tuple[int | None, int | None]] = []
        index = 0
        for item in range(len(self.items)):
            while index < len(self.wanted) and place(index) is None:
                rows.append((index, None))
                index += 1
            match = back.get(item)
            rows.append((match, item))
            index = max(index, match + 1 if match is not None else 0)
        told = {index for index, _ in rows}
        return rows + [(rest, None) for rest in range(len(self.wanted)) if rest not in told]
