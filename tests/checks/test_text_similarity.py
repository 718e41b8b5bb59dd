"""How ``similar_to`` measures: small texts against the textbook, long ones by their words."""

from __future__ import annotations

import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.checks.core.similarity import similarity
from evalkit.errors import Misconfigured
from tests.checks.sample_turns import codes, judge, output

CHINESE = [chr(code) for code in range(0x4E00, 0x7000)]


def textbook_distance(one: str, other: str) -> int:
    row = list(range(len(other) + 1))
    for count, char in enumerate(one, 1):
        corner, row[0] = row[0], count
        for column, other_char in enumerate(other, 1):
            replaced = corner + (char != other_char)
            corner, row[column] = row[column], min(replaced, row[column] + 1, row[column - 1] + 1)
    return row[-1]


@given(st.text("ab\u00e9\U0001f600 ", max_size=14), st.text("ab\u00e9\U0001f600 ", max_size=14))
def test_the_similarity_is_the_share_of_the_longer_text_that_is_not_edited(
    one: str, other: str
) -> None:
    expected = 1 - textbook_distance(one, other) / max(len(one), len(other), 1)
    assert similarity(one, other, 0.8) == similarity(other, one, 0.8) == (expected, False)


@pytest.mark.parametrize(
    ("options", "text", "expected"),
    [
        ({"similar_to": "There are 8 paws.", "min_ratio": 0.94}, "There are 8 paws!", []),
        ({"similar_to": "There are 8 paws.", "min_ratio": 0.95}, "There are 8 paws!", ["0.94"]),
        ({"similar_to": "There are 8 paws."}, "No idea.", ["text_unlike"]),
        ({"similar_to": "ABC", "ignore_case": True}, "abc", []),
        ({"similar_to": "short"}, "long " * 100_000, ["0.00", "expected at least 0.8"]),
        ({"similar_to": "199 of 200 " + "x" * 189, "min_ratio": 0.999}, "x" * 189, ["0.94"]),
        ({"similar_to": ""}, "", []),
    ],
)
def test_a_text_must_be_similar_enough(
    options: dict[str, object], text: str, expected: list[str]
) -> None:
    assert codes({"text": options}, output(text)) == ["text_unlike"] * bool(expected)
    message = " ".join(
        finding.message for finding in judge({"text": options}, output(text)).findings
    )
    assert all(part in message for part in expected if part != "text_unlike")


def edited(items: list[str], share: float, seed: int) -> list[str]:
    chance = random.Random(seed)
    return [chance.choice(items) if chance.random() < share else item for item in items]


def made_words(count: int) -> list[str]:
    chance = random.Random(count)
    return ["".join(chance.choices(string.ascii_lowercase, k=7)) for _ in range(count)]


LONG_PAIRS = {
    "100 KB of words": (" ".join(made_words(13_000)), " ".join(edited(made_words(13_000), 0.1, 1))),
    "100 KB of Cyrillic words": tuple(
        " ".join(words).translate({code: code + 0x3CF for code in range(97, 123)})
        for words in (made_words(13_000), edited(made_words(13_000), 0.1, 1))
    ),
    "200 KB of Chinese": (
        "".join(CHINESE * 7)[:66_000],
        "".join(edited(list("".join(CHINESE * 7)[:66_000]), 0.1, 2)),
    ),
    "100 KB without spaces": ("ab" * 50_000, "b" + "ab" * 50_000 + "c"),
}


@pytest.mark.parametrize("pair", LONG_PAIRS.values(), ids=list(LONG_PAIRS))
def test_long_texts_are_measured(pair: tuple[str, str]) -> None:
    found = similarity(*pair, 0.8)
    assert found.value == pytest.approx(0.9, abs=0.01) or found.value > 0.99
    assert not found.is_bound
    assert similarity(pair[0], pair[1][::-1].upper() + "Z" * 50_000, 0.8).value < 0.8


def test_texts_too_long_to_be_compared_make_the_check_unusable() -> None:
    books = " ".join(made_words(150_000)), " ".join(reversed(made_words(150_000)))
    with pytest.raises(Misconfigured, match="cannot compare texts of 1,199,999 and 1,199,999"):
        similarity(*books, 0.8)
    assert similarity(books[0], books[0] + ".", 1).value > 0.99
    assert similarity(books[0], "Z" * 1_000_000, 0.8) == (0.0, True)
