"""Values that are secret because of the field that contains them. Pure.

The tables are in ``protocol.wire_facts``: names that are secret anywhere in a body, such as
``environment_key``; positions, such as the headers of a tool; and fields of the requests of one
resource. What the model reads and writes (arguments, results, schemas) is data, not configuration,
and stays.

A client may send such a value again, in a path or as a key, so its redaction by field makes it a
known secret for the rest of a recording.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from evalkit._lib.exact_json import read_exact
from evalkit._lib.json import JSON
from evalkit.cassette.bodies import request_text
from evalkit.cassette.headers import TOKEN
from evalkit.cassette.recording import Recording
from evalkit.protocol.wire_facts import SECRET_FIELDS, SECRET_PATHS, SECRET_REQUEST_FIELDS

_DATA = frozenset({"arguments", "result", "parameters", "schema", "response_format", "content"})
# An id may be received with its collection and sent again without, a token with its scheme.
_PREFIX = re.compile(r"auth_tokens/|(?i:bearer|basic|token) +")
_EVENT = re.compile(r"(?m)^(data: ?)(\{.*\})(\r?)$")
# A body that mentions none of these is not parsed.
_CANDIDATE = re.compile("|".join((*SECRET_FIELDS, '"headers"', '"transform"', '"env"')))


def redact_fields(body: JSON, route: str = "") -> tuple[JSON, list[str]]:
    """Return a body without the values of secret fields, and these values.

    ``route`` is the path of the request, if it is a request's body.
    """
    found: list[str] = []
    names = {*SECRET_FIELDS, *_request_fields(route)}

    def walk(value: JSON, path: tuple[str, ...]) -> JSON:
        if isinstance(value, dict):
            return {
                name: item if name in _DATA else walk(item, (*path, name))
                for name, item in value.items()
            }
        if isinstance(value, list):
            return [walk(item, (*path, "[]")) for item in value]
        if not isinstance(value, str) or not value or value.endswith(TOKEN):
            return value
        if (path[-1:] and path[-1] in names) or any(_ends_with(path, end) for end in SECRET_PATHS):
            prefix = _PREFIX.match(value)
            start = prefix[0] if prefix else ""
            found.append(value.removeprefix(start))
            return start + TOKEN
        return value

    return walk(body, ()), found


def redact_recording(recording: Recording) -> tuple[Recording, list[str]]:
    """Return a recording without the values of secret fields, and these values."""
    request_body, in_request = _redact_text(recording.request_body, recording.uri)
    body, in_response = _redact_text(recording.body)
    found = [*in_request, *in_response]
    if not found:
        return recording, []
    return replace(recording, request_body=request_body, body=body or ""), found


def _redact_text(text: str | bytes | None, route: str = "") -> tuple[str | bytes | None, list[str]]:
    """Return a body, plain or a stream, without the values of secret fields, and these values."""
    if not isinstance(text, str) or not (_CANDIDATE.search(text) or _request_fields(route)):
        return text, []
    found: list[str] = []

    def redact(document: str) -> str:
        try:
            clean, values = redact_fields(read_exact(document, dict), route)
        except (ValueError, RecursionError):
            return document
        found.extend(values)
        return request_text(clean) if values else document

    if text.lstrip().startswith(("{", "[")):
        return redact(text), found
    return _EVENT.sub(lambda match: match[1] + redact(match[2]) + match[3], text), found


def _request_fields(route: str) -> Sequence[str]:
    return next(
        (fields for name, fields in SECRET_REQUEST_FIELDS.items() if f"/{name}" in route), ()
    )


def _ends_with(path: tuple[str, ...], end: Sequence[str]) -> bool:
    tail = path[-len(end) :]
    return len(tail) == len(end) and all(
        expected in ("*", name) for name, expected in zip(tail, end, strict=True)
    )
