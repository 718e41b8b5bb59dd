"""The pages of ``evalkit review --web``: the list of items to decide, and a page for each item.

Plain forms without a script. The review session decides what needs a decision and what a decision
does; this module only renders it. Long texts are cut and say so.
"""

from collections import Counter
from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

from evalkit._lib.json import MISSING
from evalkit.compare.alignment import TextSegment, text_segments
from evalkit.reports.formatting import clip
from evalkit.reports.page.templating import environment, resource
from evalkit.review.item_text import DiffLine, conversation_lines, diff_lines, format_value
from evalkit.review.queue import ReviewItem
from evalkit.review.session import ReviewState
from evalkit.review.state import ItemStatus, group_members, undecided, view_digest

LINES = 400
"""Lines of a difference on the page; the rest is counted."""

STEPS = 400
"""User messages and steps of a conversation on the page; the rest is counted."""

LISTED = 2_000
"""Items in the list."""


class ItemDifference(NamedTuple):
    """The difference of an item: by words for two short texts, else by lines."""

    words: list[TextSegment]
    lines: list[DiffLine]
    more: int


class ReviewPages:
    """Renders the pages of one review; ``line`` returns the result line of an item."""

    def __init__(self, run: str, who: str, line: Callable[[ReviewItem], dict[str, Any]]) -> None:
        self._run = run
        self._who = who
        self._line = line

    @cached_property
    def style(self) -> str:
        """The style of all pages."""
        return resource("css/report.css") + resource("css/review.css")

    def overview(self, state: ReviewState, form: str) -> str:
        """Return the list: open items in groups, then decided ones, errors, void decisions."""
        remaining = undecided(state.statuses)
        return self._render(
            "review.html",
            state=state,
            remaining=remaining[:LISTED],
            sizes=Counter(one.item.group for one in remaining),
            decided=[one for one in state.statuses if not one.is_undecided][:LISTED],
            limit=LISTED,
            next=remaining[0] if remaining else None,
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
        """Return the page of an item."""
        item = one.item
        group = group_members(state.statuses, item)
        steps = list(conversation_lines(self._line(item)))
        return self._render(
            "review_item.html",
            state=state,
            one=one,
            item=item,
            others=[other for other in group if other.item.key != item.key],
            difference=_difference(item),
            detail=clip(item.detail) if item.form is None else "",
            message=clip(item.message),
            steps=[step._replace(text=clip(step.text)) for step in steps[:STEPS]],
            more_steps=max(0, len(steps) - STEPS),
            form=form,
            item_seen=view_digest([one]),
            group_seen=view_digest(group),
            problem=problem,
            comment=comment,
        )

    def problem(self, message: str) -> str:
        """Return a page with an error message."""
        return self._render("review_problem.html", problem=message)

    def _render(self, name: str, **values: Any) -> str:
        template = environment().get_template(name)
        return template.render(run=self._run, who=self._who, style=self.style, **values)


def _difference(item: ReviewItem) -> ItemDifference:
    if item.form == "text" and item.expected is not MISSING and item.got is not MISSING:
        expected, got = (clip(format_value(item, value)) for value in (item.expected, item.got))
        return ItemDifference(text_segments(expected, got), [], 0)
    lines = diff_lines(item)
    shown = [DiffLine(sign, clip(text)) for sign, text in lines[:LINES]]
    return ItemDifference([], shown, max(0, len(lines) - LINES))
