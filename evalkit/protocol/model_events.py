"""Typed views of a stream's events and deltas (protocol section 6); ``UnknownEvent`` for any other event.

Assembling reads raw events (``assemble``); these are for whoever looks at single ones. A delta is one class with every field a delta type
may have: which of them count is told by its type, in the table ``folding.DELTAS``.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import PlainValidator

from evalkit._lib.json import JSON
from evalkit.protocol.model_base import Count, Flag, Items, Object, OneError, Text, Typed, an_object
from evalkit.protocol.model_content import OneContent
from evalkit.protocol.model_steps import OneStep
from evalkit.protocol.models import OneInteraction, OneUsage
from evalkit.protocol.stream_states import COMPLETED, CREATED, DELTA, ERROR, START, STATUS, STOP


class Delta(Typed):
    """What a ``step.delta`` adds; ``arguments`` are a fragment of JSON text in ``arguments_delta``, an object in the typed call deltas."""

    text: Text | None = None
    annotations: Items | None = None
    content: OneContent | None = None
    signature: Text | None = None
    arguments: JSON = None
    result: JSON = None
    is_error: Flag | None = None
    name: Text | None = None
    server_name: Text | None = None
    data: Text | None = None
    uri: Text | None = None
    mime_type: Text | None = None


def _delta(value: JSON) -> Delta:
    return Delta.from_raw(an_object(value))


class Event(Typed):
    """An event of a stream; ``type`` is its ``event_type``."""

    tag: ClassVar[str] = "event_type"

    event_id: Text | None = None


class InteractionCreated(Event):
    """The stream begins; the interaction is partial."""

    interaction: OneInteraction | None = None


class StatusUpdate(Event):
    """The run's status changed."""

    interaction_id: Text | None = None
    status: Text | None = None
    continuation_token: Text | None = None
    usage: OneUsage | None = None


class StepStart(Event):
    """A step begins; calls have their id and name already."""

    index: Count | None = None
    step: OneStep | None = None


class StepDelta(Event):
    """A step grows."""

    index: Count | None = None
    delta: Annotated[Delta, PlainValidator(_delta)] | None = None
    metadata: Object | None = None


class StepStop(Event):
    """A step is whole."""

    index: Count | None = None
    usage: OneUsage | None = None
    step_usage: OneUsage | None = None


class InteractionCompleted(Event):
    """The stream's last event; the interaction has status and usage, but no steps. The status need not be ``completed``."""

    interaction: OneInteraction | None = None


class ErrorEvent(Event):
    """The service broke off."""

    error: OneError | None = None


class UnknownEvent(Event):
    """An event of a type that is not known here, or of none."""


EVENT_MODELS: dict[str, type[Event]] = {
    CREATED: InteractionCreated,
    STATUS: StatusUpdate,
    START: StepStart,
    DELTA: StepDelta,
    STOP: StepStop,
    COMPLETED: InteractionCompleted,
    ERROR: ErrorEvent,
}


def read_event(raw: JSON) -> Event:
    """Return the typed view of one raw event. Never raises."""
    kind = raw.get("event_type") if isinstance(raw, dict) else None
    return (
        EVENT_MODELS.get(kind, UnknownEvent) if isinstance(kind, str) else UnknownEvent
    ).from_raw(raw)
