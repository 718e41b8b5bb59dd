"""From a stream's events to the Interaction a plain answer would have been.

The interpreter of two tables: ``stream_states`` (what may come when) and ``folding`` (what each delta does). It keys steps by ``index``,
folds everything that can be folded even where it comes out of order, names what is wrong, and never raises on anything JSON. The events
it reads are not changed, so they can be kept beside the result.

The result is built as follows: the fields of ``interaction.created``, then what status updates tell, then the fields of
``interaction.completed``; ``steps`` are the streamed ones in order of their index. What comes after the first ``interaction.completed``
can add steps, but change no other field. An empty ``id`` (an answer that is not stored) is left out, as plain answers leave it out
(protocol section 11).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from evalkit._lib.json import JSON, equal
from evalkit._lib.json import json_type as json_kind
from evalkit._lib.text import shorten
from evalkit.protocol.api_errors import error_of
from evalkit.protocol.folding import fold
from evalkit.protocol.step_draft import StepDraft
from evalkit.protocol.step_types import RUNNING
from evalkit.protocol.stream_order import (
    COMPLETED,
    CREATED,
    DELTA,
    ERROR,
    START,
    STATUS,
    STEP,
    STEP_END,
    STOP,
    STREAM,
    STREAM_END,
    StreamProblem,
    StreamProblems,
)

__all__ = ["Assembled", "Assembler", "StreamProblem", "assemble"]


class Assembled(NamedTuple):
    """What a stream amounts to.

    ``interaction`` is None where no event told anything of one. ``error`` is the error object of the last ``error`` event. ``complete``
    says that ``interaction.completed`` came, whatever its status.
    """

    interaction: dict[str, JSON] | None
    problems: list[StreamProblem]
    error: dict[str, JSON] | None
    complete: bool


def assemble(events: Sequence[JSON], *, garbage: Sequence[tuple[int, str]] = ()) -> Assembled:
    """Assemble raw events (``sse.read_events``) into an interaction.

    ``garbage`` is ``EventList.garbage``: each becomes a problem ``event_not_json``, and event numbers count it in.
    """
    assembler = Assembler()
    taken = {number for number, _ in garbage}
    number = 0
    for event in events:
        number += 1
        while number in taken:
            number += 1
        assembler.take(event, number)
    for place, data in garbage:
        assembler.complain("event_not_json", place, detail=shorten(data, 60))
    return assembler.finish(max(number, *taken) if taken else number)


class Assembler:
    """The same, event by event: ``take`` each, then ``finish`` once."""

    def __init__(self) -> None:
        self._state = "new"
        self._interaction: dict[str, JSON] | None = None
        self._drafts: dict[int, StepDraft] = {}
        self._last = 0
        self._problems = StreamProblems()
        self.complain = self._problems.add
        self._error: dict[str, JSON] | None = None
        self._announced: str | None = None
        self._usage: JSON = None
        self._final_steps: list[JSON] | None = None

    def take(self, event: JSON, number: int) -> None:
        """Read the next event; ``number`` counts from 1."""
        if type(event) is not dict:
            self.complain("event_not_object", number, detail=json_kind(event))
            return
        kind = event.get("event_type")
        if type(kind) is not str:
            self.complain("event_type_missing", number)
            return
        move = STREAM[self._state].get(kind)
        if move is None:
            return
        ended = self._state == "completed"
        self._state = move.state
        if move.problem is not None and kind != ERROR:
            self.complain(move.problem, number, event=kind)
        if ended and kind in _SETTLED:
            return
        _HANDLERS[kind](self, event, number)

    def finish(self, last: int) -> Assembled:
        """Return the result; ``last`` is the number of the stream's last event."""
        code = STREAM_END[self._state]
        if code is not None:
            self.complain(code if last else "empty_stream", last)
        steps = []
        for index in sorted(self._drafts):
            draft = self._drafts[index]
            step, problem, detail = draft.finish()
            steps.append(step)
            if problem is not None and draft.state == "stopped":
                self.complain(problem, draft.seen, index=index, detail=detail)
            elif code := STEP_END[draft.state]:
                self.complain(code, last, index=index, detail=draft.kind or "no type")
        interaction = self._whole(steps, last)
        return Assembled(
            interaction, self._problems.in_order(), self._error, self._state == "completed"
        )

    def _whole(self, steps: list[JSON], last: int) -> dict[str, JSON] | None:
        interaction = self._interaction
        if interaction is None:
            if not steps:
                return None
            interaction = {}
        if self._final_steps is not None:
            if not steps:
                steps = self._final_steps
            elif not equal(steps, self._final_steps):
                self.complain("steps_conflict", last)
        interaction["steps"] = steps
        if interaction.get("id") == "":
            del interaction["id"]
        if self._usage is not None and "usage" not in interaction:
            interaction["usage"] = self._usage
        return interaction

    def _resource(self, event: dict[str, JSON], number: int) -> dict[str, JSON]:
        given = event.get("interaction")
        if type(given) is not dict:
            self.complain("field_missing", number, event=event["event_type"], detail="interaction")
            given = {}
        held = self._interaction
        if held is None:
            self._interaction = dict(given)
            return given
        self._same_id(held, given.get("id"), number)
        id_ = held.get("id")
        held.update(given)
        if id_ and not given.get("id"):
            held["id"] = id_
        return given

    def _same_id(self, held: dict[str, JSON], new: JSON, number: int) -> None:
        old = held.get("id")
        if new and old and new != old:
            self.complain(
                "id_changed",
                number,
                detail=f"{shorten(str(old), 40)} became {shorten(str(new), 40)}",
            )

    def _created(self, event: dict[str, JSON], number: int) -> None:
        self._resource(event, number)

    def _status(self, event: dict[str, JSON], number: int) -> None:
        held = self._interaction
        if held is None:
            held = self._interaction = {}
        if new := event.get("interaction_id"):
            self._same_id(held, new, number)
            held["id"] = held.get("id") or new
        for key in ("status", "continuation_token", "usage"):
            if event.get(key) is not None:
                held[key] = event[key]
        status = event.get("status")
        if type(status) is str and status not in RUNNING:
            self._announced = status

    def _completed(self, event: dict[str, JSON], number: int) -> None:
        given = self._resource(event, number)
        steps = given.get("steps")
        if type(steps) is list:
            self._final_steps = steps
        status = given.get("status")
        if type(status) is not str:
            return
        if status in RUNNING:
            self.complain("status_running", number, detail=status)
        elif self._announced is not None and status != self._announced:
            self.complain(
                "status_conflict",
                number,
                detail=f"{self._announced} was announced, {status} is final",
            )

    def _failed(self, event: dict[str, JSON], number: int) -> None:
        error = event.get("error")
        self._error = (
            error if type(error) is dict else {"message": error} if isinstance(error, str) else {}
        )
        told = error_of(0, self._error)
        self.complain(
            "error_event",
            number,
            detail=shorten(
                f"{told.code}: {told.message}" if self._error else "no reason given", 200
            ),
        )

    def _index(self, event: dict[str, JSON], number: int, fallback: int) -> int:
        index = event.get("index")
        if type(index) is int and index >= 0:
            return index
        if isinstance(index, str) and index.isascii() and index.isdigit() and len(index) < 10:
            return int(index)
        self.complain("field_missing", number, event=event["event_type"], detail="index")
        return fallback

    def _start(self, event: dict[str, JSON], number: int) -> None:
        drafts = self._drafts
        index = self._last = self._index(event, number, len(drafts))
        if self._move(drafts.get(index), START, index, number) is not None:
            return
        if index != len(drafts):
            self.complain("index_gap", number, index=index, detail=str(len(drafts)))
        step = event.get("step")
        if type(step) is not dict:
            self.complain("field_missing", number, event=START, detail="step")
            step = {}
        elif type(step.get("type")) is not str:
            self.complain("field_missing", number, event=START, detail="step.type")
        drafts[index] = StepDraft(step, number)

    def _delta(self, event: dict[str, JSON], number: int) -> None:
        index = self._index(event, number, self._last)
        draft = self._move(self._drafts.get(index), DELTA, index, number)
        if draft is None:
            return
        delta = event.get("delta")
        if type(delta) is not dict:
            self.complain("field_missing", number, event=DELTA, detail="delta")
            return
        wrong = fold(draft, delta)
        if wrong is not None:
            self.complain(wrong[0], number, index=index, detail=wrong[1])

    def _stop(self, event: dict[str, JSON], number: int) -> None:
        index = self._index(event, number, self._last)
        if event.get("usage") is not None:
            self._usage = event["usage"]
        self._move(self._drafts.get(index), STOP, index, number)

    def _move(
        self, draft: StepDraft | None, kind: str, index: int, number: int
    ) -> StepDraft | None:
        state, problem = STEP[draft.state if draft is not None else "absent"][kind]
        if draft is not None:
            draft.state = state
            draft.seen = number
        if problem is not None:
            self.complain(problem, number, index=index)
        return draft


_SETTLED = frozenset({CREATED, STATUS, COMPLETED})

_HANDLERS: dict[str, Callable[[Assembler, dict[str, JSON], int], None]] = {
    CREATED: Assembler._created,
    STATUS: Assembler._status,
    START: Assembler._start,
    DELTA: Assembler._delta,
    STOP: Assembler._stop,
    COMPLETED: Assembler._completed,
    ERROR: Assembler._failed,
}
