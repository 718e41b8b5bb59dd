"""Text as YAML scalars that people can review and every YAML reader loads as the same text.

There are three forms, and the first possible one is written: a literal block (``|``), a
double-quoted scalar with a line break after every line feed, and ``!!binary`` for text with lone
surrogates. PyYAML's own emitter would write long text as one folded line.

A literal block is impossible if YAML, an editor or a reviewer's eye would change the text:
characters outside YAML's printable set (YAML 1.2.2, rule 1), line breaks of YAML 1.1 other than LF
(libyaml follows it), tabs, spaces at the end of a line or before the first word, and characters
that reorder displayed text (Unicode TR36).
"""

import base64
import json
import re
from typing import Any

from evalkit.cassette.bodies import to_bytes

_REORDERING = "\u2028\u2029\ufeff\u202a-\u202e\u2066-\u2069"
_NOT_LITERAL = re.compile(
    f"[^\n\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[{_REORDERING}]"
    # spaces at the end of a line or before the first word, or nothing but white space
    r"| (?=\n|\Z)|\A\n* |\A\n*\Z"
)
_ESCAPED_IN_QUOTES = re.compile(f"[\x7f-\x9f\ufffe\uffff{_REORDERING}]")
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9._/+-]*(?:(?: |; ?)[A-Za-z0-9][A-Za-z0-9._/+=-]*)*\Z")
_PLAIN_URI = re.compile(r"[a-z]+://[A-Za-z0-9._~/?=&%+@:-]*[A-Za-z0-9_~/=-]\Z")
_LINE_WITH_TEXT = re.compile(r"\n(?=[^\n])")
# Words that YAML 1.1 or 1.2 reads as something else than text.
_SPECIAL = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"))


def block(text: str | bytes, indent: int) -> str:
    """Return the value after ``key:``, from its space to its line feed, lines indented."""
    pad = " " * indent
    if isinstance(text, bytes):
        return f" !!binary |\n{_base64_lines(text, pad)}" if text else ' !!binary ""\n'
    if not _NOT_LITERAL.search(text):
        body = text.rstrip("\n")
        line_feeds = len(text) - len(body)
        chomping = ("-", "", "+")[min(line_feeds, 2)]
        lines = _LINE_WITH_TEXT.sub("\n" + pad, body)
        return f" |{chomping}\n{pad}{lines}\n" + "\n" * (line_feeds - 1)
    try:
        text.encode()
    except UnicodeEncodeError:
        return f" !!binary |\n{_base64_lines(to_bytes(text), pad)}"
    return f" {quoted(text, indent) if text else quoted(text)}\n"


def quoted(text: str, indent: int | None = None) -> str:
    """Return text double-quoted; with ``indent``, one line of text per line."""
    if indent is None:
        return f'"{_escape(json.dumps(text, ensure_ascii=False)[1:-1])}"'
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)
    first, *rest = (quoted(line)[1:-1] for line in lines)
    return f'"{first}{"".join(_continuation(line, indent) for line in rest)}"'


def _continuation(line: str, indent: int) -> str:
    # An escaped line break joins the lines and drops the spaces after it, unless the first of them
    # is escaped too.
    return "\\\n" + " " * indent + ("\\" if line.startswith(" ") else "") + line


def short(text: str) -> str:
    """Return a short text plain if all YAML versions read it as text, otherwise quoted."""
    return text if _PLAIN.match(text) and text.lower() not in _SPECIAL else quoted(text)


def flow(value: Any) -> str:
    """Return a JSON value on one line; JSON is YAML, except for escaped surrogate pairs."""
    if isinstance(value, str):
        return quoted(value)
    return _escape(json.dumps(value, ensure_ascii=False))


def uri(text: str) -> str:
    """Return a URI plain if that is safe, or quoted."""
    return text if _PLAIN_URI.match(text) else quoted(text)


def _base64_lines(data: bytes, pad: str) -> str:
    text = base64.b64encode(data).decode()
    return "".join(f"{pad}{text[start : start + 100]}\n" for start in range(0, len(text), 100))


def _escape(text: str) -> str:
    return _ESCAPED_IN_QUOTES.sub(_escape_character, text)


def _escape_character(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
