"""Topic ``secrets``: credentials and accounts in recordings.

A finding never repeats a secret: it contains the first four characters and the length. Secrets are
found by format and by position: a key of a known vendor; a header, a URL parameter or a field of a
body that is made for one. A recording writes none of them.
Entropy is not used, because thought signatures, ids and media are random too, and a token's format
must not be embedded in a longer run of Base64. Placeholders (``REDACTED``, ``<key>``, ``dummy``)
are ignored. Email addresses count in headers only; in texts they are part of the conversation.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from urllib.parse import unquote

from evalkit._lib.json import JSON, dumps
from evalkit._lib.text import plural
from evalkit.cassette.bodies import to_text
from evalkit.cassette.headers import set_cookies
from evalkit.cassette.recording import Recording
from evalkit.cassette.secret_fields import secrets_in_body
from evalkit.cassette.secret_formats import FORMATS, is_placeholder, keys_in_urls
from evalkit.cassette.secret_names import is_secret_field
from evalkit.cassette.secret_texts import redact_assignments, redact_challenge
from evalkit.lint.cassette_view import CassetteView
from evalkit.lint.rules import RuleFinding
from evalkit.protocol.wire_facts import (
    CHALLENGE_HEADERS,
    COOKIE_HEADERS,
    CREDENTIAL_HEADERS,
    KEY_PARAMETERS,
    SECRET_RESPONSE_HEADERS,
)

_ACCOUNT_HEADERS = frozenset(("x-goog-user-project",))
_SCHEME = re.compile(r"(?:bearer|basic|token|digest|negotiate)\s+", re.IGNORECASE)
_EMAIL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._%+-]*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}")
_PARAMETER = re.compile(r"[?&]([^=&#]+)=([^&#]*)")
_USER_INFO = re.compile(r"://([^/?#@]+)@")


class _FoundSecret(NamedTuple):
    code: str
    description: str
    location: str
    secret: str


def check_secrets(view: CassetteView) -> Iterator[RuleFinding]:
    """Yield every credential and account once per location, with the number of recordings."""
    numbers: dict[_FoundSecret, set[int]] = {}
    for secret in _search_text(_as_text(view.cassette.metadata), "metadata"):
        numbers.setdefault(secret, set())
    for number, recording in enumerate(view.recordings, 1):
        for secret in _search_recording(recording):
            numbers.setdefault(secret, set()).add(number)
    for exchange in view.api_exchanges:
        if exchange.events is not None and exchange.interaction is not None:
            # A key that a model repeats is spread over events; only the assembled text shows it.
            for secret in _search_text(dumps(exchange.interaction), "response body"):
                numbers.setdefault(secret, set()).add(exchange.number)
    for secret, recordings in numbers.items():
        count = f" ({plural(len(recordings), 'recording')})" if len(recordings) > 1 else ""
        yield RuleFinding(
            secret.code,
            f"{secret.description} in the {secret.location}{count}",
            exchange=min(recordings, default=None),
            part=secret.location.partition(" ")[0],
            got=fingerprint(secret.secret),
        )


def mask(text: str) -> str:
    """Return a text in which every secret of a known format is replaced by its fingerprint."""
    for known in FORMATS:
        if known.marker in text:
            text = known.hide.sub(lambda match: fingerprint(match[0]), text)
    return text


def mask_json(value: JSON) -> JSON:
    """Return a JSON value with its strings masked."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {mask(key): mask_json(item) for key, item in value.items()}
    return [mask_json(item) for item in value] if isinstance(value, list) else value


def fingerprint(secret: str) -> str:
    """Return what may be shown of a secret: its first four characters and its length."""
    return f"{secret[:4]}… ({len(secret)} characters)"


def _search_recording(recording: Recording) -> Iterator[_FoundSecret]:
    yield from _search_uri(recording.uri)
    for part, headers, body in (
        ("request", recording.request_headers, recording.request_body),
        ("response", recording.response_headers, recording.body),
    ):
        for name, values in headers.items():
            for value in values:
                yield from _search_header(str(name), value, part)
        if body:
            text = body if isinstance(body, str) else to_text(body)
            yield from _search_text(text, f"{part} body")
            route = recording.uri if part == "request" else ""
            yield from _secret_fields(secrets_in_body(text, route), f"{part} body")
    rest = (recording.reason, recording.broken or "", _as_text(recording.extra or ""))
    for text in rest:
        yield from _search_text(text, "response")
        yield from _secret_fields(redact_assignments(text)[1], "response")


def _secret_fields(values: Iterable[str], location: str) -> Iterator[_FoundSecret]:
    for value in filter(_is_secret, values):
        yield _FoundSecret("secret_field", "a secret field", location, value)


def _search_uri(uri: str) -> Iterator[_FoundSecret]:
    location = "request URL"
    for match in _USER_INFO.finditer(uri):
        if not is_placeholder(match[1]):
            yield _FoundSecret("secret_in_url", "a user name or password", location, match[1])
    for name, value in _PARAMETER.findall(uri):
        name, value = unquote(name), unquote(value)
        is_key = name.lower() in KEY_PARAMETERS or is_secret_field(name, value)
        if is_key and _is_secret(value):
            yield _FoundSecret("secret_in_url", f"the parameter {name!r}", location, value)
    yield from _search_text(uri, location)


def _search_header(name: str, value: str, part: str) -> Iterator[_FoundSecret]:
    name = name.lower()
    location = f"{part} header {name}"
    if name not in COOKIE_HEADERS and (
        name in CREDENTIAL_HEADERS | SECRET_RESPONSE_HEADERS or is_secret_field(name, value)
    ):
        secret = _SCHEME.sub("", value.strip(), count=1)
        if _is_secret(secret):
            yield _FoundSecret("secret_header", "a credential", location, secret)
    elif name in COOKIE_HEADERS:
        # Behind the first pair, set-cookie has attributes.
        pairs = set_cookies(value) if name == "set-cookie" else value.split(";")
        for cookie in map(str.strip, pairs):
            if _is_secret(cookie.partition("=")[2] or cookie):
                yield _FoundSecret("cookie", "a cookie", location, cookie)
    elif name in _ACCOUNT_HEADERS:
        if value.strip() and not is_placeholder(value):
            yield _FoundSecret("account_identifier", "a project", location, value.strip())
    else:
        yield from _search_text(value, location)
        if name in CHALLENGE_HEADERS:
            yield from _secret_fields(redact_challenge(value)[1], location)
        for match in _EMAIL.finditer(value) if "@" in value else ():
            yield _FoundSecret("email_in_header", "an email address", location, match[0])


def _search_text(text: str, location: str) -> Iterator[_FoundSecret]:
    known_values = set()
    for known in FORMATS:
        if known.marker in text:
            for match in known.find.finditer(text):
                if not is_placeholder(match[0]):
                    known_values.add(match[0])
                    yield _FoundSecret(known.code, known.description, location, match[0])
    for name, start, end in keys_in_urls(text):
        value = text[start:end]
        if value not in known_values:
            yield _FoundSecret("secret_in_url", f"the parameter {name!r}", location, value)


def _is_secret(value: str) -> bool:
    return len(value.strip()) >= 8 and not is_placeholder(value.strip())


def _as_text(value: JSON) -> str:
    """Return a value from YAML, which may not be JSON, as one text to search."""
    try:
        return dumps(value)
    except (TypeError, ValueError, RecursionError):
        return str(value)
