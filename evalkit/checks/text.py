"""``text``: what the output text is, as both SDKs compute it (docs/protocol.md section 3)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import floor
from typing import Any, ClassVar, Literal

from pydantic import Field

from evalkit._lib.json import JSON
from evalkit._lib.lookalikes import lookalike_note
from evalkit._lib.patterns import compile_pattern
from evalkit._lib.text import show
from evalkit.checks.core.arguments import Regex, Words
from evalkit.checks.core.base import Check, NumberedStep, View
from evalkit.checks.core.formatting import excerpt, first_difference, shows_difference
from evalkit.checks.core.strictness import Strictness
from evalkit.protocol.step_reader import text_blocks
from evalkit.verdict import Finding, Where

_NOT_RULES = {"of", "min_ratio", "ignore_case"}
_MAX_PLACES = 3


class Text(Check):
    """The output text contains, equals, matches or resembles what is given, by every given rule.

    ``not_contains`` always reads all text of the model, the other rules with ``of: all``: each
    ``model_output`` in view, one under the other. The empty case: no output text counts as the
    empty text, so ``not_contains`` and ``max_chars`` pass and the others fail. Without any rule
    (bare ``text``) there must be a text that is not blank.
    """

    name: ClassVar[str] = "text"
    shorthand: ClassVar[str | None] = "contains"
    strictness: ClassVar[Mapping[str, Strictness]] = {
        "contains": "required_words",
        "not_contains": "forbidden_words",
        "any_of": "any_words",
        "all_of": "required_words",
        "equals": "rule",
        "matches": "rule",
        "starts_with": "start",
        "ends_with": "end",
        "max_chars": "lower",
        "min_chars": "higher",
        "similar_to": "rule",
        "min_ratio": "higher",
        "ignore_case": "false",
    }

    of: Literal["output_text", "all"] = Field(
        "output_text",
        description="What is read: the output text, as the SDKs compute it, or all text of the"
        " model in view.",
    )
    contains: Words | None = Field(
        None, description="A string, or several, all of which must occur."
    )
    not_contains: Words | None = Field(
        None,
        description="A string, or several, none of which may occur in any text of the model.",
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
        None,
        description="A text that it must resemble: one minus their Levenshtein distance, as a"
        " share of the longer text.",
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
        everything = _all_text(view)
        where = Where(turn=turn.number if turn is not None else None, part="output")
        source = self._source(view)
        # The words may also be in an output that a later one replaced.
        for finding in self._forbidden(everything):
            place = replace(view.where, part="output")
            yield replace(finding, where=place, got=excerpt(everything))
        for finding in self._mismatches(source):
            expected = finding.expected
            words = expected if isinstance(expected, list) else [expected]
            notes = [
                f"{show(word, 40)} {note}"
                for word in words
                if isinstance(word, str)
                and not shows_difference(finding.detail)
                and (note := lookalike_note(self._fold(word), self._fold(source)))
            ]
            if finding.code == "text_missing" and not notes:
                notes = list(self._elsewhere(view, words))
            detail = finding.detail or f"text  {show(source, 300)}"
            detail = "\n".join([detail, *notes])
            yield replace(finding, where=where, got=excerpt(source), detail=detail)

    def matched(self, view: View) -> str:
        """Return the words and the pattern that the text has, each with its surroundings."""
        source = self._source(view)
        text = self._fold(source)
        words = (*(self.contains or ()), *(self.all_of or ()), *(self.any_of or ()))
        spans = [(text.find(self._fold(word)), len(word)) for word in words]
        if self.matches is not None:
            pattern = compile_pattern(self.matches, ignore_case=self.ignore_case)
            if match := pattern.search(source):
                spans.append((match.start(), match.end() - match.start()))
        found = [
            f"text  {_around(source, *span)} at character {span[0] + 1}"
            for span in spans
            if span[0] >= 0
        ]
        return "\n".join(found or [f"text  {show(source, 300)}"])

    def _source(self, view: View) -> str:
        """Return the text that the rules read."""
        if self.of == "all":
            return _all_text(view)
        return view.last.text if view.last is not None else ""

    def _fold(self, text: str) -> str:
        return text.casefold() if self.ignore_case else text

    def _forbidden(self, original: str) -> Iterator[Finding]:
        text = self._fold(original)
        for word in self.not_contains or ():
            at = text.find(self._fold(word))
            if at >= 0:
                yield Finding(
                    "text_forbidden",
                    f"the text contains {show(word)}, which it must not",
                    expected=word,
                    detail=f"text  {_around(text, at, len(word))} at character {at + 1}",
                )

    def _elsewhere(self, view: View, words: Sequence[JSON]) -> Iterator[str]:
        """Yield where in the conversation words are that the text does not contain."""
        for word in words:
            places = [
                f"step {each.number} of turn {each.turn} ({each.step.type})"
                for each in view.numbered_steps
                if any(self._fold(str(word)) in self._fold(text) for text in _strings(each))
            ]
            more = f" and {len(places) - _MAX_PLACES} more" if len(places) > _MAX_PLACES else ""
            if places:
                yield f"{show(word, 40)} is in {', '.join(places[:_MAX_PLACES])}{more}"

    def _mismatches(self, original: str) -> Iterator[Finding]:
        fold = self._fold
        text = fold(original)
        for word in (*(self.contains or ()), *(self.all_of or ())):
            if fold(word) not in text:
                yield Finding(
                    "text_missing", f"the text does not contain {show(word)}", expected=word
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
        if self.matches is not None and not (
            compile_pattern(self.matches, ignore_case=self.ignore_case).search(original)
        ):
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
            # Start-up cost: few suites compare texts, and the module has a large pattern.
            from evalkit.checks.core.similarity import similarity

            expected = fold(self.similar_to)
            similar = similarity(expected, text, self.min_ratio)
            if similar.value < self.min_ratio:
                # Rounded down, so that it never looks like enough.
                ratio = floor(similar.value * 100) / 100
                bound = "at most " if similar.is_bound else ""
                yield Finding(
                    "text_unlike",
                    f"the similarity is {bound}{ratio:.2f}, expected at least {self.min_ratio:g}",
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


def _all_text(view: View) -> str:
    """Return the text of each ``model_output`` in view, one under the other."""
    outputs: dict[tuple[int, int], list[str]] = {}
    for turn in view.turns:
        for block in text_blocks([step.raw for step in turn.steps]):
            outputs.setdefault((turn.number, block.step), []).append(block.text)
    return "\n".join("".join(texts) for texts in outputs.values())


def _strings(item: NumberedStep) -> Iterator[str]:
    """Yield every string of a step."""
    waiting: list[Any] = [item.step.raw]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            waiting += [item for key, item in value.items() if key not in ("type", "signature")]
        elif isinstance(value, list):
            waiting += value
