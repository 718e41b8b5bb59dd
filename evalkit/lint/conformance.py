"""Topics ``protocol`` and ``new``: what answers and requests hold, against the tables of ``protocol.field_types``.

Streams are read as they were assembled, for a step is whole only then; their events add what only events have. Answers that refuse
(HTTP 400 and above) are read as errors, and their requests not at all: what was wrong there, the service has said.
"""

from __future__ import annotations

from collections.abc import Iterator

from evalkit._lib.json import JSON, MISSING
from evalkit._lib.text import show
from evalkit.lint.findings import Found
from evalkit.lint.tape import Tape
from evalkit.lint.walking import Notes, Walk, fits
from evalkit.protocol.field_types import SHAPES
from evalkit.protocol.step_reader import steps_of
from evalkit.protocol.step_types import STATUSES
from evalkit.transcript import Exchange

_WITH_STEPS = frozenset(("completed", "requires_action", "incomplete"))
_CONTENT_TYPES = ("application/json", "text/event-stream")


def conformance(tape: Tape) -> Iterator[Found]:
    """Yield every distinct deviation of a cassette's interactions from the protocol, with how often it stands there."""
    notes = Notes()
    for exchange in tape.api:
        _answer(exchange, notes)
    yield from notes.told()


def _answer(exchange: Exchange, notes: Notes) -> None:
    response = exchange.response
    if response is None:
        return
    notes.exchange, notes.part = exchange.number, "response"
    if exchange.error is not None and exchange.events is None:
        _error(exchange.error.body, response.status, notes)
        return
    body = exchange.request.body
    if exchange.request.method == "POST" and isinstance(body, dict):
        notes.part = "request"
        Walk(notes).shape("create", SHAPES["create"], body, "")
        notes.part = "response"
    content_type = response.headers.get("content-type", "")
    if content_type and content_type.partition(";")[0].strip().lower() not in _CONTENT_TYPES:
        message = f"a good answer is {show(content_type, 60)}: SDKs raise"
        notes.add(
            "content_type_other",
            content_type,
            message,
            "",
            " or ".join(_CONTENT_TYPES),
            content_type,
        )
    if exchange.events is not None:
        _streamed(exchange, notes)
    elif exchange.interaction is None:
        if (
            exchange.failure is not None
            and not response.broken
            and not (exchange.request.method == "DELETE" and not response.text)
        ):
            notes.add("answer_unreadable", exchange.failure, exchange.failure, "")
    elif exchange.request.method != "DELETE":
        _interaction(exchange.interaction, notes)


def _interaction(interaction: dict[str, JSON], notes: Notes) -> None:
    Walk(notes).shape("interaction", SHAPES["interaction"], interaction, "")
    _status(interaction.get("status"), notes, "/status")
    status = interaction.get("status")
    if isinstance(status, str) and status in _WITH_STEPS and interaction.get("steps") is None:
        message = f"the interaction is {status} but has no steps: loops over them break"
        notes.add("steps_missing", "", message, "/steps", "an array of steps", MISSING)


def _streamed(exchange: Exchange, notes: Notes) -> None:
    events = exchange.events or []
    notes.part = "events"
    walk = Walk(notes, whole=False)
    for index, event in enumerate(events):
        if not isinstance(event, dict):
            continue
        at = f"/{index}"
        walk.family("event", event, at)
        told = event.get("interaction")
        _status(event.get("status"), notes, f"{at}/status")
        if isinstance(told, dict):
            _status(told.get("status"), notes, f"{at}/interaction/status")
    notes.part = "response"
    if exchange.interaction is not None:
        response = exchange.response
        ended = (
            exchange.failure is None
            and exchange.error is None
            and not (response is not None and response.broken)
        )
        walk = Walk(notes, whole=ended)
        for index, step in enumerate(steps_of(exchange.interaction)):
            walk.family("step", step, f"/steps/{index}")


def _status(status: JSON, notes: Notes, at: str) -> None:
    if isinstance(status, str) and status not in STATUSES:
        notes.add("new_status", status, f"the status {show(status, 60)} is new", at, got=status)


def _error(body: JSON, status: int, notes: Notes) -> None:
    """Hold an HTTP error against the two shapes of protocol section 7."""
    inner = body[0] if isinstance(body, list) and len(body) == 1 else body
    error = inner.get("error") if isinstance(inner, dict) else None
    if (
        not isinstance(error, dict)
        or not isinstance(error.get("message"), str)
        or (not fits("string", error.get("code")) and not fits("number", error.get("code")))
    ):
        expected = '{"error": {"code": …, "message": …}}'
        notes.add(
            "new_error_shape",
            str(status),
            f"the body of HTTP {status} is in neither of the API's two shapes",
            "",
            expected,
            show(body, 80),
        )
        return
    Walk(notes).shape(
        "error", SHAPES["error"], error, "/0/error" if inner is not body else "/error"
    )
