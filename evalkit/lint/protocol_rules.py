"""Topics ``protocol`` and ``new``: responses and requests compared with the tables of the protocol.

JSON is walked by the tables of ``protocol.field_types``: what is new, missing or mistyped is noted.
Each distinct note is kept once, at its first position, and counted: a field that the API began to
send last week is one finding, not a thousand. Objects of unknown types are not walked into. Null
counts as absent.

Streams are checked as assembled, since a step is whole only then; their events add what only events
have. Of an error response (HTTP 400 and above) only the error is checked, and its request not at
all: the service has said what was wrong.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from typing import Any

from evalkit._lib.json import JSON, MISSING, json_type, pointer
from evalkit._lib.text import plural, show
from evalkit.lint.cassette_view import CassetteView
from evalkit.lint.rules import RuleFinding
from evalkit.protocol.field_types import FAMILIES, SDK_MADE, SHAPES, Shape
from evalkit.protocol.step_reader import steps_of
from evalkit.protocol.step_types import CONTENT_TYPES, STATUSES
from evalkit.transcript import Exchange

_NEW_TYPE_CODES = {
    "step": "new_step_type",
    "content": "new_content_type",
    "annotation": "new_annotation_type",
    "event": "new_event_type",
    "delta": "new_delta_type",
    "tool": "new_tool_type",
}
_KIND_NAMES = {
    "object": "an object",
    "array": "an array",
    "string": "a string",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
    "count": "a whole number",
    "any": "anything",
    "input": "a string, an object or an array",
}
_ITEM_NAMES = {"string": "strings", "output": "contents", "content": "contents"}
_REQUEST_SHAPES = frozenset(("create", "generation_config", "webhook_config"))
_SHAPE_TITLES = {
    "create": "the request",
    "interaction": "the interaction",
    "partial_interaction": "the interaction",
}

_FITS: dict[str, Callable[[JSON], bool]] = {
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "any": lambda value: True,
    "count": lambda value: (
        (isinstance(value, int) and not isinstance(value, bool))
        or (isinstance(value, float) and value.is_integer())
        or (isinstance(value, str) and value.isascii() and value.removeprefix("-").isdigit())
    ),
    "input": lambda value: isinstance(value, str | dict | list),
}
_STATUSES_WITH_STEPS = frozenset(("completed", "requires_action", "incomplete"))
_CONTENT_TYPES = ("application/json", "text/event-stream")


class NoteCollector:
    """Notes by code and subject; the first position is kept, further ones are counted.

    ``exchange`` and ``part`` say where the walk currently is.
    """

    def __init__(self) -> None:
        self._notes: dict[tuple[str, str], tuple[RuleFinding, int]] = {}
        self.exchange = 0
        self.part = "response"

    def add(
        self,
        code: str,
        subject: str,
        message: str,
        at: str,
        *,
        expected: Any = MISSING,
        got: Any = MISSING,
    ) -> None:
        """Note something at a pointer into the current part; equal subjects are counted."""
        finding, count = self._notes.get((code, subject), (None, 0))
        if finding is None:
            finding = RuleFinding(
                code,
                message,
                exchange=self.exchange,
                part=self.part,
                pointer=at,
                expected=expected,
                got=got,
            )
        self._notes[code, subject] = (finding, count + 1)

    def messages(self, codes: Collection[str]) -> list[str]:
        """Return the messages of notes with these codes about responses."""
        findings = (finding for finding, _ in self._notes.values() if finding.part != "request")
        return [finding.message for finding in findings if finding.code in codes]

    def findings(self) -> Iterator[RuleFinding]:
        """Yield each note once, in the order of first positions."""
        for finding, count in self._notes.values():
            if count > 1:
                message = f"{finding.message} ({plural(count, 'time')} in this file)"
                finding = replace(finding, message=message)
            yield finding


class SchemaWalk:
    """A walk over one document.

    With ``whole``, required fields must be present; steps of a broken stream lack some.
    """

    def __init__(self, notes: NoteCollector, *, whole: bool = True) -> None:
        self._notes = notes
        self._whole = whole
        self._is_request = notes.part == "request"

    def walk_value(self, kinds: str, value: JSON, owner: str, at: str) -> None:
        """Compare a value with its kinds, such as ``string|count``; ``owner`` names its place."""
        if kinds == "any" or value is None:
            return
        for option in kinds.split("|"):
            if fits(option, value):
                self._walk_inside(option, value, owner, at)
                return
        actual = json_type(value)
        self._add_wrong_type(
            f"{owner} {actual}",
            f"{owner} is {_KIND_NAMES.get(actual, actual)}, not {_describe(kinds)}",
            at,
            _describe(kinds),
            actual,
        )

    def walk_family(self, name: str, value: dict[str, JSON], at: str) -> None:
        """Walk an object whose type decides its fields: a step, content, event, delta, tool."""
        if name == "content" and self._is_request and value.get("type") == "function_result":
            name = "step"  # some clients send results inside a user's message
        family = FAMILIES[name]
        type_ = value.get(family.tag)
        if not isinstance(type_, str):
            if name not in ("event", "delta"):  # the stream assembler reports those
                self._add_typeless(name, family.noun, family.tag, value, at)
            return
        shape = family.shapes.get(type_)
        if shape is not None:
            self.walk_shape(type_, shape, value, at, tag=family.tag)
            return
        self._notes.add(
            _NEW_TYPE_CODES[family.noun],
            type_,
            f"the {family.noun} type {show(type_, 60)} is new",
            f"{at}{pointer(family.tag)}",
            got=type_,
        )

    def walk_shape(
        self, name: str, shape: Shape, value: dict[str, JSON], at: str, *, tag: str | None = None
    ) -> None:
        """Walk an object of known fields; ``tag`` is the field that names its type."""
        title = _SHAPE_TITLES.get(name, name)
        for key, item in value.items():
            kinds = shape.fields.get(key)
            if kinds is not None:
                self.walk_value(kinds, item, f"{title} {key!r}", at + pointer(key))
            elif key != tag:
                self._add_new_field(name, key, item, at)
        for key in shape.required if self._whole else ():
            if value.get(key) is None:
                what = "null as" if key in value else "no"
                self._notes.add(
                    "request_incomplete" if self._is_request else "required_missing",
                    f"{name} {key}",
                    f"{title} has {what} {key!r}",
                    at + pointer(key),
                    expected=_describe(shape.fields.get(key, "any")),
                    got=None,
                )

    def _walk_inside(self, kind_name: str, value: JSON, owner: str, at: str) -> None:
        if kind_name.startswith("["):
            inner = kind_name[1:-1]
            for index, item in enumerate(value):
                if item is None and inner != "any":
                    message = f"an item of {owner} is null"
                    subject = f"item of {owner} null"
                    self._add_wrong_type(
                        subject, message, f"{at}/{index}", _describe(inner), "null"
                    )
                self.walk_value(inner, item, f"an item of {owner}", f"{at}/{index}")
        elif kind_name == "input":
            self._walk_input(value, at)
        elif kind_name in SHAPES:
            self.walk_shape(kind_name, SHAPES[kind_name], value, at)
        elif kind_name in FAMILIES:
            self.walk_family(kind_name, value, at)

    def _walk_input(self, value: JSON, at: str) -> None:
        """Walk ``input`` of a request in any of its four forms (docs/protocol.md section 2.1)."""
        if isinstance(value, dict):
            self.walk_family("content" if value.get("type") in CONTENT_TYPES else "step", value, at)
            return
        for index, item in enumerate(value if isinstance(value, list) else ()):
            position = f"{at}/{index}"
            if not isinstance(item, dict):
                self.walk_value("step", item, "an item of 'input'", position)
            elif item.get("type") in CONTENT_TYPES:
                self.walk_family("content", item, position)
            # The guide's REST example has a string (docs/protocol.md section 10).
            elif not (item.get("type") == "user_input" and isinstance(item.get("content"), str)):
                self.walk_family("step", item, position)

    def _add_wrong_type(self, subject: str, message: str, at: str, expected: str, got: str) -> None:
        code = "request_wrong_type" if self._is_request else "wrong_type"
        self._notes.add(code, subject, message, at, expected=expected, got=got)

    def _add_typeless(
        self, name: str, noun: str, tag: str, value: dict[str, JSON], at: str
    ) -> None:
        hint = ""
        if "role" in value:
            hint = "; 'role' and 'parts' are of the schema before May 2026"
        self._notes.add(
            "request_incomplete" if self._is_request else "type_missing",
            f"{name} type",
            f"a {noun} has no {tag}{hint}",
            at,
            expected="a type",
            got=MISSING if value.get(tag) is None else value[tag],
        )

    def _add_new_field(self, name: str, key: str, item: JSON, at: str) -> None:
        if name in ("interaction", "partial_interaction") and key in SDK_MADE:
            return
        in_tool = self._is_request and name in FAMILIES["tool"].shapes
        self._notes.add(
            "new_request_field" if in_tool or name in _REQUEST_SHAPES else "new_field",
            f"{name} {key}",
            f"the field {show(key, 60)} of {_SHAPE_TITLES.get(name, name)} is new",
            at + pointer(key),
            got=item,
        )


def fits(kind_name: str, value: JSON) -> bool:
    """Return whether a value is of one kind of ``protocol.field_types``, by its JSON type alone."""
    test = _FITS.get(kind_name)
    if test is not None:
        return test(value)
    return isinstance(value, list if kind_name.startswith("[") else dict)


def _describe(kinds: str) -> str:
    names = []
    for option in kinds.split("|"):
        if option == "[any]":
            names.append("an array")
        elif option.startswith("["):
            items = _ITEM_NAMES.get(option[1:-1], option[1:-1] + "s").replace("_", " ")
            names.append(f"an array of {items}")
        else:
            names.append(_KIND_NAMES.get(option, "an object"))
    return " or ".join(dict.fromkeys(names))


def check_protocol(view: CassetteView) -> Iterator[RuleFinding]:
    """Yield every distinct deviation from the protocol, with its count in the file."""
    notes = NoteCollector()
    for exchange in view.api_exchanges:
        if exchange.response is not None:
            _check_exchange(exchange, notes)
    yield from notes.findings()


def new_things(exchanges: Iterable[Exchange]) -> list[str]:
    """Return what responses have that the tables of the protocol do not, each once."""
    notes = NoteCollector()
    for exchange in exchanges:
        if exchange.response is not None:
            _check_exchange(exchange, notes)
    return notes.messages({*_NEW_TYPE_CODES.values(), "new_field", "new_status"})


def _check_exchange(exchange: Exchange, notes: NoteCollector) -> None:
    response, request = exchange.response, exchange.request
    assert response is not None
    notes.exchange, notes.part = exchange.number, "response"
    if exchange.error is not None and exchange.events is None:
        _check_error(exchange.error.body, response.status, notes)
        return
    if request.creates_interaction:
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
