"""The order a stream of events must keep, as two tables, and the name of everything that can be wrong with one.

Order (protocol section 6): ``created (status_update)* (start delta* stop)* completed``, an ``error`` anywhere. One machine watches the
stream, one each step, keyed by ``index``: steps may overlap, for nothing published forbids it. An event type that the tables do not know
moves nothing and is no problem: the list of event types is open.

What is wrong is named, never raised, and never stops the reading. The names in ``PROBLEMS`` are what the ``stream`` check reports; they are
part of what users rely on. ``Problems`` collects them. Folding deltas into steps does not belong here: see ``folding``.
"""

from __future__ import annotations

from typing import NamedTuple

from evalkit._lib.json import JSON


class Move(NamedTuple):
    """Where an event leads, and the problem it shows there (None: it is in its place)."""

    state: str
    problem: str | None = None


CREATED = "interaction.created"
STATUS = "interaction.status_update"
START = "step.start"
DELTA = "step.delta"
STOP = "step.stop"
COMPLETED = "interaction.completed"
ERROR = "error"

EVENT_TYPES: tuple[str, ...] = (CREATED, STATUS, START, DELTA, STOP, COMPLETED, ERROR)

STREAM: dict[str, dict[str, Move]] = {
    "new": {
        CREATED: Move("open"),
        STATUS: Move("open", "created_missing"),
        START: Move("open", "created_missing"),
        DELTA: Move("open", "created_missing"),
        STOP: Move("open", "created_missing"),
        COMPLETED: Move("completed", "created_missing"),
        ERROR: Move("refused", "error_event"),
    },
    "open": {
        CREATED: Move("open", "created_twice"),
        STATUS: Move("open"),
        START: Move("open"),
        DELTA: Move("open"),
        STOP: Move("open"),
        COMPLETED: Move("completed"),
        ERROR: Move("refused", "error_event"),
    },
    "completed": {
        CREATED: Move("completed", "event_after_completed"),
        STATUS: Move("completed", "event_after_completed"),
        START: Move("completed", "event_after_completed"),
        DELTA: Move("completed", "event_after_completed"),
        STOP: Move("completed", "event_after_completed"),
        COMPLETED: Move("completed", "completed_twice"),
        ERROR: Move("completed", "error_event"),
    },
    "refused": {
        CREATED: Move("refused"),
        STATUS: Move("refused"),
        START: Move("refused"),
        DELTA: Move("refused"),
        STOP: Move("refused"),
        COMPLETED: Move("completed"),
        ERROR: Move("refused", "error_event"),
    },
}

STREAM_END: dict[str, str | None] = {
    "new": "completed_missing",
    "open": "completed_missing",
    "completed": None,
    "refused": None,
}
"""What the end of the stream shows in each state. A refusal explains by itself why nothing was completed."""

STEP: dict[str, dict[str, Move]] = {
    "absent": {
        START: Move("open"),
        DELTA: Move("absent", "delta_before_start"),
        STOP: Move("absent", "stop_without_start"),
    },
    "open": {START: Move("open", "start_twice"), DELTA: Move("open"), STOP: Move("stopped")},
    "stopped": {
        START: Move("stopped", "start_twice"),
        DELTA: Move("stopped", "delta_after_stop"),
        STOP: Move("stopped", "stop_twice"),
    },
}

STEP_END: dict[str, str | None] = {"open": "step_not_stopped", "stopped": None}

PROBLEMS: dict[str, str] = {
    # the stream as a whole
    "empty_stream": "the stream holds no event",
    "created_missing": "{event} came before interaction.created",
    "created_twice": "interaction.created came again",
    "completed_missing": "the stream ended without interaction.completed",
    "completed_twice": "interaction.completed came again",
    "event_after_completed": "{event} came after interaction.completed",
    "error_event": "the service broke off: {detail}",
    # one event
    "event_not_json": "the event's data is not JSON: {detail}",
    "event_not_object": "the event is no JSON object but {detail}",
    "event_type_missing": "the event has no event_type",
    "field_missing": "{event} has no {detail}",
    # what the events say together
    "id_changed": "the interaction's id changed: {detail}",
    "status_conflict": "the statuses contradict each other: {detail}",
    "status_running": "interaction.completed says the interaction is still {detail}",
    "steps_conflict": "interaction.completed carries steps that are not those streamed",
    # the steps' order
    "index_gap": "the step at index {index} started where index {detail} was next",
    "start_twice": "the step at index {index} started again",
    "delta_before_start": "the step at index {index} got a delta before its start",
    "delta_after_stop": "the step at index {index} got a delta after its stop",
    "stop_without_start": "the step at index {index} stopped without a start",
    "stop_twice": "the step at index {index} stopped again",
    "step_not_stopped": "the step at index {index} ({detail}) never stopped",
    # the deltas
    "delta_type_missing": "a delta of the step at index {index} has no type",
    "delta_does_not_fit": "a delta of the step at index {index} does not fit: {detail}",
    "arguments_not_json": "the arguments of the step at index {index} are not JSON: {detail}",
    "arguments_not_object": "the arguments of the step at index {index} are no JSON object but {detail}",
}
"""Every problem's code and message. ``{event}`` is the event's type, ``{index}`` the step's index, from 0."""


class StreamProblem(NamedTuple):
    """One thing wrong in a stream: a code of ``PROBLEMS``, a sentence, and the number of the event that shows it.

    Events count from 1; what only the end shows has the last event's number (0 in an empty stream).
    """

    code: str
    message: str
    event: int

    def to_json(self) -> dict[str, JSON]:
        """Return the problem as exchanges and result lines hold it."""
        return {"code": self.code, "message": self.message, "event": self.event}


class StreamProblems:
    """The problems found in one stream, each once for a step: what is wrong in a hundred deltas of a step is wrong once."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, object, str], StreamProblem] = {}

    def add(
        self, code: str, number: int, *, index: int | None = None, event: str = "", detail: str = ""
    ) -> None:
        """Note a problem at event ``number``; the rest fills the sentence."""
        key = (code, event, detail) if index is None else (code, index, "")
        if key not in self._found:
            self._found[key] = StreamProblem(
                code, PROBLEMS[code].format(event=event, index=index, detail=detail), number
            )

    def in_order(self) -> list[StreamProblem]:
        """Return the problems by the number of their event."""
        return (
            sorted(self._found.values(), key=lambda problem: problem.event) if self._found else []
        )
