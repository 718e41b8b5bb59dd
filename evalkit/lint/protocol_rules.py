"""Topics ``protocol`` and ``new``: responses and requests compared with the tables of the protocol.

Streams are checked as assembled, since a step is whole only then; their events add what only events
have. Of an error response (HTTP 400 and above) only the error is checked, and its request not at
all: the service has said what was wrong.
"""

from collections.abc import Iterator

from evalkit._lib.json import JSON
from evalkit._lib.text import show
from evalkit.lint.cassette_view import CassetteView
from evalkit.lint.findings import RuleFinding
from evalkit.lint.schema_walk import NoteCollector, SchemaWalk, fits
from evalkit.protocol.field_types import SHAPES
from evalkit.protocol.step_reader import steps_of
from evalkit.protocol.step_types import STATUSES
from evalkit.transcript import Exchange

_STATUSES_WITH_STEPS = frozenset(("completed", "requires_action", "incomplete"))
_CONTENT_TYPES = ("application/json", "text/event-stream")


def check_protocol(view: CassetteView) -> Iterator[RuleFinding]:
    """Yield every distinct deviation from the protocol, with its count in the file."""
    notes = NoteCollector()
    for exchange in view.api_exchanges:
        if exchange.response is not None:
            _check_exchange(exchange, notes)
    yield from notes.findings()


def _check_exchange(exchange: Exchange, notes: NoteCollector) -> None:
    response, request = exchange.response, exchange.request
    assert response is not None
    notes.exchange, notes.part = exchange.number, "response"
    if exchange.error is not None and exchange.events is None:
        _check_error(exchange.error.body, response.status, notes)
        return
    if request.method == "POST" and isinstance(request.body, dict):
        notes.part = "request"
        SchemaWalk(notes).walk_shape("create", SHAPES["create"], request.body, "")
        notes.part = "response"
    content_type = response.headers.get("content-type", "")
    if content_type and content_type.partition(";")[0].strip().lower() not in _CONTENT_TYPES:
        notes.add(
            "content_type_other",
            content_type,
            f"a successful response is {show(content_type, 60)}: SDKs raise",
            "",
            expected=" or ".join(_CONTENT_TYPES),
            got=content_type,
        )
    if exchange.events is not None:
        _check_stream(exchange, notes)
    elif exchange.interaction is None:
        empty_delete = request.method == "DELETE" and not response.text
        if exchange.failure is not None and not response.broken and not empty_delete:
            notes.add("answer_unreadable", exchange.failure, exchange.failure, "")
    elif request.method != "DELETE":
        _check_interaction(exchange.interaction, notes)


def _check_interaction(interaction: dict[str, JSON], notes: NoteCollector) -> None:
    SchemaWalk(notes).walk_shape("interaction", SHAPES["interaction"], interaction, "")
    status = interaction.get("status")
    _check_status(status, notes, "/status")
    if (
        isinstance(status, str)
        and status in _STATUSES_WITH_STEPS
        and interaction.get("steps") is None
    ):
        message = f"the interaction is {status} but has no steps: loops over them break"
        notes.add("steps_missing", "", message, "/steps", expected="an array of steps")


def _check_stream(exchange: Exchange, notes: NoteCollector) -> None:
    notes.part = "events"
    walk = SchemaWalk(notes, whole=False)
    for index, event in enumerate(exchange.events or []):
        if not isinstance(event, dict):
            continue
        walk.walk_family("event", event, f"/{index}")
        _check_status(event.get("status"), notes, f"/{index}/status")
        interaction = event.get("interaction")
        if isinstance(interaction, dict):
            _check_status(interaction.get("status"), notes, f"/{index}/interaction/status")
    notes.part = "response"
    if exchange.interaction is None:
        return
    broken = exchange.response is not None and exchange.response.broken
    whole = exchange.failure is None and exchange.error is None and not broken
    walk = SchemaWalk(notes, whole=whole)
    for index, step in enumerate(steps_of(exchange.interaction)):
        walk.walk_family("step", step, f"/steps/{index}")


def _check_status(status: JSON, notes: NoteCollector, at: str) -> None:
    if isinstance(status, str) and status not in STATUSES:
        notes.add("new_status", status, f"the status {show(status, 60)} is new", at, got=status)


def _check_error(body: JSON, status: int, notes: NoteCollector) -> None:
    """Compare an HTTP error with the two forms of docs/protocol.md section 7."""
    in_array = isinstance(body, list) and len(body) == 1
    document = body[0] if in_array else body
    error = document.get("error") if isinstance(document, dict) else None
    if (
        not isinstance(error, dict)
        or not isinstance(error.get("message"), str)
        or not (fits("string", error.get("code")) or fits("number", error.get("code")))
    ):
        notes.add(
            "new_error_shape",
            str(status),
            f"the body of HTTP {status} is in neither of the API's two forms",
            "",
            expected='{"error": {"code": …, "message": …}}',
            got=show(body, 80),
        )
        return
    at = "/0/error" if in_array else "/error"
    SchemaWalk(notes).walk_shape("error", SHAPES["error"], error, at)
