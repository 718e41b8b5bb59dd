"""Reads the cassettes that ``format.render`` writes, without YAML: some ten times faster, which is what replay spends its time on.

The one rule: what this returns is what the YAML reader returns, or it returns None. So it accepts only the exact layout of ``render``,
scalars that every version of YAML reads alike, and no character that YAML treats specially; a file touched by any other hand goes the
long way. The tests hold both readers against each other on rendered and on damaged files.

A literal block is cut out by looking for the key behind it: its own lines are indented deeper, so they cannot be mistaken for that key,
and no line feed is left in it that the indentation does not follow, but for those of empty lines.
"""

from __future__ import annotations

import re
from functools import lru_cache

from evalkit.cassette.recording import Cassette, Recording

_ORDINARY = bytes(code for code in range(256) if code == 0x0A or 0x20 <= code < 0x7F or code > 0x7F)
# C1 controls with U+0085; U+2028 and U+2029; U+FEFF; U+FFFE and U+FFFF: each begins with a rare byte, so looking for it is quick.
_UNUSUAL = [
    re.compile(pattern)
    for pattern in (
        rb"\xc2[\x80-\x9f]",
        rb"\xe2\x80[\xa8\xa9]",
        rb"\xef\xbb\xbf",
        rb"\xef\xbf[\xbe\xbf]",
    )
]

_QUOTED = r'"[^"\\\n]*"'
_VALUE = rf"(?:[A-Za-z][A-Za-z0-9.+-]*/[A-Za-z0-9.+-]+(?:; ?[a-z]+=[A-Za-z0-9-]+)*|{_QUOTED})"
_HEADERS = rf"headers:(?: \{{\}}\n|\n((?:      [a-z][a-z0-9-]*: \[{_VALUE}\]\n)+))"
_NUMBER = r"[0-9]{1,12}(?:\.[0-9]{1,3})?"

_FIRST, _THEN = "metadata:\n", "interactions:\n"
_METADATA = re.compile(r'^  ([a-z_]+): (?:"([^"\\\n]*)"|(0|[1-9][0-9]{0,14}))$', re.MULTILINE)
_REQUEST = re.compile(
    r"- request:\n    method: (GET|POST|DELETE|PATCH|PUT|HEAD)\n    uri: ([a-z]+://[A-Za-z0-9._~/?=&%+@:-]*[A-Za-z0-9_~/=-])\n"
    r'    body: (?:(null|"")|\|([+-]?))\n'
)
_BETWEEN = re.compile(
    rf"    {_HEADERS}  response:\n    status: \{{code: ([1-9][0-9][0-9]), message: ([A-Z][A-Za-z]*(?: [A-Za-z]+)*)\}}\n    {_HEADERS}"
    r'    body:\n      string: (?:""|\|([+-]?))\n'
)
_KNOWN = re.compile(
    rf'    evalkit: \{{elapsed_ms: ({_NUMBER})(?:, event_ms: \[({_NUMBER}(?:, {_NUMBER})*)\])?(?:, broken: "([^"\\\n]*)")?\}}\n'
)
_END = b"version: 1\n"
_FEED = "\r"  # in the place of a line feed and the indentation behind it; an ordinary text has none
_LONGEST = 4096  # characters between two bodies: with more of them a file goes the long way
_SPECIAL = frozenset(("Y", "N", "yes", "no", "on", "off", "true", "false", "null"))


_Pairs = tuple[tuple[str, str], ...]


def read_rendered(data: bytes) -> Cassette | None:
    """Return the cassette, or None where only the YAML reader may decide."""
    if not data.endswith(_END) or not _is_ordinary(data):
        return None
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    metadata: dict[str, str | int] = {}
    start = 0
    if text.startswith(_FIRST):
        start = text.find(f"\n{_THEN}") + 1
        metadata = {
            key: int(number) if number else value
            for key, value, number in _METADATA.findall(text, len(_FIRST), start)
        }
        if not metadata or len(metadata) != text.count("\n", len(_FIRST), start):
            return None
    if not text.startswith(_THEN, start):
        return None
    recordings = []
    position, end = start + len(_THEN), len(text) - len(_END)
    while position < end:
        step = _recording(text, position)
        if step is None:
            return None
        recording, position = step
        recordings.append(recording)
    return Cassette(recordings, metadata) if recordings and position == end else None


def _is_ordinary(data: bytes) -> bool:
    if data.translate(None, _ORDINARY):
        return False
    return data.isascii() or not any(pattern.search(data) for pattern in _UNUSUAL)


def _recording(text: str, position: int) -> tuple[Recording, int] | None:
    request = _REQUEST.match(text, position)
    if request is None:
        return None
    method, uri, none, chomp = request.groups()
    position = request.end()
    request_body = "" if none == '""' else None
    if chomp is not None:
        back = text.rfind(
            "\n  response:", position, text.find("|", position)
        )  # the bar of the next block
        request_body, position = _block(text, position, "\n    headers:", back, "\n      ", chomp)
        if request_body is None:
            return None
    end = text.find("\n", text.find("\n      string:", position, position + _LONGEST) + 1) + 1
    between = _between(text[position:end])
    if between is None:
        return None
    sent, status, reason, received, chomp = between
    position = end
    body: str | None = ""
    if chomp is not None:
        body, position = _block(
            text, position, "\n    evalkit:", text.find("|", position), "\n        ", chomp
        )
    known = _KNOWN.match(text, position)
    if body is None or known is None:
        return None
    elapsed, arrivals, broken = known.groups()
    event_ms = tuple(map(float, arrivals.split(", "))) if arrivals else ()
    request_headers, response_headers = (
        {name: [value] for name, value in sent},
        {name: [value] for name, value in received},
    )
    recording = Recording(
        method,
        uri,
        request_body,
        request_headers,
        status,
        reason,
        response_headers,
        body,
        float(elapsed),
        event_ms,
        broken,
    )
    return recording, known.end()


def _block(
    text: str, start: int, key: str, back: int, pad: str, chomp: str
) -> tuple[str | None, int]:
    # The text of a block and where the key behind it begins. Looking for the key from ``back``, beyond it, is quicker than through the block;
    # with a bar in the block, or a whole recording before the bar, ``back`` is wrong, and so is what is cut out by it.
    if back > 0:
        end = text.rfind(key, start, back) + 1
        value = _dedented(text[start - 1 : end], pad, chomp)
        if value is not None:
            return value, end
    end = text.find(key, start) + 1
    return _dedented(text[start - 1 : end], pad, chomp), end


def _dedented(lines: str, pad: str, chomp: str) -> str | None:
    # From the line feed before the first line to the one that ends the last.
    if (
        not lines.startswith(pad)
        or lines[len(pad)] in " \n"
        or (lines[-2] in " \n" and chomp != "+")
    ):
        return None
    value = lines.replace(pad, _FEED)
    # But for the last line feed only those before empty lines may be left (runs of empty lines go the long way).
    if value.find("\n") != len(value) - 1 and value.count("\n") - 1 != lines.count("\n\n"):
        return None
    return (value[1:-1] if chomp == "-" else value[1:]).replace(_FEED, "\n")


@lru_cache(maxsize=64)  # in a session nearly every exchange has one of a few texts here
def _between(text: str) -> tuple[_Pairs, int, str, _Pairs, str | None] | None:
    # Request headers, status, reason, response headers; how the response's body ends, None where there is none.
    found = _BETWEEN.fullmatch(text)
    if found is None:
        return None
    sent, status, reason, received, chomp = found.groups()
    request_headers, response_headers = _headers(sent), _headers(received)
    if (
        request_headers is None
        or response_headers is None
        or reason in _SPECIAL
        or reason.lower() in _SPECIAL
    ):
        return None
    return request_headers, int(status), reason, response_headers, chomp


def _headers(text: str | None) -> _Pairs | None:
    if text is None:
        return ()
    headers = {}
    lines = text.split("\n")
    for line in lines[:-1]:
        name, _, value = line[6:-1].partition(": [")
        headers[name] = value[1:-1] if value[0] == '"' else value
    return tuple(headers.items()) if len(headers) == len(lines) - 1 else None
