"""Text as YAML scalars that people can review and every YAML reader loads to the identical text.

Pure text in, text out. Three spellings, the first that fits: a literal block (``|``), a double-quoted scalar broken after every line
feed, ``!!binary`` for what is no Unicode text. YAML's own emitter is not used because it writes long text as one folded line.

What a literal block cannot hold, or holds only until an editor or a reviewer's eye changes it: characters outside YAML's printable set
(YAML 1.2.2, rule 1), the line breaks of YAML 1.1 other than LF (libyaml follows it), tabs, spaces at the end of a line or before the
first word, and the characters that reorder the text a reviewer sees (Unicode TR36).
"""

from __future__ import annotations

import base64
import json
import re
from functools import cache
from typing import Any

_UNSEEN = "\u2028\u2029\ufeff\u202a-\u202e\u2066-\u2069"
_NOT_LITERAL = (
    f"[^\n\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[{_UNSEEN}]"  # characters
    r"| (?=\n|\Z)|\A\n* |\A\n*\Z"  # spaces at the end of a line or before the first word, no word at all
)
# Patterns as text, compiled by re when first used: a session that only replays uses none of them.
_ESCAPED_IN_QUOTES = f"[\x7f-\x9f\ufffe\uffff{_UNSEEN}]"
_PLAIN = r"[A-Za-z][A-Za-z0-9._/+-]*(?:(?: |; ?)[A-Za-z0-9][A-Za-z0-9._/+=-]*)*\Z"
_PLAIN_URI = r"[a-z]+://[A-Za-z0-9._~/?=&%+@:-]*[A-Za-z0-9_~/=-]\Z"
_LINE_WITH_TEXT = r"\n(?=[^\n])"
_SPECIAL = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"))


@cache
def _not_literal() -> re.Pattern[str]:
    return re.compile(
        _NOT_LITERAL
    )  # when something is written: compiling it takes 2 ms, and a session that only replays writes nothing


def is_literal(text: str) -> bool:
    """Say whether a literal block holds ``text`` safely."""
    return not _not_literal().search(text)


def block(text: str | bytes, indent: int) -> str:
    """Write ``text`` as the value behind ``key:``, its lines ``indent`` deep; starts with a space, ends with a line feed."""
    pad = " " * indent
    if isinstance(text, bytes):
        return f" !!binary |\n{_wrapped(text, pad)}" if text else ' !!binary ""\n'
    if not _not_literal().search(text):
        body = text.rstrip("\n")
        ends = len(text) - len(body)
        lines = re.sub(_LINE_WITH_TEXT, "\n" + pad, body)
        return f" |{('-', '', '+')[min(ends, 2)]}\n{pad}{lines}\n" + "\n" * (ends - 1)
    try:
        text.encode()
    except UnicodeEncodeError:
        return f" !!binary |\n{_wrapped(to_bytes(text), pad)}"
    return f" {quoted(text, indent) if text else quoted(text)}\n"


def quoted(text: str, indent: int | None = None) -> str:
    """Write ``text`` double-quoted; with ``indent``, every line of it on a line of its own."""
    if indent is None:
        return f'"{_inner(text)}"'
    lines = [_inner(line) for line in text.split("\n")]
    first, *rest = [line + "\\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
    return f'"{first}{"".join(_continued(line, indent) for line in rest)}"'


def _inner(text: str) -> str:
    return re.sub(_ESCAPED_IN_QUOTES, _escape, json.dumps(text, ensure_ascii=False)[1:-1])


def _continued(line: str, indent: int) -> str:
    # An escaped line break joins the lines and eats the spaces that follow, unless the first of them is escaped too.
    return "\\\n" + " " * indent + ("\\" if line.startswith(" ") else "") + line


def short(text: str) -> str:
    """Write a short text plain where YAML 1.1 and 1.2 both read it as that text, also inside ``[ ]`` and ``{ }``; quoted otherwise."""
    return text if re.match(_PLAIN, text) and text.lower() not in _SPECIAL else quoted(text)


def flow(value: Any) -> str:
    """Write a JSON value on one line: JSON is YAML, but for escaped surrogate pairs."""
    if isinstance(value, str):
        return quoted(value)
    return re.sub(_ESCAPED_IN_QUOTES, _escape, json.dumps(value, ensure_ascii=False))


def uri(text: str) -> str:
    """Write a URI plain where that is safe."""
    return text if re.match(_PLAIN_URI, text) else quoted(text)


def to_bytes(text: str) -> bytes:
    """Return the bytes that text was decoded from: lone surrogates of PEP 383 become their byte again."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def to_text(data: str | bytes) -> str:
    """Return bytes as text; what is no UTF-8 is kept as lone surrogates (PEP 383), so that nothing is lost and nothing raises."""
    return data if isinstance(data, str) else data.decode("utf-8", "surrogateescape")


def _wrapped(data: bytes, pad: str) -> str:
    text = base64.b64encode(data).decode()
    return "".join(f"{pad}{text[start : start + 100]}\n" for start in range(0, len(text), 100))


def _escape(found: re.Match[str]) -> str:
    code = ord(found.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
