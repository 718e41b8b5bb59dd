"""One expected tool call, one that came, and when the one is the other.

Tools that run at the service count like functions: ``google_search_call`` is a call of ``google_search``, an MCP call goes by its tool's
name. Which expected call stands for which that came is ``tool_calls``'s business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import BeforeValidator, Field, model_validator

from evalkit._lib.json import JSON, MISSING, equal
from evalkit._lib.text import shorten, show
from evalkit.checks.core.base import Options, option_error
from evalkit.checks.core.schema_validation import problems, validator
from evalkit.transcript import Step
from evalkit.verdict import Where

ArgumentMatch = Literal["exact", "subset", "superset", "schema", "ignore"]
MOST_COPIES = 100


def covers(whole: JSON, part: JSON) -> bool:
    """Say whether ``whole`` has everything ``part`` has: every key of an object, at any depth; lists item by item."""
    if isinstance(part, Mapping):
        return isinstance(whole, Mapping) and all(
            key in whole and covers(whole[key], value) for key, value in part.items()
        )
    if isinstance(part, list):
        return isinstance(whole, list) and len(whole) == len(part) and all(map(covers, whole, part))
    return equal(whole, part)


def _valid(schema: JSON, value: JSON) -> bool:
    return bool(validator(schema).is_valid(value))


_FITS: dict[str, Callable[[JSON, JSON], bool]] = {
    "exact": equal,
    "superset": lambda wanted, got: covers(got, wanted),
    "subset": covers,
    "schema": _valid,
    "ignore": lambda wanted, got: True,
}
"""How arguments are compared, by the word in the suite; *subset* and *superset* are said of what came."""


class Call(Options):
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
        None, description="How arguments compare; exact where they are given."
    )
    optional: bool = Field(False, description="The call need not be made.")
    min: int | None = Field(
        None,
        ge=0,
        le=MOST_COPIES,
        description="Fewest such calls; alone it sets no upper limit.",
    )
    max: int | None = Field(None, ge=0, le=MOST_COPIES, description="Most such calls.")

    @model_validator(mode="after")
    def _validate(self) -> Self:
        if self.arguments is MISSING and self.match not in (None, "ignore"):
            raise option_error(f"match: {self.match} needs 'arguments'", "match")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise option_error(f"min {self.min} is above max {self.max}", "min")
        if self.optional and self.min:
            raise option_error("an optional call cannot have a 'min'", "optional")
        if self.match == "schema":
            found = problems(self.arguments)
            if found:
                raise option_error(found[0].message, "arguments", *found[0].path)
        return self

    @property
    def limits(self) -> tuple[int, int | None]:
        """Least and greatest number of such calls; None: any number."""
        if self.min is not None:
            return self.min, self.max
        least = 0 if self.optional or self.max == 0 else 1
        return least, self.max if self.max is not None else 1

    @property
    def admits_one(self) -> bool:
        """Whether a single such call is as expected."""
        return (self.min is None or self.min <= 1) and (self.max is None or self.max >= 1)

    @property
    def how(self) -> ArgumentMatch:
        """How the arguments are compared."""
        return self.match or ("ignore" if self.arguments is MISSING else "exact")

    def fits(self, name: str, arguments: JSON) -> bool:
        """Say whether a call is such a one."""
        return name == self.name and _FITS[self.how](self.arguments, arguments)

    def __str__(self) -> str:
        how = "" if self.how in ("exact", "ignore") else f" ({self.how})"
        return f"{self.name} {show(self.arguments, 60)}{how}" if self.how != "ignore" else self.name


def _named(value: Any) -> Any:
    if isinstance(value, str):
        return {"name": value}
    if not isinstance(value, dict):
        raise option_error(f"must be a name or {{name: …, arguments: …}}, got {show(value)}")
    return value


CallEntry = Annotated[Call, BeforeValidator(_named, json_schema_input_type=str | Call)]


def _one_call(value: Any) -> Any:
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        raise option_error(f"must be a list of calls, got {show(value)}")
    return value


Calls = Annotated[
    list[CallEntry], BeforeValidator(_one_call, json_schema_input_type=str | list[CallEntry])
]


class Made(NamedTuple):
    """A call that came: its name and arguments, the step, and which of which turn's steps it is, from 1."""

    name: str
    arguments: JSON
    step: Step
    turn: int
    number: int

    @property
    def where(self) -> Where:
        """Where it stands."""
        return Where(turn=self.turn, exchange=self.step.exchange, step=self.number)

    def __str__(self) -> str:
        return f"{shorten(self.name)} {show(self.arguments, 60)}"


def call_name(raw: Mapping[str, JSON]) -> str:
    """Return the name a call goes by: its own for functions and MCP tools, else its type without ``_call``."""
    name = raw.get("name")
    if isinstance(name, str) and name:
        return name
    return str(raw.get("type", "")).removesuffix("_call")
