"""How similar two texts are: one minus their Levenshtein distance, as a share of the longer one.

0 means nothing in common, 1 equal. The distance counts characters that are inserted, deleted or
replaced. Its time grows with the product of the lengths, and a comparison in C cannot be stopped.
So texts of over 60,000 characters are compared by their words, where they have words, and those
that are still too long are refused. What both texts begin and end with costs nothing.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from polyleven import levenshtein

from evalkit.errors import Misconfigured

# Half a second on a slow core, and two.
_QUICK_CELLS, _MAX_CELLS = 60_000**2, 110_000**2
# Thai to Burmese, Chinese and Japanese have no spaces between words: each character is a unit.
_NO_SPACES = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_WORDS = re.compile(rf"[{_NO_SPACES}]|(?:(?![{_NO_SPACES}])\w)+|[^\w\s]")
_LONG_WORD = 20
# There are not many more characters to stand for words.
_MOST_WORDS = 1_000_000


class Similarity(NamedTuple):
    """A number from 0 to 1; ``is_bound`` says that it is only an upper bound."""

    value: float
    is_bound: bool = False


def similarity(one: str, other: str, enough: float) -> Similarity:
    """Return how similar two texts are; for long texts, a bound that is below ``enough`` will do.

    Raises Misconfigured for texts that are too long to be compared.
    """
    longest = max(len(one), len(other), 1)
    left, right = _different_parts(one, other)
    if len(left) * len(right) <= _QUICK_CELLS:
        return Similarity(1 - levenshtein(left, right) / longest)
    # What one text has and the other lacks must be inserted or replaced.
    bound = (Counter(one) & Counter(other)).total() / longest
    if bound < enough:
        return Similarity(bound, is_bound=True)
    words, other_words = _WORDS.findall(one), _WORDS.findall(other)
    fewest = min(len(words), len(other_words))
    has_words = fewest > min(len(one), len(other)) / _LONG_WORD
    if has_words and len(words) + len(other_words) < _MOST_WORDS:
        left, right = _different_parts(*_as_characters(words, other_words))
        longest = max(len(words), len(other_words))
    if len(left) * len(right) <= _MAX_CELLS:
        return Similarity(1 - levenshtein(left, right) / longest)
    raise Misconfigured(
        f"similar_to cannot compare texts of {len(one):,} and {len(other):,} characters"
        " (too long); compare a part of them, or use contains, equals or matches"
    )


def _different_parts(one: str, other: str) -> tuple[str, str]:
    """Return two texts without what both begin and end with."""
    start = _common_length(one, other)
    one, other = one[start:], other[start:]
    end = _common_length(one[::-1], other[::-1])
    return one[: len(one) - end], other[: len(other) - end]


def _common_length(one: str, other: str) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (left, right) in pairs if left != right), min(len(one), len(other)))


def _as_characters(words: Sequence[str], other_words: Sequence[str]) -> tuple[str, str]:
    """Return two lists of words as texts of one character for each word."""
    numbers = {word: number for number, word in enumerate({*words, *other_words}, 0xE000)}
    return "".join(chr(numbers[word]) for word in words), "".join(
        chr(numbers[word]) for word in other_words
    )
