"""Bodies of requests and responses: text and bytes, JSON indentation. Pure.

Indentation works on tokens, not on values: a number keeps its spelling (``1.0``, ``1e21``), a
string its escapes, an object its key order and duplicate keys. Only white space between tokens
changes (RFC 8259, section 2).
"""

import json
import re

from evalkit._lib.json import JSON, compact, escape_unicode

_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\],:]|[^\s{}\[\],:"]+')
_LINE_BREAK = re.compile(r"\n *")
# Control, format and private characters, surrogates, line separators: they show as nothing, reorder
# text, or are not characters.
_UNREADABLE = re.compile(
    "[\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\uf8ff\ufeff\ufff0-\uffff]"
)
JSON_STYLES = {
    "compact": ("", ""),
    "spaced": (" ", ""),
    "compact-line": ("", "\n"),
    "spaced-line": (" ", "\n"),
    "indented": (None, ""),
    "indented-line": (None, "\n"),
}
"""Names of white space: what follows commas and colons (None: lines), what the text ends with."""


def to_bytes(text: str) -> bytes:
    """Return the bytes of a text; inverse of :func:`to_text`."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def to_text(data: str | bytes) -> str:
    """Return bytes as text; bytes that are not UTF-8 become lone surrogates (PEP 383)."""
    return data if isinstance(data, str) else data.decode("utf-8", "surrogateescape")


def request_text(body: JSON) -> str:
    """Return the JSON text in which a body is sent and recorded: compact, unreadable escaped."""
    return _UNREADABLE.sub(lambda match: escape_unicode(match.group()), compact(body))


def is_json(text: str) -> bool:
    """Return whether a text is JSON that is not nested too deeply to be read."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def indent_json(text: str) -> str:
    """Indent a JSON object or array, one member per line; return any other text unchanged."""
    if not text.lstrip(" \t\r\n").startswith(("{", "[")) or not is_json(text):
        return text
    parts: list[str] = []
    depth = 0
    # An empty object or array stays on one line, so the break after a bracket waits for the next
    # part.
    after_bracket = False
    for match in _TOKEN.finditer(text):
        part = match.group()
        if part in ("}", "]"):
            depth -= 1
            if not after_bracket:
                parts.append("\n" + "  " * depth)
            after_bracket = False
        elif after_bracket:
            parts.append("\n" + "  " * depth)
            after_bracket = False
        parts.append(": " if part == ":" else part)
        if part == ",":
            parts.append("\n" + "  " * depth)
        elif part in ("{", "["):
            depth += 1
            after_bracket = True
    return "".join(parts)


def json_style(text: str) -> str:
    """Return the name of the white space of a JSON object or array; "" if it has no name."""
    if text[:1] in ("{", "[") and is_json(text):
        for style in JSON_STYLES:
            if restyle_json(text, style) == text:
                return style
    return ""


def fold_json(text: str) -> str:
    """Return an indented JSON text on one line, with a space for each line break."""
    return _LINE_BREAK.sub(" ", text)


def restyle_json(text: str, style: str) -> str:
    """Return a JSON text with the white space of a style, the inverse of :func:`indent_json`."""
    spaces, end = JSON_STYLES[style]
    if spaces is None:
        return indent_json(text) + end
    parts = _TOKEN.findall(text)
    return "".join(part + spaces if part in (",", ":") else part for part in parts) + end
