"""Text for people: suggestions, shortening, and hostile characters made visible."""

import re
import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from evalkit._lib.exact_json import write_exact
from evalkit._lib.json import MISSING, json_type
from evalkit._lib.lookalikes import lookalike_note

INVISIBLE_RANGES = (
    (0x00, 0x08), (0x0B, 0x1F), (0x7F, 0xA0), (0xAD, 0xAD), (0x034F, 0x034F), (0x061C, 0x061C),
    (0x115F, 0x1160), (0x1680, 0x1680), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x2000, 0x200F),
    (0x2028, 0x202F), (0x205F, 0x206F), (0x2800, 0x2800), (0x3164, 0x3164), (0xD800, 0xDFFF),
    (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFFB), (0xFFFE, 0xFFFF),
    (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
)  # fmt: skip
"""Characters that show as nothing, as a space, or reorder text: control, bidirectional, zero-width,
fillers, variation selectors, tags, spaces that look like others, surrogates, non-characters; not
newline and tab. The script of the pages has the same table."""

EMOJI_RANGES = ((0xA9, 0xA9), (0xAE, 0xAE), (0x203C, 0x3299), (0x1F000, 0x1FAFF))
"""What the variation selector U+FE0F belongs to: it then asks for the colored form."""


def _class(ranges: Iterable[tuple[int, int]]) -> str:
    return f"[{''.join(f'{chr(first)}-{chr(last)}' for first, last in ranges)}]"


INVISIBLE = _class(INVISIBLE_RANGES)
"""The invisible characters as part of a regular expression."""

_INVISIBLE = re.compile(
    rf"(?<={_class(EMOJI_RANGES)})\ufe0f|(?<=[#*0-9])\ufe0f(?=\u20e3)|({INVISIBLE})"
)
# A letter and the accents that one composed letter may replace.
_DECOMPOSED = re.compile("[^\\W\\d_][\u0300-\u036f]+")

_LOG_COMMANDS = (
    # GitHub, at the beginning of a line.
    (re.compile(r"^(\s*):(?=:)", re.MULTILINE), r"\1: "),
    # GitHub and Azure Pipelines (``##[…]``, ``##vso[…]``) and TeamCity, anywhere.
    (re.compile(r"#(?=#(?:\[|vso\[|teamcity\[))", re.IGNORECASE), "# "),
    # Buildkite: a line that begins or opens a group.
    (re.compile(r"^(?=(?:---|\+\+\+|~~~|\^\^\^)\s)", re.MULTILINE), " "),
)
"""The marker of a command in the log of a CI system, and what takes its place."""


def nearest(word: str, valid: Iterable[str]) -> str | None:
    """Return the valid word most similar to ``word``, or None if none is similar."""
    return next(iter(get_close_matches(word, list(valid), n=1, cutoff=0.6)), None)


def did_you_mean(word: str, valid: Iterable[str]) -> str:
    """Return ``" (did you mean 'x'?)"`` or ``""``."""
    suggestion = nearest(word, valid)
    if not suggestion:
        return ""
    note = lookalike_note(suggestion, word)
    return f" (did you mean {suggestion!r}?{f' {word!r} {note}' if note else ''})"


def visible(text: str) -> str:
    """Replace invisible and look-alike characters by tokens such as ``<U+202E>``.

    They show as nothing, as a space, reorder text, or are accents of decomposed letters. The
    result is safe for a terminal and names what was there (Unicode TR36, section 3).
    """
    # Most text is printable ASCII, and this test is ten times as fast as the search. Variation
    # selectors and fillers count as printable.
    if text.isascii() and text.isprintable():
        return text
    if not unicodedata.is_normalized("NFC", text):
        text = _DECOMPOSED.sub(_mark_accents, text)
    return _INVISIBLE.sub(
        lambda match: f"<U+{ord(match[1]):04X}>" if match[1] else match.group(), text
    )


def _mark_accents(match: re.Match[str]) -> str:
    letters = match.group()
    if unicodedata.is_normalized("NFC", letters):
        return letters
    return letters[0] + "".join(f"<U+{ord(accent):04X}>" for accent in letters[1:])


def escape_log_commands(text: str) -> str:
    """Return text that no CI system reads as commands.

    A space goes into, or before, each marker of ``_LOG_COMMANDS``. Commands that consist of control
    characters (GitLab's sections, Jenkins' notes) are the business of ``visible``.
    """
    for marker, replacement in _LOG_COMMANDS:
        text = marker.sub(replacement, text)
    return text


def shorten(text: str, limit: int = 80) -> str:
    """Cut text in the middle to one visible line of at most ``limit`` characters."""
    flat = visible(" ".join(text.split()) if "\n" in text else text)
    if len(flat) <= limit:
        return flat
    head = (limit - 1) * 2 // 3
    return f"{flat[:head]}…{flat[len(flat) - (limit - 1 - head) :]}"


def quoted(text: str, limit: int = 60) -> str:
    """Return shortened text in quotes for a message."""
    return repr(shorten(text, limit))


def show(value: Any, limit: int = 80) -> str:
    """Return a JSON value on one line, shortened; an absent value is ``(absent)``."""
    if value is MISSING:
        return repr(value)
    try:
        text = write_exact(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = repr(value)
    except RecursionError:
        return f"({json_type(value)}, nested too deep to be shown)"
    return shorten(text, limit)


def plural(count: int, singular: str, plural_form: str = "") -> str:
    """Return ``1 word`` or ``3 words``."""
    return f"{count} {singular if count == 1 else plural_form or singular + 's'}"


def well_formed(text: str) -> str:
    """Return a text in which each half of a surrogate pair is U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def as_sentence(text: str) -> str:
    """Return a text as a sentence: a capital and a full stop; empty stays empty."""
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def duration(milliseconds: float) -> str:
    """Return ``412 ms``, ``1.2 s`` or ``2 min 5 s``, halves rounded up."""
    if milliseconds < 999.5:
        return f"{int(milliseconds + 0.5)} ms"
    if milliseconds < 99_950:
        tenths = int(milliseconds / 100 + 0.5)
        return f"{tenths // 10}.{tenths % 10} s"
    seconds = int(milliseconds / 1000 + 0.5)
    return f"{seconds // 60:,} min {seconds % 60} s"
