"""Kinds of argument that several checks take: one or many words, a pattern, bounds, a word of an open list.

Each is a pydantic type, so that a bad argument is refused where the suite is loaded, and so that the JSON Schema for editors says the same.
Messages are finished sentences about the value; where it stands is the caller's to say.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Annotated, Any

from evalkit._lib.text import nearest, show
from evalkit.checks.core.declaring import After, Before, Limited, Options, complaint, option


def one_or_many(one: type, what: str, schema: Any = None) -> Before:
    """Return a validator that lets a single ``one`` stand for a list of it.

    ``what`` names it in messages, ``schema`` types it for editors.
    """
    item: Any = schema if schema is not None else one

    def listed(value: Any) -> Any:
        if type(value) is one:
            return [value]
        if not isinstance(value, list):
            hint = (
                f"; write it in quotes: {json.dumps(show(value))}"
                if one is str and isinstance(value, int | float)
                else ""
            )
            raise complaint(f"must be {what} or a list of them, got {show(value)}{hint}")
        return value

    return Before(listed, item | list[item])


def _regex(text: str) -> str:
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise complaint(f"{show(text)} is not a regular expression: {error}") from None
    return text


Words = Annotated[
    list[Annotated[str, Limited(min_length=1)]], one_or_many(str, "text"), Limited(min_length=1)
]
"""A string, or a list of strings with at least one."""

Regex = Annotated[str, After(_regex)]
"""A regular expression of Python's ``re``; it is searched for, so anchor it where that matters."""


def _target(text: str) -> str:
    module, colon, name = text.partition(":")
    if not colon or not all(part.isidentifier() for part in [*module.split("."), *name.split(".")]):
        raise complaint(f"must be package.module:name, got {show(text)}")
    return text


Target = Annotated[str, After(_target)]
"""A Python object by module and name; it is imported when the check runs, by a port of the View."""


def open_words(valid: Iterable[str], what: str) -> Callable[[str], str]:
    """Return a validator for words of a list that is open at the service's end.

    A word of the list passes, and so does one unlike any of them; a near miss is a typing error.
    """
    known = tuple(valid)

    def validate(word: str) -> str:
        if word not in known and (meant := nearest(word, known)):
            raise complaint(
                f"{word!r} is no {what} (did you mean {meant!r}?); valid: {', '.join(known)}"
            )
        return word

    return validate


class Bounds(Options):
    """Limits of a number, both inclusive; at least one must be given."""

    min: float | None = option(default=None, description="Smallest value allowed.")
    max: float | None = option(default=None, description="Largest value allowed.")

    def __post_init__(self) -> None:
        if self.min is None and self.max is None:
            raise complaint("needs 'min' or 'max'")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise complaint(f"min {number(self.min)} is above max {number(self.max)}")

    def hold(self, value: float) -> bool:
        """Say whether the value lies within."""
        return (self.min is None or value >= self.min) and (self.max is None or value <= self.max)

    def __str__(self) -> str:
        if self.min == self.max and self.min is not None:
            return number(self.min)
        parts = [f"at least {number(self.min)}"] if self.min is not None else []
        return " and ".join(
            [*parts, f"at most {number(self.max)}"] if self.max is not None else parts
        )

    def to_json(self) -> dict[str, float]:
        """Return the limits that are set, as a finding's ``expected``."""
        return {
            word: plain(value)
            for word, value in (("min", self.min), ("max", self.max))
            if value is not None
        }


def _exactly(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {"min": value, "max": value}
    return _mapping(value, "a number or {min: …, max: …}")


def _limits(value: Any) -> Any:
    return _mapping(
        value,
        f"{{max: {show(value)}}}"
        if isinstance(value, int | float)
        else "a mapping with min or max",
    )


def _mapping(value: Any, what: str) -> Any:
    if not isinstance(value, dict):
        raise complaint(f"must be {what}, got {show(value)}")
    return value


Amount = Annotated[Bounds, Before(_exactly, float | Bounds)]
"""A number, meaning exactly that many, or bounds."""

Limits = Annotated[Bounds, Before(_limits, Bounds)]
"""Bounds, spelt out: a bare number could mean the least or the most."""


def number(value: float) -> str:
    """Show a number: thousands apart, no ``.0``."""
    exact = plain(value)
    return f"{exact:,}" if isinstance(exact, int) else f"{exact:,.10g}"


def plain(value: float) -> float:
    """Return an integral float as the integer it is."""
    return int(value) if float(value).is_integer() else value
