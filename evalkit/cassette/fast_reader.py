"""Reads cassettes that ``format.render`` wrote, without YAML and five times as fast.

The result is that of the YAML reader, or None. So this accepts only the exact layout of ``render``,
scalars that all versions of YAML read alike, and no character that is special in YAML. Files that
were edited take the long way. Tests compare both readers on rendered and on damaged files.

A body ends before the next line with the key that follows it: its own lines are indented deeper,
so they cannot be mistaken for that key. Once its lines are joined, a double-quoted body is a JSON
string: of the escapes that JSON does not have, ``render`` uses one, before the spaces of a line.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

import orjson

from evalkit.cassette.bodies import JSON_STYLES
from evalkit.cassette.recording import VERSION, Cassette, Recording

_ORDINARY = bytes(code for code in range(256) if code == 0x0A or 0x20 <= code < 0x7F or code > 0x7F)
# UTF-8 of C1 controls, U+2028 and U+2029, U+FEFF, U+FFFE and U+FFFF. Each pattern starts with a
# rare byte, which makes the search fast.
_SPECIAL_CHARACTERS = [
    re.compile(rb"\xc2[\x80-\x9f]"),
    re.compile(rb"\xe2\x80[\xa8\xa9]"),
    re.compile(rb"\xef\xbb\xbf"),
    re.compile(rb"\xef\xbf[\xbe\xbf]"),
]
_SPECIAL_WORDS = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null"))

_QUOTED = r'"[^"\\\n]*"'
_VALUE = rf"(?:[A-Za-z][A-Za-z0-9.+-]*/[A-Za-z0-9.+-]+(?:; ?[a-z]+=[A-Za-z0-9-]+)*|{_QUOTED})"
_HEADERS = rf"headers:(?: \{{\}}\n|\n((?:      [a-z][a-z0-9-]*: \[{_VALUE}\]\n)+))"
_HEADER = re.compile(r'      ([a-z][a-z0-9-]*): \["?([^"\n]*)"?\]\n')
_NUMBER = r"[0-9]{1,12}(?:\.[0-9]{1,3})?"

_METADATA_START, _RECORDINGS_START, _END = "metadata:\n", "interactions:\n", "version: 1\n"
_METADATA = re.compile(r'^  ([a-z_]+): (?:"([^"\\\n]*)"|(0|[1-9][0-9]{0,14}))$', re.MULTILINE)
_REQUEST = re.compile(
    r"- request:\n"
    r"    method: (GET|POST|DELETE|PATCH|PUT|HEAD)\n"
    r"    uri: ([a-z]+://[A-Za-z0-9._~/?=&%+@:-]*[A-Za-z0-9_~/=-])\n"
    r'    body: (null|""|\|[+-]?|"[{\[])\n'
)
_BETWEEN_BODIES = re.compile(
    rf"    {_HEADERS}"
    r"  response:\n"
    r"    status: \{code: ([1-9][0-9][0-9]), message: ([A-Z][A-Za-z]*(?: [A-Za-z]+)*)\}\n"
    rf"    {_HEADERS}"
    r"    body:\n"
    r'      string: (""|\|[+-]?|"[{\[])\n'
)
_DETAILS = re.compile(
    rf"    evalkit: \{{elapsed_ms: ({_NUMBER})"
    rf"(?:, event_ms: \[({_NUMBER}(?:, {_NUMBER})*)\])?"
    rf"(?:, json: ({'|'.join(JSON_STYLES)}))?"
    r'(?:, broken: "([^"\\\n]*)")?\}\n'
)
# A line break between tokens, and an escaped one in a string.
_FOLD = re.compile(r"\n *")
_ESCAPED_FOLD = re.compile(r"\\\n *(?:\\(?= ))?")
# What makes a line break something else: an escaped backslash or a space before it, too little
# indentation, an empty line.
_NOT_FOLDED = re.compile(r"\n(?:(?<= \n)|(?<=\\\\\n)|(?! {6} *[^ \n]))")
_SURROGATE = re.compile(r"(?<!\\)(?:\\\\)*+\\u[dD][89a-fA-F]")
# Stands for a line feed with its indentation; ordinary text has none.
_INDENTED_LINE_FEED = "\r"
# Characters between two bodies; a file with more takes the long way.
_MAX_BETWEEN = 4096


def read_rendered(data: bytes) -> Cassette | None:
    """Return the cassette, or None if only the YAML reader can decide."""
    if data.translate(None, _ORDINARY):
        return None
    if not data.isascii() and any(pattern.search(data) for pattern in _SPECIAL_CHARACTERS):
        return None
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    if not text.endswith(_END):
        return None
    metadata: dict[str, str | int] = {}
    position = 0
    if text.startswith(_METADATA_START):
        start, position = len(_METADATA_START), text.find(f"\n{_RECORDINGS_START}") + 1
        for key, string, number in _METADATA.findall(text, start, position):
            metadata[key] = int(number) if number else string
        if not metadata or len(metadata) != text.count("\n", start, position):
            return None
        if metadata.get("format", VERSION) != VERSION:
            return None
    if not text.startswith(_RECORDINGS_START, position):
        return None
    position += len(_RECORDINGS_START)
    recordings = []
    while position < len(text) - len(_END):
        result = _recording(text, position)
        if result is None:
            return None
        recording, position = result
        recordings.append(recording)
    is_whole = recordings and position == len(text) - len(_END)
    return Cassette(recordings, metadata) if is_whole else None


def _recording(text: str, position: int) -> tuple[Recording, int] | None:
    request = _REQUEST.match(text, position)
    if request is None:
        return None
    method, uri, form = request.groups()
    sent = _body(text, request.end(), form, "\n    headers:", 6)
    if sent is None:
        return None
    request_body, position = sent
    end = text.find("\n", text.find("\n      string:", position, position + _MAX_BETWEEN) + 1) + 1
    between = _between_bodies(text[position:end])
    if between is None:
        return None
    received = _body(text, end, between.form, "\n    evalkit:", 8)
    if received is None:
        return None
    body, position = received
    details = _DETAILS.match(text, position)
    if details is None:
        return None
    elapsed, arrivals, style, broken = details.groups()
    recording = Recording(
        method=method,
        uri=uri,
        request_body=request_body,
        request_headers={name: [value] for name, value in between.request_headers},
        status=between.status,
        reason=between.reason,
        response_headers={name: [value] for name, value in between.response_headers},
        body=body or "",
        elapsed_ms=float(elapsed),
        event_ms=tuple(map(float, arrivals.split(", "))) if arrivals else (),
        broken=broken,
        json_style=style or "",
    )
    return recording, details.end()


def _body(
    text: str, start: int, form: str, next_key: str, indent: int
) -> tuple[str | None, int] | None:
    """Return a body of which ``form`` is on the line before ``start``, and where it ends."""
    if form == "null":
        return None, start
    if form == '""':
        return "", start
    end = text.find(next_key, start) + 1
    if form[0] == '"':
        value = _quoted(text[start - len(form) - 1 : end - 1])
    else:
        value = _block(text[start - 1 : end], "\n" + " " * indent, form[1:])
    return None if value is None else (value, end)


def _quoted(scalar: str) -> str | None:
    """Return the text of a double-quoted scalar, None if it is not JSON's."""
    if _NOT_FOLDED.search(scalar):
        return None
    if "\\u" in scalar and _SURROGATE.search(scalar):
        return None
    try:
        value = orjson.loads(_FOLD.sub(" ", _ESCAPED_FOLD.sub("", scalar)))
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, str) else None


def _block(lines: str, pad: str, chomping: str) -> str | None:
    """Return the text of a literal block, from the line feed before it to that which ends it."""
    if not lines.startswith(pad) or lines[len(pad)] in " \n":
        return None
    if lines[-2] in " \n" and chomping != "+":
        return None
    value = lines.replace(pad, _INDENTED_LINE_FEED)
    # Line feeds without indentation are only allowed at the end and before empty lines. Several
    # empty lines in a row take the long way.
    if value.find("\n") != len(value) - 1 and value.count("\n") - 1 != lines.count("\n\n"):
        return None
    value = value[1:-1] if chomping == "-" else value[1:]
    return value.replace(_INDENTED_LINE_FEED, "\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class _BetweenBodies:
    """The lines between two bodies; ``form`` is how the response body begins."""

    request_headers: tuple[tuple[str, str], ...]
    status: int
    reason: str
    response_headers: tuple[tuple[str, str], ...]
    form: str


# Nearly all exchanges of a session have one of a few texts here.
@lru_cache(maxsize=64)
def _between_bodies(text: str) -> _BetweenBodies | None:
    match = _BETWEEN_BODIES.fullmatch(text)
    if match is None:
        return None
    request_lines, status, reason, response_lines, form = match.groups()
    request_headers, response_headers = _headers(request_lines), _headers(response_lines)
    if request_headers is None or response_headers is None or reason.lower() in _SPECIAL_WORDS:
        return None
    return _BetweenBodies(
        request_headers=request_headers,
        status=int(status),
        reason=reason,
        response_headers=response_headers,
        form=form,
    )


def _headers(text: str | None) -> tuple[tuple[str, str], ...] | None:
    pairs = _HEADER.findall(text or "")
    # A duplicate name is an error of the YAML reader.
    return tuple(pairs) if len(dict(pairs)) == len(pairs) else None
