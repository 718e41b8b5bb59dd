"""Words of a request: counting them as tokens, finding names and numbers in them. Pure, and the same for the same words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from evalkit._lib.json import JSON, dumps
from evalkit.protocol.step_reader import content_blocks
from evalkit.protocol.step_types import MEDIA_TYPES

_WORD = re.compile(r"[㐀-鿿぀-ヿ가-힯]|[^\s㐀-鿿぀-ヿ가-힯]+")
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w])")
_NAME = re.compile(
    r"(?:[A-Z]\w+)(?:[ '-](?:[A-Z]\w+|de|of|the|la|le|am)(?=\W|$))*(?<! de)(?<! of)(?<! the)"
)
_SENTENCE = re.compile(r"[.!?:]\s+|\n\s*|[\"“(]")
_OPENERS = frozenset(
    {
        "A", "An", "And", "Are", "At", "Book", "Can", "Compare", "Could", "Describe", "Do", "Does", "Find", "For", "From", "Get", "Give",
        "How", "I", "In", "Is", "It", "Of", "On", "Please", "Show", "Tell", "The", "To", "What", "When", "Where", "Which", "Who", "Why",
        "With", "Would",
    }
)  # fmt: skip
"""Words that begin sentences and are no part of the name behind them."""

_THOUGHT_TOKENS = 16
_MEDIA_TOKENS = {"image": 258, "audio": 64, "video": 516, "document": 258}
"""What one medium counts; sizes of real media are no business of a server that does not look at them."""


def tokens(text: str) -> int:
    """Count the words of a text; a Chinese, Japanese or Korean character counts as one."""
    return len(_WORD.findall(text))


def first_tokens(text: str, count: int) -> str:
    """Return the beginning of a text that has at most ``count`` tokens."""
    for number, found in enumerate(_WORD.finditer(text), 1):
        if number == count:
            return text[: found.end()]
    return text


def usage(
    conversation: Sequence[Mapping[str, JSON]], answer: Sequence[Mapping[str, JSON]], system: str
) -> dict[str, JSON]:
    """Return an Interaction's ``usage``: thoughts are counted in the total, as in the guide's sample (protocol section 3).

    A thought, whose words nobody sees, counts as many tokens as the answer has, and some more.
    """
    asked: dict[str, int] = {}
    for step in conversation:
        _count(step, asked)
    asked["text"] = asked.get("text", 0) + tokens(system)
    said: dict[str, int] = {}
    for step in answer:
        _count(step, said)
    entered, left = sum(asked.values()), sum(said.values())
    thought = sum(_THOUGHT_TOKENS + left for step in answer if step["type"] == "thought")
    return {
        "total_tokens": entered + left + thought,
        "total_input_tokens": entered,
        "input_tokens_by_modality": [
            {"modality": kind, "tokens": count} for kind, count in sorted(asked.items()) if count
        ],
        "total_cached_tokens": 0,
        "total_output_tokens": left,
        "total_tool_use_tokens": 0,
        "total_thought_tokens": thought,
    }


def _count(step: Mapping[str, JSON], counts: dict[str, int]) -> None:
    for block in content_blocks(dict(step)):
        kind = block.get("type") if isinstance(block, dict) else None
        if kind == "text":
            counts["text"] = counts.get("text", 0) + tokens(str(block.get("text", "")))
        elif kind in MEDIA_TYPES:
            counts[kind] = counts.get(kind, 0) + _MEDIA_TOKENS[kind]
    for name in ("arguments", "result", "summary"):
        if step.get(name):
            value = step[name]
            counts["text"] = counts.get("text", 0) + tokens(
                value if isinstance(value, str) else " ".join(_strings(value)) or dumps(value)
            )


def _strings(value: JSON) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def names(text: str) -> list[str]:
    """Return the proper names of an English text: runs of words with a capital, without the word that only begins a sentence."""
    starts = {0, *(found.end() for found in _SENTENCE.finditer(text))}
    out = []
    for found in _NAME.finditer(text):
        name = found.group()
        if found.start() in starts:
            first, _, rest = name.partition(" ")
            name = rest if first in _OPENERS else name if rest else ""
        if name:
            out.append(name)
    return out


def numbers(text: str) -> list[float]:
    """Return the numbers written in digits in a text, whole ones as ints."""
    return [float(digits) if "." in digits else int(digits) for digits in _NUMBER.findall(text)]
