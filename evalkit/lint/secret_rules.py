"""Topic ``secrets``: credentials and accounts in recordings.

A finding never repeats a secret: it contains the first four characters and the length. Secrets are
found by format only: a key of a known vendor, a header or URL parameter that is made for one.
Entropy is not used, because thought signatures, ids and media are random too, and a token's format
must not be embedded in a longer run of Base64. Placeholders (``REDACTED``, ``<key>``, ``dummy``)
are ignored. Email addresses count in headers only; in texts they are part of the conversation.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import unquote

from evalkit._lib.json import JSON, dumps
from evalkit._lib.text import plural
from evalkit.cassette.bodies import to_text
from evalkit.cassette.recording import Recording
from evalkit.lint.cassette_view import CassetteView
from evalkit.lint.rules import RuleFinding
from evalkit.protocol.wire_facts import COOKIE_HEADERS, CREDENTIAL_HEADERS, KEY_PARAMETERS


class SecretFormat(NamedTuple):
    """One format of a secret.

    ``marker`` is a text in every such secret. ``find`` matches it on its own; ``hide`` also matches
    inside a longer run of its characters and up to its end: what must be masked.
    """

    description: str
    marker: str
    find: re.Pattern[str]
    hide: re.Pattern[str]


def _format(
    description: str,
    marker: str,
    pattern: str,
    code: str = "secret_token",
    *,
    embedded: bool = False,
    rest: str = "",
) -> tuple[str, SecretFormat]:
    alone = rf"(?<![A-Za-z0-9_+/-]){pattern}(?![A-Za-z0-9_+/-])"
    find = re.compile(pattern if embedded else alone)
    return code, SecretFormat(description, marker, find, re.compile(pattern + rest))


FORMATS: tuple[tuple[str, SecretFormat], ...] = (
    _format("a Google API key", "AIza", r"AIza[0-9A-Za-z_-]{35}"),
    _format("a Google API key", "AQ.", r"AQ\.[A-Za-z0-9_-]{40,80}"),
    _format("a Google OAuth access token", "ya29.", r"ya29\.(?:[a-z]\.)?[0-9A-Za-z_-]{30,}"),
    _format("a Google OAuth refresh token", "1//0", r"1//0[0-9A-Za-z_-]{38,}"),
    _format("a Google OAuth client secret", "GOCSPX-", r"GOCSPX-[0-9A-Za-z_-]{20,}"),
    _format("a GitHub token", "gh", r"gh[opsur]_[A-Za-z0-9]{36,}"),
    _format("a GitHub token", "github_pat_", r"github_pat_[A-Za-z0-9_]{60,}"),
    _format("an API key", "sk-", r"sk-(?:proj-|ant-|svcacct-|live-)?[A-Za-z0-9_-]{40,}"),
    _format("an AWS access key id", "AKIA", r"AKIA[0-9A-Z]{16}"),
    _format("a Slack token", "xox", r"xox[abeoprs]-[0-9A-Za-z-]{20,}"),
    _format("a signing secret of a webhook", "whsec_", r"whsec_[A-Za-z0-9+/_-]{20,}={0,2}"),
    _format(
        "a JSON web token",
        "eyJ",
        r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{20,}",
    ),
    _format(
        "a private key",
        "PRIVATE KEY",
        r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----",
        "private_key",
        embedded=True,
        rest="[^-]*",
    ),
    _format(
        "a service account",
        ".iam.gserviceaccount.com",
        r"[a-z0-9-]+@[a-z0-9.-]+\.iam\.gserviceaccount\.com",
        "account_identifier",
    ),
    _format(
        "a project number",
        "projects/",
        r"(?<=projects/)[0-9]{9,14}(?![0-9A-Za-z])",
        "account_identifier",
        embedded=True,
    ),
)

_ACCOUNT_HEADERS = frozenset(("x-goog-user-project",))
_SCHEME = re.compile(r"(?:bearer|basic|token|digest|negotiate)\s+", re.IGNORECASE)
_EMAIL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._%+-]*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}")
_PARAMETER = re.compile(r"[?&]([^=&#]+)=([^&#]*)")
_USER_INFO = re.compile(r"://([^/?#@]+)@")
_PLACEHOLDER = re.compile(
    r"redact|dummy|fake|filtered|hidden|masked|placeholder|example|anything|no-key|not-a-"
    r"|x{4,}|\*{3,}|^<.*>$|^\$?\{.*\}$|^\[.*\]$|^test",
    re.IGNORECASE,
)


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
    for _, known in FORMATS:
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
            yield from _search_text(
                body if isinstance(body, str) else to_text(body), f"{part} body"
            )
    rest = (recording.reason, recording.broken or "", _as_text(recording.extra or ""))
    for text in rest:
        yield from _search_text(text, "response")


def _search_uri(uri: str) -> Iterator[_FoundSecret]:
    location = "request URL"
    for match in _USER_INFO.finditer(uri):
        if not _PLACEHOLDER.search(match[1]):
            yield _FoundSecret("secret_in_url", "a user name or password", location, match[1])
    for name, value in _PARAMETER.findall(uri):
        name, value = unquote(name), unquote(value)
        if name.lower() in KEY_PARAMETERS and _is_secret(value):
            yield _FoundSecret("secret_in_url", f"the parameter {name!r}", location, value)
    yield from _search_text(uri, location)


def _search_header(name: str, value: str, part: str) -> Iterator[_FoundSecret]:
    name = name.lower()
    location = f"{part} header {name}"
    if name in CREDENTIAL_HEADERS:
        secret = _SCHEME.sub("", value.strip(), count=1)
        if _is_secret(secret):
            yield _FoundSecret("secret_header", "a credential", location, secret)
    elif name in COOKIE_HEADERS:
        cookie = value.partition(";")[0].strip()
        if _is_secret(cookie.partition("=")[2] or cookie):
            yield _FoundSecret("cookie", "a cookie", location, cookie)
    elif name in _ACCOUNT_HEADERS:
        if value.strip() and not _PLACEHOLDER.search(value):
            yield _FoundSecret("account_identifier", "a project", location, value.strip())
    else:
        yield from _search_text(value, location)
        for match in _EMAIL.finditer(value) if "@" in value else ():
            yield _FoundSecret("email_in_header", "an email address", location, match[0])


def _search_text(text: str, location: str) -> Iterator[_FoundSecret]:
    for code, known in FORMATS:
        if known.marker in text:
            for match in known.find.finditer(text):
                if not _PLACEHOLDER.search(match[0]):
                    yield _FoundSecret(code, known.description, location, match[0])


def _is_secret(value: str) -> bool:
    return len(value.strip()) >= 8 and not _PLACEHOLDER.search(value.strip())


def _as_text(value: JSON) -> str:
    """Return a value from YAML, which may not be JSON, as one text to search."""
    try:
        return dumps(value)
    except (TypeError, ValueError, RecursionError):
        return str(value)
