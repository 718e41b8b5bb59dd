"""How values read on the page: lengths, times, places, JSON indented. Pure; the page's script has the same rules in ``js/words.js``.

Nothing here escapes HTML or makes hostile characters visible: the template environment does both to whatever it prints.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from evalkit._lib.text import shorten
from evalkit.verdict import Where

TEXT_LIMIT = 20_000
"""Characters of one text that the page shows; the rest is counted and left in results.jsonl."""

LINE = 72
"""Characters up to which JSON stays on one line."""

HEADLINE = 400
"""Characters of a message in a row."""

_EDGE = re.compile(r"(?<=[{\[])\n *|\n *(?=[}\]])")
_BREAK = re.compile(r"\n *")
_SURROGATE = "[\ud800-\udfff]"
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s"{}\[\],:]+')
_WHERE = tuple(field.name for field in fields(Where))
Found = list[tuple[Mapping[str, Any], Mapping[str, Any]]]

_OPENING, _CLOSING = frozenset("{["), frozenset("}]")


def clip(text: str, limit: int = TEXT_LIMIT) -> tuple[str, str]:
    """Return the first ``limit`` characters and a note about what is left out, ``""`` where nothing is."""
    if len(text) <= limit:
        return text, ""
    return text[
        :limit
    ], f"{limit:,} of {len(text):,} characters shown; the whole text is in results.jsonl"


def clipped(text: str, limit: int = TEXT_LIMIT) -> str:
    """Return what :func:`clip` does as one text, the note in its last line."""
    return "\n… ".join(filter(None, clip(text, limit)))


def pretty(value: Any) -> str:
    """Return a JSON value on one line if it is short, else indented by two; lone surrogates stay escaped, as JSON's own text has them."""
    text = _fit(json.dumps(value, indent=2, ensure_ascii=False))
    return (
        text
        if text.isascii()
        else re.sub(_SURROGATE, lambda found: f"\\u{ord(found.group()):04x}", text)
    )


def _fit(indented: str) -> str:
    if len(indented) > 3 * LINE:
        return indented
    flat = _BREAK.sub(" ", _EDGE.sub("", indented))
    return flat if len(flat) <= LINE else indented


def reindent(text: str) -> str | None:
    """Return JSON text as :func:`pretty` would, numbers and strings spelled as they were; None for no JSON object or array."""
    start = text.lstrip()[:1]
    if start not in _OPENING:
        return None
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return None
    out: list[str] = []
    depth = 0
    last = ""
    for piece in _TOKEN.findall(text):
        if piece in _CLOSING:
            depth -= 1
            if last not in _OPENING:
                out.append("\n" + "  " * depth)
            out.append(piece)
        else:
            if last in _OPENING:
                out.append("\n" + "  " * depth)
            if piece == ":":
                out.append(": ")
            elif piece == ",":
                out.append(",\n" + "  " * depth)
            else:
                out.append(piece)
            if piece in _OPENING:
                depth += 1
        last = piece
    return _fit("".join(out))


def count(number: int, word: str) -> str:
    """Return ``1 turn`` or ``1,234 turns``."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def duration(milliseconds: Any) -> str:
    """Return milliseconds as ``412 ms``, ``1.2 s`` or ``2 min 5 s``, halves rounded up; ``""`` for what is no number."""
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | float):
        return ""
    if milliseconds < 999.5:
        return f"{int(milliseconds + 0.5)} ms"
    if milliseconds < 99_950:
        tenths = int(milliseconds / 100 + 0.5)
        return f"{tenths // 10}.{tenths % 10} s"
    seconds = int(milliseconds / 1000 + 0.5)
    return f"{seconds // 60:,} min {seconds % 60} s"


def size(count: int) -> str:
    """Return bytes as ``512 bytes``, ``12 KiB`` or ``3.4 MiB``."""
    if count < 1024:
        return f"{count} bytes"
    if count < 1024 * 1024:
        return f"{(count + 512) // 1024} KiB"
    tenths = (count * 10 + (1 << 19)) >> 20
    return f"{tenths // 10}.{tenths % 10} MiB"


def fingerprint(signature: Any) -> str:
    """Return a signature's length and ends, enough to see whether two are the same."""
    if not isinstance(signature, str):
        return f"signature {json.dumps(signature)[:40]}"
    if not signature:
        return "signature empty"
    ends = signature if len(signature) <= 16 else f"{signature[:8]}…{signature[-6:]}"
    return f"signature {count(len(signature), 'character')}, {ends}"


def found(head: Mapping[str, Any]) -> Found:
    """Return each finding of a result after the check that found it."""
    return [
        (check, finding)
        for check in head["checks"]
        if check["findings"]
        for finding in check["findings"]
    ]


def headline(head: Mapping[str, Any], findings: Found) -> str:
    """Return in one line why a result with these findings (:func:`found`) is what it is: its first finding, else its message; ``""`` where there
    is nothing to say."""
    severity = "warn" if head["verdict"] == "passed" else "error"
    told = [
        (check["name"], finding["message"])
        for check, finding in findings
        if finding["severity"] == severity
    ]
    if not told:
        return "" if severity == "warn" else shorten(str(head["message"]), HEADLINE)
    (name, message), *others = told
    more = f" (and {len(others):,} more)" if others else ""
    return f"{'warning, ' if severity == 'warn' else ''}{name}: {shorten(message, HEADLINE)}{more}"


def place(where: Mapping[str, Any]) -> str:
    """Return a finding's place in words: ``turn 1, exchange 2, request /input/3``; ``""`` for the whole conversation."""
    return str(Where(**{name: where[name] for name in _WHERE if name in where}))
