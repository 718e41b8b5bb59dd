"""vcrpy's cassette format, version 1: text to recordings and back. Pure.

The text can be reviewed by people and loaded by every reader of the format: JSON bodies are
indented in a literal block, all other text (server-sent events, JSON Lines) is unchanged, and what
only evalkit knows is one flow mapping. ``version: 1`` comes last, as in vcrpy's own files: a
truncated file has lost it, and is refused instead of replayed in part.

A JSON string cannot continue on another line, so a prompt or an answer of many paragraphs would be
one line. A body with such a string is a double-quoted scalar instead, see :func:`quoted_json`.

    metadata:                        optional; vcrpy defines this key
      evalkit: "0.1.0"
    interactions:
    - request:                       vcrpy calls Request(**keys), so no other key is allowed here
        method: POST
        uri: https://generativelanguage.googleapis.com/v1beta/interactions
        body: |
          {"model": "gemini-3.5-flash", …}
        headers:
          content-type: [application/json]
      response:
        status: {code: 200, message: OK}
        headers:
          content-type: [application/json]
        body:
          string: |
            {"id": "v1_abc", …}
        evalkit: {elapsed_ms: 812.4, event_ms: [390.1, 401.7], json: compact, broken: "…"}
    version: 1

There are two readers: ``fast_reader`` reads only what ``render`` writes; ``yaml_reader`` reads all
that vcrpy and pytest-recording write: nested header lists, ``!!binary``, anchors, bodies with and
without ``string:``, and the ``status_code`` and ``content`` of vcrpy's older httpx stub.
"""

import base64
import json
import re
from typing import Any

from evalkit._lib.exact_json import write_exact
from evalkit.cassette.bodies import indent_json, is_json, json_style, to_bytes
from evalkit.cassette.fast_reader import read_rendered
from evalkit.cassette.recording import VERSION, Cassette, Headers, Recording
from evalkit.cassette.yaml_reader import read_yaml

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
_LONG = 100
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"')
_INNER_LINE_FEED = re.compile(r'"(?:[^\\]|\\[^n])*?(?:\\n)++(?!"\Z)')
_ESCAPE = re.compile(r"((?:\\n)+)|\\.")
_SURROGATE = re.compile("[\ud800-\udfff]")
_JSON_TYPE = re.compile(r"(?:application|text)/(?:[\w.-]+\+)?json\s*(?:;|\Z)", re.IGNORECASE)
# Words that YAML 1.1 or 1.2 reads as something else than text.
_SPECIAL = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"))


def parse(text: str, name: str) -> Cassette:
    """Read a cassette; ``name`` is the file's name in messages.

    Raises CassetteError, which starts with ``name:line``: invalid YAML, a truncated file, another
    version, a missing key or one of a wrong type.
    """
    cassette = read_rendered(text.encode("utf-8", "surrogatepass"))
    return cassette if cassette is not None else read_yaml(text, name)


def render(cassette: Cassette) -> str:
    """Return the text of a cassette; ``parse`` restores it, except for white space in JSON."""
    metadata = [
        f"  {short_scalar(key)}: {flow_scalar(value)}\n" for key, value in cassette.metadata.items()
    ]
    return "".join(
        [
            "metadata:\n" if metadata else "",
            *metadata,
            "interactions:\n" if cassette.recordings else "interactions: []\n",
            *map(_render_recording, cassette.recordings),
            f"version: {VERSION}\n",
        ]
    )


def _render_recording(recording: Recording) -> str:
    body = recording.request_body
    request_body = " null\n" if body is None else _json_scalar(body, 6)
    style = recording.json_style or _style(recording)
    response_body = (_json_scalar if style else block_scalar)(recording.body, 8)
    if style.startswith("indented") and not response_body.startswith(' "'):
        # The file has it as it was received.
        style = ""
    reason = short_scalar(recording.reason)
    extra = "".join(
        f"    {short_scalar(key)}: {flow_scalar(value)}\n" for key, value in recording.extra.items()
    )
    details = []
    if recording.elapsed_ms is not None:
        details.append(f"elapsed_ms: {_number(recording.elapsed_ms)}")
    if recording.event_ms:
        details.append(f"event_ms: [{', '.join(map(_number, recording.event_ms))}]")
    if style:
        details.append(f"json: {style}")
    if recording.broken is not None:
        details.append(f"broken: {quoted_scalar(recording.broken)}")
    return (
        "- request:\n"
        f"    method: {short_scalar(recording.method)}\n"
        f"    uri: {uri_scalar(recording.uri)}\n"
        f"    body:{request_body}"
        f"{_render_headers(recording.request_headers)}"
        "  response:\n"
        f"    status: {{code: {recording.status}, message: {reason}}}\n"
        f"{_render_headers(recording.response_headers)}"
        "    body:\n"
        f"      string:{response_body}"
        f"{extra}"
        f"    evalkit: {{{', '.join(details)}}}\n"
    )


def _style(recording: Recording) -> str:
    """Return how to restore a body that may be indented, "" for one that must stay as it is."""
    types = recording.response_headers.get("content-type") or ["application/json"]
    is_document = isinstance(recording.body, str) and _JSON_TYPE.match(types[0])
    return json_style(str(recording.body)) if is_document else ""


def _json_scalar(body: str | bytes, indent: int) -> str:
    """Return the value after ``key:`` of a body whose white space does not count if it is JSON."""
    text = indent_json(body) if isinstance(body, str) else ""
    if text[:1] not in ("{", "[") or (text == body and not is_json(text)):
        return block_scalar(body, indent)
    if (_NOT_LITERAL.search(text) or _has_long_text(text)) and not _SURROGATE.search(text):
        return f" {quoted_json(text, indent)}\n"
    return block_scalar(text if text == body else text + "\n", indent)


def _has_long_text(text: str) -> bool:
    """Return whether a string of JSON is longer than a line and has lines itself."""
    return "\\n" in text and any(
        len(string) > _LONG and _INNER_LINE_FEED.match(string) for string in _STRING.findall(text)
    )


def _render_headers(headers: Headers) -> str:
    if not headers:
        return "    headers: {}\n"
    lines = [
        f"      {short_scalar(name)}: [{', '.join(map(short_scalar, values))}]\n"
        for name, values in sorted(headers.items())
    ]
    return "    headers:\n" + "".join(lines)


def _number(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")


def block_scalar(text: str | bytes, indent: int) -> str:
    """Return the value after ``key:``, from its space to its line feed, lines indented.

    There are three forms, and the first possible one is written: a literal block (``|``), a
    double-quoted scalar with a line break after every line feed, and ``!!binary`` for text with
    lone surrogates. PyYAML's own emitter would write long text as one folded line.

    A literal block is impossible if YAML, an editor or a reviewer's eye would change the text:
    characters outside YAML's printable set (YAML 1.2.2, rule 1), line breaks of YAML 1.1 other than
    LF (libyaml follows it), tabs, spaces at the end of a line or before the first word, and
    characters that reorder displayed text (Unicode TR36).
    """
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
    return f" {quoted_scalar(text, indent) if text else quoted_scalar(text)}\n"


def quoted_scalar(text: str, indent: int | None = None) -> str:
    """Return text double-quoted; with ``indent``, one line of text per line."""
    if indent is None:
        return f'"{_escape(json.dumps(text, ensure_ascii=False)[1:-1])}"'
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)
    first, *rest = (quoted_scalar(line)[1:-1] for line in lines)
    pad = "\n" + " " * indent
    return f'"{first}{"".join(_continuation(line, pad) for line in rest)}"'


def _continuation(line: str, pad: str) -> str:
    # An escaped line break joins the lines and drops the spaces after it, unless the first of them
    # is escaped too.
    return f"\\{pad}" + ("\\" if line.startswith(" ") else "") + line


def quoted_json(text: str, indent: int) -> str:
    r"""Return indented JSON double-quoted, with one line for each line of the strings in it.

    Between tokens YAML reads a line break as a space: the value is :func:`fold_json` of the text.
    In a string the line break is escaped, and YAML reads nothing.
    """
    pad = "\n" + " " * indent
    return f'"{pad.join(_quoted_line(line, pad) for line in text.split(pad[0]))}"'


def _quoted_line(line: str, pad: str) -> str:
    # A line of JSON has no line feed; here it is where a string is continued.
    first, *rest = _STRING.sub(_break_string, line).split("\n")
    deeper = pad + " " * (len(line) - len(line.lstrip(" ")) + 2)
    return quoted_scalar(first)[1:-1] + "".join(
        _continuation(quoted_scalar(part)[1:-1], deeper) for part in rest
    )


def _break_string(match: re.Match[str]) -> str:
    string = match[0]
    if not _INNER_LINE_FEED.match(string):
        return string
    lines = _ESCAPE.sub(lambda escape: f"{escape[0]}\n" if escape[1] else escape[0], string[1:-1])
    return '"\n' + lines.removesuffix("\n") + '"'


def short_scalar(text: str) -> str:
    """Return a short text plain if all YAML versions read it as text, otherwise quoted."""
    return text if _PLAIN.match(text) and text.lower() not in _SPECIAL else quoted_scalar(text)


def flow_scalar(value: Any) -> str:
    """Return a JSON value on one line; JSON is YAML, except for escaped surrogate pairs."""
    if isinstance(value, str):
        return quoted_scalar(value)
    return _escape(write_exact(value, ensure_ascii=False))


def uri_scalar(text: str) -> str:
    """Return a URI plain if that is safe, or quoted."""
    return text if _PLAIN_URI.match(text) else quoted_scalar(text)


def _base64_lines(data: bytes, pad: str) -> str:
    text = base64.b64encode(data).decode()
    return "".join(f"{pad}{text[start : start + 100]}\n" for start in range(0, len(text), 100))


def _escape(text: str) -> str:
    return _ESCAPED_IN_QUOTES.sub(_escape_character, text)


def _escape_character(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
