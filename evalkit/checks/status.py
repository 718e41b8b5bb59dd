"""``status``: how the turn ended, by the API's word (protocol section 3, *Statuses*)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from evalkit._lib.text import show
from evalkit.checks.core.base import Check, View
from evalkit.checks.core.options import one_or_many, open_words
from evalkit.protocol.step_types import STATUSES
from evalkit.verdict import Finding, Where

StatusWord = Annotated[str, AfterValidator(open_words(STATUSES, "status"))]


class Status(Check):
    """The final status of the turn is the given one, or one of a list; over the conversation, that of the last turn.

    The empty case: a turn without any status (no answer came) has none of them, so the check fails. An empty list is refused.
    """

    name: ClassVar[str] = "status"
    shorthand: ClassVar[str | None] = "one_of"

    one_of: Annotated[
        list[StatusWord],
        one_or_many(str, "a status", Literal[STATUSES] | str),
        Field(min_length=1),
    ] = Field(description="The status, or several any of which will do.")

    def run(self, view: View) -> Iterator[Finding]:
        """Yield a finding when the status is another one."""
        turn = view.last
        status = turn.status if turn is not None else None
        if status in self.one_of:
            return
        wanted = " or ".join(self.one_of)
        expected = self.one_of[0] if len(self.one_of) == 1 else self.one_of
        if turn is None or status is None:
            reason = f": {show(turn.reason)}" if turn is not None and turn.reason else ""
            where = Where(turn=turn.number if turn else None)
            yield Finding(
                "status_absent",
                f"expected status {wanted}, but there is no answer with a status{reason}",
                where,
                expected=expected,
            )
            return
        last = next(
            (
                exchange.number
                for exchange in reversed(turn.exchanges)
                if exchange.interaction is not None
            ),
            None,
        )
        yield Finding(
            "status_differs",
            f"expected status {wanted}, got {show(status)}",
            Where(turn=turn.number, exchange=last),
            expected=expected,
            got=status,
        )
