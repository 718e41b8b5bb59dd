"""``json``: JMESPath expressions (jmespath.org) over the parsed output, each with rules."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from math import prod
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from evalkit._lib.json import JSON, MISSING, equal, json_type
from evalkit._lib.patterns import compile_pattern
from evalkit._lib.text import did_you_mean, show
from evalkit.checks.core.arguments import Amount, Number, Regex, format_number, plain
from evalkit.checks.core.base import Check, Options, View, option_error
from evalkit.checks.core.formatting import against, excerpt, first_difference
from evalkit.checks.core.json_output import read_output
from evalkit.checks.core.strictness import Strictness
from evalkit.verdict import Finding, Where

_MAX_GROWTH = 100_000


class QueryRules(Options):
    """What the result of one expression must be, by every given rule."""

    strictness: ClassVar[Mapping[str, Strictness]] = {
        "equals": "rule",
        "matches": "rule",
        "min": "higher",
        "max": "lower",
        "length": "bounds",
    }
    equals: Any = Field(
        default_factory=lambda: MISSING,
        description="The JSON value it must equal; null also matches an absent value.",
    )
    matches: Regex | None = Field(
        None, description="A regular expression to be found in the string."
    )
    min: Number | None = Field(None, description="Smallest number allowed.")
    max: Number | None = Field(None, description="Largest number allowed.")
    length: Amount | None = Field(
        None,
        description="Characters of a string, items of an array, keys of an object:"
        " a number or min/max.",
    )

    @model_validator(mode="after")
    def _refuse_no_rule(self) -> Self:
        rules = (self.matches, self.min, self.max, self.length)
        if self.equals is MISSING and rules == (None, None, None, None):
            raise option_error(
                "has no rule; give a value, or one of equals, matches, min, max, length"
            )
        return self

    def problems(self, value: JSON) -> Iterator[tuple[str, JSON]]:
        """Yield ``(what is wrong, what was expected)`` for each rule that is broken."""
        got = f", got {show(value)}"
        if self.equals is not MISSING and not equal(self.equals, value):
            yield f"must equal {show(self.equals)}{got}", self.equals
        text = value if isinstance(value, str) else None
        if self.matches is not None and (
            text is None or not compile_pattern(self.matches).search(text)
        ):
            yield f"must match {show(self.matches)}{got}", {"matches": self.matches}
        limits = {"min": self.min, "max": self.max}
        numbers = {name: plain(limit) for name, limit in limits.items() if limit is not None}
        if numbers and (isinstance(value, bool) or not isinstance(value, int | float)):
            yield f"must be a number, got {json_type(value)} {show(value)}", numbers
        elif self.min is not None and value < self.min:
            yield f"must be at least {format_number(self.min)}{got}", {"min": numbers["min"]}
        elif self.max is not None and value > self.max:
            yield f"must be at most {format_number(self.max)}{got}", {"max": numbers["max"]}
        if self.length is not None:
            expected = {"length": self.length.to_json()}
            if not isinstance(value, str | list | dict):
                yield f"must have a length, got {json_type(value)} {show(value)}", expected
            elif not self.length.contains(len(value)):
                yield f"must have length {self.length}, got {len(value)}: {show(value)}", expected


def _equals_or_rules(value: Any) -> Any:
    """Read a bare value as ``equals``. A mapping must contain rules, so that typos are refused."""
    if not isinstance(value, Mapping):
        return {"equals": value}
    valid = QueryRules.yaml_names()
    for key in value:
        if key not in valid:
            raise option_error(
                f"unknown rule {key!r}{did_you_mean(str(key), valid)}; valid: {', '.join(valid)}"
                " (to compare with an object write equals: {…})",
                key,
            )
    return value


Rules = Annotated[
    QueryRules,
    BeforeValidator(
        _equals_or_rules,
        json_schema_input_type=str | float | bool | None | list[Any] | QueryRules,
    ),
]


def _compile_all(expressions: dict[str, QueryRules]) -> dict[str, QueryRules]:
    for text in expressions:
        compile_query(text)
    return expressions


class JsonQuery(Check):
    """The result of each JMESPath expression over a JSON document is as expected.

    The document is the output, the last interaction of the turn as it was received, or the body of
    every request of the turn. The empty case: without an expression (bare ``json`` or ``json: {}``)
    there only has to be a document. An expression that finds nothing results in null, as JMESPath
    defines: ``equals: null`` passes then and every other rule fails.
    """

    name: ClassVar[str] = "json"
    rest: ClassVar[str | None] = "expressions"
    strictness: ClassVar[Mapping[str, Strictness]] = {"expressions": "each", "fenced": "false"}

    expressions: Annotated[dict[str, Rules], AfterValidator(_compile_all)] = Field(
        {}, description="JMESPath expressions, each with a value or rules."
    )
    of: Literal["output", "interaction", "request"] = Field(
        "output",
        description="What is read: the output (default), the turn's last interaction as received,"
        " or the body of every request.",
    )
    fenced: bool = Field(
        False,
        description="Accept an output in a Markdown fence, and text around the fence.",
    )

    def run(self, view: View) -> Iterator[Finding]:
        """Yield each rule that is broken."""
        if self.of == "output":
            turn = view.last
            value, problem = read_output(turn, fenced=self.fenced)
            if problem is not None:
                yield problem
                return
            where = Where(turn=turn.number if turn is not None else None, part="output", pointer="")
            yield from self._query(value, where)
            return
        documents = list(_received(view) if self.of == "interaction" else _sent(view))
        if not documents:
            yield Finding(f"{self.of}_absent", f"there is no {self.of} to read", view.where)
        for value, where in documents:
            yield from self._query(value, where)

    def _query(self, value: JSON, where: Where) -> Iterator[Finding]:
        for text, rules in self.expressions.items():
            try:
                result = compile_query(text).search(value)
            # An error of JMESPath, which is imported only where a suite has an expression.
            except ValueError as error:
                yield Finding(
                    "query_failed",
                    f"{text}: {str(error).splitlines()[0]}",
                    where,
                    detail=f"{self.of}  {show(excerpt(value), 300)}",
                )
                continue
            except RecursionError:
                yield Finding("query_failed", f"{text}: the value is nested too deep", where)
                continue
            got = excerpt(result)
            for message, expected in rules.problems(result):
                detail = against(expected, got)
                if isinstance(expected, str) and isinstance(result, str):
                    detail = first_difference(expected, result)
                yield Finding(
                    "query_differs",
                    f"{text} {message}",
                    where,
                    expected=expected,
                    got=got,
                    detail=detail,
                )


def _received(view: View) -> Iterator[tuple[JSON, Where]]:
    """Yield the last interaction in view."""
    for exchange in reversed(view.last.exchanges if view.last is not None else []):
        if exchange.interaction is not None:
            where = Where(turn=exchange.turn, exchange=exchange.number, part="response", pointer="")
            yield exchange.interaction, where
            return


def _sent(view: View) -> Iterator[tuple[JSON, Where]]:
    """Yield the body of every request in view."""
    for exchange in view.exchanges:
        if exchange.request.body is not None:
            where = Where(turn=exchange.turn, exchange=exchange.number, part="request", pointer="")
            yield exchange.request.body, where


@lru_cache(maxsize=1000)
def compile_query(text: str) -> Any:
    """Compile a JMESPath expression, each one once. Raises PydanticCustomError."""
    # jmespath is needed only where a suite has an expression.
    import jmespath
    from jmespath.exceptions import JMESPathError, ParseError
    from jmespath.functions import Functions

    try:
        compiled = jmespath.compile(text)
        names, growth = list(_functions(compiled.parsed)), _growth(compiled.parsed)
    except (JMESPathError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        if isinstance(error, ParseError):
            token = getattr(error, "token_value", None)
            reason = f"{show(token)} does not fit at column {error.lex_position + 1}"
            reason = reason if token else "it ends too early"
        raise option_error(f"{show(text)} is not a JMESPath expression: {reason}", text) from None
    # JMESPath itself would notice an unknown function only when it evaluates the expression.
    known = Functions.FUNCTION_TABLE
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known)
            raise option_error(
                f"{show(text)} calls {name}(), which JMESPath does not have{hint}", text
            )
    if growth > _MAX_GROWTH:
        raise option_error(
            f"{show(text)} can repeat its input more than {_MAX_GROWTH:,} times; use fewer "
            "multi-selects in a row",
            text,
        )
    return compiled


def _growth(node: Any) -> int:
    """Return how often a result may have the input in it: ``[@,@] | [@,@]`` has it four times."""
    # A slice has numbers in place of nodes.
    growths = [_growth(child) for child in node["children"] if isinstance(child, dict)]
    return sum(growths) if node["type"].startswith("multi_select") else prod(growths)


def _functions(node: Mapping[str, Any]) -> Iterator[str]:
    if node.get("type") == "function_expression":
        yield node["value"]
    for child in node.get("children", ()):
        if isinstance(child, dict):
            yield from _functions(child)
