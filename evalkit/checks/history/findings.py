"""How a request differs from the history that it should re-send, as findings.

* ``step_reordered``: a step is at another position, or two steps changed places.
* ``signature_altered``, ``null_added``, ``null_dropped``, ``step_altered`` and
  ``input_rewritten``: a step was changed.
* ``step_duplicated``: a step is sent again.
* ``step_invented``: an item that was never received and is not new from the client.
* ``result_unpaired``: a result that does not answer a call.
* ``step_missing``: a step is not re-sent. Several at the start or the end are one
  ``history_truncated``.
* ``call_unanswered``: a call of the last response that is re-sent without a result.

An item that was sent or received earlier, though the last request lost or altered it, is not a
finding: that was reported at the request that did it.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

from evalkit._lib.json import MISSING, differences
from evalkit._lib.text import plural, shorten, show
from evalkit.checks.core.formatting import against, excerpt, first_difference, table
from evalkit.checks.history.matching import (
    HistoryStep,
    Matching,
    call_key,
    disorder,
)
from evalkit.protocol.input_reader import InputItem, items_of
from evalkit.protocol.step_reader import RawStep, type_of
from evalkit.protocol.step_types import CLIENT_STEPS, OPTIONAL_FIELDS, REQUIRED_FIELDS
from evalkit.transcript import Exchange
from evalkit.verdict import Finding, Where

_ROWS = 12
_ROWS_BEFORE = 3


class HistoryComparison:
    """A history, and the request that should re-send it.

    ``known`` are the keys of all steps that were sent or received earlier. ``is_hop``: the request
    continues a response, so the client must only repeat its input. ``is_strict`` reports nulls
    too that the official SDKs add and drop. ``was_streamed``: an empty signature may be present or
    absent (docs/protocol.md section 11). ``last_is_new``: the last message or result is new, not
    an older one that was moved or changed.
    """

    def __init__(
        self,
        history: Sequence[HistoryStep],
        exchange: Exchange,
        *,
        known: set[str],
        is_hop: bool,
        is_strict: bool,
        was_streamed: bool,
        last_is_new: bool,
    ) -> None:
        self._history = history
        self._items = items_of(exchange.request.body.get("input"))
        self._matching = Matching(history, self._items, is_closed=is_hop, last_is_new=last_is_new)
        self._known = set() if is_hop else known - set(self._matching.step_keys)
        self._exchange = exchange
        self._is_strict = is_strict
        self._was_streamed = was_streamed
        self._moved, self._swapped = disorder(self._matching.pairs)
        self._displaced = {*self._moved, *(index for pair in self._swapped for index in pair)}

    def findings(self) -> list[Finding]:
        """Return all findings, in the order of the request."""
        found = [
            *self._reordered(),
            *(
                finding
                for index, place in self._matching.altered.items()
                if self._matching.item_keys[place] not in self._known
                for finding in self._changes(index, self._items[place])
            ),
            *self._unexplained(),
            *self._missing(),
            *self._misplaced_results(),
        ]
        # A result with a wrong call_id leaves its call unanswered: report this mistake once.
        unpaired = sum(finding.code == "result_unpaired" for finding in found)
        found += list(self._unanswered())[unpaired:]
        return sorted(found, key=_position)

    def _finding(self, code: str, pointer: str, message: str, **more: Any) -> Finding:
        number, turn = self._exchange.number, self._exchange.turn
        where = Where(turn=turn, exchange=number, pointer=pointer, part="request")
        return Finding(code, message, where, **more)

    def _reordered(self) -> Iterator[Finding]:
        pairs = self._matching.pairs
        for index in self._moved:
            item = self._items[pairs[index]]
            expected = f"after {describe(self._history[index - 1].step)}" if index else "first"
            yield self._finding(
                "step_reordered",
                item.pointer,
                f"{self._name(index)} was moved; it belongs {expected}",
                expected=expected,
                got=excerpt(item.step),
                detail=self._around_item(pairs[index]),
            )
        for one, other in self._swapped:
            item, second = self._items[pairs[other]], self._items[pairs[one]]
            yield self._finding(
                "step_reordered",
                item.pointer,
                f"{self._name(one)} and {self._name(other)} changed places"
                f" ({item.pointer} and {second.pointer})",
                expected=excerpt(self._history[one].step),
                got=excerpt(item.step),
                detail=self._around_item(pairs[other]),
            )

    def _changes(self, index: int, item: InputItem) -> Iterator[Finding]:
        """Yield what changed in a step: each signature and null, the rest as one finding."""
        step, name = self._history[index].step, self._name(index)
        rest = []
        for path, expected, got in differences(step, item.step):
            is_data = _is_data(path, step)
            pointer = item.locate(path)
            values = {"expected": expected, "got": got}
            if path.endswith("/signature") and not is_data and None not in (expected, got):
                if self._was_streamed and {expected or "", got or ""} == {""}:
                    continue
                change = "was altered"
                if got is MISSING or expected is MISSING:
                    change = "is not re-sent" if got is MISSING else "was not received"
                yield self._finding(
                    "signature_altered",
                    pointer,
                    f"the signature of {name} {change}",
                    **values,
                    detail=_compared(expected, got),
                )
            elif expected is MISSING and got is None:
                if self._is_strict or is_data:
                    yield self._finding(
                        "null_added",
                        pointer,
                        f"{path} of {name} was absent and is sent as null",
                        **values,
                    )
            elif expected is None and got is MISSING:
                if self._is_strict or is_data or path[1:] in REQUIRED_FIELDS.get(type_of(step), ()):
                    yield self._finding(
                        "null_dropped",
                        pointer,
                        f"{path} of {name} was null and is not re-sent",
                        **values,
                    )
            else:
                rest.append((path, expected, got, pointer))
        if not rest:
            return
        path, expected, got, pointer = rest[0]
        detail = _compared(expected, got)
        if len(rest) > 1:
            rows = [[at, show(old, 50), show(new, 50)] for _, old, new, at in rest[1:_ROWS]]
            detail = f"{pointer}\n{detail}\n{table([['also', 'expected', 'got'], *rows])}"
        yield self._finding(
            "input_rewritten" if type_of(step) in CLIENT_STEPS else "step_altered",
            pointer,
            f"{name} was changed at {path or 'its whole'}",
            expected=excerpt(expected),
            got=excerpt(got),
            detail=detail,
        )

    def _unexplained(self) -> Iterator[Finding]:
        matching = self._matching
        resent = {*matching.pairs.values(), *matching.altered.values()}
        resent_keys = {matching.item_keys[item] for item in resent}
        steps = [each.step for each in self._history]
        sent_results = [step for step in steps if step.get("type") == "function_result"]
        sent_results += [self._items[item].step for item in matching.answers]
        answered = {call_key(step.get("call_id")) for step in sent_results} - {None}
        all_steps = [*steps, *(item.step for item in self._items)]
        calls = {
            call_key(step.get("id")) for step in all_steps if step.get("type") == "function_call"
        }
        for place in sorted(matching.unexplained):
            item, key = self._items[place], matching.item_keys[place]
            is_result = item.step.get("type") == "function_result"
            call = call_key(item.step.get("call_id")) if is_result else None
            is_added = matching.may_be_added(place)
            if is_added and not is_result:
                continue
            if key in resent_keys or call in answered:
                yield self._finding(
                    "step_duplicated",
                    item.pointer,
                    f"{describe(item.step)} is sent again",
                    got=excerpt(item.step),
                )
            elif is_result and call not in calls:
                got = item.step.get("call_id")
                reason = f"call_id {show(got)}" if call else "it has no call_id, and no call waits"
                yield self._finding(
                    "result_unpaired",
                    item.locate("/call_id" if call else ""),
                    f"a function_result does not answer a call of the history: {reason}",
                    expected=sorted(key for key in calls if key),
                    got=got,
                )
            elif key not in self._known and not is_added:
                yield self._finding(
                    "step_invented",
                    item.pointer,
                    f"{describe(item.step)} was never received, nor is it new from the client",
                    got=excerpt(item.step),
                    detail=self._around_item(place),
                )

    def _missing(self) -> Iterator[Finding]:
        count = len(self._history)
        missing = [index for index in range(count) if self._matching.place(index) is None]
        head = [index for position, index in enumerate(missing) if index == position]
        positions = enumerate(reversed(missing), 1)
        tail = [index for position, index in positions if index == count - position][::-1]
        reported: set[int] = set()
        for run in [head] if head == tail else [head, tail]:
            if len(run) > 1:
                reported.update(run)
                yield self._truncated(run)
        for index in missing:
            if index not in reported:
                yield self._finding(
                    "step_missing",
                    self._expected_pointer(index),
                    f"{self._name(index)} is not re-sent",
                    expected=excerpt(self._history[index].step),
                    detail=self._around_row((index, None)),
                )

    def _truncated(self, run: Sequence[int]) -> Finding:
        count = len(self._history)
        part = f"the {'first' if run[0] == 0 else 'last'} {len(run)}"
        part = "all" if len(run) == count else part
        steps = [self._history[index] for index in run]
        rows = [[each.source, describe(each.step)] for each in steps[:_ROWS]]
        more = f"\nand {len(run) - _ROWS} more" if len(run) > _ROWS else ""
        return self._finding(
            "history_truncated",
            self._expected_pointer(run[0]),
            f"{part} of {plural(count, 'step')} of the history are not re-sent",
            expected=[describe(each.step) for each in steps],
            detail=table(rows) + more,
        )

    def _expected_pointer(self, index: int) -> str:
        """Return the pointer to where a missing step belongs."""
        if self._items and self._items[0].pointer == "/input":
            return "/input"
        return f"/input/{self._matching.expected_place(index)}"

    def _misplaced_results(self) -> Iterator[Finding]:
        """Yield results that are neither right after their call nor after the whole response."""
        matching = self._matching
        in_place = {
            place: index for index, place in matching.pairs.items() if index not in self._displaced
        }
        new = [place for place, index in in_place.items() if self._history[index].is_new]
        duplicated = {matching.item_keys[item] for item in matching.unexplained}
        for result, call in matching.answers.items():
            place = matching.place(call)
            if place is None or call in self._displaced or result > max(new, default=-1):
                continue
            # An item that was moved, invented or duplicated into the gap is a finding already.
            between = [
                self._items[at].step
                for at in range(place + 1, result)
                if at in in_place and matching.item_keys[at] not in duplicated
            ]
            if result < place or any(
                step.get("type") not in ("function_call", "function_result") for step in between
            ):
                item = self._items[result]
                yield self._finding(
                    "step_reordered",
                    item.pointer,
                    f"{describe(item.step)} must be right after its call or after the response",
                    expected="after its function_call",
                    got=excerpt(item.step),
                    detail=self._around_item(result),
                )

    def _unanswered(self) -> Iterator[Finding]:
        answered = set(self._matching.answers.values())
        for call in self._matching.waiting_calls:
            place = self._matching.place(call)
            if call not in answered and place is not None:
                call_id = self._history[call].step.get("id")
                yield self._finding(
                    "call_unanswered",
                    self._items[place].pointer,
                    f"{self._name(call)} has no function_result",
                    expected={"type": "function_result", "call_id": call_id},
                )

    def _name(self, index: int) -> str:
        return f"{describe(self._history[index].step)} ({self._history[index].source})"

    def _around_item(self, place: int) -> str:
        return self._around_row(next(row for row in self._rows if row[1] == place))

    def _around_row(self, row: tuple[int | None, int | None]) -> str:
        """Return a table of what must be sent beside what was sent, around a row."""
        start = max(0, self._rows.index(row) - _ROWS_BEFORE)
        lines = [["", "expected", "got"]]
        for index, place in self._rows[start : start + _ROWS]:
            item = self._items[place] if place is not None else None
            expected = describe(self._history[index].step) if index is not None else "-"
            got = describe(item.step) if item is not None else "-"
            lines.append([item.pointer if item is not None else "", expected, got])
        after = len(self._rows) - start - _ROWS
        notes = [f"… {start} before"] if start else []
        notes += [f"… {after} after"] if after > 0 else []
        return "\n".join([table(lines), *notes])

    @cached_property
    def _rows(self) -> list[tuple[int | None, int | None]]:
        """Each step beside its item; missing steps come where they belong in the history."""
        place = self._matching.place
        steps = {place(index): index for index in range(len(self._history))}
        rows: list[tuple[int | None, int | None]] = [
            (steps.get(item), item) for item in range(len(self._items))
        ]
        for index in range(len(self._history)):
            if place(index) is None:
                before = next((at for at, row in enumerate(rows) if row[0] == index - 1), -1)
                rows.insert(before + 1, (index, None))
        return rows


def _position(finding: Finding) -> list[str]:
    return [part.zfill(6) for part in (finding.where.pointer or "").split("/")]


def _compared(expected: Any, got: Any) -> str:
    if isinstance(expected, str) and isinstance(got, str):
        return first_difference(expected, got)
    return against(excerpt(expected), excerpt(got))


def _is_data(path: str, step: RawStep) -> bool:
    """Return whether a path leads into what the model or a tool wrote.

    A null is a value there like any other (docs/protocol.md section 9).
    """
    is_known = type_of(step) in OPTIONAL_FIELDS
    is_tool_result = path.startswith("/result/") and not isinstance(step.get("result"), list)
    return not is_known or path.startswith("/arguments/") or is_tool_result


def describe(step: RawStep) -> str:
    """Name a step briefly: its type, and what distinguishes it from others of its type."""
    kind = shorten(str(step.get("type") or "a step without a type"), 40)
    for field in ("name", "content", "summary", "arguments", "result", "signature"):
        value = step.get(field)
        if not value:
            continue
        if field == "name":
            return f"{kind} {show(value, 40)[1:-1]}" if isinstance(value, str) else kind
        if field in ("content", "summary") and isinstance(value, list):
            text = value[0].get("text") if isinstance(value[0], dict) else None
            if isinstance(text, str):
                return f"{kind} {show(text, 40)}"
        return f"{kind} {show(value, 32)}"
    return kind
