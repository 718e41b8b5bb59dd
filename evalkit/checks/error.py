"""``error``: an API error that the suite expects (docs/protocol.md section 7).

Without this check an API error fails the variant.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from evalkit._lib.json import JSON, MISSING
from evalkit._lib.patterns import compile_pattern
from evalkit._lib.text import show
from evalkit.checks.core.arguments import Regex, Words, one_or_many
from evalkit.checks.core.base import Check, ParsedArgument, View
from evalkit.checks.core.formatting import table
from evalkit.checks.core.strictness import Strictness
from evalkit.protocol.api_errors import errors_of_run
from evalkit.transcript import ApiError, Turn
from evalkit.verdict import Finding, Where

_HttpStatus = Annotated[int, Field(ge=100, le=599)]
Statuses = Annotated[
    list[_HttpStatus], one_or_many(int, "an HTTP status", _HttpStatus), Field(min_length=1)
]


class Error(Check):
    """The API returned an error with the expected HTTP status, code and message.

    Over the conversation some turn ended in it. A run that was not completed lists its errors in
    the interaction, and an output can have one (docs/protocol.md sections 3 and 4). They count too;
    most have no HTTP status. Upper and lower case of codes are the same. Where an error has several
    words, as the gateway's have (a code, a status, reasons in their details), each is its code.

    The empty case: bare ``error`` expects any error; without an error the check fails.
    """

    name: ClassVar[str] = "error"
    shorthand: ClassVar[str | None] = "code"
    strictness: ClassVar[Mapping[str, Strictness]] = {
        "status": "allowed",
        "code": "allowed",
        "message": "rule",
    }
    extra_forms: ClassVar[tuple[dict[str, JSON], ...]] = (
        {"type": "integer", "minimum": 100, "maximum": 599},
    )

    status: Statuses | None = Field(
        None, description="The HTTP status, or several any of which is accepted."
    )
    code: Words | None = Field(
        None, description="The API's error code, or several any of which is accepted."
    )
    message: Regex | None = Field(
        None, description="A regular expression to be found in the message."
    )

    @classmethod
    def parse_argument(cls, argument: JSON) -> ParsedArgument:
        """Read a bare number as the status, bare text as the code."""
        if type(argument) is int:
            return ParsedArgument({"status": argument}, "status")
        return super().parse_argument(argument)

    def run(self, view: View) -> Iterator[Finding]:
        """Yield how the nearest error differs, or that there is none."""
        errors = [(turn, error) for turn in view.turns for error in _errors(turn)]
        if not errors:
            yield Finding(
                "error_absent",
                f"expected an API error, got {_ending(view.last)}",
                view.where,
                expected=self._expected(),
            )
            return
        turn, error = min(errors, key=lambda pair: len(self._differences(pair[1])))
        differences = self._differences(error)
        if differences:
            got, expected = error.to_json(), self._expected()
            rows = [["", "expected", "got"]]
            for field in ("status", "code", "message"):
                rows.append([field, show(expected.get(field, MISSING)), show(got[field])])
            yield Finding(
                "error_differs",
                f"another API error: {', '.join(differences)}",
                Where(
                    turn=turn.number,
                    exchange=turn.exchanges[-1].number if turn.exchanges else None,
                ),
                expected=expected,
                got=got,
                detail=table(rows),
            )

    def _differences(self, error: ApiError) -> list[str]:
        statuses, codes = self.status or (), self.code or ()
        rules = (
            (
                self.status is None or error.status in statuses,
                f"status {error.status}, not {' or '.join(map(str, statuses))}",
            ),
            (
                self.code is None or not error.words.isdisjoint(map(str.lower, codes)),
                f"code {show(error.code)}, not {' or '.join(codes)}",
            ),
            (
                self.message is None or compile_pattern(self.message).search(error.message),
                f"a message that does not match {show(self.message)}",
            ),
        )
        return [difference for is_met, difference in rules if not is_met]

    def _expected(self) -> dict[str, JSON]:
        options = {"status": self.status, "code": self.code, "message": self.message}
        return {
            name: value[0] if isinstance(value, list) and len(value) == 1 else value
            for name, value in options.items()
            if value is not None
        }


def _ending(turn: Turn | None) -> str:
    if turn is None:
        return "no turn"
    return f"status {turn.status}" if turn.status else f"nothing: {show(turn.reason)}"


def _errors(turn: Turn) -> Iterator[ApiError]:
    if turn.error is not None:
        yield turn.error
        return
    yield from errors_of_run(turn.interaction or {})
