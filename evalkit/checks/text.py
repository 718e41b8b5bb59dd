"""``text``: what the output text is, as both SDKs compute it (docs/protocol.md section 3)."""

import re
from collections.abc import Iterator
from dataclasses import replace
from difflib import SequenceMatcher
from typing import ClassVar

from pydantic import Field

from evalkit._lib.text import show
from evalkit.checks.core.arguments import Regex, Words
from evalkit.checks.core.base import Check, View
from evalkit.checks.core.formatting import excerpt, first_difference
from evalkit.verdict import Finding, Where

_NOT_RULES = {"min_ratio", "ignore_case"}


class Text(Check):
    """The output text contains, equals, matches or resembles what is given, by every given rule.

    The empty case: no output text counts as the empty text, so ``not_contains`` and ``max_chars``
    pass and the others fail. Without any rule (bare ``text``) there must be a text that is not
    blank.
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
        description="How similar to similar_to it must be: 0 is nothing in common, 1 is equal.",
    )
    ignore_case: bool = Field(False, description="Compare without regard to upper and lower case.")

    def run(self, view: View) -> Iterator[Finding]:
        """Yield each rule that is broken."""
        turn = view.last
        text = turn.text if turn is not None else ""
        where = Where(turn=turn.number if turn is not None else None, part="output")
        for finding in self._mismatches(text):
            detail = finding.detail or f"text  {show(text, 300)}"
            yield replace(finding, where=where, got=excerpt(text), detail=detail)

    def _mismatches(self, original: str) -> Iterator[Finding]:
        fold = str.casefold if self.ignore_case else str
        text = fold(original)
        for word in (*(self.contains or ()), *(self.all_of or ())):
            if fold(word) not in text:
                yield Finding(
                    "text_missing", f"the text does not contain {show(word)}", expected=word
                )
        for word in self.not_contains or ():
            at = text.find(fold(word))
            if at >= 0:
                yield Finding(
                    "text_forbidden",
                    f"the text contains {show(word)}, which it must not",
                    expected=word,
                    detail=f"text  {_around(text, at, len(word))} at character {at + 1}",
                )
        if self.any_of is not None and not any(fold(word) in text for word in self.any_of):
            yield Finding(
                "text_missing",
                f"the text contains none of {show(self.any_of)}",
                expected=self.any_of,
            )
        if self.equals is not None and text != fold(self.equals):
            yield Finding(
                "text_differs",
                "the text is not the expected one",
                expected=self.equals,
                detail=first_difference(fold(self.equals), text),
            )
        flags = re.IGNORECASE if self.ignore_case else 0
        if self.matches is not None and not re.search(self.matches, original, flags):
            yield Finding(
                "text_no_match",
                f"the text does not match {show(self.matches)}",
                expected=self.matches,
            )
        start = fold(self.starts_with or "")
        if not text.startswith(start):
            yield Finding(
                "text_start",
                f"the text does not start with {show(self.starts_with)}",
                expected=self.starts_with,
                detail=first_difference(start, text[: len(start)]),
            )
        end = fold(self.ends_with or "")
        if not text.endswith(end):
            got = show(text[-max(len(end), 40) :])
            yield Finding(
                "text_end",
                f"the text does not end with {show(self.ends_with)}",
                expected=self.ends_with,
                detail=f"expected  …{show(self.ends_with)}\ngot       …{got}",
            )
        count = len(original)
        if self.max_chars is not None and count > self.max_chars:
            yield Finding(
                "text_too_long",
                f"the text has {count:,} characters, expected at most {self.max_chars:,}",
                expected=self.max_chars,
            )
        if self.min_chars is not None and count < self.min_chars:
            yield Finding(
                "text_too_short",
                f"the text has {count:,} characters, expected at least {self.min_chars:,}",
                expected=self.min_chars,
            )
        if self.similar_to is not None:
            expected = fold(self.similar_to)
            ratio = _ratio(expected, text, self.min_ratio)
            if ratio < self.min_ratio:
                yield Finding(
                    "text_unlike",
                    f"the similarity is {ratio:.2f}, expected at least {self.min_ratio:.2f}",
                    expected=self.similar_to,
                    detail=first_difference(expected, text),
                )
        rules = type(self).model_fields.keys() - _NOT_RULES
        if not original.strip() and all(getattr(self, rule) is None for rule in rules):
            yield Finding("text_absent", "there is no output text")


def _around(text: str, at: int, length: int) -> str:
    start, end = max(0, at - 30), at + length + 30
    before, after = "…" if start else "", "…" if end < len(text) else ""
    return show(f"{before}{text[start:end]}{after}", 120)


def _ratio(expected: str, text: str, enough: float) -> float:
    matcher = SequenceMatcher(None, expected, text, autojunk=False)
    # An upper bound, which settles texts of quite another length or alphabet before the quadratic
    # comparison.
    bound = matcher.quick_ratio()
    return bound if bound < enough else matcher.ratio()
