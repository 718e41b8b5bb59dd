"""Read what is imported as recordings: cassettes from any tool, and logs of API traffic.

A log has one exchange per line, as JSON. Programs name the parts differently, so each part may have
one of several names::

    {"request": {"method": "POST", "url": "https://…/v1beta/interactions", "body": {…}},
     "response": {"status": 200, "body": {…}}}

A body is JSON, or text (JSON, or server-sent events). ``method`` defaults to POST, the path to the
interactions resource, ``status`` to 200. A line of ``results.jsonl`` is accepted too: it contains
exchanges.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from evalkit._lib.files import display_path
from evalkit._lib.json import JSON, dumps, json_type, loads
from evalkit.cassette.files import load_cassette
from evalkit.cassette.recording import Recording
from evalkit.errors import CassetteError, UsageError
from evalkit.protocol.wire_facts import API_BASE_URL, DEFAULT_API_VERSION, interactions_path

LOG_SUFFIXES = (".jsonl", ".ndjson")
PART_NAMES: dict[str, tuple[str, ...]] = {
    "request": ("request", "req"),
    "response": ("response", "resp", "res"),
    "url": ("url", "uri", "path"),
    "method": ("method", "verb"),
    "status": ("status", "status_code", "statusCode", "code"),
    "body": ("body", "json", "data", "content", "text"),
}
"""The names that a part of a log line may have, the usual one first."""

_DEFAULT_URL = API_BASE_URL + interactions_path(DEFAULT_API_VERSION)


def read_traffic(path: Path) -> list[Recording]:
    """Read a cassette, or a log where the name ends with ``.jsonl`` or ``.ndjson``.

    Raises UsageError and CassetteError, with file and line.
    """
    if path.suffix in LOG_SUFFIXES:
        return list(_read_log(path))
    cassette = load_cassette(path)
    if cassette is None:
        raise UsageError(f"{display_path(path)}: no such file")
    return cassette.recordings


def _read_log(path: Path) -> Iterator[Recording]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{display_path(path)} cannot be read: {error}") from error
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        position = f"{display_path(path)}:{number}"
        try:
            value = loads(text)
        except (ValueError, RecursionError) as error:
            raise CassetteError(f"{position} is not JSON: {error}") from error
        turns = value.get("turns") if isinstance(value, Mapping) else None
        if not isinstance(turns, list):
            yield _parse_exchange(value, position)
            continue
        for turn in turns:  # a line of results.jsonl
            for exchange in turn.get("exchanges", ()) if isinstance(turn, Mapping) else ():
                yield _parse_exchange(exchange, position)


def _parse_exchange(value: JSON, position: str) -> Recording:
    request = _part(value, "request", None) if isinstance(value, Mapping) else None
    response = _part(value, "response", {}) if isinstance(value, Mapping) else None
    if not isinstance(request, Mapping) or not isinstance(response, Mapping):
        raise CassetteError(
            f'{position} is not an exchange: expected {{"request": {{…}}, "response": {{…}}}}'
        )
    request_body = _part(request, "body", None)
    status = _part(response, "status", 200)
    if isinstance(status, bool) or not isinstance(status, int):
        raise CassetteError(f"{position}: the status is {json_type(status)}, not a number")
    body = _as_text(_part(response, "body", ""))
    is_stream = body.lstrip().startswith(("event:", "data:", ":"))
    return Recording(
        method=str(_part(request, "method", "POST")),
        uri=str(_part(request, "url", _DEFAULT_URL)),
        request_body=None if request_body is None else _as_text(request_body),
        status=status,
        response_headers={
            "content-type": ["text/event-stream" if is_stream else "application/json"]
        },
        body=body,
    )


def _as_text(body: JSON) -> str:
    return body if isinstance(body, str) else dumps(body)


def _part(value: Mapping[str, JSON], name: str, default: JSON) -> JSON:
    values = (value[alias] for alias in PART_NAMES[name] if value.get(alias) is not None)
    return next(values, default)
