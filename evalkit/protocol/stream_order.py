"""The order of events in a stream as tables, and the names of everything that can be wrong.

The order is ``created (status_update)* (start delta* stop)* completed``, with an ``error`` anywhere
(docs/protocol.md section 6). One state machine follows the stream, and one each step by its
``index``; steps may overlap. An unknown event type changes no state and is not a problem.

A problem has a name, is never raised, and never stops reading. The names in ``PROBLEMS`` are the
codes that the ``stream`` check reports; users rely on them.
"""

from typing import NamedTuple

from evalkit._lib.json import JSON


class Transition(NamedTuple):
    """The state after an event, and the problem that the event shows (None if it is expected)."""

    state: str
    problem: str | None = None


CREATED = "interaction.created"
STATUS = "interaction.status_update"
START = "step.start"
DELTA = "step.delta"
STOP = "step.stop"
COMPLETED = "interaction.completed"
ERROR = "error"

STREAM: dict[str, dict[str, Transition]] = {
    "new": {
        CREATED: Transition("open"),
        STATUS: Transition("open", "created_missing"),
        START: Transition("open", "created_missing"),
        DELTA: Transition("open", "created_missing"),
        STOP: Transition("open", "created_missing"),
        COMPLETED: Transition("completed", "created_missing"),
        ERROR: Transition("failed", "error_event"),
    },
    "open": {
        CREATED: Transition("open", "created_twice"),
        STATUS: Transition("open"),
        START: Transition("open"),
        DELTA: Transition("open"),
        STOP: Transition("open"),
        COMPLETED: Transition("completed"),
        ERROR: Transition("failed", "error_event"),
    },
    "completed": {
        CREATED: Transition("completed", "event_after_completed"),
        STATUS: Transition("completed", "event_after_completed"),
        START: Transition("completed", "event_after_completed"),
        DELTA: Transition("completed", "event_after_completed"),
        STOP: Transition("completed", "event_after_completed"),
        COMPLETED: Transition("completed", "completed_twice"),
        ERROR: Transition("completed", "error_event"),
    },
    "failed": {
        CREATED: Transition("failed"),
        STATUS: Transition("failed"),
        START: Transition("failed"),
        DELTA: Transition("failed"),
        STOP: Transition("failed"),
        COMPLETED: Transition("completed"),
        ERROR: Transition("failed", "error_event"),
    },
}

STREAM_END: dict[str, str | None] = {
    "new": "completed_missing",
    "open": "completed_missing",
    "completed": None,
    "failed": None,
}
"""The problem that the end of the stream shows in each state. An error explains the early end."""

STEP: dict[str, dict[str, Transition]] = {
    "absent": {
        START: Transition("open"),
        DELTA: Transition("absent", "delta_before_start"),
        STOP: Transition("absent", "stop_without_start"),
    },
    "open": {
        START: Transition("open", "start_twice"),
        DELTA: Transition("open"),
        STOP: Transition("stopped"),
    },
    "stopped": {
        START: Transition("stopped", "start_twice"),
        DELTA: Transition("stopped", "delta_after_stop"),
        STOP: Transition("stopped", "stop_twice"),
    },
}

STEP_END: dict[str, str | None] = {"open": "step_not_stopped", "stopped": None}

PROBLEMS: dict[str, str] = {
    # the stream as a whole
    "empty_stream": "the stream has no event",
    "created_missing": "{event} arrived before interaction.created",
    "created_twice": "interaction.created arrived again",
    "completed_missing": "the stream ended without interaction.completed",
    "completed_twice": "interaction.completed arrived again",
    "event_after_completed": "{event} arrived after interaction.completed",
    "error_event": "the service broke off: {detail}",
    "error_recovered": "an error arrived, and the stream was completed in spite of it: {detail}",
    # one event
    "event_not_json": "the event's data is not JSON: {detail}",
    "event_not_object": "the event is not a JSON object but {detail}",
    "event_type_missing": "the event has no event_type",
    "field_missing": "{event} has no {detail}",
    # several events
    "id_changed": "the interaction's id changed: {detail}",
    "status_conflict": "the statuses contradict each other: {detail}",
    "status_running": "interaction.completed says the interaction is still {detail}",
    "steps_conflict": "the steps of interaction.completed differ from the streamed steps",
    # the order of steps
    "index_gap": "the step at index {index} started where index {detail} was next",
    "start_twice": "the step at index {index} started again",
    "delta_before_start": "the step at index {index} got a delta before its start",
    "delta_after_stop": "the step at index {index} got a delta after its stop",
    "stop_without_start": "the step at index {index} stopped without a start",
    "stop_twice": "the step at index {index} stopped again",
    "step_not_stopped": "the step at index {index} ({detail}) never stopped",
    # deltas
    "delta_type_missing": "a delta of the step at index {index} has no type",
    "delta_does_not_fit": "a delta of the step at index {index} does not fit: {detail}",
    "arguments_not_json": "the arguments of the step at index {index} are not JSON: {detail}",
    "arguments_not_object": (
        "the arguments of the step at index {index} are not a JSON object but {detail}"
    ),
}
"""Message by code. ``{event}`` is the event's type, ``{index}`` the step's index, from 0."""


NEEDS_BEGINNING = frozenset(
    {"created_missing", "index_gap", "delta_before_start", "stop_without_start"}
)
"""Problems that say nothing where only the rest of a stream is known."""


class StreamProblem(NamedTuple):
    """A problem in a stream: a code of ``PROBLEMS``, its message, and the number of its event.

    Events count from 1. A problem that only the end shows has the number of the last event, 0 in an
    empty stream.
    """

    code: str
    message: str
    event: int

    def to_json(self) -> dict[str, JSON]:
        """Return the problem as exchanges and result lines store it."""
        return {"code": self.code, "message": self.message, "event": self.event}


class StreamProblems:
    """The problems of one stream; each code is reported once per step."""

    def __init__(self) -> None:
        self._problems: dict[tuple[str, object, str], StreamProblem] = {}

    def add(
        self, code: str, number: int, *, index: int | None = None, event: str = "", detail: str = ""
    ) -> None:
        """Add a problem of event ``number``; the other arguments fill the message."""
        key = (code, event, detail) if index is None else (code, index, "")
        message = PROBLEMS[code].format(event=event, index=index, detail=detail)
        self._problems.setdefault(key, StreamProblem(code, message, number))

    def in_order(self) -> list[StreamProblem]:
        """Return the problems by the number of their event."""
        return sorted(self._problems.values(), key=lambda problem: problem.event)
