"""A text that a regular expression matches: enough of the language for the ``pattern`` keyword of JSON Schemas.

Literals, ``.``, classes, ``\\d \\w \\s``, groups, alternation, quantifiers and anchors, of the dialect JSON Schema recommends (ECMA-262
as of JSON Schema 2020-12, section 6.4 of the core). Look-around, back references and flags are not made: ``NotMade`` says so. The
shortest repetition is taken, then more of it until ``at_least`` characters are there. Pure; the same pattern gives the same text.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable

_MOST = 4096
_LONGEST = 100_000
_CLASSES: dict[str, str] = {
    "d": string.digits,
    "w": string.ascii_lowercase + string.digits + "_",
    "s": " ",
}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "0": "\0"}
_PRINTABLE = (
    string.ascii_lowercase + string.digits + string.ascii_uppercase + " " + string.punctuation
)
_BRACES = re.compile(r"\{(\d+)(?:(,)(\d*))?\}")

Node = Callable[[int], str]
"""Makes a text from the number of extra repetitions each open quantifier may take."""


class NotMade(ValueError):
    """The pattern uses something that is not made here, or nothing matches it."""


def text_matching(pattern: str, *, at_least: int = 0) -> str:
    """Return a text in which ``pattern`` is found, of at least ``at_least`` characters where the pattern lets it grow. Raises NotMade."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise NotMade(f"not a regular expression: {pattern!r}") from error
    make = _Reader(pattern).whole()
    text = make(0)
    for extra in range(1, at_least + 1):
        if len(text) >= at_least:
            break
        text = make(extra)
    if not compiled.search(text):
        raise NotMade(f"no text was found for the pattern {pattern!r}")
    return text


class _Reader:
    """Recursive descent over the pattern; every rule returns the maker of its part."""

    def __init__(self, pattern: str) -> None:
        self._text = pattern
        self._at = 0

    def whole(self) -> Node:
        node = self._alternation()
        if self._at < len(self._text):
            raise NotMade(f"not understood at {self._at}: {self._text!r}")
        return node

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self) -> str:
        char = self._peek()
        if not char:
            raise NotMade(f"ends too early: {self._text!r}")
        self._at += 1
        return char

    def _alternation(self) -> Node:
        first = self._sequence()
        while self._peek() == "|":
            self._at += 1
            self._sequence()
        return first

    def _sequence(self) -> Node:
        parts: list[Node] = []
        while self._peek() not in ("", "|", ")"):
            parts.append(self._quantified())
        return lambda extra: "".join(part(extra) for part in parts)

    def _quantified(self) -> Node:
        node = self._atom()
        least, most = self._quantifier()
        if (least, most) == (1, 1):
            return node
        limit = _MOST if most is None else most

        def repeated(extra: int) -> str:
            part, times = node(extra), min(least + extra, limit)
            if len(part) * times > _LONGEST:
                raise NotMade(f"a text longer than {_LONGEST} characters")
            return part * times

        return repeated

    def _quantifier(self) -> tuple[int, int | None]:
        char = self._peek()
        bounds: tuple[int, int | None] = (1, 1)
        if char in ("*", "+", "?"):
            self._at += 1
            bounds = {"*": (0, None), "+": (1, None), "?": (0, 1)}[char]
        elif found := _BRACES.match(self._text, self._at):
            self._at = found.end()
            least = int(found[1])
            bounds = (least, least if not found[2] else int(found[3]) if found[3] else None)
            if least > _MOST:
                raise NotMade(f"more than {_MOST} repetitions")
        else:
            return bounds
        if self._peek() in ("?", "+"):  # lazy or possessive: which text matches stays the same
            self._at += 1
        return bounds

    def _atom(self) -> Node:
        char = self._take()
        if char in "^$":
            return lambda extra: ""
        if char == "(":
            return self._group()
        if char == "[":
            return _constant(self._class())
        if char == ".":
            return _constant("a")
        if char == "\\":
            return self._escape()
        if char in "*+?":
            raise NotMade(f"nothing to repeat at {self._at - 1}: {self._text!r}")
        return _constant(char)

    def _group(self) -> Node:
        if self._peek() == "?":
            named = re.compile(r"\?(?::|P?<[A-Za-z_]\w*>)").match(self._text, self._at)
            if named is None:
                raise NotMade(f"look-around and flags are not made: {self._text!r}")
            self._at = named.end()
        node = self._alternation()
        if self._take() != ")":
            raise NotMade(f"a group is not closed: {self._text!r}")
        return node

    def _escape(self) -> Node:
        char = self._take()
        if char in "bBAZzG":
            return lambda extra: ""
        if char.isdigit() and char != "0":
            raise NotMade(f"back references are not made: {self._text!r}")
        return _constant(self._escaped(char)[0])

    def _escaped(self, char: str) -> str:
        """Return the characters an escape stands for, the likeliest first."""
        if char.lower() in _CLASSES:
            held = _CLASSES[char.lower()]
            return (
                held
                if char.islower()
                else "".join(
                    other for other in _PRINTABLE if not re.match(rf"\{char.lower()}", other)
                )
            )
        if char in "xu":
            size = 2 if char == "x" else 4
            digits = self._text[self._at : self._at + size]
            if not re.fullmatch(r"[0-9a-fA-F]+", digits):
                raise NotMade(f"not understood: {self._text!r}")
            self._at += size
            return chr(int(digits, 16))
        if char in "pP":
            raise NotMade(f"Unicode properties are not made: {self._text!r}")
        return _ESCAPES.get(char, char)

    def _class(self) -> str:
        """Read ``[…]`` and return one character of it."""
        negated = self._peek() == "^"
        if negated:
            self._at += 1
        held: list[str] = []
        first = True
        while (char := self._take()) != "]" or first:
            first = False
            part = self._escaped(self._take()) if char == "\\" else char
            if (
                self._peek() == "-"
                and self._text[self._at + 1 : self._at + 2] not in ("]", "")
                and len(part) == 1
            ):
                self._at += 1
                end = self._take()
                end = self._escaped(self._take()) if end == "\\" else end
                part = "".join(map(chr, range(ord(part), min(ord(end[0]), ord(part) + 512) + 1)))
            held.append(part)
        chars = "".join(held)
        found = (
            next((other for other in _PRINTABLE if other not in chars), "")
            if negated
            else chars[:1]
        )
        if not found:
            raise NotMade(f"an empty class: {self._text!r}")
        return found


def _constant(text: str) -> Node:
    return lambda extra: text
