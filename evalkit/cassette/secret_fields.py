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

from evalkit._lib.exact_json import read_exact
from evalkit._lib.json import JSON, compact
from evalkit.cassette.bodies import to_bytes, to_text
from evalkit.cassette.content_codings import CompressedBody, compressed_body
from evalkit.cassette.headers import body_headers, keys_in_query, secrets_in_header
from evalkit.cassette.recording import Recording
from evalkit.cassette.secret_names import TOKEN, is_secret_field, looks_random, plain_name
from evalkit.cassette.secret_texts import (
    redact_assignments,
    redact_form,
    redact_markup,
)
from evalkit.cassette.text_document import Edit, Leaf, TextDocument, apply
from evalkit.protocol.wire_facts import (
    COOKIE_HEADERS,
    OAUTH_ANSWER,
    OAUTH_CODE,
    OAUTH_REQUEST,
    SECRET_PATHS,
    SECRET_REQUEST_FIELDS,
)

_DATA = frozenset({"arguments", "result", "parameters", "schema", "response_format", "content"})
_TEXTS = frozenset({"text", "input", "system_instruction"})
# An id may be received with its collection and sent again without, a token with its scheme.
_PREFIX = re.compile(r"auth_tokens/|(?i:bearer|basic|token) +")
# A body that mentions none of these, nor a letter as an escape, is not read. Counts of tokens are
# in nearly every answer.
_WORDS = (
    "secret", "passw", "passphrase", "assertion", "device", "verifier", "authorization", "jwt",
    OAUTH_REQUEST, 'headers"', 'transform"', 'env"', "form-data",
)  # fmt: skip
_LAST_WORDS = (re.compile(r"token(?![a-z])"), re.compile(r"key(?![a-z])"))
_ESCAPED_LETTER = re.compile(r"\\u00[4-7]")
_EVENT = re.compile(r"(?s).+?(?:\r?\n(?:\r?\n)+|\Z)")
_EVENT_LINE = re.compile(r"(?m)^(?:data|event|id):")
_JSON_LINE = re.compile(r"(?m)^(?:data:[ \t]*)?[{\[]")
# Shorter numbers are counts.
_SHORTEST_NUMBER = 8


def redact_fields(body: JSON, route: str = "") -> tuple[JSON, list[str]]:
    """Return a body without the values of secret fields, and these values.

    ``body`` is a JSON value, or the text or the bytes of a body that is not JSON. ``route`` is the
    path of the request, if it is a request's body.
    """
    if body is None:
        return None, []
    if isinstance(body, str | bytes):
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
        yield from filter(looks_random, _redact_body(body or "", "" if number else uri)[1])


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
    bodies = _opened_bodies(recording)
    yield from secrets_in(recording.uri, headers, *(body.plain for body in bodies))


def redact_recording(recording: Recording) -> tuple[Recording, list[str]]:
    """Return a recording without the values of secret fields, and these values.

    A compressed body that has one is returned as what it was compressed from.
    """
    request, response = _opened_bodies(recording)
    plain, found = _redact_body(request.plain, recording.uri)
    if found:
        recording = replace(recording, request_body=request.compressed(plain))
    body, in_response = _redact_body(response.plain)
    if in_response:
        headers = recording.response_headers
        if response.plain is not recording.body:
            headers = body_headers(recording.method, headers)
        recording = replace(recording, body=response.compressed(body), response_headers=headers)
    reason, in_reason = redact_assignments(recording.reason)
    recording = replace(recording, reason=reason)
    found += in_response + in_reason
    if recording.broken:
        broken, in_break = redact_assignments(recording.broken)
        recording, found = replace(recording, broken=broken), found + in_break
    return recording, found


def _opened_bodies(recording: Recording) -> tuple[CompressedBody, CompressedBody]:
    """Return the bodies of request and response, decompressed where that is possible."""
    opened = []
    for body, headers in (
        (recording.request_body or "", recording.request_headers),
        (recording.body, recording.response_headers),
    ):
        try:
            opened.append(compressed_body(body, headers))
        except ValueError:
            opened.append(CompressedBody(body))
    return opened[0], opened[1]


def _redact_body(body: str | bytes, route: str = "") -> tuple[str | bytes, list[str]]:
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
    form = None if _JSON_LINE.match(text) else redact_form(text)
    if form is not None and form[1]:
        return form
    if not (_mentions_secrets(text) or _request_fields(route)):
        return text, []
    is_other = not (_starts_as_json(text) or _EVENT_LINE.search(text))
    text, found = redact_markup(text)
    document = TextDocument(text, _json_parts(text))
    if is_other or document.is_plain:
        text, assigned = redact_assignments(text)
        found += assigned
        document = TextDocument(text, _json_parts(text))
    edits = []
    for leaf, clean, secrets in _redacted_leaves(document, route):
        found += secrets
        edits.append(Edit(leaf.start, leaf.end, leaf.render(text, clean)))
    return apply(text, edits), found


def _mentions_secrets(text: str) -> bool:
    lower = text.lower()
    return (
        any(word in lower for word in _WORDS)
        or any(word.search(lower) for word in _LAST_WORDS)
        or _ESCAPED_LETTER.search(text) is not None
    )


def _starts_as_json(text: str) -> bool:
    return text.lstrip("\ufeff \t\r\n").startswith(("{", "["))


def _json_parts(text: str) -> Iterator[tuple[int, int]]:
    """Yield the parts of a body that may be JSON: all of it, or events."""
    if _starts_as_json(text):
        yield 0, len(text)
        return
    for match in _EVENT.finditer(text):
        if _JSON_LINE.search(match[0]):
            yield match.span()


def _redacted_leaves(
    document: TextDocument, route: str
) -> Iterator[tuple[Leaf, str, Sequence[str]]]:
    """Yield each value of a document with secrets, its text without them, and the secrets."""
    names = set(map(plain_name, _request_fields(route)))
    members = {leaf.path[:1] for leaf in document.leaves}
    if (OAUTH_REQUEST,) in members:
        names.add(OAUTH_CODE)
    label: tuple[str, tuple[str, ...]] = ("", ())
    for leaf in document.leaves:
        if leaf.kind not in ("string", "number") or not _DATA.isdisjoint(leaf.path):
            continue
        if leaf.kind == "number" and not leaf.text.isdigit():
            continue
        # An entry of a list may have a member for its name and another one for its value.
        has_label = leaf.name == "value" and leaf.path[:-1] == label[1]
        if leaf.name in ("name", "key"):
            label = (leaf.text, leaf.path[:-1])
        if (
            plain_name(leaf.name) in names
            or is_secret_field(leaf.name, leaf.text)
            or (has_label and is_secret_field(label[0], leaf.text))
            or any(_ends_with(leaf.path, end) for end in SECRET_PATHS)
        ):
            is_secret = leaf.kind == "string" or len(leaf.text) >= _SHORTEST_NUMBER
        else:
            is_secret = looks_random(leaf.text) and any(
                plain_name(part) in names
                or is_secret_field(part, leaf.text)
                or (part == OAUTH_CODE and (OAUTH_ANSWER,) in members)
                for part in leaf.path
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
        elif leaf.name not in _TEXTS:
            clean, secrets = redact_assignments(leaf.text)
            if secrets:
                yield leaf, clean, secrets


def _request_fields(route: str) -> Sequence[str]:
    return next(
        (fields for name, fields in SECRET_REQUEST_FIELDS.items() if f"/{name}" in route), ()
    )


def _ends_with(path: tuple[str, ...], end: Sequence[str]) -> bool:
    tail = path[-len(end) :]
    return len(tail) == len(end) and all(
        expected in ("*", name) for name, expected in zip(tail, end, strict=True)
    )
