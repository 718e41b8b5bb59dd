"""``text``: what the output text says. The text is the one both SDKs compute (protocol section 3), Unicode code points as they came."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field

from evalkit._lib.json import MISSING
from evalkit._lib.text import show
from evalkit.checks.core.base import Check, View
from evalkit.checks.core.formatting import excerpt, first_difference
from evalkit.checks.core.options import Regex, Words
from evalkit.verdict import Finding, Where

_RULES = (
    "contains",
    "not_contains",
    "any_of",
    "all_of",
    "equals",
    "matches",
    "starts_with",
    "ends_with",
    "max_chars",
    "min_chars",
    "similar_to",
)


class Text(Check):
    """The output text holds, equals, matches or resembles what is given; every rule given must hold.

    The empty case: no output text counts as the empty text, so ``not_contains`` and ``max_chars`` hold and the others do not. With no
    rule at all (bare ``text``) there must be some text that is not blank.
    """

    name: ClassVar[str] = "text"
    shorthand: ClassVar[str | None] = "contains"

    contains: Words | None = Field(
        None, description="A string, or several, all of which must occur."
    )
    not_contains: Words | None = Field(
        None, description="A string, or several, none of which may occur."
    )
    any_of: Words | None = Field(None, description="Strings of which at least one must occur.")
    all_of: Words | None = Field(None, description="Strings that must all occur.")
    equals: str | None = Field(None, description="The whole text.")
    matches: Regex | None = Field(None, description="A regular expression to be found in the text.")
    starts_with: str | None = Field(None, description="How the text begins.")
    ends_with: str | None = Field(None, description="How the text ends.")
    max_chars: int | None = Field(None, ge=0, description="Most characters allowed.")
    min_chars: int | None = Field(None, ge=0, description="Fewest characters allowed.")
    similar_to: str | None = Field(
        None, description="A text that it must resemble, by difflib's ratio."
    )
    min_ratio: float = Field(
        0.8,
        ge=0,
        le=1,
        description="How alike similar_to must be: 0 is nothing in common, 1 is equal.",
    )
    ignore_case: bool = Field(False, description="Compare without regard to upper and lower case.")

    def run(self, view: View) -> Iterator[Finding]:
        """Yield each rule that does not hold."""
        turn = view.last
        text = turn.text if turn is not None else ""
        wrong = self._wrong(text.casefold() if self.ignore_case else text, text)
        for code, message, expected, detail in wrong:
            where = Where(turn=turn.number if turn is not None else None, part="output")
            yield Finding(
                code,
                message,
                where,
                expected=expected,
                got=excerpt(text),
                detail=detail or f"text  {show(text, 300)}",
            )

    def _wrong(self, text: str, as_came: str) -> Iterator[tuple[str, str, object, str]]:
        fold = str.casefold if self.ignore_case else str
        for word in (*(self.contains or ()), *(self.all_of or ())):
            if fold(word) not in text:
                yield "text_missing", f"the text does not contain {show(word)}", word, ""
        for word in self.not_contains or ():
            at = text.find(fold(word))
            if at >= 0:
                start, end = max(0, at - 30), at + len(word) + 30
                around = show(
                    f"{'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}", 120
                )
                yield (
                    "text_forbidden",
                    f"the text contains {show(word)}, which it must not",
                    word,
                    f"text  {around} at character {at + 1}",
                )
        if self.any_of is not None and not any(fold(word) in text for word in self.any_of):
            yield "text_missing", f"the text contains none of {show(self.any_of)}", self.any_of, ""
        if self.equals is not None and text != fold(self.equals):
            yield (
                "text_differs",
                "the text is not the expected one",
                self.equals,
                first_difference(fold(self.equals), text),
            )
        if self.matches is not None and not re.search(
            self.matches, as_came, re.IGNORECASE if self.ignore_case else 0
        ):
            yield "text_no_match", f"the text does not match {show(self.matches)}", self.matches, ""
        if self.starts_with is not None and not text.startswith(fold(self.starts_with)):
            wanted = fold(self.starts_with)
            yield (
                "text_start",
                f"the text does not start with {show(self.starts_with)}",
                self.starts_with,
                first_difference(wanted, text[: len(wanted)]),
            )
        if self.ends_with is not None and not text.endswith(fold(self.ends_with)):
            got = show(text[-max(len(self.ends_with), 40) :])
            yield (
                "text_end",
                f"the text does not end with {show(self.ends_with)}",
                self.ends_with,
                f"expected  …{show(self.ends_with)}\ngot       …{got}",
            )
        if self.max_chars is not None and len(as_came) > self.max_chars:
            yield (
                "text_too_long",
                f"the text has {len(as_came):,} characters, at most {self.max_chars:,} are allowed",
                self.max_chars,
                "",
            )
        if self.min_chars is not None and len(as_came) < self.min_chars:
            yield (
                "text_too_short",
                f"the text has {len(as_came):,} characters, at least {self.min_chars:,} are needed",
                self.min_chars,
                "",
            )
        if self.similar_to is not None:
            wanted = fold(self.similar_to)
            ratio = _ratio(wanted, text, self.min_ratio)
            if ratio < self.min_ratio:
                message = f"the text is {ratio:.2f} alike, at least {self.min_ratio:.2f} is needed"
                yield "text_unlike", message, self.similar_to, first_difference(wanted, text)
        if not as_came.strip() and all(getattr(self, rule) is None for rule in _RULES):
            yield "text_absent", "there is no output text", MISSING, ""


def _ratio(wanted: str, text: str, enough: float) -> float:
    from difflib import SequenceMatcher

    matcher = SequenceMatcher(None, wanted, text, autojunk=False)
    # The quick ratios are upper bounds: a text of quite another length or alphabet is settled before the quadratic part.
    for ratio in (matcher.real_quick_ratio, matcher.quick_ratio, matcher.ratio):
        found = ratio()
        if found < enough:
            break
    return found
