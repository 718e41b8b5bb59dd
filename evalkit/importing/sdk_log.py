"""Read the debug log of google-genai for Python (``GOOGLE_GENAI_DEBUG``). Pure.

The log has a record for each request and each response, with the method, the address, the headers
and the body; a response names its address only. So a response belongs to the oldest request to the
same address that has none and did not fail. Streams are not logged: such a request has no response.

The SDK for JavaScript prints objects as its console shows them, cut at some depth: they cannot be
read.

Source: google-genai 3.6.1 (``_gaos/basesdk.py``) and @google/genai 3.3.0, both as installed.
"""

import ast
import json
import re
from collections.abc import Iterator
from contextlib import suppress

from evalkit.cassette.recording import Headers, Recording
from evalkit.errors import UsageError

_RECORD = re.compile(
    r"(?P<kind>Request|Response):\r?\n(?:Method: (?P<method>\w+)\r?\n)?"
    r"(?:Status Code: (?P<status>\d{3})\r?\n)?URL: (?P<url>\S+)\r?\n"
    r"Headers: Headers\((?P<headers>.*)\)\r?\nBody: (?P<body>.*)"
    r"|Request Exception\r?\nTraceback"
)
_JAVASCRIPT = re.compile(r"^> Request: [A-Z]+ https?://", re.MULTILINE)
# A body may have several lines; the next record begins with its level or its time, and a name.
_NEXT_RECORD = re.compile(r"\n(?=[^\n{}\[\]\"]{0,100}(?:DEBUG|INFO|WARNING|ERROR|CRITICAL)\b)")
_DECODER = json.JSONDecoder(strict=False)
_STREAM = "<streaming response>"
NO_RESPONSE = "the log has no response"
"""Why a recording of a log is broken that has only the request."""


def is_sdk_log(text: str) -> bool:
    """Return whether a text is such a log. Raises UsageError for the one of JavaScript."""
    if _JAVASCRIPT.search(text):
        raise UsageError(
            "the debug log of the SDK for JavaScript has objects as the console prints them, cut "
            "at some depth; give its client a debug_logger that writes JSON, or record with "
            "'evalkit serve --upstream'"
        )
    return _RECORD.search(text) is not None


def read_sdk_log(text: str) -> Iterator[Recording]:
    """Yield the exchanges of a log, in the order of requests."""
    recordings: list[Recording] = []
    waiting: dict[str, list[Recording]] = {}
    for match in _RECORD.finditer(text):
        if match["kind"] is None:
            for last in recordings[-1:]:
                # It failed: what follows is the response to another one.
                waiting[last.uri] = [one for one in waiting[last.uri] if one is not last]
            continue
        url, headers = match["url"], _headers(match["headers"])
        if match["kind"] == "Request":
            recording = Recording(
                method=match["method"] or "POST",
                uri=url,
                request_body=_bytes(match["body"]),
                request_headers=headers,
                status=0,
                broken=NO_RESPONSE,
            )
            recordings.append(recording)
            waiting.setdefault(url, []).append(recording)
        elif waiting.get(url):
            recording = waiting[url].pop(0)
            body = _response_body(text, match.start("body"))
            if not body.startswith(_STREAM):
                recording.status, recording.broken = int(match["status"] or 200), None
                recording.response_headers, recording.body = headers, body.strip()
    yield from recordings


def _response_body(text: str, start: int) -> str:
    """Return the body that begins at ``start``: JSON, else what the next record follows."""
    with suppress(ValueError, RecursionError):
        return text[start : _DECODER.raw_decode(text, start)[1]]
    end = _NEXT_RECORD.search(text, start)
    return text[start : end.start() if end else len(text)]


def _bytes(text: str) -> str | None:
    """Return a body that was logged as Python writes bytes."""
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return text
    return value.decode("utf-8", "replace") or None if isinstance(value, bytes) else text


def _headers(text: str) -> Headers:
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return {}
    pairs = value.items() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return {str(pair[0]).lower(): [str(pair[1])] for pair in pairs if len(pair) == 2}
