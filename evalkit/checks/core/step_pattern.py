"""Compile patterns over step types into automata.

A pattern is a string: ``"thought* function_call (thought | model_output)+"``. Words are step types,
``.`` is any step. ``?`` ``*`` ``+`` follow a word or a parenthesis, ``|`` separates alternatives. A
pattern matches the whole sequence. A word that is not a step type is refused with its column.
"""

import re
from functools import lru_cache

from pydantic_core import PydanticCustomError

from evalkit._lib.text import did_you_mean
from evalkit.checks.core.base import option_error
from evalkit.checks.core.sequences import ANY, Automaton, Part
from evalkit.protocol.step_types import STEP_TYPES

_TOKEN = re.compile(
    r"\s*(?:(?P<word>[A-Za-z0-9_]+|\.)|(?P<repeat>[?*+])|(?P<sign>[()|])|(?P<bad>\S))"
)
_REPEATS = {"?": (True, False), "*": (True, True), "+": (False, True)}
_MAX_WORDS = 400
_MAX_DEPTH = 50


def _pattern_error(message: str, column: int) -> PydanticCustomError:
    return option_error(f"{message} (column {column} of the pattern)")


@lru_cache(maxsize=4096)
def compile_step_pattern(pattern: str) -> Automaton:
    """Return the automaton of a pattern. Raises ``option_error``."""
    parser = _Parser(pattern)
    if len(parser.tokens) == 1:
        raise _pattern_error("the pattern is empty; to expect no step write []", 1)
    whole = parser.alternatives()
    text, column, _ = parser.tokens[parser.at]
    if text:
        raise _pattern_error(f"{text!r} does not close a parenthesis", column)
    return parser.automaton.finish(whole)


def positions_of(automaton: Automaton, step_type: str) -> set[int]:
    """Return the positions of a pattern that a step of this type fits."""
    words = enumerate(automaton.words)
    return {position for position, word in words if word in (step_type, ANY)}


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
        self.at += 1
        if kind == "word":
            if text != ANY and (problem := type_problem(text)):
                raise _pattern_error(problem, column)
            if len(self.automaton.labels) > _MAX_WORDS:
                raise _pattern_error(f"more than {_MAX_WORDS} words in one pattern", column)
            part = self.automaton.add(text)
        elif text == "(":
            part = self.group(column)
        else:
            got = "the pattern ends" if kind == "end" else f"got {text!r}"
            hint = "; write a space between step types" if text in (",", ";") else ""
            raise _pattern_error(f"expected a step type or '(', {got}{hint}", column)
        repeat = self.tokens[self.at][0]
        if repeat in _REPEATS:
            self.at += 1
            if kind == "word":
                self.automaton.labels[-1] += repeat
            part = self.automaton.repeat(part, *_REPEATS[repeat])
            if self.tokens[self.at][2] == "repeat":
                raise _pattern_error("two repeat signs in a row", self.tokens[self.at][1])
        return part

    def group(self, column: int) -> Part:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise _pattern_error(f"nested more than {_MAX_DEPTH} deep", column)
        part = self.alternatives()
        if self.tokens[self.at][0] != ")":
            raise _pattern_error("this parenthesis is not closed", column)
        self.at += 1
        self.depth -= 1
        return part


def type_problem(word: str) -> str:
    """Return why a word is not the type of a step in a turn, ``""`` if it is one."""
    if word == "user_input":
        return "user_input is not a step of a turn: its steps begin after the user's message"
    if word in STEP_TYPES:
        return ""
    return (
        f"{word!r} is not a step type{did_you_mean(word, STEP_TYPES)}; write a type that is"
        f" not among the {len(STEP_TYPES)} known ones in a list, as {{type: {word}}}"
    )
