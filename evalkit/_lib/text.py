"""Text for people: suggestions, shortening, and hostile characters made visible."""

import re
import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from evalkit._lib.exact_json import write_exact
from evalkit._lib.json import MISSING, json_type
from evalkit._lib.lookalikes import lookalike_note

# Control, bidirectional, zero-width and tag characters, spaces that look like others, surrogates
# and non-characters; not newline and tab.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\xa0\u00ad\u034f\u061c\u1680\u180e\u2000-\u200f\u2028-\u202f"
    "\u205f-\u206f\u3164\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f]"
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
    # Most text is printable and composed, and these tests are ten times as fast as the search.
    if not unicodedata.is_normalized("NFC", text):
        text = _DECOMPOSED.sub(_mark_accents, text)
    if text.isprintable():
        return text
    return _INVISIBLE.sub(lambda match: f"<U+{ord(match.group()):04X}>", text)


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
