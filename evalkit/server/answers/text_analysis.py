"""Count tokens in a request, and find names and numbers in its text. Pure and deterministic."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from evalkit._lib.json import JSON, dumps
from evalkit.protocol.step_reader import content_blocks
from evalkit.protocol.step_types import MEDIA_TYPES

_WORD = re.compile(r"[㐀-鿿぀-ヿ가-힯]|[^\s㐀-鿿぀-ヿ가-힯]+")
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w])")
_NAME = re.compile(
    r"(?:[A-Z]\w+)(?:[ '-](?:[A-Z]\w+|de|of|the|la|le|am)(?=\W|$))*(?<! de)(?<! of)(?<! the)"
)
_SENTENCE_END = re.compile(r"[.!?:]\s+|\n\s*|[\"“(]")
_FIRST_WORDS = frozenset(
    {
        "A", "An", "And", "Are", "At", "Book", "Can", "Compare", "Could", "Describe", "Do", "Does",
        "Find", "For", "From", "Get", "Give", "How", "I", "In", "Is", "It", "Of", "On", "Please",
        "Show", "Tell", "The", "To", "What", "When", "Where", "Which", "Who", "Why", "With",
        "Would",
    }
)  # fmt: skip
"""Words at the beginning of a sentence that are not part of the name after them."""

_THOUGHT_TOKENS = 16
_MEDIA_TOKENS = {"image": 258, "audio": 64, "video": 516, "document": 258}
"""Tokens of one media block; this server does not read the sizes of media."""


def count_tokens(text: str) -> int:
    """Count the words of a text; a Chinese, Japanese or Korean character counts as one."""
    return len(_WORD.findall(text))


def first_tokens(text: str, count: int) -> str:
    """Return the beginning of a text that has at most ``count`` tokens."""
    for number, match in enumerate(_WORD.finditer(text), 1):
        if number == count:
            return text[: match.end()]
    return text


def usage_of(
    conversation: Sequence[Mapping[str, JSON]], answer: Sequence[Mapping[str, JSON]], system: str
) -> dict[str, JSON]:
    """Return the ``usage`` of an Interaction (docs/protocol.md section 3).

    Thoughts count in the total. A thought has no visible text; it counts as many tokens as the
    answer, plus a constant.
    """
    by_modality = _tokens_of(conversation)
    by_modality["text"] += count_tokens(system)
    inputs, outputs = by_modality.total(), _tokens_of(answer).total()
    thoughts = sum(_THOUGHT_TOKENS + outputs for step in answer if step["type"] == "thought")
    return {
        "total_tokens": inputs + outputs + thoughts,
        "total_input_tokens": inputs,
        "input_tokens_by_modality": [
            {"modality": kind, "tokens": count}
            for kind, count in sorted(by_modality.items())
            if count
        ],
        "total_cached_tokens": 0,
        "total_output_tokens": outputs,
        "total_tool_use_tokens": 0,
        "total_thought_tokens": thoughts,
    }


def _tokens_of(steps: Iterable[Mapping[str, JSON]]) -> Counter[str]:
    """Count the tokens of steps by modality."""
    counts: Counter[str] = Counter()
    for step in steps:
        for block in content_blocks(dict(step)):
            kind = block.get("type") if isinstance(block, dict) else None
            if kind == "text":
                counts["text"] += count_tokens(str(block.get("text", "")))
            elif kind in MEDIA_TYPES:
                counts[kind] += _MEDIA_TOKENS[kind]
        for name in ("arguments", "result", "summary"):
            if value := step.get(name):
                counts["text"] += count_tokens(" ".join(_strings(value)) or dumps(value))
    return counts


def _strings(value: JSON) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _strings(item)


def names_in(text: str) -> list[str]:
    """Return the proper names in an English text: sequences of capitalized words.

    A word that is capitalized only because it begins a sentence is not part of a name.
    """
    starts = {0, *(match.end() for match in _SENTENCE_END.finditer(text))}
    names = []
    for match in _NAME.finditer(text):
        name = match.group()
        if match.start() in starts:
            first, _, rest = name.partition(" ")
            if first in _FIRST_WORDS or not rest:
                name = rest
        if name:
            names.append(name)
    return names


def numbers_in(text: str) -> list[float]:
    """Return the numbers written in digits in a text, whole ones as integers."""
    return [float(digits) if "." in digits else int(digits) for digits in _NUMBER.findall(text)]
