"""``text``: what the output text is, as both SDKs compute it (docs/protocol.md section 3)."""

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Any, ClassVar, NamedTuple

from pydantic import Field

from evalkit._lib.json import MISSING
from evalkit._lib.text import show
from evalkit.checks.core.base import Check, View
from evalkit.checks.core.formatting import excerpt, first_difference
from evalkit.checks.core.options import Regex, Words
from evalkit.verdict import Finding, Where

_NOT_RULES = {"min_ratio", "ignore_case"}


class Mismatch(NamedTuple):
    """One rule that is broken."""

    code: str
    message: str
    expected: Any
    detail: str = ""


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
        for code, message, expected, detail in self._mismatches(text):
            yield Finding(
                code,
                message,
                where,
                expected=expected,
                got=excerpt(text),
                detail=detail or f"text  {show(text, 300)}",
            )

    def _mismatches(self, original: str) -> Iterator[Mismatch]:
        fold = str.casefold if self.ignore_case else str
        text = fold(original)
        for word in (*(self.contains or ()), *(self.all_of or ())):
            if fold(word) not in text:
                yield Mismatch("text_missing", f"the text does not contain {show(word)}", word)
        for word in self.not_contains or ():
            at = text.find(fold(word))
            if at >= 0:
                yield Mismatch(
                    "text_forbidden",
                    f"the text contains {show(word)}, which it must not",
                    word,
                    f"text  {_around(text, at, len(word))} at character {at + 1}",
                )
        if self.any_of is not None and not any(fold(word) in text for word in self.any_of):
            yield Mismatch(
                "text_missing", f"the text contains none of {show(self.any_of)}", self.any_of
            )
        if self.equals is not None and text != fold(self.equals):
            yield Mismatch(
                "text_differs",
                "the text is not the expected one",
                self.equals,
                first_difference(fold(self.equals), text),
            )
        flags = re.IGNORECASE if self.ignore_case else 0
        if self.matches is not None and not re.search(self.matches, original, flags):
            yield Mismatch(
                "text_no_match", f"the text does not match {show(self.matches)}", self.matches
            )
        yield from self._wrong_ends(text, fold(self.starts_with or ""), fold(self.ends_with or ""))
        count = len(original)
        if self.max_chars is not None and count > self.max_chars:
            yield Mismatch(
                "text_too_long",
                f"the text has {count:,} characters, expected at most {self.max_chars:,}",
                self.max_chars,
            )
        if self.min_chars is not None and count < self.min_chars:
            yield Mismatch(
                "text_too_short",
                f"the text has {count:,} characters, expected at least {self.min_chars:,}",
                self.min_chars,
            )
        if self.similar_to is not None:
            expected = fold(self.similar_to)
            ratio = _ratio(expected, text, self.min_ratio)
            if ratio < self.min_ratio:
                yield Mismatch(
                    "text_unlike",
                    f"the similarity is {ratio:.2f}, expected at least {self.min_ratio:.2f}",
                    self.similar_to,
                    first_difference(expected, text),
                )
        if not original.strip() and self._has_no_rule():
            yield Mismatch("text_absent", "there is no output text", MISSING)

    def _has_no_rule(self) -> bool:
        rules = type(self).model_fields.keys() - _NOT_RULES
        return all(getattr(self, rule) is None for rule in rules)

    def _wrong_ends(self, text: str, start: str, end: str) -> Iterator[Mismatch]:
        if not text.startswith(start):
            yield Mismatch(
                "text_start",
                f"the text does not start with {show(self.starts_with)}",
                self.starts_with,
                first_difference(start, text[: len(start)]),
            )
        if not text.endswith(end):
            message = f"the text does not end with {show(self.ends_with)}"
            got = show(text[-max(len(end), 40) :])
            yield Mismatch(
                "text_end",
                message,
                self.ends_with,
                f"expected  …{show(self.ends_with)}\ngot       …{got}",
            )


def _around(text: str, at: int, length: int) -> str:
    start, end = max(0, at - 30), at + length + 30
    before, after = "…" if start else "", "…" if end < len(text) else ""
    return show(f"{before}{text[start:end]}{after}", 120)


def _ratio(expected: str, text: str, enough: float) -> float:
    matcher = SequenceMatcher(None, expected, text, autojunk=False)
    # The quick ratios are upper bounds: they settle texts of quite another length or alphabet
    # before the quadratic comparison.
    ratios = (matcher.real_quick_ratio, matcher.quick_ratio, matcher.ratio)
    ratio = 1.0
    for compute in ratios:
        ratio = compute()
        if ratio < enough:
            break
    return ratio
