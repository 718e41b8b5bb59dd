"""Parse patterns over step types: ``"thought* function_call (thought | model_output)+"``.

Words are step types, ``.`` is any step. ``?`` ``*`` ``+`` follow a word or a parenthesis, ``|``
separates alternatives. A pattern matches the whole sequence. A word that is not a step type is
refused with its column.
"""

from __future__ import annotations

import re
from functools import lru_cache

from evalkit._lib.text import did_you_mean
from evalkit.checks.core.automaton import Automaton, Part
from evalkit.protocol.step_types import STEP_TYPES

ANY = "."
_TOKEN = re.compile(
    r"\s*(?:(?P<word>[A-Za-z0-9_]+|\.)|(?P<repeat>[?*+])|(?P<sign>[()|])|(?P<bad>\S))"
)
_REPEATS = {"?": (True, False), "*": (True, True), "+": (False, True)}
_MAX_WORDS = 400
_MAX_DEPTH = 50


class PatternError(ValueError):
    """A pattern that cannot be used; ``column`` counts from 1 in the pattern."""

    def __init__(self, message: str, column: int) -> None:
        super().__init__(f"{message} (column {column} of the pattern)")
        self.column = column


@lru_cache(maxsize=4096)
def compile_pattern(pattern: str) -> Automaton:
    """Return the automaton of a pattern. Raises PatternError."""
    return _Parser(pattern).parse()


def positions_of(automaton: Automaton, step_type: str) -> set[int]:
    """Return the positions of a pattern that a step of this type fits."""
    words = [label.rstrip("?*+") for label in automaton.labels]
    return {position for position, word in enumerate(words) if word in (step_type, ANY)}


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
            raise PatternError("the pattern is empty; to expect no step write []", 1)
        whole = self.alternatives()
        text, column, _ = self.tokens[self.at]
        if text:
            raise PatternError(f"{text!r} does not close a parenthesis", column)
        return self.automaton.finish(whole)

    def alternatives(self) -> Part:
        part = self.sequence()
        while self.tokens[self.at][0] == "|":
            self.at += 1
            other = self.sequence()
            may_be_empty = part.may_be_empty or other.may_be_empty
            part = Part(may_be_empty, part.first | other.first, part.last | other.last)
        return part

    def sequence(self) -> Part:
        part = self.item()
        while self.tokens[self.at][0] not in ("|", ")", ""):
            part = self.automaton.join(part, self.item())
        return part

    def item(self) -> Part:
        text, column, kind = self.tokens[self.at]
        if kind == "word":
            part = self.word(text, column)
        elif text == "(":
            part = self.group(column)
        else:
            got = "the pattern ends" if kind == "end" else f"got {text!r}"
            hint = "; write a space between step types" if text in (",", ";") else ""
            raise PatternError(f"expected a step type or '(', {got}{hint}", column)
        repeat = self.tokens[self.at][0]
        if repeat in _REPEATS:
            self.at += 1
            if kind == "word":
                self.automaton.labels[-1] += repeat
            part = self.automaton.repeat(part, *_REPEATS[repeat])
            if self.tokens[self.at][2] == "repeat":
                raise PatternError("two repeat signs in a row", self.tokens[self.at][1])
        return part

    def word(self, text: str, column: int) -> Part:
        if text != ANY:
            check_type(text, column)
        if len(self.automaton.labels) > _MAX_WORDS:
            raise PatternError(f"more than {_MAX_WORDS} words in one pattern", column)
        self.at += 1
        return self.automaton.add(text)

    def group(self, column: int) -> Part:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise PatternError(f"nested more than {_MAX_DEPTH} deep", column)
        self.at += 1
        part = self.alternatives()
        if self.tokens[self.at][0] != ")":
            raise PatternError("this parenthesis is not closed", column)
        self.at += 1
        self.depth -= 1
        return part


def check_type(word: str, column: int) -> None:
    """Refuse a word that is not the type of a step in a turn. Raises PatternError."""
    if word == "user_input":
        raise PatternError(
            "user_input is not a step of a turn: its steps begin after the user's message", column
        )
    if word not in STEP_TYPES:
        raise PatternError(
            f"{word!r} is not a step type{did_you_mean(word, STEP_TYPES)}; write a type that is"
            f" not among the {len(STEP_TYPES)} known ones in a list, as {{type: {word}}}",
            column,
        )
