"""Policies of a scenario: how often it is run, and which of its variants need not pass.

The first half are the mappings of the language, the second what they mean.
"""

# No 'from __future__ import annotations': see ``language``.
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from math import ceil
from typing import Annotated, Any, NamedTuple, Required, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, WithJsonSchema, with_config
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from evalkit._lib.json import JSON
from evalkit._lib.text import show
from evalkit.suite.model.templates import TemplateError, is_template, template
from evalkit.suite.model.value_types import FORBID, Text, one_or_object


def _boolean_or_text(value: object) -> str:
    return "(boolean)" if isinstance(value, bool) else "(text)"


def _valid_date(value: str) -> str:
    try:
        is_date = len(value) == 10 and bool(date.fromisoformat(value))
    except ValueError:
        is_date = False
    if not is_date:
        raise PydanticCustomError("date", "'until' takes a day such as 2026-12-31")
    return value


@with_config(FORBID)
class RepeatEntry(TypedDict):
    """A policy for scenarios whose outcome varies: how many trials, and how many must pass."""

    trials: Annotated[int, Field(ge=1, le=10_000, description="Independent trials.")]
    require: Annotated[int, Field(ge=1, description="How many of the trials must pass.")]


Condition = Annotated[
    Annotated[bool, Tag("(boolean)")] | Annotated[Text, Tag("(text)")],
    Discriminator(_boolean_or_text),
    Field(
        description="An expression over the variant's settings and the variables, such as "
        "history == 'stateless'. Without it, every variant."
    ),
]
SkipEntry = TypedDict(
    "SkipEntry",
    {
        "reason": Required[Annotated[Text, Field(description="Shown in every report.")]],
        "if": Condition,  # not a name in Python, so not the syntax of a class
    },
    total=False,
)
SkipEntry.__doc__ = "Why a scenario, or some variants of it, are not run."
with_config(FORBID)(SkipEntry)


@with_config(FORBID)
class XfailEntry(SkipEntry, total=False):
    """Why a scenario, or some variants of it, are known to fail."""

    strict: Annotated[
        bool, Field(description="An unexpected pass fails the session (default true).")
    ]
    until: Annotated[
        str,
        AfterValidator(_valid_date),
        WithJsonSchema({"type": "string", "format": "date"}),
        Field(description="The last day, such as 2026-12-31; after it a failure is a failure."),
    ]


Repeat = Annotated[
    Annotated[int, Field(ge=1, le=10_000), Tag("(one)")] | Annotated[RepeatEntry, Tag("(object)")],
    Discriminator(one_or_object),
    Field(
        description="Independent trials of each variant (default 1), each a test of its own; "
        "or {trials, require}: one test that passes if at least so many of its trials pass."
    ),
]
Skip = Annotated[
    Annotated[Text, Tag("(one)")] | Annotated[SkipEntry, Tag("(object)")],
    Discriminator(one_or_object),
    Field(description="Do not run the scenario: a reason, or {reason, if}."),
]
Xfail = Annotated[
    Annotated[Text, Tag("(one)")] | Annotated[XfailEntry, Tag("(object)")],
    Discriminator(one_or_object),
    Field(
        description="The scenario is known to fail, and its failure does not fail the session: "
        "a reason, or {reason, if, strict, until}."
    ),
]


class TrialPolicy(NamedTuple):
    """How many trials of a variant are one test, and how many of them must pass."""

    trials: int
    require: int

    def with_trials(self, trials: int) -> Self:
        """Return the policy for another number of trials: the same share, rounded up."""
        return self._replace(trials=trials, require=ceil(trials * self.require / self.trials))


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemption:
    """A scenario's ``skip`` or ``xfail``. ``until`` is the last day of an ``xfail``, if any."""

    reason: str
    condition: str | bool
    strict: bool
    until: date | None

    def applies(self, names: Mapping[str, Any]) -> bool:
        """Return whether it applies to a variant with these settings and variables.

        Raises TemplateError: the condition cannot be evaluated, or is neither true nor false.
        """
        if isinstance(self.condition, bool):
            return self.condition
        text = self.condition
        value = template(text if is_template(text) else f"{{{{ {text} }}}}").render(names)
        if not isinstance(value, bool):
            raise TemplateError(f"must be true or false, not {show(value)}")
        return value

    def has_ended(self, today: date) -> bool:
        """Return whether its last day is over."""
        return self.until is not None and today > self.until


def read_exemption(value: JSON) -> Exemption | None:
    """Return the meaning of a ``skip`` or ``xfail`` value; None for an absent one."""
    if value is None:
        return None
    entry = value if isinstance(value, dict) else {"reason": value}
    return Exemption(
        reason=entry["reason"],
        condition=entry.get("if", True),
        strict=entry.get("strict", True),
        until=date.fromisoformat(entry["until"]) if "until" in entry else None,
    )


def read_policy(value: JSON) -> TrialPolicy | None:
    """Return the policy of a ``repeat`` value; None for a plain number of trials."""
    return TrialPolicy(**value) if isinstance(value, dict) else None
