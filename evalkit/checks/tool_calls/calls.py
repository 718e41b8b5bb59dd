"""One expected tool call, one received call, and when the received one fits the expected one.

Tools that run at the service count like functions: ``google_search_call`` is a call of
``google_search``, and an MCP call has the name of its tool.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import BeforeValidator, Field, model_validator

from evalkit._lib.json import JSON, MISSING, equal
from evalkit._lib.text import shorten, show
from evalkit.checks.core.base import NumberedStep, Options, View, option_error
from evalkit.checks.core.schema_validation import problems, validator
from evalkit.protocol.step_types import RESULT_OF
from evalkit.verdict import Where

ArgumentMatch = Literal["exact", "subset", "superset", "schema", "ignore"]
MAX_COUNT = 100


def covers(whole: JSON, part: JSON) -> bool:
    """Return whether ``whole`` has every key of ``part``, at any depth; lists item by item."""
    if isinstance(part, Mapping):
        return isinstance(whole, Mapping) and all(
            key in whole and covers(whole[key], value) for key, value in part.items()
        )
    if isinstance(part, list):
        return isinstance(whole, list) and len(whole) == len(part) and all(map(covers, whole, part))
    return equal(whole, part)


_FITS: dict[str, Callable[[JSON, JSON], bool]] = {
    "exact": equal,
    "superset": lambda expected, got: covers(got, expected),
    "subset": covers,
    "schema": lambda expected, got: bool(validator(expected).is_valid(got)),
    "ignore": lambda expected, got: True,
}
"""How arguments are compared. The received ones are the subset or superset."""


class ExpectedCall(Options):
    """One expected call."""

    name: str = Field(
        min_length=1,
        description="Name of the function or tool: get_weather, google_search, code_execution…",
    )
    arguments: Any = Field(
        default_factory=lambda: MISSING,
        description="The arguments, or with match: schema their JSON Schema; absent: any.",
    )
    match: ArgumentMatch | None = Field(
        None, description="How arguments are compared; exact where they are given."
    )
    optional: bool = Field(False, description="The call need not be made.")
    min: int | None = Field(
        None,
        ge=0,
        le=MAX_COUNT,
        description="Fewest such calls; alone it sets no upper limit.",
    )
    max: int | None = Field(None, ge=0, le=MAX_COUNT, description="Most such calls.")

    @model_validator(mode="after")
    def _refuse_contradictions(self) -> Self:
        if self.arguments is MISSING and self.match not in (None, "ignore"):
            raise option_error(f"match: {self.match} needs 'arguments'", "match")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise option_error(f"min {self.min} is above max {self.max}", "min")
        if self.optional and self.min:
            raise option_error("an optional call cannot have a 'min'", "optional")
        for problem in problems(self.arguments) if self.match == "schema" else ():
            raise option_error(problem.message, "arguments", *problem.path)
        return self

    @property
    def limits(self) -> tuple[int, int | None]:
        """The least and the greatest number of such calls (None: any number)."""
        if self.min is not None:
            return self.min, self.max
        least = 0 if self.optional or self.max == 0 else 1
        return least, self.max if self.max is not None else 1

    @property
    def argument_match(self) -> ArgumentMatch:
        """How the arguments are compared."""
        return self.match or ("ignore" if self.arguments is MISSING else "exact")

    def fits(self, call: ReceivedCall) -> bool:
        """Return whether a received call is such a call."""
        return call.name == self.name and _FITS[self.argument_match](self.arguments, call.arguments)

    def __str__(self) -> str:
        match = self.argument_match
        if match == "ignore":
            return self.name
        return f"{self.name} {show(self.arguments, 60)}{'' if match == 'exact' else f' ({match})'}"


def _from_name(value: Any) -> Any:
    if isinstance(value, str):
        return {"name": value}
    if not isinstance(value, dict):
        raise option_error(f"must be a name or {{name: …, arguments: …}}, got {show(value)}")
    return value


def _from_one_name(value: Any) -> Any:
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        raise option_error(f"must be a list of calls, got {show(value)}")
    return value


CallEntry = Annotated[
    ExpectedCall, BeforeValidator(_from_name, json_schema_input_type=str | ExpectedCall)
]
ExpectedCalls = Annotated[
    list[CallEntry],
    BeforeValidator(_from_one_name, json_schema_input_type=str | list[CallEntry]),
]


class ReceivedCall(NamedTuple):
    """A call that the model made."""

    name: str
    arguments: JSON
    step_type: str
    where: Where

    def __str__(self) -> str:
        return f"{shorten(self.name)} {show(self.arguments, 60)}"


def received_calls(view: View) -> list[ReceivedCall]:
    """Return all calls in view, in order."""
    return [_received(each) for each in view.numbered_steps if each.step.type in RESULT_OF]


def _received(each: NumberedStep) -> ReceivedCall:
    raw = each.step.raw
    return ReceivedCall(call_name(raw), raw.get("arguments"), each.step.type, each.where())


def call_name(raw: Mapping[str, JSON]) -> str:
    """Return the name of a call: of its function or MCP tool, else its type without ``_call``."""
    name = raw.get("name")
    if isinstance(name, str) and name:
        return name
    return str(raw.get("type", "")).removesuffix("_call")
