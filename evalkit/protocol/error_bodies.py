"""Bodies of HTTP errors, whatever a service, a gateway or a proxy sent, as an ApiError.

In this order: JSON (also in a list); a stream of server-sent events with an ``error``; an error
object after or before other text, as of a response that was cut; the title of an HTML page; plain
text; nothing. Compressed text that no header announces, UTF-16 and Latin-1 are decoded first.
Nothing here raises.
"""

import json
import re
import zlib
from html import unescape

from evalkit._lib.exact_json import read_exact
from evalkit._lib.json import JSON
from evalkit._lib.text import shorten
from evalkit.protocol.api_errors import ApiError, error_of, find_error, http_reason
from evalkit.protocol.sse import read_events

_TITLE = re.compile(r"(?is)<(title|h1)[^>]*>(.*?)</\1\s*>")
_TAGS = re.compile(r"(?is)<(style|script)\b.*?</\1\s*>|<[^>]*>")
_HTML_START = re.compile(r"(?i)\s*(<\?xml|<!--|<!doctype|<html|<head|<body|<title|<center)")
_ERROR_OBJECT = re.compile(r'\{\s*"error"\s*:')
_GZIP = b"\x1f\x8b"
_MAX_DECOMPRESSED = 1_000_000
_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}


def read_error(status: int, text: str) -> ApiError:
    """Read the body of an HTTP error; its ``body`` is None if the text has no error object."""
    text = _decoded(text)
    body, reason = _error_body(text), http_reason(status)
    error = error_of(status, body)
    if find_error(body) is not None or (isinstance(body, dict) and "code" in body):
        return error
    # An empty value of JSON says no more than an empty text.
    said = "" if body in ({}, [], "") or text.strip() == "null" else _plain_text(text)
    said = said if body is None or error.message == reason else shorten(error.message, 200)
    return ApiError(status, str(status), reason if reason.endswith(said) else f"{reason}: {said}")


def _decoded(text: str) -> str:
    """Return the text of a body whose bytes were read as UTF-8 (PEP 383)."""
    try:
        data = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text
    if data.startswith(_GZIP):
        try:
            data = zlib.decompressobj(wbits=31).decompress(data, _MAX_DECOMPRESSED)
        except zlib.error:
            return "a body in gzip that is damaged"
    encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _error_body(text: str) -> JSON:
    """Return the JSON with the error, None if there is none."""
    try:
        # Whatever the error repeats, its code decides.
        return read_exact(text, dict)
    except (ValueError, RecursionError):
        pass
    events = read_events(text).events
    found = next((event for event in events if find_error(event) is not None), None)
    start = _ERROR_OBJECT.search(text)
    if found is None and start is not None:
        try:
            found, _ = json.JSONDecoder().raw_decode(text, start.start())
        except (ValueError, RecursionError):
            return None
    return found


def _plain_text(text: str) -> str:
    if _HTML_START.match(text):
        title = _TITLE.search(text)
        text = unescape(_TAGS.sub(" ", title[2] if title else text))
    return shorten(" ".join(text.split()), 200)
