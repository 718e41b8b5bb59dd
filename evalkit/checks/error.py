"""``error``: an API error that the suite expects (protocol section 7). Without this check an API error fails the variant by itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import Field

from evalkit._lib.json import JSON, MISSING
from evalkit._lib.text import show
from evalkit.checks.core.base import Check, ParsedArgument, View
from evalkit.checks.core.formatting import table
from evalkit.checks.core.options import Regex, Words, one_or_many
from evalkit.transcript import ApiError, Turn
from evalkit.verdict import Finding, Where

_HttpStatus = Annotated[int, Field(ge=100, le=599)]
Statuses = Annotated[
    list[_HttpStatus], one_or_many(int, "an HTTP status", _HttpStatus), Field(min_length=1)
]


class Error(Check):
    """The API answered an error, with the given HTTP status, code and message; in the conversation, some turn ended in it.

    A run that ended ``failed`` tells its errors in the interaction (protocol section 3, *errors*); they count too and have no HTTP status.

    The empty case: bare ``error`` expects any error. Where no error came the check fails.
    """

    name: ClassVar[str] = "error"
    shorthand: ClassVar[str | None] = "code"
    extra_forms: ClassVar[tuple[dict[str, JSON], ...]] = (
        {"type": "integer", "minimum": 100, "maximum": 599},
    )

    status: Statuses | None = Field(
        None, description="The HTTP status, or several any of which will do."
    )
    code: Words | None = Field(
        None, description="The API's error code, or several any of which will do."
    )
    message: Regex | None = Field(
        None, description="A regular expression to be found in the message."
    )

    @classmethod
    def parse_argument(cls, argument: JSON) -> ParsedArgument:
        """Take a bare number for the status, bare text for the code."""
        if type(argument) is int:
            return ParsedArgument({"status": argument}, "status")
        return super().parse_argument(argument)

    def run(self, view: View) -> Iterator[Finding]:
        """Yield what the nearest error lacks, or that none came."""
        errors = [(turn, error) for turn in view.turns for error in _errors(turn)]
        turn = view.last
        if not errors:
            how = (
                f"status {turn.status}"
                if turn is not None and turn.status
                else f"nothing: {show(turn.reason)}"
                if turn is not None
                else "no turn"
            )
            where = Where(turn=view.turn.number if view.turn is not None else None)
            yield Finding(
                "error_absent",
                f"expected an API error, got {how}",
                where,
                expected=self._expected(),
            )
            return
        best = min(errors, key=lambda pair: len(self._wrong(pair[1])))
        wrong = self._wrong(best[1])
        if wrong:
            last = best[0].exchanges[-1].number if best[0].exchanges else None
            error = best[1].to_json()
            rows = [["", "expected", "got"]]
            rows += [
                [word, show(self._expected().get(word, MISSING)), show(error[word])]
                for word in ("status", "code", "message")
            ]
            message = "another API error: " + ", ".join(wrong)
            yield Finding(
                "error_differs",
                message,
                Where(turn=best[0].number, exchange=last),
                expected=self._expected(),
                got=error,
                detail=table(rows),
            )

    def _wrong(self, error: ApiError) -> list[str]:
        wrong = []
        if self.status is not None and error.status not in self.status:
            wrong.append(f"status {error.status}, not {' or '.join(map(str, self.status))}")
        if self.code is not None and error.code not in self.code:
            wrong.append(f"code {show(error.code)}, not {' or '.join(self.code)}")
        if self.message is not None and not re.search(self.message, error.message):
            wrong.append(f"a message that does not match {show(self.message)}")
        return wrong

    def _expected(self) -> dict[str, JSON]:
        wanted = {"status": self.status, "code": self.code, "message": self.message}
        return {
            word: value[0] if isinstance(value, list) and len(value) == 1 else value
            for word, value in wanted.items()
            if value is not None
        }


def _errors(turn: Turn) -> Iterator[ApiError]:
    if turn.error is not None:
        yield turn.error
        return
    interaction = turn.interaction
    if interaction is None or interaction.get("status") != "failed":
        return
    listed = interaction.get("errors")
    for item in [*(listed if isinstance(listed, list) else ()), interaction.get("error")]:
        if isinstance(item, dict):
            yield ApiError(0, str(item.get("code", "")), str(item.get("message", "")), item)
