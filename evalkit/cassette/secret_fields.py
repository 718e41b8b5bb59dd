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
from evalkit._lib.json import JSON, compact
from evalkit.cassette.bodies import to_bytes, to_text
from evalkit.cassette.content_codings import decompress_body
from evalkit.cassette.headers import (
    TOKEN,
    body_headers,
    keys_in_query,
    looks_random,
    secrets_in_header,
)
from evalkit.cassette.recording import Recording
from evalkit.cassette.text_document import Edit, Leaf, TextDocument, apply
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
_TEXTS = frozenset({"text", "input", "system_instruction"})
# An id may be received with its collection and sent again without, a token with its scheme.
_PREFIX = re.compile(r"auth_tokens/|(?i:bearer|basic|token) +")
_NAMES = frozenset(name.replace("_", "") for name in SECRET_FIELDS)
_ANY_NAME = "|".join(name.replace("_", "[_-]?") for name in SECRET_FIELDS)
# A body that mentions none of these, nor a letter as an escape, is not read. What is before a name
# is a set of characters, because re finds those fast, and names one by one in megabytes of Base64.
_CANDIDATE = re.compile(
    rf"""(?i)["'<:;=&\s](?:{_ANY_NAME}|{OAUTH_REQUEST}|headers"|transform"|env"|form-data)"""
)
_ESCAPED_LETTER = re.compile(r"\\u00[4-7]")
_EVENT = re.compile(r"(?s).+?(?:\r?\n(?:\r?\n)+|\Z)")
_JSON_LINE = re.compile(r"(?m)^(?:data:[ \t]*)?[{\[]")
_FORM = re.compile(r"[^=&\s{}<>]{1,200}=[^&\r\n]*(?:&[^=&\s]{1,200}=[^&\r\n]*)*\s*")
_FORM_FIELD = re.compile(r"(?P<name>[^=&\s]+)=(?P<value>[^&\r\n]+)")
_FORM_PART = re.compile(
    r'(?is)content-disposition: *form-data;[^\r\n]*\bname="?(?P<name>[^"\s;]+)[^\r\n]*'
    r"(?:\r?\n[^\r\n]+)*\r?\n\r?\n(?P<value>.+?)(?=\r?\n--)"
)
_XML_FIELD = re.compile(rf"(?i)<(?:\w+:)?(?P<name>{_ANY_NAME})\b[^<>]*>(?P<value>[^<>]+)</")
# Shorter numbers are counts.
_SHORTEST_NUMBER = 8


def redact_fields(body: JSON, route: str = "") -> tuple[JSON, list[str]]:
    """Return a body without the values of secret fields, and these values.

    ``body`` is a JSON value, or the text or the bytes of a body that is not JSON. ``route`` is the
    path of the request, if it is a request's body.
    """
    if body is None or isinstance(body, str | bytes):
        return _redact_body(body, route)
    clean, found = _redact_text(compact(body), route)
    return (read_exact(clean) if found else body), found


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
        yield from filter(looks_random, _redact_body(body, "" if number else uri)[1])


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
    yield from secrets_in(recording.uri, headers, recording.request_body, _plain_body(recording))


def redact_recording(recording: Recording) -> tuple[Recording, list[str]]:
    """Return a recording without the values of secret fields, and these values.

    A compressed body that has one is returned as what it was compressed from.
    """
    request_body, found = _redact_body(recording.request_body, recording.uri)
    recording = replace(recording, request_body=request_body)
    plain = _plain_body(recording)
    body, in_response = _redact_body(plain)
    if in_response:
        headers = recording.response_headers
        if plain is not recording.body:
            headers = body_headers(recording.method, headers)
        recording = replace(recording, body=body or "", response_headers=headers)
    return recording, found + in_response


def _plain_body(recording: Recording) -> str | bytes:
    try:
        return decompress_body(recording.body, recording.response_headers)
    except ValueError:
        return recording.body


def _redact_body(body: str | bytes | None, route: str = "") -> tuple[str | bytes | None, list[str]]:
    if not body:
        return body, []
    clean, found = _redact_text(to_text(body), route)
    if not found:
        return body, []
    return clean if isinstance(body, str) else to_bytes(clean), found


def _redact_text(text: str, route: str = "") -> tuple[str, list[str]]:
    """Return a body without the values of secret fields, and these values.

    It may be JSON, also cut or with a name twice, lines of it, events, a form, or XML. Everything
    else of it stays as it is.
    """
    found: list[str] = []
    is_oauth = OAUTH_REQUEST in text

    def redact(match: re.Match[str]) -> str:
        name = unquote_plus(match["name"]).lower()
        is_secret = name in KEY_PARAMETERS or (is_oauth and name == OAUTH_CODE)
        if not is_secret or match["value"].strip() == TOKEN:
            return match[0]
        found.append(unquote_plus(match["value"]).strip())
        start, end = (at - match.start() for at in match.span("value"))
        return match[0][:start] + TOKEN + match[0][end:]

    if _FORM.fullmatch(text) and not _JSON_LINE.match(text):
        return _FORM_FIELD.sub(redact, text), found
    if not (_ESCAPED_LETTER.search(text) or _CANDIDATE.search(text) or _request_fields(route)):
        return text, found
    text = _XML_FIELD.sub(redact, _FORM_PART.sub(redact, text))
    document = TextDocument(text, _json_parts(text))
    edits = []
    for leaf, clean, secrets in _redacted_leaves(document, route):
        found += secrets
        edits.append(Edit(leaf.start, leaf.end, leaf.render(text, clean)))
    return apply(text, edits), found


def _json_parts(text: str) -> Iterator[tuple[int, int]]:
    """Yield the parts of a body that may be JSON: all of it, or events."""
    if text.lstrip("\ufeff \t\r\n").startswith(("{", "[")):
        yield 0, len(text)
        return
    for match in _EVENT.finditer(text):
        if _JSON_LINE.search(match[0]):
            yield match.span()


def _redacted_leaves(
    document: TextDocument, route: str
) -> Iterator[tuple[Leaf, str, Sequence[str]]]:
    """Yield each value of a document with secrets, its text without them, and the secrets."""
    names = {*_NAMES, *map(_plain_name, _request_fields(route))}
    if any(leaf.path[:1] in ((OAUTH_REQUEST,), (OAUTH_ANSWER,)) for leaf in document.leaves):
        names.add(OAUTH_CODE)
    for leaf in document.leaves:
        if leaf.kind not in ("string", "number") or not _DATA.isdisjoint(leaf.path):
            continue
        if leaf.kind == "number" and not leaf.text.isdigit():
            continue
        if _plain_name(leaf.name) in names or any(
            _ends_with(leaf.path, end) for end in SECRET_PATHS
        ):
            is_secret = leaf.kind == "string" or len(leaf.text) >= _SHORTEST_NUMBER
        else:
            is_secret = looks_random(leaf.text) and not names.isdisjoint(
                map(_plain_name, leaf.path)
            )
        if is_secret and leaf.text and not leaf.text.endswith(TOKEN):
            prefix = _PREFIX.match(leaf.text)
            start = prefix[0] if prefix else ""
            yield leaf, start + TOKEN, [leaf.text.removeprefix(start)]
        elif leaf.text.startswith(("{", "[")) and leaf.name not in _TEXTS:
            # A program may send JSON as a string of JSON.
            clean, secrets = _redact_text(leaf.text)
            if secrets:
                yield leaf, clean, secrets


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
