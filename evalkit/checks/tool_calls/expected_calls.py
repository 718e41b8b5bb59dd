"""Expected calls of ``tool_calls``, and which arguments fit them."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from evalkit._lib.json import JSON, MISSING, differences, equal
from evalkit._lib.text import show
from evalkit.checks.core.arguments import or_bare
from evalkit.checks.core.base import Options, option_error
from evalkit.checks.core.schema_validation import problems as schema_problems
from evalkit.checks.core.schema_validation import violations
from evalkit.checks.core.strictness import Strictness, limits_order
from evalkit.checks.tool_calls.received_calls import ReceivedCall

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
    "schema": lambda expected, got: next(violations(expected, got), None) is None,
    "ignore": lambda expected, got: True,
}
"""How arguments are compared. The received ones are the subset or superset."""


class ExpectedCall(Options):
    """One expected call."""

    strictness: ClassVar[Mapping[str, Strictness]] = {
        "arguments": "rule",
        "match": {
            "ignore": ["schema", "superset", "subset"],
            # Absent means exact where arguments are given.
            "superset": ["exact", "None"],
            "subset": ["exact", "None"],
        },
        "optional": "part",
        "min": "part",
        "max": "part",
        "limits": limits_order,
    }
    name: str = Field(
        min_length=1,
        description="Name of the function or tool: get_weather, google_search, code_execution…",
    )
    arguments: Any = Field(
        default_factory=lambda: MISSING,
        description="The arguments, or with match: schema their JSON Schema; absent, or schema:"
        " any that fit the declared parameters.",
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
        if isinstance(self.arguments, str) and self.arguments != "schema":
            message = f"must be a mapping or 'schema', got {show(self.arguments)}"
            raise option_error(message, "arguments")
        if self.arguments is MISSING and self.match not in (None, "ignore"):
            raise option_error(f"match: {self.match} needs 'arguments'", "match")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise option_error(f"min {self.min} is above max {self.max}", "min")
        if self.optional and self.min:
            raise option_error("an optional call cannot have a 'min'", "optional")
        for path, message in schema_problems(self.arguments) if self.match == "schema" else ():
            raise option_error(message, "arguments", *path)
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
        is_any = self.arguments is MISSING or self.arguments == "schema"
        return self.match or ("ignore" if is_any else "exact")

    def fits(self, call: ReceivedCall) -> bool:
        """Return whether a received call is such a call."""
        return call.name == self.name and _FITS[self.argument_match](self.arguments, call.arguments)

    def distance(self, call: ReceivedCall) -> int:
        """Return in how many values the arguments of a received call differ."""
        return len(self.other_arguments(call))

    def other_arguments(self, call: ReceivedCall) -> list[tuple[str, JSON, JSON]]:
        """Return ``(pointer, expected, got)`` of the arguments that make a received call unfit.

        Arguments that only one side has are left out where ``match`` allows them.
        """
        found = list(differences(self.arguments, call.arguments))
        allowed = {"superset": 1, "subset": 2}.get(self.argument_match)
        if allowed is None:
            return found
        # Items of lists have to be on both sides: where nothing else differs, they do.
        return [one for one in found if one[allowed] is not MISSING] or found

    def __str__(self) -> str:
        match = self.argument_match
        if match == "ignore":
            return self.name
        return f"{self.name} {show(self.arguments, 60)}{'' if match == 'exact' else f' ({match})'}"


CallEntry = Annotated[
    ExpectedCall,
    or_bare(
        str,
        lambda name: {"name": name},
        dict,
        "a name or {name: …, arguments: …}",
        str | ExpectedCall,
    ),
]


ExpectedCalls = Annotated[
    list[CallEntry],
    or_bare(str, lambda name: [name], list, "a list of calls", str | list[CallEntry]),
]
