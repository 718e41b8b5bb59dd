"""Topic ``secrets``: credentials and accounts in what was recorded. A finding never repeats one: it tells its first four characters and length.

By form only: a key of a known make, a header or a URL parameter that is made for one. Nothing is guessed from entropy, for thought
signatures, ids and media are random too, and a token's form must stand alone: inside a longer run of base64 it is none. Values that say of
themselves that they stand in a secret's place (``REDACTED``, ``<key>``, ``dummy``) are none either. E-mail addresses count in headers only;
in texts they are what people talk about.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import unquote

from evalkit._lib.json import JSON, dumps
from evalkit._lib.text import plural
from evalkit.cassette.recording import Recording
from evalkit.cassette.yaml_scalars import to_text
from evalkit.lint.findings import Found
from evalkit.lint.tape import Tape
from evalkit.protocol.wire_facts import COOKIE_HEADERS, CREDENTIAL_HEADERS, KEY_PARAMETERS
from evalkit.transcript import Exchange


class Form(NamedTuple):
    """One form of a secret: what it is, the code it is told under, a text that every one of them holds, and the pattern.

    ``pattern`` finds it standing alone; ``anywhere`` also inside a longer run of its characters, and to its end: what has to be hidden.
    """

    name: str
    code: str
    mark: str
    pattern: re.Pattern[str]
    anywhere: re.Pattern[str]


def _form(
    name: str,
    mark: str,
    pattern: str,
    code: str = "secret_token",
    *,
    alone: bool = True,
    rest: str = "",
) -> Form:
    anywhere = re.compile(pattern + rest)
    return Form(
        name,
        code,
        mark,
        re.compile(rf"(?<![A-Za-z0-9_+/-]){pattern}(?![A-Za-z0-9_+/-])")
        if alone
        else re.compile(pattern),
        anywhere,
    )


FORMS: tuple[Form, ...] = (
    _form("a Google API key", "AIza", r"AIza[0-9A-Za-z_-]{35}"),
    _form("a Google API key", "AQ.", r"AQ\.[A-Za-z0-9_-]{40,80}"),
    _form("a Google OAuth access token", "ya29.", r"ya29\.(?:[a-z]\.)?[0-9A-Za-z_-]{30,}"),
    _form("a Google OAuth refresh token", "1//0", r"1//0[0-9A-Za-z_-]{38,}"),
    _form("a Google OAuth client secret", "GOCSPX-", r"GOCSPX-[0-9A-Za-z_-]{20,}"),
    _form("a GitHub token", "gh", r"gh[opsur]_[A-Za-z0-9]{36,}"),
    _form("a GitHub token", "github_pat_", r"github_pat_[A-Za-z0-9_]{60,}"),
    _form("an API key", "sk-", r"sk-(?:proj-|ant-|svcacct-|live-)?[A-Za-z0-9_-]{40,}"),
    _form("an AWS access key id", "AKIA", r"AKIA[0-9A-Z]{16}"),
    _form("a Slack token", "xox", r"xox[abeoprs]-[0-9A-Za-z-]{20,}"),
    _form("a webhook's signing secret", "whsec_", r"whsec_[A-Za-z0-9+/_-]{20,}={0,2}"),
    _form(
        "a JSON web token",
        "eyJ",
        r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{20,}",
    ),
    _form(
        "a private key",
        "PRIVATE KEY",
        r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----",
        "private_key",
        alone=False,
        rest="[^-]*",
    ),
    _form(
        "a service account",
        ".iam.gserviceaccount.com",
        r"[a-z0-9-]+@[a-z0-9.-]+\.iam\.gserviceaccount\.com",
        "account_identifier",
    ),
    _form(
        "a project number",
        "projects/",
        r"(?<=projects/)[0-9]{9,14}(?![0-9A-Za-z])",
        "account_identifier",
        alone=False,
    ),
)

_ACCOUNTS = frozenset(("x-goog-user-project",))
_SCHEME = re.compile(r"(?:bearer|basic|token|digest|negotiate)\s+", re.IGNORECASE)
_EMAIL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._%+-]*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}")
_PARAMETER = re.compile(r"[?&]([^=&#]+)=([^&#]*)")
_USER = re.compile(r"://([^/?#@]+)@")
_STAND_IN = re.compile(
    r"redact|dummy|fake|filtered|hidden|masked|placeholder|example|anything|no-key|not-a-|x{4,}|\*{3,}|^<.*>$|^\$?\{.*\}$|^\[.*\]$|^test",
    re.IGNORECASE,
)


def secrets(tape: Tape) -> Iterator[Found]:
    """Yield every credential and account of a cassette, each once for a kind of place, with how many recordings have it there."""
    places: dict[_Seen, list[int]] = {}
    for number, recording in enumerate(tape.recordings, 1):
        for seen in _in_recording(recording):
            places.setdefault(seen, []).append(number)
    for exchange in tape.api:
        if exchange.events is not None:
            # A model that repeats a key in a stream spreads it over events: only assembled it can be seen.
            for seen in _in_text(_assembled(exchange), "response body"):
                places.setdefault(seen, []).append(exchange.number)
    for seen in dict.fromkeys(_in_text(_flat(tape.cassette.metadata), "metadata")):
        yield _told(seen, [])
    for seen, numbers in places.items():
        yield _told(seen, sorted(set(numbers)))


def mask(text: str) -> str:
    """Return a text with every secret of a known form replaced by its fingerprint: what other rules quote must not tell it either."""
    for form in FORMS:
        if form.mark in text:
            text = form.anywhere.sub(lambda found: fingerprint(found[0]), text)
    return text


def masked(value: JSON) -> JSON:
    """Return a JSON value with its strings masked."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {mask(key): masked(item) for key, item in value.items()}
    return [masked(item) for item in value] if isinstance(value, list) else value


def fingerprint(secret: str) -> str:
    """Return what may be told of a secret: its first four characters and its length."""
    return f"{secret[:4]}… ({len(secret)} characters)"


class _Seen(NamedTuple):
    code: str
    what: str
    part: str
    secret: str


def _told(seen: _Seen, numbers: list[int]) -> Found:
    code, what, part, secret = seen
    many = f" ({plural(len(numbers), 'recording')})" if len(numbers) > 1 else ""
    exchange = numbers[0] if numbers else None
    return Found(
        code,
        f"{what} stands in the {part}{many}",
        exchange,
        part.partition(" ")[0],
        None,
        got=fingerprint(secret),
    )


def _flat(value: JSON) -> str:
    """Return what YAML may hold as one text to search."""
    try:
        return dumps(value)
    except (TypeError, ValueError, RecursionError):
        return str(value)


def _in_recording(recording: Recording) -> Iterator[_Seen]:
    yield from _in_uri(recording.uri)
    for part, headers, body in (
        ("request", recording.request_headers, recording.request_body),
        ("response", recording.response_headers, recording.body),
    ):
        for name, values in headers.items():
            for value in values:
                yield from _in_header(str(name), value, part)
        if body:
            yield from _in_text(body if isinstance(body, str) else to_text(body), f"{part} body")
    yield from _in_text(recording.reason, "response")
    if recording.broken:
        yield from _in_text(recording.broken, "response")
    if recording.extra:
        yield from _in_text(_flat(recording.extra), "response")


def _in_uri(uri: str) -> Iterator[_Seen]:
    for found in _USER.finditer(uri):
        if not _STAND_IN.search(found[1]):
            yield _Seen("secret_in_url", "a user's name or password", "request URL", found[1])
    for name, value in _PARAMETER.findall(uri):
        if unquote(name).lower() in KEY_PARAMETERS and _is_secret(unquote(value)):
            yield _Seen(
                "secret_in_url", f"the parameter {unquote(name)!r}", "request URL", unquote(value)
            )
    yield from _in_text(uri, "request URL")


def _in_header(name: str, value: str, part: str) -> Iterator[_Seen]:
    lower = name.lower()
    where = f"{part} header {lower}"
    if lower in CREDENTIAL_HEADERS:
        bare = _SCHEME.sub("", value.strip(), count=1)
        if _is_secret(bare):
            yield _Seen("secret_header", "a credential", where, bare)
    elif lower in COOKIE_HEADERS:
        bare = value.partition(";")[0].strip()
        if _is_secret(bare.partition("=")[2] or bare):
            yield _Seen("cookie", "a cookie", where, bare)
    elif lower in _ACCOUNTS:
        if value.strip() and not _STAND_IN.search(value):
            yield _Seen("account_identifier", "a project", where, value.strip())
    else:
        yield from _in_text(value, where)
        for found in _EMAIL.finditer(value) if "@" in value else ():
            yield _Seen("email_in_header", "an e-mail address", where, found[0])


def _is_secret(value: str) -> bool:
    return len(value.strip()) >= 8 and not _STAND_IN.search(value.strip())


def _in_text(text: str, part: str) -> Iterator[_Seen]:
    for form in FORMS:
        if form.mark in text:
            for found in form.pattern.finditer(text):
                if not _STAND_IN.search(found[0]):
                    yield _Seen(form.code, form.name, part, found[0])


def _assembled(exchange: Exchange) -> str:
    return dumps(exchange.interaction) if exchange.interaction is not None else ""
