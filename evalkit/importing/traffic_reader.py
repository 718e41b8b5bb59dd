"""Read what is imported as recordings: cassettes from any tool, and logs of API traffic.

A log is JSON in UTF-8 or UTF-16: one document a line, one after the other, or in one array; or an
HTTP archive (HAR) of a browser or a proxy. Programs name the parts of an exchange differently, so
each part may have one of several names::

    {"request": {"method": "POST", "url": "https://…/v1beta/interactions", "body": {…}},
     "response": {"status": 200, "body": {…}}}

A body is JSON, or text (JSON, or server-sent events), as Base64 where the log says so, or a list of
events or of chunks. ``method`` defaults to POST, the path to the interactions resource, ``status``
to 200. ``request`` and ``response`` may be the bodies themselves. A line of ``results.jsonl`` is
accepted too: it contains exchanges.
"""

import base64
import codecs
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from evalkit._lib.exact_json import EXACT, write_exact
from evalkit._lib.files import display_path, file_errors, read_file
from evalkit._lib.json import JSON, dumps, json_type
from evalkit._lib.limits import TooLarge
from evalkit._lib.text import show
from evalkit.cassette.content_codings import Inflater, decompress_body, format_of, joined
from evalkit.cassette.files import PREFIX, MediaFolder, load_cassette
from evalkit.cassette.format import parse
from evalkit.cassette.recording import Headers, Recording
from evalkit.cassette.redaction import Redactor
from evalkit.conversation.reconstruct import is_interaction
from evalkit.errors import CassetteError, UsageError
from evalkit.importing.http_archive import (
    NO_CONTENT,
    content_body,
    elapsed_of,
    in_order,
    is_content,
)
from evalkit.importing.sdk_log import NO_RESPONSE, is_sdk_log, read_sdk_log
from evalkit.protocol.stream_writer import sse_text
from evalkit.protocol.wire_facts import (
    API_BASE_URL,
    DEFAULT_API_VERSION,
    interactions_path,
)
from evalkit.results.media import FOLDER

LOG_SUFFIXES = (".jsonl", ".ndjson", ".json", ".har", ".log")
PART_NAMES: dict[str, tuple[str, ...]] = {
    "request": ("request", "req", "input"),
    "response": ("response", "resp", "res", "output"),
    "url": ("url", "uri", "path"),
    "method": ("method", "verb"),
    "status": ("status", "status_code", "statusCode", "code"),
    "headers": ("headers", "header"),
    "body": ("body", "json", "postData", "data", "content", "text", "events", "chunks"),
}
"""The names that a part of a log may have, the usual one first."""

_CONTAINERS = ("log", "entries", "turns", "exchanges", "interactions")
_OF_BODIES = frozenset(("steps", "object", "error", "event_type"))
_ENCODINGS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_ZIP = b"PK\x03\x04"
_DEFAULT_URL = API_BASE_URL + interactions_path(DEFAULT_API_VERSION)
# Raw line breaks in strings, and byte order marks and record separators (RFC 7464) between
# documents, are not JSON, and programs write them.
# Programs log NaN.
_DECODER = json.JSONDecoder(strict=False, **{**EXACT, "parse_constant": None})
_GAP = re.compile("[\\s\ufeff\x1e]*")
# A line of a log may begin with "[DEBUG]" or "[2026-01-01".
_JSON_START = re.compile(_GAP.pattern + r'(?:{|\[\s*(?:[\[{"\]]|$))')


def read_traffic(path: Path) -> list[Recording]:
    """Read a cassette or a log; which of them it is follows from its content.

    Raises UsageError and CassetteError, with file and line.
    """
    name = display_path(path)
    with file_errors(path, "cannot be read"):
        text = decode_text(_expanded(read_file(path), name), name)
    is_json = _JSON_START.match(text) is not None
    try:
        if not is_json and is_sdk_log(text):
            return list(read_sdk_log(text))
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from None
    if path.suffix.lower() not in LOG_SUFFIXES and not is_json:
        cassette = load_cassette(path)
        return cassette.recordings if cassette is not None else []
    recordings: list[Recording] = []
    for line, document in json_documents(text, name):
        if isinstance(document, Mapping) and {"interactions", "version"} <= document.keys():
            # vcrpy's JSON serializer writes surrogate pairs, which YAML does not read.
            recordings += parse(write_exact(document, ensure_ascii=False), name).recordings
        else:
            exchanges = exchanges_in(document, f"{name}:{line}")
            recordings += [recording_of(*exchange, path.parent) for exchange in exchanges]
    if PREFIX in text:
        # A run directory has the long data of its results in files.
        media = MediaFolder(path.parent / FOLDER)
        recordings = [media.restore(recording) for recording in recordings]
    return recordings


def without_secrets(
    recordings: list[Recording], secrets: Iterable[str], patterns: Sequence[str] = ()
) -> list[Recording]:
    """Return recordings without ``secrets``, and without the credentials that they were sent with.

    ``patterns`` are regular expressions of what else is replaced. Drafts are made of the result, so
    that no secret is in a message of a suite or in the name of a file.
    """
    redactor = Redactor(secrets, patterns)
    for recording in recordings:
        redactor = redactor.with_secrets_in(recording)
    return [redactor.recording(recording)[0] for recording in recordings]


def _expanded(data: bytes, name: str) -> bytes:
    """Return the content of a file, decompressed if it is compressed. Raises UsageError."""
    if data.startswith(_ZIP):
        raise UsageError(f"{name}: is a ZIP archive; unpack it, and import the files in it")
    if not (coding := format_of(data)):
        return data
    inflater = Inflater(coding)
    try:
        plain = joined(inflater.feed(data), "cassette")
    except TooLarge as error:
        raise UsageError(f"{name}: cannot be read ({error})") from None
    except zlib.error:
        plain = b""
    if not inflater.is_complete and coding == "gzip":
        raise UsageError(f"{name}: the compressed file is damaged; compress or copy it again")
    return plain if inflater.is_complete else data


def decode_text(data: bytes, name: str) -> str:
    """Return a log in UTF-8 or UTF-16 as text. Raises UsageError."""
    encoding = next((known for bom, known in _ENCODINGS.items() if data.startswith(bom)), "utf-8")
    try:
        # Programs that cut strings in the middle of a character write half of a surrogate pair.
        return data.decode(encoding, "surrogatepass")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(
            f"{name}:{line} is not text in UTF-8 (byte 0x{data[error.start]:02X}); convert it"
        ) from None


def json_documents(text: str, name: str) -> Iterator[tuple[int, JSON]]:
    """Yield each JSON document with the line on which it starts. Raises CassetteError."""
    line, end = 1, 0
    while (start := _GAP.match(text, end).end()) < len(text):  # type: ignore[union-attr]
        line += text.count("\n", end, start)
        try:
            value, end = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError) as error:
            got = show(text[start : start + 60].partition("\n")[0])
            raise CassetteError(f"{name}:{line} is not JSON ({error}): {got}") from None
        yield line, value
        line += text.count("\n", start, end)


def exchanges_in(value: JSON, place: str) -> Iterator[tuple[Mapping[str, JSON], str]]:
    """Yield the exchanges of a document, however deep it contains them, and their places.

    Raises CassetteError.
    """
    if isinstance(value, list):
        for number, item in in_order(value):
            yield from exchanges_in(item, f"{place} item {number}")
        return
    part = value if isinstance(value, Mapping) else {}
    container = next(
        (part[key] for key in _CONTAINERS if isinstance(part.get(key), list | dict)), None
    )
    if container is not None and not isinstance(_part(part, "request"), Mapping):
        yield from exchanges_in(container, place)
    elif isinstance(_part(part, "request"), Mapping):
        yield part, place
    else:
        got = f"an object with {show(sorted(part), 60)}" if part else show(value, 60)
        raise CassetteError(
            f'{place} is not an exchange: expected {{"request": {{…}}, "response": {{…}}}}, '
            f"got {got}"
        )


def recording_of(exchange: Mapping[str, JSON], place: str, folder: Path) -> Recording:
    """Return an exchange of a log in ``folder`` as a recording. Raises CassetteError."""
    request, response = _part(exchange, "request"), _part(exchange, "response")
    if "input" in request and _part(request, "body") is None:
        request = {"body": request}
    if isinstance(response, Mapping) and response.keys() & _OF_BODIES and "body" not in response:
        response = {"body": response}
    elif not isinstance(response, Mapping):
        response = {"body": response} if response else {"status": 0}
    status = _part(response, "status")
    if isinstance(status, Mapping):
        status = status.get("code")
    if isinstance(status, str) and re.match(r"\d{3}\b", status):
        status = int(status[:3])
    if status is None:
        status = 200
    if isinstance(status, bool) or not isinstance(status, int):
        raise CassetteError(f"{place}: the status is {json_type(status)}, not a number")
    headers, content = _headers(response), _part(response, "body")
    recording = Recording(
        method=str(_part(request, "method") or "POST").upper(),
        uri=str(_part(request, "url") or _DEFAULT_URL),
        request_headers=_headers(request),
        status=max(status, 0),
        elapsed_ms=elapsed_of(exchange, response),
        broken=None if status > 0 else NO_RESPONSE,
    )
    if not is_interaction(recording):
        # An archive has everything that a page loaded, such as gigabytes of images.
        return recording
    try:
        recording.body = _body(content, headers, folder)
        if (request_body := _part(request, "body")) is not None:
            recording.request_body = _body(request_body, _headers(request), folder)
    except (OSError, ValueError) as error:
        raise CassetteError(f"{place}: a body cannot be read: {error}") from None
    recording.response_headers = {"content-type": [_content_type(headers, recording.body)]}
    if status == 200 and not recording.body and is_content(content):
        recording.broken = NO_CONTENT
    return recording


def _body(value: JSON, headers: Headers, folder: Path) -> str | bytes:
    """Return a body as text, or as bytes that are not UTF-8. Raises OSError and ValueError."""
    if isinstance(value, Mapping):
        if value.get("type") == "Buffer" and isinstance(value.get("data"), list):
            value = bytes(value["data"])  # as Node.js serializes bytes
        elif "base64_string" in value:
            value = base64.b64decode(value["base64_string"])
        elif is_content(value):
            value = content_body(value, folder)
        elif value.keys() == {"string"}:
            value = value["string"]
    if isinstance(value, bytes):
        # Most programs log a body decompressed, with the headers of the compressed one.
        with suppress(UnicodeDecodeError):
            return value.decode()
        data = decompress_body(value, headers)
        with suppress(UnicodeDecodeError):
            return data.decode() if isinstance(data, bytes) else data
        return data
    if isinstance(value, list) and value:
        if all(isinstance(item, str) for item in value):
            return "".join(value)
        if all(isinstance(item, Mapping) and "event_type" in item for item in value):
            return "".join(sse_text(value))
    return "" if value is None else value if isinstance(value, str) else dumps(value)


def _content_type(headers: Headers, body: str | bytes) -> str:
    """Return the type of a response: as logged where an API sends it, else by the body."""
    text = body if isinstance(body, str) else ""
    if text.lstrip("\ufeff \r\n").startswith(("event:", "data:", "id:", ":")):
        return "text/event-stream"
    (logged, *_) = headers.get("content-type") or ["application/json"]
    return logged


def _headers(message: Mapping[str, JSON]) -> Headers:
    """Return headers given as an object, as pairs, or as objects with name and value."""
    value, headers = _part(message, "headers"), Headers()
    pairs = value.items() if isinstance(value, Mapping) else value
    for item in pairs if isinstance(pairs, Iterable) else ():
        if isinstance(item, Mapping):
            item = (item.get("name"), item.get("value"))
        if isinstance(item, tuple | list) and len(item) == 2:
            values = item[1] if isinstance(item[1], list) else [item[1]]
            headers.setdefault(str(item[0]).lower(), []).extend(map(str, values))
    return headers


def _part(value: Mapping[str, JSON], name: str) -> JSON:
    values = (value[alias] for alias in PART_NAMES[name] if value.get(alias) is not None)
    return next(values, None)
