"""Values that are secret because of the field that contains them. Pure.

The tables are in ``protocol.wire_facts``: names that are secret anywhere in a body, such as
``environment_key``; positions, such as the headers of a tool; and fields of the requests of one
resource. What the model reads and writes (arguments, results, schemas) is data, not configuration,
and stays.

A client may send such a value again, in a path or as a key, so its redaction by field makes it a
known secret for the rest of a recording.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from urllib.parse import unquote_plus

from evalkit._lib.exact_json import read_exact
from evalkit._lib.json import JSON
from evalkit.cassette.bodies import request_text
from evalkit.cassette.headers import TOKEN, keys_in_query, looks_random, secrets_in_header
from evalkit.cassette.recording import Recording
from evalkit.protocol.wire_facts import (
    COOKIE_HEADERS,
    KEY_PARAMETERS,
    OAUTH_ANSWER,
    OAUTH_CODE,
    OAUTH_REQUEST,
    SECRET_FIELDS,
    SECRET_PATHS,
    SECRET_REQUEST_FIELDS,
)

_DATA = frozenset({"arguments", "result", "parameters", "schema", "response_format", "content"})
# An id may be received with its collection and sent again without, a token with its scheme.
_PREFIX = re.compile(r"auth_tokens/|(?i:bearer|basic|token) +")
_EVENT = re.compile(r"(?m)^(data: ?)(\{.*\})(\r?)$")
# A body that mentions none of these is not parsed.
_NAMES = frozenset(name.replace("_", "") for name in SECRET_FIELDS)
_CANDIDATE = re.compile(
    "|".join(
        (
            *(name.replace("_", "[_-]?") for name in SECRET_FIELDS),
            OAUTH_REQUEST,
            '"headers"|"transform"|"env"',
        )
    ),
    re.IGNORECASE,
)
_FORM = re.compile(r"[^=&\s{}<>]{1,200}=[^&\s{}<>]*(?:&[^=&\s{}<>]{1,200}=[^&\s{}<>]*)*\s*")
_FORM_FIELD = re.compile(r"([^=&\s]+)=([^&\s]+)")


def redact_fields(body: JSON, route: str = "") -> tuple[JSON, list[str]]:
    """Return a body without the values of secret fields, and these values.

    ``route`` is the path of the request, if it is a request's body.
    """
    found: list[str] = []
    if isinstance(body, str):
        return _redact_form(body, found), found
    names = {*_NAMES, *map(_plain_name, _request_fields(route))}
    if isinstance(body, dict) and (OAUTH_REQUEST in body or OAUTH_ANSWER in body):
        names.add(OAUTH_CODE)

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
        own = [name for name in path if name != "[]"][-1:]
        if (own and _plain_name(own[0]) in names) or any(
            _ends_with(path, end) for end in SECRET_PATHS
        ):
            prefix = _PREFIX.match(value)
            start = prefix[0] if prefix else ""
            found.append(value.removeprefix(start))
            return start + TOKEN
        return value

    return walk(body, ()), found


def secrets_in(
    uri: str, headers: Iterable[tuple[str, str]], *bodies: str | bytes | None
) -> Iterator[str]:
    """Yield what is a secret by its position, to be searched for elsewhere.

    Positions are key parameters of the address, credential headers, cookies and secret fields. A
    cookie or a field may have an ordinary value, too; these count only if they look random.
    """
    yield from keys_in_query(uri)
    for name, value in headers:
        found = secrets_in_header(name.lower(), value)
        yield from filter(looks_random, found) if name.lower() in COOKIE_HEADERS else found
    for number, body in enumerate(bodies):
        yield from filter(looks_random, _redact_text(body, "" if number else uri)[1])


def secrets_in_body(body: str, route: str = "") -> list[str]:
    """Return the values of secret fields in a body, which may be a stream or a form."""
    return _redact_text(body, route)[1]


def secrets_in_recording(recording: Recording) -> Iterator[str]:
    """Yield the secrets in request and response, as :func:`secrets_in` does."""
    headers = [
        (name, value)
        for fields in (recording.request_headers, recording.response_headers)
        for name, values in fields.items()
        for value in values
    ]
    yield from secrets_in(recording.uri, headers, recording.request_body, recording.body)


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
    if not isinstance(text, str):
        return text, []
    found: list[str] = []
    if _FORM.fullmatch(text):
        return _redact_form(text, found), found
    if not (_CANDIDATE.search(text) or _request_fields(route)):
        return text, []

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


def _redact_form(text: str, found: list[str]) -> str:
    """Return a form without the values of secret fields; they are added to ``found``."""
    if not _FORM.fullmatch(text):
        return text
    is_oauth = f"{OAUTH_REQUEST}=" in text

    def redact(match: re.Match[str]) -> str:
        name = unquote_plus(match[1]).lower()
        is_secret = name in KEY_PARAMETERS or (is_oauth and name == OAUTH_CODE)
        if not is_secret or match[2] == TOKEN:
            return match[0]
        found.append(unquote_plus(match[2]))
        return f"{match[1]}={TOKEN}"

    return _FORM_FIELD.sub(redact, text)


def _plain_name(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def _request_fields(route: str) -> Sequence[str]:
    return next(
        (fields for name, fields in SECRET_REQUEST_FIELDS.items() if f"/{name}" in route), ()
    )


def _ends_with(path: tuple[str, ...], end: Sequence[str]) -> bool:
    tail = path[-len(end) :]
    return len(tail) == len(end) and all(
        expected in ("*", name) for name, expected in zip(tail, end, strict=True)
    )
