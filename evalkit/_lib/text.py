"""Text for people: nearest words, shortening, making hostile characters visible."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable
from typing import Any

_ZERO_WIDTH = "\u200b\u200c\u200d\u2060\ufeff\u00ad"
# Not compiled here, nor are other patterns that few sessions use: `re` does that, and keeps it, when it is first asked.
_SUSPECT = (
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ufffe\uffff"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_COMMAND = r"(?m)^(\s*)::"


def nearest(word: str, valid: Iterable[str]) -> str | None:
    """Return the valid word most like ``word``, or None when none is near."""
    # Imported here: most sessions have no near miss to name.
    from difflib import get_close_matches

    found = get_close_matches(word, list(valid), n=1, cutoff=0.6)
    return found[0] if found else None


def did_you_mean(word: str, valid: Iterable[str]) -> str:
    """Return ``" (did you mean 'x'?)"`` or ``""``."""
    found = nearest(word, valid)
    return f" (did you mean {found!r}?)" if found else ""


def visible(text: str) -> str:
    """Replace control, bidirectional, zero-width, surrogate and non-characters by ``<U+202E>``-like tokens.

    Newline and tab stay. What comes out is safe for a terminal and says what was there (Unicode TR36, section 3).
    """
    if text.isprintable():  # most text is, and this is found out ten times faster
        return text
    return re.sub(_SUSPECT, lambda found: f"<U+{ord(found.group()):04X}>", text)


def escape_log_commands(text: str) -> str:
    """Return text for a log in which no line is an order to GitHub's runner: it obeys ``::`` at a line's beginning and ``##[`` anywhere."""
    return (
        re.sub(_COMMAND, r"\1: :", text).replace("##[", "# #[")
        if "::" in text or "##[" in text
        else text
    )


def char_name(char: str) -> str:
    """Return a character's Unicode name, or its code point when it has none."""
    return unicodedata.name(char, f"U+{ord(char):04X}")


def shorten(text: str, limit: int = 80) -> str:
    """Cut text in the middle to at most ``limit`` characters, on one line, hostile characters made visible."""
    flat = visible(" ".join(text.split()) if "\n" in text else text)
    if len(flat) <= limit:
        return flat
    head = (limit - 1) * 2 // 3
    return f"{flat[:head]}…{flat[len(flat) - (limit - 1 - head) :]}"


def quoted(text: str, limit: int = 60) -> str:
    """Return text in quotes for a message, shortened, hostile characters made visible."""
    return repr(shorten(text, limit))


def show(value: Any, limit: int = 80) -> str:
    """Show a JSON value on one line, shortened: strings quoted, absent values as ``(absent)``."""
    if type(value).__name__ == "Missing":
        return "(absent)"
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = repr(value)
    return shorten(text, limit)


def plural(count: int, word: str, many: str = "") -> str:
    """Return ``1 word`` or ``3 words``."""
    return f"{count} {word if count == 1 else many or word + 's'}"
