"""``json``: JMESPath expressions (jmespath.org) over the parsed output, each with what its result must be."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from evalkit._lib.json import JSON, MISSING, equal, json_type
from evalkit._lib.text import did_you_mean, show
from evalkit.checks.core.base import Check, Options, View, option_error
from evalkit.checks.core.formatting import against, excerpt, first_difference
from evalkit.checks.core.json_output import read_output
from evalkit.checks.core.options import Amount, Regex, format_number, plain
from evalkit.verdict import Finding, Where

_SIZED = (str, list, dict)


class Wanted(Options):
    """What one expression's result must be; every rule given must hold."""

    equals: Any = Field(
        default_factory=lambda: MISSING,
        description="The JSON value it must equal; null also stands for absent.",
    )
    matches: Regex | None = Field(
        None, description="A regular expression to be found in the string."
    )
    min: float | None = Field(None, description="Smallest number allowed.")
    max: float | None = Field(None, description="Largest number allowed.")
    length: Amount | None = Field(
        None,
        description="Characters of a string, items of an array, keys of an object: a number or min/max.",
    )

    @model_validator(mode="after")
    def _validate(self) -> Self:
        if self.equals is MISSING and all(
            rule is None for rule in (self.matches, self.min, self.max, self.length)
        ):
            raise option_error(
                "asks nothing; give a value, or one of equals, matches, min, max, length"
            )
        return self

    def judge(self, value: JSON) -> Iterator[tuple[str, JSON]]:
        """Yield ``(what is wrong, what was expected)`` for each rule that does not hold."""
        if self.equals is not MISSING and not equal(self.equals, value):
            yield f"must equal {show(self.equals)}, got {show(value)}", self.equals
        if self.matches is not None and not (
            isinstance(value, str) and re.search(self.matches, value)
        ):
            yield f"must match {show(self.matches)}, got {show(value)}", {"matches": self.matches}
        if self.min is not None or self.max is not None:
            if not isinstance(value, int | float) or isinstance(value, bool):
                yield (
                    f"must be a number, got {json_type(value)} {show(value)}",
                    {
                        word: plain(limit)
                        for word, limit in (("min", self.min), ("max", self.max))
                        if limit is not None
                    },
                )
            elif self.min is not None and value < self.min:
                yield (
                    f"must be at least {format_number(self.min)}, got {show(value)}",
                    {"min": plain(self.min)},
                )
            elif self.max is not None and value > self.max:
                yield (
                    f"must be at most {format_number(self.max)}, got {show(value)}",
                    {"max": plain(self.max)},
                )
        if self.length is not None:
            if not isinstance(value, _SIZED):
                yield (
                    f"must have a length, got {json_type(value)} {show(value)}",
                    {"length": self.length.to_json()},
                )
            elif not self.length.contains(len(value)):
                yield (
                    f"must have length {self.length}, got {len(value)}: {show(value)}",
                    {"length": self.length.to_json()},
                )


def _rule(value: Any) -> Any:
    """Let a bare value mean ``equals``; a mapping must speak in rules, so that a misspelt rule is never taken for an expected object."""
    if not isinstance(value, Mapping):
        return {"equals": value}
    for key in value:
        if key not in (words := Wanted.yaml_names()):
            hint = did_you_mean(str(key), words)
            raise option_error(
                f"unknown rule {key!r}{hint}; valid: {', '.join(words)} (to compare with an object write equals: {{…}})",
                key,
            )
    return value


Rule = Annotated[
    Wanted,
    BeforeValidator(_rule, json_schema_input_type=str | float | bool | None | list[Any] | Wanted),
]


def _all_compile(expressions: dict[str, Wanted]) -> dict[str, Wanted]:
    for text in expressions:
        _compile(text)
    return expressions


class JsonQuery(Check):
    """The output is one JSON document, and what each JMESPath expression finds in it is as it must be.

    The empty case: with no expression (bare ``json`` or ``json: {}``) the output only has to be one JSON document. An expression that finds
    nothing gives null, as JMESPath defines: ``equals: null`` passes then and every other rule fails.
    """

    name: ClassVar[str] = "json"
    rest: ClassVar[str | None] = "expressions"

    expressions: Annotated[dict[str, Rule], AfterValidator(_all_compile)] = Field(
        default_factory=dict, description="JMESPath expressions, each with a value or rules."
    )

    def run(self, view: View) -> Iterator[Finding]:
        """Yield each rule that does not hold."""
        turn = view.last
        value, problem = read_output(turn)
        if problem is not None:
            yield problem
            return
        where = Where(turn=turn.number if turn is not None else None, part="output", pointer="")
        for text, wanted in self.expressions.items():
            found, failure = _search(_compile(text), value)
            if failure:
                yield Finding(
                    "query_failed",
                    f"{text}: {failure}",
                    where,
                    detail=f"output  {show(excerpt(value), 300)}",
                )
                continue
            for wrong, expected in wanted.judge(found):
                texts = isinstance(expected, str) and isinstance(found, str)
                detail = (
                    first_difference(expected, found)
                    if texts
                    else against(expected, excerpt(found))
                )
                yield Finding(
                    "query_differs",
                    f"{text} {wrong}",
                    where,
                    expected=expected,
                    got=excerpt(found),
                    detail=detail,
                )


@lru_cache(maxsize=1000)
def _compile(text: str) -> Any:
    import jmespath
    from jmespath.exceptions import JMESPathError, ParseError

    try:
        compiled = jmespath.compile(text)
    except ParseError as error:
        token = getattr(error, "token_value", None)
        wrong = (
            f"{show(token)} does not fit at column {error.lex_position + 1}"
            if token
            else "it ends too early"
        )
        raise option_error(f"{show(text)} is no JMESPath expression: {wrong}", text) from None
    except (JMESPathError, RecursionError) as error:
        raise option_error(
            f"{show(text)} is no JMESPath expression: {str(error).splitlines()[0]}", text
        ) from None
    _check_functions(compiled.parsed, text)
    return compiled


def _check_functions(node: Mapping[str, Any], text: str) -> None:
    """Refuse a function that does not exist here, where JMESPath itself would only notice on the first answer."""
    from jmespath.functions import Functions

    known = Functions.FUNCTION_TABLE
    if node.get("type") == "function_expression" and node["value"] not in known:
        raise option_error(
            f"{show(text)} calls {node['value']}(), which JMESPath has not{did_you_mean(node['value'], known)}",
            text,
        )
    for child in node.get("children", ()):
        if isinstance(child, dict):
            _check_functions(child, text)


def _search(compiled: Any, value: JSON) -> tuple[JSON, str]:
    from jmespath.exceptions import JMESPathError

    try:
        return compiled.search(value), ""
    except JMESPathError as error:
        return MISSING, str(error).splitlines()[0]
