"""Tokens, names and numbers of a text; generated pictures and sounds read by other programs."""

from __future__ import annotations

import io
import wave
from typing import Any

import pytest
from PIL import Image

from evalkit.server.answers.default_answers import names_in, numbers_in
from evalkit.server.answers.interaction import count_tokens, usage_of
from evalkit.server.answers.step_builders import SIZES, skyline, tone


@pytest.mark.parametrize(
    ("text", "count"),
    [("", 0), ("Explain how AI works in a few words", 8), ("a\n b", 2), ("你好 world", 3)],
)
def test_tokens_are_words(text: str, count: int) -> None:
    assert count_tokens(text) == count


def test_usage_counts_thoughts_in_the_total() -> None:
    conversation: list[dict[str, Any]] = [
        {
            "type": "user_input",
            "content": [{"type": "text", "text": "one two"}, {"type": "image", "data": ""}],
        },
        {"type": "function_call", "arguments": {"city": "New York"}},
        {"type": "function_result", "result": [{"type": "text", "text": "22"}]},
    ]
    answer: list[dict[str, Any]] = [
        {"type": "thought"},
        {"type": "model_output", "content": [{"type": "text", "text": "three"}]},
    ]
    counted = usage_of(conversation, answer, "be brief")
    assert counted["input_tokens_by_modality"] == [
        {"modality": "image", "tokens": 258},
        {"modality": "text", "tokens": 8},
    ]
    assert (
        counted["total_input_tokens"],
        counted["total_output_tokens"],
        counted["total_thought_tokens"],
    ) == (266, 1, 17)
    assert counted["total_tokens"] == 284


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("What is the weather in London?", ["London"]),
        ("From San Francisco to Rio de Janeiro.", ["San Francisco", "Rio de Janeiro"]),
        ("Hello. The end", []),
        ("is it Ada", ["Ada"]),
    ],
)
def test_first_words_of_sentences_are_not_names(text: str, matches: list[str]) -> None:
    assert list(names_in(text)) == matches


def test_whole_numbers_are_integers() -> None:
    matches = numbers_in("Add 2 and 3.5, not v1 or 4th, then -7")
    assert matches == [2, 3.5, -7]
    assert [type(value) for value in matches] == [int, float, int]


@pytest.mark.parametrize("size", [*SIZES.values(), (1, 1), (7, 3)])
def test_a_picture_is_a_png_of_its_size(size: tuple[int, int]) -> None:
    with Image.open(io.BytesIO(skyline("a city", *size))) as image:
        image.load()
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", size)


def test_a_picture_has_several_colors_and_depends_on_the_words() -> None:
    with Image.open(io.BytesIO(skyline("a city"))) as image:
        colors = image.getcolors(maxcolors=100_000)
    assert colors is not None
    assert len(colors) > 50
    assert skyline("a city") == skyline("  A   City ") != skyline("a village")


def test_a_sound_is_a_wave_file_that_is_not_silent() -> None:
    with wave.open(io.BytesIO(tone("a word"))) as sound:
        assert (
            sound.getnchannels(),
            sound.getsampwidth(),
            sound.getframerate(),
            sound.getnframes(),
        ) == (1, 2, 8_000, 4_000)
        assert len(set(sound.readframes(4_000))) > 10
