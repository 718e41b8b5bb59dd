"""``status``: how the turn ended, in the API's words (docs/protocol.md section 3)."""

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from evalkit._lib.text import show
from evalkit.checks.core.arguments import one_or_many, open_words
from evalkit.checks.core.base import Check, View
from evalkit.checks.core.strictness import Strictness
from evalkit.protocol.step_types import STATUSES
from evalkit.verdict import Finding, Where

StatusWord = Annotated[str, AfterValidator(open_words(STATUSES, "status"))]


class Status(Check):
    """The final status of the turn is the expected one, or one of a list.

    Over the conversation it is that of the last turn. The empty case: the check fails for a turn
    without a status (no response was received). An empty list is refused.
    """

    name: ClassVar[str] = "status"
    shorthand: ClassVar[str | None] = "one_of"
    strictness: ClassVar[Mapping[str, Strictness]] = {"one_of": "allowed"}

    one_of: Annotated[
        list[StatusWord],
        one_or_many(str, "a status", Literal[STATUSES] | str),
        Field(min_length=1),
    ] = Field(description="The status, or several any of which is accepted.")

    def run(self, view: View) -> Iterator[Finding]:
        """Yield a finding if the status is another one."""
        turn = view.last
        status = turn.status if turn is not None else None
        if status in self.one_of:
            return
        words = " or ".join(self.one_of)
        expected = self.one_of[0] if len(self.one_of) == 1 else self.one_of
        if turn is None or status is None:
            reason = f": {show(turn.reason)}" if turn is not None and turn.reason else ""
            message = f"expected status {words}, but there is no response with a status{reason}"
            where = Where(turn=turn.number if turn else None)
            yield Finding("status_absent", message, where, expected=expected)
            return
        numbers = [each.number for each in turn.exchanges if each.interaction is not None]
        yield Finding(
            "status_differs",
            f"expected status {words}, got {show(status)}",
            Where(turn=turn.number, exchange=numbers[-1] if numbers else None),
            expected=expected,
            got=status,
        )
