"""Bodies: JSON text re-indented token by token, compressed bodies opened. Text and bytes in and out, nothing else.

Re-indenting never goes through Python values: a number keeps its spelling (``1.0``, ``1e21``, more digits than a float holds), a string
its escapes, an object its key order and its duplicate keys. White space between tokens is all that changes (RFC 8259, section 2).
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from evalkit._lib.json import escape_unicode

_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\],:]|[^\s{}\[\],:"]+')
# Control, formatting and private characters, surrogates, line separators: what shows as nothing, reorders text or is no text at all.
_DOUBTFUL = re.compile(
    "[\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\uf8ff\ufeff\ufff0-\uffff]"
)
_OPEN = ("{", "[")
_CODINGS = ("gzip", "x-gzip", "deflate", "br", "identity", "")


def request_text(body: Any) -> str:
    """Return the JSON text in which a body is sent and recorded: compact, readable letters as they are, everything doubtful escaped."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return (
        text if text.isascii() else _DOUBTFUL.sub(lambda found: escape_unicode(found.group()), text)
    )


def indent_json(text: str) -> str:
    """Return a JSON object or array with one member a line, two spaces deep, no line feed at the end; any other text as it is."""
    if text.lstrip(" \t\r\n")[:1] not in ("{", "["):
        return text
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return text
    out: list[str] = []
    depth = 0
    opened = False  # the last token opened an object or array: an empty one stays on one line
    for found in _TOKEN.finditer(text):
        piece = found.group()
        if piece in ("}", "]"):
            depth -= 1
            out.append(piece if opened else "\n" + "  " * depth + piece)
            opened = False
            continue
        if opened:
            out.append("\n" + "  " * depth)
            opened = False
        if piece == ",":
            out.append(",\n" + "  " * depth)
        elif piece == ":":
            out.append(": ")
        else:
            out.append(piece)
            if piece in _OPEN:
                depth += 1
                opened = True
    return "".join(out)


def decompress_body(body: str | bytes, headers: Mapping[str, Sequence[str]]) -> str | bytes:
    """Undo the content codings that the headers name (RFC 9110, section 8.4); a body already opened is returned as it is.

    Raises ValueError for a coding that cannot be undone here.
    """
    codings = [
        word.strip().lower()
        for name in headers
        if name.lower() == "content-encoding"
        for value in headers[name]
        for word in value.split(",")
    ]
    for coding in codings:
        if coding not in _CODINGS:
            raise ValueError(
                f"the body is compressed with {coding!r}, which cannot be read; record it with decode_compressed_response=True"
            )
    if isinstance(body, str):
        return body
    for coding in reversed(codings):
        body = _opened_once(body, coding)
    return body


def _opened_once(body: bytes, coding: str) -> bytes:
    # vcrpy leaves the header where a client had the body opened already, so what does not decompress is taken as it is.
    if coding in ("identity", ""):
        return body
    if coding == "br":
        return _brotli(body)
    for window in (zlib.MAX_WBITS | 32, -zlib.MAX_WBITS):
        try:
            return zlib.decompress(body, window)
        except zlib.error:
            continue
    return body


def _brotli(body: bytes) -> bytes:
    try:
        import brotli  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        raise ValueError(
            "the body is compressed with 'br': install brotli to read it, or record it with decode_compressed_response=True"
        ) from None
    try:
        opened_body: bytes = brotli.decompress(body)
    except brotli.error:
        return body
    return opened_body
