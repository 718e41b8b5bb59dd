"""Generate a short text that a regular expression matches, always the same one.

It is built from the parts that a text can be generated for, and tried against the expression.
"""

import re
import string

from evalkit._lib.patterns import PatternError, compile_pattern

MAX_TEXT = 100_000
"""The longest text, in characters."""

_MAX_EXTRA = 200
_QUANTIFIER = r"(\{\d+(?:,\d*)?\}|[*+?])?[?+]?"
_GROUP = re.compile(r"(?<!\\)\((?:\?:|\?P?<\w+>)?((?:\\.|[^()\\])*)\)" + _QUANTIFIER)
_ATOM = re.compile(r"(\\x..|\\u....|\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.)" + _QUANTIFIER)
_ALTERNATIVE = re.compile(r"(?<!\\)\|")
_CHARACTERS = "a0A" + string.ascii_letters + string.digits + " " + string.punctuation + "\n\t"


def text_matching(pattern: str, least: int = 0) -> str:
    """Return a short text of at least ``least`` characters that a regular expression matches.

    Of a group, its first alternative is used; of a class, its first usual character; of a
    repetition, its minimum, then more of it. Raises ValueError where no candidate matches, for
    example with look-around, back references and parentheses inside classes.
    """
    try:
        for extra in range(min(least, _MAX_EXTRA) + 1):
            text = _pattern_candidate(pattern, extra)
            if len(text) >= least and compile_pattern(pattern).search(text):
                return text
    except PatternError:  # a part of an unsupported construct, such as a back reference
        pass
    raise ValueError(f"no text was found for the pattern {pattern!r}")


def _pattern_candidate(pattern: str, extra: int) -> str:
    """Return what a pattern describes, open repetitions ``extra`` times more than required."""
    rest = pattern
    while group := _GROUP.search(rest):
        body = _repeated(_ALTERNATIVE.split(group[1])[0], group[2] or "", extra)
        rest = rest[: group.start()] + body + rest[group.end() :]
    text = ""
    for atom, quantifier in _ATOM.findall(_ALTERNATIVE.split(rest)[0]):
        matching = (
            character for character in _CHARACTERS if compile_pattern(atom).fullmatch(character)
        )
        # Anchors match no character; a letter of another script is not among the candidates.
        literal = atom if len(atom) == 1 and atom not in "^$" else ""
        text += _repeated(next(matching, literal), quantifier, extra)
    return text


def _repeated(text: str, quantifier: str, extra: int) -> str:
    bounds = {"": "1", "*": "0,", "+": "1,", "?": "0,1"}.get(quantifier, quantifier.strip("{}"))
    least, comma, most = bounds.partition(",")
    times = int(least) + extra
    if most or not comma:
        times = min(times, int(most or least))
    if len(text) * times > MAX_TEXT:
        raise ValueError(f"a text longer than {MAX_TEXT} characters is not generated")
    return text * times
