"""What is imported: cassettes of any origin, and logs of API traffic, as recordings.

A log has one exchange a line, as JSON. Programs that log traffic name things differently, so each part may have one of several names:

    {"request": {"method": "POST", "url": "https://…/v1beta/interactions", "body": {…}}, "response": {"status": 200, "body": {…}}}

A body is JSON, or text (JSON, or server-sent events). ``method`` defaults to POST, the path to the interactions resource, ``status`` to 200. A
line of ``results.jsonl`` is read too: it holds its exchanges.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from evalkit._lib.files import display_path
from evalkit._lib.json import JSON, dumps, json_type, loads
from evalkit.cassette.loader import load_cassette
from evalkit.cassette.recording import Recording
from evalkit.errors import CassetteError, UsageError
from evalkit.protocol.wire_facts import API_BASE_URL, DEFAULT_API_VERSION, interactions_path

_URL = API_BASE_URL + interactions_path(DEFAULT_API_VERSION)
NAMES: dict[str, tuple[str, ...]] = {
    "request": ("request", "req"),
    "response": ("response", "resp", "res"),
    "url": ("url", "uri", "path"),
    "method": ("method", "verb"),
    "status": ("status", "status_code", "statusCode", "code"),
    "body": ("body", "json", "data", "content", "text"),
}
"""What the parts of a line may be called, the usual name first."""


class Source(NamedTuple):
    """One file that was read: what messages call it, and its recordings in order."""

    name: str
    recordings: list[Recording]


def read_source(path: Path) -> Source:
    """Read a cassette, or a log where the name ends with ``.jsonl`` or ``.ndjson``. Raises UsageError and CassetteError, located."""
    if path.suffix in (".jsonl", ".ndjson"):
        return Source(display_path(path), list(_log(path)))
    cassette = load_cassette(path)
    if cassette is None:
        raise UsageError(f"{display_path(path)}: no such file")
    return Source(display_path(path), cassette.recordings)


def _log(path: Path) -> Iterator[Recording]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{display_path(path)} cannot be read: {error}") from error
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        try:
            value = loads(text)
        except (ValueError, RecursionError) as error:
            raise CassetteError(f"{display_path(path)}:{number} is not JSON: {error}") from error
        if not isinstance(value, Mapping):
            raise CassetteError(
                f"{display_path(path)}:{number} holds {json_type(value)}, not an exchange"
            )
        yield from _exchanges(value, f"{display_path(path)}:{number}")


def _exchanges(value: Mapping[str, JSON], place: str) -> Iterator[Recording]:
    if isinstance(value.get("turns"), list):  # a line of results.jsonl
        for turn in value["turns"]:
            for exchange in turn.get("exchanges", ()) if isinstance(turn, Mapping) else ():
                yield _recording(exchange, place)
    else:
        yield _recording(value, place)


def _recording(value: JSON, place: str) -> Recording:
    request, response = (_part(value, name, {}) for name in ("request", "response"))
    if not isinstance(request, Mapping) or not isinstance(response, Mapping):
        raise CassetteError(
            f'{place} is no exchange: it needs {{"request": {{…}}, "response": {{…}}}}'
        )
    body = _part(request, "body", None)
    if body is None and "request" not in value and "req" not in value:
        raise CassetteError(f'{place} is no exchange: it has no "request"')
    status = _part(response, "status", 200)
    if isinstance(status, bool) or not isinstance(status, int):
        raise CassetteError(f"{place}: the status is {json_type(status)}, not a number")
    answer = _part(response, "body", "")
    return Recording(
        method=str(_part(request, "method", "POST")),
        uri=str(_part(request, "url", _URL)),
        request_body=None if body is None else body if isinstance(body, str) else dumps(body),
        status=status,
        response_headers={
            "content-type": ["text/event-stream" if _streams(answer) else "application/json"]
        },
        body=answer if isinstance(answer, str) else dumps(answer),
    )


def _part(value: JSON, name: str, default: JSON) -> JSON:
    if isinstance(value, Mapping):
        for word in NAMES[name]:
            if value.get(word) is not None:
                return value[word]
    return default


def _streams(body: JSON) -> bool:
    return isinstance(body, str) and body.lstrip().startswith(("event:", "data:", ":"))
