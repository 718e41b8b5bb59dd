"""Regular patterns over step types: ``"thought* function_call function_result (thought | model_output)+"``.

Grammar: words are step types, ``.`` is any step; ``?`` ``*`` ``+`` follow a word or a parenthesis; ``|`` parts alternatives. A pattern
speaks of the whole sequence, not of a part of it. A word that no step can have is refused where it stands; what a pattern matches is
``automaton``'s business.
"""

from __future__ import annotations

import re
from functools import lru_cache

from evalkit._lib.text import did_you_mean
from evalkit.checks.core.automaton import ANY, Automaton, Part
from evalkit.protocol.step_types import STEP_TYPES

_TOKEN = re.compile(r"\s*(?:(?P<word>[A-Za-z0-9_]+)|(?P<sign>[.()|?*+])|(?P<bad>\S))")
_REPEATS = {"?": (True, False), "*": (True, True), "+": (False, True)}
_MAX_POSITIONS = 400
_MAX_NESTING = 50


class PatternError(ValueError):
    """A pattern that cannot be used; ``column`` counts from 1 inside the pattern."""

    def __init__(self, message: str, column: int) -> None:
        super().__init__(f"{message} (column {column} of the pattern)")
        self.column = column


@lru_cache(maxsize=4096)
def compile_pattern(pattern: str) -> Automaton:
    """Return a pattern's automaton. Raises PatternError."""
    return _Parser(pattern).parse()


class _Parser:
    def __init__(self, pattern: str) -> None:
        self.automaton = Automaton()
        self.tokens = [
            (found.group().strip(), found.start(found.lastgroup or 0) + 1, found.lastgroup)
            for found in _TOKEN.finditer(pattern)
        ]
        self.tokens.append(("", len(pattern) + 1, "end"))
        self.at = 0
        self.depth = 0

    def parse(self) -> Automaton:
        if len(self.tokens) == 1:
            raise PatternError("the pattern is empty; to expect no step at all write []", 1)
        whole = self.alternatives()
        sign, column, _ = self.tokens[self.at]
        if sign:
            raise PatternError(f"{sign!r} closes no parenthesis", column)
        return self.automaton.finish(whole)

    def alternatives(self) -> Part:
        part = self.sequence()
        while self.tokens[self.at][0] == "|":
            self.at += 1
            other = self.sequence()
            part = Part(part.empty or other.empty, part.first | other.first, part.last | other.last)
        return part

    def sequence(self) -> Part:
        part = self.item()
        while (
            (token := self.tokens[self.at])[2] == "word"
            or token[0] in ("(", ANY)
            or token[2] == "bad"
            or token[0] in _REPEATS
        ):
            part = self.automaton.then(part, self.item())
        return part

    def item(self) -> Part:
        text, column, kind = self.tokens[self.at]
        if kind == "word" or text == ANY:
            part = self.word(text, column)
        elif text == "(":
            part = self.group(column)
        else:
            hint = "; write a space between step types" if text in (",", ";") else ""
            what = "the pattern ends" if kind == "end" else f"got {text!r}"
            raise PatternError(f"a step type or '(' must stand here, {what}{hint}", column)
        sign, column, _ = self.tokens[self.at]
        if sign in _REPEATS:
            self.at += 1
            if text != "(":
                self.automaton.labels[-1] += sign
            part = self.automaton.repeat(part, *_REPEATS[sign])
            if self.tokens[self.at][0] in _REPEATS:
                raise PatternError("two repeat signs in a row", self.tokens[self.at][1])
        return part

    def word(self, text: str, column: int) -> Part:
        if text != ANY:
            check_type(text, column)
        if len(self.automaton.words) > _MAX_POSITIONS:
            raise PatternError(f"more than {_MAX_POSITIONS} words in one pattern", column)
        self.at += 1
        return self.automaton.atom(text)

    def group(self, column: int) -> Part:
        self.depth += 1
        if self.depth > _MAX_NESTING:
            raise PatternError(f"nested more than {_MAX_NESTING} deep", column)
        self.at += 1
        part = self.alternatives()
        if self.tokens[self.at][0] != ")":
            raise PatternError("this parenthesis is not closed", column)
        self.at += 1
        self.depth -= 1
        return part


def check_type(word: str, column: int) -> None:
    """Refuse a word that no step of a turn can have as its type. Raises PatternError."""
    if word == "user_input":
        raise PatternError(
            "user_input is never among the steps of a turn: they begin after the user's message",
            column,
        )
    if word not in STEP_TYPES:
        raise PatternError(
            f"{word!r} is no step type{did_you_mean(word, STEP_TYPES)}; a type that is not among the {len(STEP_TYPES)} known ones"
            f" goes into the list form, as {{type: {word}}}",
            column,
        )
