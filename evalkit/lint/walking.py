"""A walk over JSON by the tables of ``protocol.field_types``, which notes what is new, missing or of another type.

Each distinct note is kept once, where it stands first, and counted: a field the API began to send last week is one line, not a thousand. What
a type is not known of is not walked into. Null counts as absent. Which document is walked as what is ``conformance``'s business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from evalkit._lib.json import JSON, MISSING, json_type, pointer
from evalkit._lib.text import plural, show
from evalkit.lint.findings import Found
from evalkit.protocol.field_types import FAMILIES, SDK_MADE, SHAPES, Shape
from evalkit.protocol.step_types import CONTENT_TYPES

_NEW_TYPE = {
    "step": "new_step_type",
    "content": "new_content_type",
    "annotation": "new_annotation_type",
    "event": "new_event_type",
    "delta": "new_delta_type",
    "tool": "new_tool_type",
}
_A = {
    "object": "an object",
    "array": "an array",
    "string": "a string",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}
_WHOLE = {"count": "a whole number", "any": "anything"}
_LIST_OF = {"string": "strings", "output": "contents", "content": "contents"}


@dataclass(slots=True)
class _Note:
    found: Found
    count: int = 1


class Notes:
    """What was noted, by code and subject; the first place is kept, the others are counted."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, str], _Note] = {}
        self.exchange = 0
        self.part = "response"

    def add(
        self,
        code: str,
        subject: str,
        message: str,
        at: str,
        expected: Any = MISSING,
        got: Any = MISSING,
    ) -> None:
        """Note something at a pointer into the current part of the current exchange; ``subject`` tells it from others of its code."""
        held = self._held.get((code, subject))
        if held is None:
            self._held[code, subject] = _Note(
                Found(code, message, self.exchange, self.part, at, expected, got)
            )
        else:
            held.count += 1

    def told(self) -> Iterator[Found]:
        """Yield each note once, in the order of their first places."""
        for note in self._held.values():
            found, count = note.found, note.count
            yield (
                found._replace(message=f"{found.message} ({plural(count, 'time')} in this file)")
                if count > 1
                else found
            )


class Walk:
    """One document walked. ``whole``: required fields must be there (a stream that broke off has steps that are not)."""

    def __init__(self, notes: Notes, whole: bool = True) -> None:
        self._notes = notes
        self._whole = whole
        self._asked = notes.part == "request"

    def value(self, wanted: str, value: JSON, owner: str, at: str) -> None:
        """Hold a value against a kind; ``owner`` names what it belongs to, ``at`` is its pointer."""
        if wanted == "any" or value is None:
            return
        for option in wanted.split("|") if "|" in wanted else (wanted,):
            if fits(option, value):
                self._inside(option, value, owner, at)
                return
        code = "request_wrong_type" if self._asked else "wrong_type"
        expected, got = _named(wanted), json_type(value)
        self._notes.add(
            code,
            f"{owner} {got}",
            f"{owner} is {_A.get(got, got)}, not {expected}",
            at,
            expected,
            got,
        )

    def _inside(self, wanted: str, value: JSON, owner: str, at: str) -> None:
        if wanted.startswith("["):
            inner = wanted[1:-1]
            for index, item in enumerate(value):
                if item is None:
                    self._wrong_item(inner, owner, f"{at}/{index}")
                self.value(inner, item, f"an item of {owner}", f"{at}/{index}")
        elif wanted == "input":
            self._input(value, at)
        elif wanted in SHAPES:
            self.shape(wanted, SHAPES[wanted], value, at)
        elif wanted in FAMILIES:
            self.family(wanted, value, at)

    def _wrong_item(self, inner: str, owner: str, at: str) -> None:
        if inner != "any":
            code = "request_wrong_type" if self._asked else "wrong_type"
            self._notes.add(
                code,
                f"item of {owner} null",
                f"an item of {owner} is null",
                at,
                _named(inner),
                "null",
            )

    def family(self, name: str, value: dict[str, JSON], at: str) -> None:
        """Walk an object whose type tells what it may hold."""
        family = FAMILIES[name]
        type_ = value.get(family.tag)
        if not isinstance(type_, str):
            if name not in ("event", "delta"):  # the assembler tells of those
                code = "request_incomplete" if self._asked else "type_missing"
                hint = (
                    "; 'role' and 'parts' are of the schema before May 2026"
                    if "role" in value
                    else ""
                )
                self._notes.add(
                    code,
                    f"{name} type",
                    f"a {family.noun} has no {family.tag}{hint}",
                    at,
                    "a type",
                    MISSING if type_ is None else type_,
                )
            return
        shape = family.shapes.get(type_)
        if shape is None:
            code = _NEW_TYPE[family.noun]
            self._notes.add(
                code,
                type_,
                f"the {family.noun} type {show(type_, 60)} is new",
                f"{at}{pointer(family.tag)}",
                got=type_,
            )
            return
        self.shape(type_, shape, value, at, family.tag)

    def shape(
        self, name: str, shape: Shape, value: dict[str, JSON], at: str, tag: str | None = None
    ) -> None:
        """Walk an object of known fields."""
        fields = shape.fields
        for key, item in value.items():
            wanted = fields.get(key)
            if wanted is not None:
                if wanted != "any":
                    self.value(wanted, item, f"{_title(name)} {key!r}", at + pointer(key))
            elif key != tag:
                self._new_field(name, key, item, at)
        if self._whole:
            for key in shape.required:
                if value.get(key) is None:
                    self._missing(name, key, value, at)

    def _new_field(self, name: str, key: str, item: JSON, at: str) -> None:
        if name in ("interaction", "partial_interaction") and key in SDK_MADE:
            return
        asked = name in _REQUESTS or (self._asked and name in FAMILIES["tool"].shapes)
        code = "new_request_field" if asked else "new_field"
        self._notes.add(
            code,
            f"{name} {key}",
            f"the field {show(key, 60)} of {_title(name)} is new",
            at + pointer(key),
            got=item,
        )

    def _missing(self, name: str, key: str, value: dict[str, JSON], at: str) -> None:
        code = "request_incomplete" if self._asked else "required_missing"
        what = "null as" if key in value else "no"
        self._notes.add(
            code,
            f"{name} {key}",
            f"{_title(name)} has {what} {key!r}",
            at + pointer(key),
            _named_field(name, key),
            None,
        )

    def _input(self, value: JSON, at: str) -> None:
        """Walk a request's ``input`` (protocol section 2.1): text, one content, contents, or steps."""
        if isinstance(value, dict):
            self.family("content" if value.get("type") in CONTENT_TYPES else "step", value, at)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                place = f"{at}/{index}"
                if not isinstance(item, dict):
                    self.value("step", item, "an item of 'input'", place)
                elif item.get("type") in CONTENT_TYPES:
                    self.family("content", item, place)
                elif item.get("type") == "user_input" and isinstance(item.get("content"), str):
                    continue  # the guide's REST sample says it so (protocol section 10, row 4)
                else:
                    self.family("step", item, place)


_REQUESTS = frozenset(("create", "generation_config", "webhook_config"))
_TITLES = {
    "create": "the request",
    "interaction": "the interaction",
    "partial_interaction": "the interaction",
}
_CHECKS: dict[str, Callable[[JSON], bool]] = {
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


def fits(wanted: str, value: JSON) -> bool:
    """Say whether a value is of one kind of ``protocol.field_types``, by its JSON type alone."""
    check = _CHECKS.get(wanted)
    if check is not None:
        return check(value)
    return isinstance(value, list if wanted.startswith("[") else dict)


def _title(name: str) -> str:
    return _TITLES.get(name, name)


def _named(wanted: str) -> str:
    words = []
    for option in wanted.split("|"):
        if option.startswith("["):
            inner = option[1:-1]
            words.append(
                "an array"
                if inner == "any"
                else f"an array of {_LIST_OF.get(inner, inner + 's')}".replace("_", " ")
            )
        else:
            words.append(
                _A.get(option)
                or _WHOLE.get(option)
                or ("a string, an object or an array" if option == "input" else "an object")
            )
    return " or ".join(dict.fromkeys(words))


def _named_field(name: str, key: str) -> str:
    for family in FAMILIES.values():
        if name in family.shapes and key in family.shapes[name].fields:
            return _named(family.shapes[name].fields[key])
    return _named(SHAPES[name].fields[key]) if name in SHAPES else "a value"
