"""Types of single values in a suite: names, texts, one value or a list of them.

``entries`` and ``language`` build the mappings of the language from them.
"""

from collections.abc import Collection
from functools import cache
from typing import Annotated, LiteralString, TypeVar

from pydantic import (
    AfterValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError, PydanticKnownError, SchemaValidator

from evalkit._lib.json import JSON
from evalkit.protocol.wire_facts import API_VERSION_PATTERN
from evalkit.suite.model.templates import RUNTIME_NAMES

T = TypeVar("T")

ID = r"^[a-z0-9_-]+$"
SUITE = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,119}$"
VERSION = rf"^{API_VERSION_PATTERN}$"
TAG = r"^[A-Za-z][A-Za-z0-9_.-]*$"
AXIS = r"^[A-Za-z][A-Za-z0-9_-]{0,79}$"
CHOICE = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$"
NAMED_LIST = r"^[A-Za-z][A-Za-z0-9_-]*$"
VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
FUNCTION = r"^[A-Za-z_][A-Za-z0-9_.:-]{0,63}$"
TARGET = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$"

NOT_AXES = ("model", "agent", "history", "stream", "background", "service_tier", "case", "trial")
"""Names of settings that results have already; an axis of ``matrix`` needs another one."""
NOT_TAGS = ("and", "or", "not", "parametrize", "usefixtures", "filterwarnings", "skipif")
"""Words that pytest's ``-m`` reads as operators, and marks of pytest that need arguments."""

FORBID = ConfigDict(extra="forbid", strict=True)


def _require_type(value: dict[str, JSON]) -> dict[str, JSON]:
    kind = value.get("type")
    if not isinstance(kind, str) or not kind:
        raise PydanticCustomError("needs_type", "missing key 'type'")
    return value


def _require_value(value: JSON) -> JSON:
    if value is None:
        raise PydanticCustomError("empty", "empty value")
    return value


def _other_than(
    names: Collection[str], code: LiteralString, message: LiteralString
) -> AfterValidator:
    """Return a validator that refuses names; ``message`` has ``{name}`` in its place."""

    def check(value: str) -> str:
        if value in names:
            raise PydanticCustomError(code, message, {"name": repr(value)})
        return value

    return AfterValidator(check)


@cache
def _target_validator() -> SchemaValidator:
    return SchemaValidator({"type": "str", "pattern": TARGET})


def _valid_target(value: str) -> str:
    if not _target_validator().isinstance_python(value):
        raise PydanticKnownError("string_pattern_mismatch", {"pattern": TARGET})
    return value


def one_or_list(value: object) -> str:
    """Return the tag of a value that may be a list."""
    return "(list)" if isinstance(value, list) else "(one)"


def one_or_object(value: object) -> str:
    """Return the tag of a value that may be a mapping."""
    return "(object)" if isinstance(value, dict) else "(one)"


def text_list_or_object(value: object) -> str:
    """Return the tag of a value that may be a list or a mapping."""
    return one_or_object(value) if isinstance(value, dict) else one_or_list(value)


def list_or_object(value: object) -> str:
    """Return the tag of a value that is a list or a mapping."""
    return "(list)" if isinstance(value, list) else "(object)"


Text = Annotated[str, Field(min_length=1)]
Object = dict[str, JSON]

OneOrMany = Annotated[
    Annotated[T, Tag("(one)")] | Annotated[list[T], Field(min_length=1), Tag("(list)")],
    Discriminator(one_or_list),
]
"""One value, or a list of them: a list makes one variant per value."""

Target = Annotated[
    str, AfterValidator(_valid_target), WithJsonSchema({"type": "string", "pattern": TARGET})
]
"""A Python function. Its pattern is compiled at the first target: that takes 2 ms."""

_TYPED_SCHEMA = {
    "type": "object",
    "properties": {"type": {"type": "string", "minLength": 1}},
    "required": ["type"],
}
TypedObject = Annotated[Object, AfterValidator(_require_type), WithJsonSchema(_TYPED_SCHEMA)]
"""An object of the API with its ``type``, sent unchanged."""

Value = Annotated[JSON, AfterValidator(_require_value), WithJsonSchema({"not": {"type": "null"}})]
TagName = Annotated[
    str,
    StringConstraints(pattern=TAG),
    _other_than(NOT_TAGS, "tag", "{name} cannot be a tag: it has another meaning in pytest"),
    WithJsonSchema({"type": "string", "pattern": TAG, "not": {"enum": list(NOT_TAGS)}}),
]
AxisName = Annotated[
    str,
    StringConstraints(pattern=AXIS),
    _other_than(
        NOT_AXES, "axis", "{name} cannot be an axis: every result has a setting of this name"
    ),
    WithJsonSchema({"type": "string", "pattern": AXIS, "not": {"enum": list(NOT_AXES)}}),
]
ChoiceName = Annotated[str, StringConstraints(pattern=CHOICE)]
Variable = Annotated[
    str,
    StringConstraints(pattern=VARIABLE),
    _other_than(
        RUNTIME_NAMES,
        "variable",
        "the name {name} is given to templates by evalkit; choose another",
    ),
    WithJsonSchema({"type": "string", "pattern": VARIABLE, "not": {"enum": list(RUNTIME_NAMES)}}),
]
Variables = dict[Variable, JSON]
Expectations = list[JSON]
"""Parsed by ``expectation_parser``; ``json_schema`` says what each entry may be."""
