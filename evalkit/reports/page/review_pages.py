"""The pages of ``evalkit review --web``: a list of everything to decide, and one page for each item. Plain forms, no script.

What is asked and what becomes of an answer is the session's business; here it is only drawn. Whatever a model said goes through the report's
template environment, which escapes it and makes hostile characters visible; long texts are cut and say so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

from evalkit._lib.json import MISSING
from evalkit.compare.alignment import TextSegment, text_segments
from evalkit.reports.formatting import clipped
from evalkit.reports.page.templating import environment, resource
from evalkit.review.item_text import (
    ConversationLine,
    DiffLine,
    conversation_lines,
    diff_lines,
    format_value,
)
from evalkit.review.queue import ReviewItem
from evalkit.review.session import ReviewState
from evalkit.review.state import ItemStatus, group_members, undecided, view_digest

LINES = 400
"""Lines of a difference on the page; the rest is counted."""
SAID = 400
"""Things said in a conversation on the page; the rest is counted."""
LISTED = 2_000
"""Items in the list."""


class Shown(NamedTuple):
    """The difference of an item: ``words`` where two short texts differ, else ``lines``; ``more`` lines are left out."""

    words: list[TextSegment]
    lines: list[DiffLine]
    more: int


class ReviewPages:
    """Draws the pages of one review (``evalkit.review.web.PageRenderer``). ``line`` returns the result line of an item."""

    def __init__(self, run: str, who: str, line: Callable[[ReviewItem], dict[str, Any]]) -> None:
        self._run = run
        self._who = who
        self._line = line

    @cached_property
    def style(self) -> str:
        """The one style of the pages."""
        return resource("css/report.css") + resource("css/review.css")

    def overview(self, state: ReviewState, form: str) -> str:
        """Return the list: what is left first, groups together, then what was decided; then errors and decisions that lost their result."""
        left = undecided(state.statuses)
        return self._draw(
            "review.html",
            state=state,
            left=left[:LISTED],
            sizes=Counter(one.item.group for one in left),
            decided=[one for one in state.statuses if not one.is_undecided][:LISTED],
            limit=LISTED,
            next=left[0] if left else None,
        )

    def item(
        self,
        state: ReviewState,
        one: ItemStatus,
        form: str,
        *,
        problem: str = "",
        comment: str = "",
    ) -> str:
        """Return the page that asks about an item."""
        together = group_members(state.statuses, one.item)
        said, more = self._conversation(one.item)
        return self._draw(
            "review_item.html",
            state=state,
            one=one,
            item=one.item,
            others=[other for other in together if other.item.key != one.item.key],
            difference=_shown(one.item),
            detail=clipped(one.item.detail) if one.item.form is None else "",
            message=clipped(one.item.message),
            said=said,
            unsaid=more,
            form=form,
            item_seen=view_digest([one]),
            group_seen=view_digest(together),
            problem=problem,
            comment=comment,
        )

    def problem(self, message: str) -> str:
        """Return a page that says only what is wrong."""
        return self._draw("review_problem.html", problem=message)

    def _conversation(self, item: ReviewItem) -> tuple[list[ConversationLine], int]:
        said = [
            one._replace(text=clipped(one.text)) for one in conversation_lines(self._line(item))
        ]
        return said[:SAID], max(0, len(said) - SAID)

    def _draw(self, name: str, **values: Any) -> str:
        return (
            environment()
            .get_template(name)
            .render(run=self._run, who=self._who, style=self.style, **values)
        )


def _shown(item: ReviewItem) -> Shown:
    if item.form == "text" and item.expected is not MISSING and item.got is not MISSING:
        return Shown(
            text_segments(
                clipped(format_value(item, item.expected)), clipped(format_value(item, item.got))
            ),
            [],
            0,
        )
    lines = diff_lines(item)
    return Shown(
        [],
        [DiffLine(sign, clipped(text)) for sign, text in lines[:LINES]],
        max(0, len(lines) - LINES),
    )
