"""Bodies of requests and responses: text and bytes, JSON indentation, content codings. Pure.

Indentation works on tokens, not on values: a number keeps its spelling (``1.0``, ``1e21``), a
string its escapes, an object its key order and duplicate keys. Only white space between tokens
changes (RFC 8259, section 2).
"""

import json
import re
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module

from evalkit._lib.json import JSON, compact, escape_unicode

_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\],:]|[^\s{}\[\],:"]+')
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
}
"""Names of white space: what follows commas and colons, and what the text ends with."""
_CODINGS = ("gzip", "x-gzip", "deflate", "br", "zstd", "identity", "")
# None is a dependency: a client asks for a coding only if it has one of its libraries.
_LIBRARIES = {
    "br": ("brotli", "brotlicffi"),
    "zstd": ("compression.zstd", "backports.zstd", "zstandard"),
}


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


def restyle_json(text: str, style: str) -> str:
    """Return a JSON text with the white space of a style, the inverse of :func:`indent_json`."""
    spaces, end = JSON_STYLES[style]
    parts = _TOKEN.findall(text)
    return "".join(part + spaces if part in (",", ":") else part for part in parts) + end


def decompress_body(body: str | bytes, headers: Mapping[str, Sequence[str]]) -> str | bytes:
    """Undo the content codings in the headers (RFC 9110, section 8.4).

    A body that is not compressed any more is returned unchanged. Raises ValueError for an unknown
    coding.
    """
    codings = [
        coding.strip().lower()
        for name, values in headers.items()
        if name.lower() == "content-encoding"
        for value in values
        for coding in value.split(",")
    ]
    unknown = [coding for coding in codings if coding not in _CODINGS]
    if unknown:
        raise ValueError(
            f"the body is compressed with {unknown[0]!r}, which cannot be read; "
            "record it with decode_compressed_response=True"
        )
    for coding in reversed(codings):
        body = _decompress(body, coding) if isinstance(body, bytes) else body
    return body


def _decompress(body: bytes, coding: str) -> bytes:
    # vcrpy leaves the header if the client decompressed the body already, so a body that cannot be
    # decompressed is returned unchanged.
    if coding in ("identity", ""):
        return body
    if coding not in _LIBRARIES:
        for window in (zlib.MAX_WBITS | 32, -zlib.MAX_WBITS):
            with suppress(zlib.error):
                return zlib.decompress(body, window)
        return body
    names = _LIBRARIES[coding]
    for name in names:
        try:
            library = import_module(name)
        except ImportError:
            continue
        # Each library has an exception of its own.
        with suppress(Exception):
            if name == "zstandard":
                # Its ``decompress`` needs a size that streams do not have, and reads one frame.
                reader = library.ZstdDecompressor().stream_reader(body, read_across_frames=True)
                return bytes(reader.read())
            return bytes(library.decompress(body))
        return body
    raise ValueError(
        f"the body is compressed with {coding!r}; install {names[-1]} to read it, "
        "or record it with decode_compressed_response=True"
    )
