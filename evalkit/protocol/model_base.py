"""The base of all typed views: a pydantic model beside the raw JSON it was read from, which stays the truth.

``from_raw`` takes any JSON value and never raises:

* ``raw`` is the very value given, not a copy: what is sent again is taken from there, never dumped from a model;
* a declared field that is missing, null or of the wrong type reads as its default; names of the wrong ones are in ``invalid``;
* fields that are not declared are in ``unknown``;
* enumerations are plain strings, for every list of the protocol is open.

Values are checked, not converted (an index ``"3"`` alone reads as 3, as the official SDK does it): strings may hold lone surrogates,
objects are the raw ones. Views are frozen. No view is needed on the hot path: see ``reading``.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import BaseModel, ConfigDict, PlainValidator, PrivateAttr, ValidationError

from evalkit._lib.json import JSON


class Typed(BaseModel):
    """A typed view of one JSON object; see the module's text for what it promises."""

    model_config = ConfigDict(
        extra="ignore", frozen=True, defer_build=True, protected_namespaces=()
    )

    tag: ClassVar[str] = "type"
    """The field that names the object's type."""

    _raw: JSON = PrivateAttr(default=None)
    _invalid: tuple[str, ...] = PrivateAttr(default=())

    @classmethod
    def from_raw(cls, raw: JSON) -> Self:
        """Read a JSON value. Never raises; a value that is no object reads as one without fields."""
        given = (
            {name: raw[name] for name in cls.model_fields if raw.get(name) is not None}
            if isinstance(raw, dict)
            else {}
        )
        wrong: tuple[str, ...] = ()
        try:
            view = cls.model_validate(given)
        except ValidationError as error:
            wrong = tuple(
                dict.fromkeys(
                    str(item["loc"][0])
                    for item in error.errors(include_url=False, include_input=False)
                )
            )
            view = cls.model_validate(
                {name: value for name, value in given.items() if name not in wrong}
            )
        view._raw = raw
        view._invalid = wrong
        return view

    @property
    def raw(self) -> JSON:
        """The value this view was read from."""
        return self._raw

    @property
    def invalid(self) -> tuple[str, ...]:
        """The declared fields whose value is not of the declared type."""
        return self._invalid

    @property
    def unknown(self) -> dict[str, JSON]:
        """The fields that this view does not declare, the type's name aside."""
        if not isinstance(self._raw, dict):
            return {}
        return {
            key: value
            for key, value in self._raw.items()
            if key != self.tag and key not in type(self).model_fields
        }

    @property
    def type(self) -> str:
        """The type as received, ``""`` where there is none."""
        value = self._raw.get(self.tag) if isinstance(self._raw, dict) else None
        return value if isinstance(value, str) else ""


def _text(value: JSON) -> JSON:
    if not isinstance(value, str):
        raise ValueError("no string")
    return value


def _flag(value: JSON) -> JSON:
    if not isinstance(value, bool):
        raise ValueError("no boolean")
    return value


def _count(value: JSON) -> int:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.isascii() and value.removeprefix("-").isdecimal():
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("no whole number")
    return value


def an_object(value: JSON) -> JSON:
    """Return a value that is a JSON object. Raises ValueError."""
    if not isinstance(value, dict):
        raise ValueError("no object")
    return value


def an_array(value: JSON) -> JSON:
    """Return a value that is a JSON array. Raises ValueError."""
    if not isinstance(value, list):
        raise ValueError("no array")
    return value


def _word(value: JSON) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("neither string nor number")
    return str(value)


Text = Annotated[str, PlainValidator(_text)]
Flag = Annotated[bool, PlainValidator(_flag)]
Count = Annotated[int, PlainValidator(_count)]
Object = Annotated[dict[str, JSON], PlainValidator(an_object)]
Items = Annotated[list[JSON], PlainValidator(an_array)]
Word = Annotated[str, PlainValidator(_word)]
"""A string, or a number read as one: error codes come in both spellings."""


def _error(value: JSON) -> ErrorInfo:
    return ErrorInfo.from_raw(an_object(value))


def _errors(value: JSON) -> tuple[ErrorInfo, ...]:
    return tuple(map(ErrorInfo.from_raw, an_array(value)))


class ErrorInfo(Typed):
    """An error: of the API, of a run, of a step, or of a stream (protocol sections 3, 4 and 7)."""

    code: Word | None = None
    message: Text | None = None
    status: Text | None = None
    details: JSON = None


OneError = Annotated[ErrorInfo, PlainValidator(_error)]
Errors = Annotated[tuple[ErrorInfo, ...], PlainValidator(_errors)]
