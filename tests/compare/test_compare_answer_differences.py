"""Where two answers with the same verdict diverge, in one line."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.compare.answer_differences import first_difference, word_difference

WORDS = st.lists(st.sampled_from(["one", "two", "three", " ", "."])).map("".join)


def turn(text: str = "Yes.", *steps: dict[str, Any], status: str | None = "completed") -> Any:
    entries = [{"origin": "model", "step": step} for step in steps]
    return {
        "outcome": "completed" if status else "not_run",
        "status": status,
        "text": text,
        "steps": entries,
    }


def call(name: str = "find", **arguments: Any) -> dict[str, Any]:
    return {"type": "function_call", "id": name, "name": name, "arguments": arguments}


@pytest.mark.parametrize(
    ("old", "new", "difference"),
    [
        ([turn()], [turn()], ""),
        ([turn()], [turn(), turn()], "turn 2: in the candidate only"),
        ([turn(), turn()], [turn()], "turn 2: in the baseline only"),
        ([turn(), turn("No.")], [turn(), turn("Maybe.")], "turn 2: [-No-]{+Maybe+}."),
        ([turn()], [turn(status=None)], "turn 1: completed → not_run"),
        ([turn()], [turn(status="failed")], "turn 1: completed → failed"),
        ([turn("", call())], [turn("")], "turn 1: function_call find in the baseline only"),
        ([turn("")], [turn("", call())], "turn 1: function_call find in the candidate only"),
        (
            [turn("", call(day=1, place={"city": "Rome"}))],
            [turn("", call(day=1, place={"city": "Oslo"}))],
            'turn 1: function_call find, arguments/place/city: "Rome" → "Oslo"',
        ),
        ([turn("", {"type": "thought", "signature": "a"})], [turn("", {"type": "thought"})], ""),
        ([turn("a\x1b[31m")], [turn("b\u202e")], "turn 1: [-a<U+001B>[31m-]{+b<U+202E>+}"),
    ],
)
def test_the_first_difference(old: list[Any], new: list[Any], difference: str) -> None:
    assert first_difference(old, new) == difference


@given(WORDS, WORDS)
def test_words_that_differ_have_marks(old: str, new: str) -> None:
    difference = word_difference(old, new)
    assert bool(difference) is (old != new)
    assert ("[-" in difference or "{+" in difference) is (old != new)


def test_the_context_is_short() -> None:
    text = "word " * 500
    difference = word_difference(f"{text}yes {text}", f"{text}no {text}")
    assert difference == f"…{'word ' * 8}[-yes-]{{+no+}}{' word' * 8}…"
