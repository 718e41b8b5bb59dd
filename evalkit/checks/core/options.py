"""Types of options that several checks share: text or list of texts, regular expression, bounds.

Each is a pydantic type, so a bad argument is refused where the suite is loaded, and the JSON
Schema for editors says the same.
"""

import re
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from evalkit._lib.json import JSON
from evalkit._lib.text import nearest, show
from evalkit.checks.core.arguments import quotes_hint
from evalkit.checks.core.base import Options, option_error


def or_bare(
    bare: Any, wrap: Callable[[Any], JSON], form: type, expected: str, schema: Any
) -> BeforeValidator:
    """Return a validator that wraps a value of the type ``bare`` into ``form``.

    Any other value must be a ``form``. ``expected`` says so in messages, ``schema`` is the type of
    both for editors.
    """

    def validate(value: Any) -> Any:
        if isinstance(value, bare) and not isinstance(value, bool):
            return wrap(value)
        if not isinstance(value, form):
            hint = quotes_hint(value) if bare is str else ""
            raise option_error(f"must be {expected}, got {show(value)}{hint}")
        return value

    return BeforeValidator(validate, json_schema_input_type=schema)


def one_or_many(one: type, name: str, schema: Any = None) -> BeforeValidator:
    """Return a validator that accepts a single ``one`` where a list of them is expected.

    ``name`` is for messages, ``schema`` is the type of an item for editors.
    """
    item: Any = schema if schema is not None else one
    expected = f"{name} or a list of them"
    return or_bare(one, lambda value: [value], list, expected, item | list[item])


Words = Annotated[
    list[Annotated[str, Field(min_length=1)]], one_or_many(str, "text"), Field(min_length=1)
]
"""A string, or a list of at least one string."""


def _regex(text: str) -> str:
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise option_error(f"{show(text)} is not a regular expression: {error}") from None
    return text


Regex = Annotated[str, AfterValidator(_regex)]
"""A regular expression of Python's ``re``. It is searched for, not matched as a whole."""


def _target(text: str) -> str:
    module, colon, name = text.partition(":")
    if not colon or not all(part.isidentifier() for part in [*module.split("."), *name.split(".")]):
        raise option_error(f"must be package.module:name, got {show(text)}")
    return text


Target = Annotated[str, AfterValidator(_target)]
"""A Python object by module and name. The view imports it when the check runs."""


def open_words(valid: Iterable[str], name: str) -> Callable[[str], str]:
    """Return a validator for words of a list that the service may extend.

    A word of the list is accepted, and so is an entirely different one; a near miss is a typo.
    """
    known = tuple(valid)

    def validate(word: str) -> str:
        if word not in known and (meant := nearest(word, known)):
            raise option_error(
                f"{word!r} is not a {name} (did you mean {meant!r}?); valid: {', '.join(known)}"
            )
        return word

    return validate


class Bounds(Options):
    """Limits of a number, both inclusive; at least one is required."""

    min: float | None = Field(None, description="Smallest value allowed.")
    max: float | None = Field(None, description="Largest value allowed.")

    @model_validator(mode="after")
    def _refuse_empty_range(self) -> Self:
        if self.min is None and self.max is None:
            raise option_error("needs 'min' or 'max'")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise option_error(
                f"min {format_number(self.min)} is above max {format_number(self.max)}"
            )
        return self

    def contains(self, value: float) -> bool:
        """Return whether the value is within the limits."""
        return (self.min is None or value >= self.min) and (self.max is None or value <= self.max)

    def __str__(self) -> str:
        if self.min is not None and self.min == self.max:
            return format_number(self.min)
        limits = (("at least", self.min), ("at most", self.max))
        return " and ".join(
            f"{word} {format_number(limit)}" for word, limit in limits if limit is not None
        )

    def to_json(self) -> dict[str, float]:
        """Return the limits that are set, for a finding's ``expected``."""
        limits = {"min": self.min, "max": self.max}
        return {name: plain(limit) for name, limit in limits.items() if limit is not None}


def _mapping(value: Any) -> Any:
    if not isinstance(value, dict):
        is_number = isinstance(value, int | float)
        form = f"{{max: {show(value)}}}" if is_number else "a mapping with min or max"
        raise option_error(f"must be {form}, got {show(value)}")
    return value


Amount = Annotated[
    Bounds,
    or_bare(
        int | float,
        lambda number: {"min": number, "max": number},
        dict,
        "a number or {min: …, max: …}",
        float | Bounds,
    ),
]
"""A number, which means exactly that many, or bounds."""

Limits = Annotated[Bounds, BeforeValidator(_mapping)]
"""Bounds as a mapping: a bare number could mean the least or the most."""


def format_number(value: float) -> str:
    """Format a number with thousands separators and without ``.0``."""
    exact = plain(value)
    return f"{exact:,}" if isinstance(exact, int) else f"{exact:,.10g}"


def plain(value: float) -> float:
    """Return an integral float as an integer."""
    return int(value) if float(value).is_integer() else value
