"""Assembles the events of a stream into the Interaction of a response without a stream.

Interprets two tables: ``stream_order`` (which event may come when) and ``step_draft.DELTAS`` (what
a delta does). Everything that can be applied is applied, even out of order; problems are collected,
and nothing that is JSON raises. The events are not changed.

The result has the fields of ``interaction.created``, then those of status updates, then those of
``interaction.completed``; ``steps`` are the streamed steps in the order of their index. Events
after the first ``interaction.completed`` may add steps but change no other field. An empty ``id``
(of a response that is not stored) is left out, as in a response without a stream (docs/protocol.md
section 11).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from evalkit._lib.json import JSON, equal, json_type
from evalkit._lib.text import shorten
from evalkit.protocol.api_errors import error_of
from evalkit.protocol.step_draft import StepDraft, fold
from evalkit.protocol.step_reader import whole_number
from evalkit.protocol.step_types import RUNNING
from evalkit.protocol.stream_order import (
    COMPLETED,
    CREATED,
    DELTA,
    ERROR,
    NEEDS_BEGINNING,
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


class AssembledStream(NamedTuple):
    """The result of a stream.

    ``interaction`` is None if no event describes one. ``error`` is the error object of the last
    ``error`` event, None where the stream was completed in spite of it. ``complete`` tells whether
    ``interaction.completed`` arrived, with any status.
    """

    interaction: dict[str, JSON] | None
    problems: list[StreamProblem]
    error: dict[str, JSON] | None
    complete: bool


def assemble(events: Sequence[JSON], *, garbage: Sequence[tuple[int, str]] = ()) -> AssembledStream:
    """Assemble raw events (``sse.read_events``) into an interaction.

    ``garbage`` is ``EventList.garbage``: each item is a problem ``event_not_json``, and the numbers
    of events count it.
    """
    assembler = StreamAssembler()
    garbage_numbers = {number for number, _ in garbage}
    number = 0
    for event in events:
        number += 1
        while number in garbage_numbers:
            number += 1
        assembler.take(event, number)
    for garbage_number, data in garbage:
        assembler.problems.add("event_not_json", garbage_number, detail=shorten(data, 60))
    return assembler.finish(max([number, *garbage_numbers]))


def events_until(events: Sequence[JSON], event_id: str) -> Sequence[JSON]:
    """Return the events up to the one with this ``event_id``; all of them where none has it."""
    ids = [event.get("event_id") if isinstance(event, dict) else None for event in events]
    return events[: ids.index(event_id) + 1] if event_id in ids else events


def assemble_rest(before: Sequence[JSON], rest: Sequence[JSON]) -> AssembledStream:
    """Assemble a stream that was resumed: the events ``before`` and ``rest`` are one stream.

    Problems are those of the rest, by the number of the event in it. Without the beginning,
    neither steps nor problems that follow from its absence are returned.
    """
    interaction, problems, error, complete = assemble([*before, *rest])
    is_whole = any(isinstance(e, dict) and e.get("event_type") == CREATED for e in before or rest)
    if interaction is not None and not is_whole:
        interaction.pop("steps")
    problems = [
        problem._replace(event=problem.event - len(before))
        for problem in problems
        if problem.event > len(before) and (is_whole or problem.code not in NEEDS_BEGINNING)
    ]
    return AssembledStream(interaction, problems, error, complete)


class StreamAssembler:
    """Assembles event by event: call ``take`` for each, then ``finish`` once."""

    def __init__(self) -> None:
        self.problems = StreamProblems()
        self._state = "new"
        self._interaction: dict[str, JSON] | None = None
        self._drafts: dict[int, StepDraft] = {}
        self._last_index = 0
        self._errors: list[tuple[int, dict[str, JSON]]] = []
        self._announced_status: str | None = None
        self._usage: JSON = None
        self._final_steps: list[JSON] | None = None

    def take(self, event: JSON, number: int) -> None:
        """Apply the next event; ``number`` counts from 1."""
        if not isinstance(event, dict):
            self.problems.add("event_not_object", number, detail=json_type(event))
            return
        kind = event.get("event_type")
        if not isinstance(kind, str):
            self.problems.add("event_type_missing", number)
            return
        if kind not in STREAM[self._state]:
            return
        was_completed = self._state == "completed"
        self._state, problem = STREAM[self._state][kind]
        # The handler reports an error event, with its message.
        if problem is not None and kind != ERROR:
            self.problems.add(problem, number, event=kind)
        if was_completed and kind in _CHANGES_FIELDS:
            return
        _HANDLERS[kind](self, event, number)

    def finish(self, last: int) -> AssembledStream:
        """Return the result; ``last`` is the number of the last event."""
        if code := STREAM_END[self._state]:
            self.problems.add(code if last else "empty_stream", last)
        steps = []
        for index, draft in sorted(self._drafts.items()):
            step, problem, detail = draft.finish()
            steps.append(step)
            if problem is not None and draft.state == "stopped":
                self.problems.add(problem, draft.last_event, index=index, detail=detail)
            elif code := STEP_END[draft.state]:
                self.problems.add(code, last, index=index, detail=draft.kind or "no type")
        interaction = self._with_steps(steps, last)
        complete = self._state == "completed"
        error = self._report_errors()
        return AssembledStream(interaction, self.problems.in_order(), error, complete)

    def _report_errors(self) -> dict[str, JSON] | None:
        """Report the error events; return the error that ended the stream.

        The service was seen to send an empty error and to complete the stream. So an error that is
        not the model's is none where ``interaction.completed`` reports a run that did not fail.
        """
        status = (self._interaction or {}).get("status")
        ended = None
        for number, error in self._errors:
            data = error_of(0, error)
            recovered = (
                self._state == "completed" and status != "failed" and data.advice is not None
            )
            code = "error_recovered" if recovered else "error_event"
            detail = shorten(f"{data.label}: {data.message}", 200) if error else "no reason given"
            self.problems.add(code, number, detail=detail)
            ended = ended if recovered else error
        return ended

    def _with_steps(self, steps: list[JSON], last: int) -> dict[str, JSON] | None:
        interaction = self._interaction
        if interaction is None:
            if not steps:
                return None
            interaction = {}
        if self._final_steps is not None:
            if steps and not equal(steps, self._final_steps):
                self.problems.add("steps_conflict", last)
            steps = steps or self._final_steps
        interaction["steps"] = steps
        if interaction.get("id") == "":
            del interaction["id"]
        if self._usage is not None:
            interaction.setdefault("usage", self._usage)
        return interaction

    def _update_interaction(self, event: dict[str, JSON], number: int) -> dict[str, JSON]:
        update = event.get("interaction")
        if not isinstance(update, dict):
            self._report_missing(event, number, "interaction")
            update = {}
        if self._interaction is None:
            self._interaction = dict(update)
            return update
        self._check_id(update.get("id"), number)
        id_ = self._interaction.get("id")
        self._interaction.update(update)
        if id_ and not update.get("id"):
            self._interaction["id"] = id_
        return update

    def _check_id(self, new: JSON, number: int) -> None:
        old = (self._interaction or {}).get("id")
        if new and old and new != old:
            detail = f"{shorten(str(old), 40)} became {shorten(str(new), 40)}"
            self.problems.add("id_changed", number, detail=detail)

    def _created(self, event: dict[str, JSON], number: int) -> None:
        self._update_interaction(event, number)

    def _status_updated(self, event: dict[str, JSON], number: int) -> None:
        if self._interaction is None:
            self._interaction = {}
        if id_ := event.get("interaction_id"):
            self._check_id(id_, number)
            self._interaction["id"] = self._interaction.get("id") or id_
        for key in ("status", "continuation_token", "usage"):
            if event.get(key) is not None:
                self._interaction[key] = event[key]
        status = event.get("status")
        if isinstance(status, str) and status not in RUNNING:
            self._announced_status = status

    def _completed(self, event: dict[str, JSON], number: int) -> None:
        final = self._update_interaction(event, number)
        if isinstance(final.get("steps"), list):
            self._final_steps = final["steps"]
        status, announced = final.get("status"), self._announced_status
        if not isinstance(status, str):
            return
        if status in RUNNING:
            self.problems.add("status_running", number, detail=status)
        elif announced is not None and status != announced:
            detail = f"{announced} was announced, {status} is final"
            self.problems.add("status_conflict", number, detail=detail)

    def _failed(self, event: dict[str, JSON], number: int) -> None:
        error = event.get("error")
        if isinstance(error, str):
            error = {"message": error}
        self._errors.append((number, error if isinstance(error, dict) else {}))

    def _step_started(self, event: dict[str, JSON], number: int) -> None:
        next_index = len(self._drafts)
        index = self._last_index = self._index_of(event, number, default=next_index)
        if self._advance(index, START, number) is not None:
            return
        if index != next_index:
            self.problems.add("index_gap", number, index=index, detail=str(next_index))
        step = event.get("step")
        if not isinstance(step, dict):
            self._report_missing(event, number, "step")
            step = {}
        elif not isinstance(step.get("type"), str):
            self._report_missing(event, number, "step.type")
        self._drafts[index] = StepDraft(step, number)

    def _delta_arrived(self, event: dict[str, JSON], number: int) -> None:
        index = self._index_of(event, number, default=self._last_index)
        draft = self._advance(index, DELTA, number)
        if draft is None:
            return
        delta = event.get("delta")
        if not isinstance(delta, dict):
            self._report_missing(event, number, "delta")
        elif problem := fold(draft, delta):
            self.problems.add(problem[0], number, index=index, detail=problem[1])

    def _step_stopped(self, event: dict[str, JSON], number: int) -> None:
        index = self._index_of(event, number, default=self._last_index)
        if event.get("usage") is not None:
            self._usage = event["usage"]
        self._advance(index, STOP, number)

    def _index_of(self, event: dict[str, JSON], number: int, default: int) -> int:
        # Some services spell integers as 0.0, or as strings.
        index = whole_number(event.get("index"))
        if index is not None and index >= 0:
            return index
        self._report_missing(event, number, "index")
        return default

    def _advance(self, index: int, kind: str, number: int) -> StepDraft | None:
        draft = self._drafts.get(index)
        state, problem = STEP[draft.state if draft is not None else "absent"][kind]
        if draft is not None:
            draft.state = state
            draft.last_event = number
        if problem is not None:
            self.problems.add(problem, number, index=index)
        return draft

    def _report_missing(self, event: dict[str, JSON], number: int, field: str) -> None:
        self.problems.add("field_missing", number, event=event["event_type"], detail=field)


_CHANGES_FIELDS = frozenset({CREATED, STATUS, COMPLETED})

_HANDLERS: dict[str, Callable[[StreamAssembler, dict[str, JSON], int], None]] = {
    CREATED: StreamAssembler._created,
    STATUS: StreamAssembler._status_updated,
    START: StreamAssembler._step_started,
    DELTA: StreamAssembler._delta_arrived,
    STOP: StreamAssembler._step_stopped,
    COMPLETED: StreamAssembler._completed,
    ERROR: StreamAssembler._failed,
}
