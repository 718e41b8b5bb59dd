"""The JSON reader and writer for what orjson would change. Slow, and rarely needed.

* A number keeps the spelling in which it was received: ``1E5``, ``0.50``, ``-0``, more digits than
  a double has, ``1e400``. Where the shortest spelling of a float differs, it is an ExactNumber.
* A key that occurs twice in an object is refused, because readers disagree on its value.
* ``NaN`` and ``Infinity`` are refused: they are Python's, not JSON. So are integers of thousands of
  digits.
"""

import json
import math
import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn, Self

import orjson

Pairs = list[tuple[str, Any]]


class ExactNumber(float):
    """A float that knows how it was spelled; beyond the range of a double it is infinite."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Self:
        """Read the spelling of a JSON number."""
        number = super().__new__(cls, text)
        number.text = text
        return number

    def __repr__(self) -> str:
        return self.text

    def __reduce__(self) -> tuple[type[Self], tuple[str]]:
        return type(self), (self.text,)

    def is_integer(self) -> bool:
        """Return whether the number is whole, which every one beyond the range is taken to be."""
        return math.isinf(self) or super().is_integer()


class RepeatedKeyError(ValueError):
    """A key occurs more than once in an object."""


def refuse_repeated_keys(pairs: Pairs) -> dict[str, Any]:
    """Return an object. Raises RepeatedKeyError."""
    value = dict(pairs)
    if len(value) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        twice = json.dumps(counts.most_common(1)[0][0][:40], ensure_ascii=False)
        raise RepeatedKeyError(f"the key {twice} occurs more than once in an object")
    return value


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a JSON value")


def _read_float(text: str) -> float:
    value = float(text)
    return value if _shortest(value) == text else ExactNumber(text)


def _read_int(text: str) -> float:
    if text == "-0":
        return ExactNumber(text)
    try:
        return int(text)
    except ValueError:
        # Programs in Python refuse to read more than 4,300 digits, so no file may have them.
        raise ValueError(f"a number of {len(text):,} digits is too long") from None


def _shortest(value: float) -> str:
    return orjson.dumps(value).decode()


EXACT: dict[str, Any] = {
    "parse_constant": _refuse_constant,
    "parse_float": _read_float,
    "parse_int": _read_int,
    "object_pairs_hook": refuse_repeated_keys,
}
"""Arguments of the standard library's reader, with which it reads exactly or refuses."""


def _read_finite(text: str) -> float:
    number = _read_float(text)
    if math.isinf(number):
        raise ValueError(f"the number {text[:40]} is too large")
    return number


FINITE: dict[str, Any] = {**EXACT, "parse_float": _read_finite}
"""The same, but numbers that no double can hold are refused too."""


def read_exact(text: str | bytes, to_object: Callable[[Pairs], Any] = refuse_repeated_keys) -> Any:
    """Parse JSON text; ``to_object`` builds an object from its keys and values.

    Raises ValueError, and RecursionError for deep nesting.
    """
    return json.loads(text, **{**EXACT, "object_pairs_hook": to_object})


# Stands before the spelling of a number while the number is a string. No text has it by chance.
_MARK = secrets.token_hex(16)
_MARKED = re.compile(f'"{_MARK}([^"]*)"')


def write_exact(value: Any, **options: Any) -> str:
    """Return the text of ``json.dumps`` with numbers spelled as they were received.

    Raises TypeError, ValueError or RecursionError.
    """
    if not any(map(_is_respelled, values_in(value))):
        return json.dumps(value, **options)
    return _MARKED.sub(r"\1", json.dumps(map_leaves(value, _mark_number), **options))


def _is_respelled(value: Any) -> bool:
    """Return whether ``json.dumps`` would spell a number otherwise."""
    return isinstance(value, ExactNumber) or (
        isinstance(value, float) and math.isfinite(value) and _shortest(value) != repr(value)
    )


def values_in(value: Any) -> Iterator[Any]:
    """Yield a JSON value, and every value in its objects and lists."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        yield item
        if isinstance(item, Mapping):
            waiting += item.values()
        elif isinstance(item, list | tuple):
            waiting += item


def map_leaves(value: Any, change: Callable[[Any], Any]) -> Any:
    """Return a JSON value with everything changed that is neither an object nor a list."""
    # Loops, because a comprehension would double the stack that deep nesting needs.
    if isinstance(value, dict):
        mapping = {}
        for key, item in value.items():
            mapping[key] = map_leaves(item, change)
        return mapping
    if isinstance(value, list | tuple):
        items = []
        for item in value:
            items.append(map_leaves(item, change))
        return items
    return change(value)


def _mark_number(value: Any) -> Any:
    if not _is_respelled(value):
        return value
    return _MARK + (value.text if isinstance(value, ExactNumber) else _shortest(value))
