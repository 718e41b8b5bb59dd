"""Which headers of a response are recorded, and what of them is secret. Pure.

An unknown header is left out, because it may contain a credential. Recorded is what a client acts
on: where to go next (redirects, pages, uploads, operations), what the body is, when to try again,
which session and which cookies to send, and the names by which a support team finds a request.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote, unquote

from evalkit.cassette.secret_names import TOKEN, is_secret_field
from evalkit.cassette.secret_texts import redact_challenge
from evalkit.protocol.wire_facts import (
    CHALLENGE_HEADERS,
    CREDENTIAL_HEADERS,
    KEY_PARAMETERS,
    OAUTH_ANSWER,
    OAUTH_CODE,
    SECRET_RESPONSE_HEADERS,
)

REQUEST_HEADERS = frozenset(("content-type",))
_RESPONSE_HEADERS = re.compile(
    "|".join(
        (
            "location|link|refresh|operation-location|azure-asyncoperation",
            "content-(?:type|length|disposition|language|location|range|md5|digest)|digest",
            "repr-digest|accept-ranges|range|allow|etag|last-modified",
            "retry-after(?:-ms)?|(?:.*-)?rate-?limit(?:-.*)?|(?:www|proxy)-authenticate",
            "(?:x-)?(?:ms-)?(?:next|prev|previous|first|last|total|count|page|per-page|pagination"
            "|cursor|offset|continuation|has)(?:-.*)?",
            "x-amzn-(?:errortype|query-error)|x-ms-error-code|grpc-(?:status|message)",
            "x-goog-(?:upload-.*|hash|generation|metageneration|stored-.*)",
            ".*request-?id|.*(?:correlation|trace)-id|deprecation|sunset|mcp-protocol-version",
            "upload-(?:offset|length|expires|metadata)|tus-.*",
            *SECRET_RESPONSE_HEADERS,
        )
    )
)
# They describe how a body was sent; recorded is the body. A response to HEAD has only these.
_TRANSFER_HEADERS = frozenset(("content-encoding", "content-length", "transfer-encoding"))
# Some clients join the headers of several cookies; a date has a comma, too.
_NEXT_COOKIE = re.compile(r",\s*(?=[^\s,;=]+=)")
_COOKIE_PAIR = re.compile(r'(?:^|;)\s*[^=;\s]+="?([^;"]*)')
# A cassette outlives the cookies in it. Servers delete cookies with a date long ago.
_EXPIRY = re.compile(r";\s*expires=(?![^;]*\b(?:19|200)\d)[^;]*", re.IGNORECASE)
_PARAMETER = re.compile(r"""([?&#;])([^=&#\s<>;,"']+)=([^&#\s<>;,"']*)""")
_TOKEN_IN_PATH = re.compile(r"(?<=/auth_tokens/)[^/?#:\s]+")
_FLAG = re.compile(r"(?:[A-Za-z-]{0,7}|[01])")
_USER_INFO = re.compile(r"(?<=://)[^/?#@\s]*@")


def is_recorded(name: str) -> bool:
    """Return whether a header of a response is recorded; ``name`` is in lower case."""
    return _RESPONSE_HEADERS.fullmatch(name) is not None


def body_headers(method: str, headers: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return the headers of a response whose body is recorded without its codings."""
    dropped = _TRANSFER_HEADERS - ({"content-length"} if method == "HEAD" else set())
    return {name: list(values) for name, values in headers.items() if name.lower() not in dropped}


def secrets_in_header(name: str, value: str) -> Iterator[str]:
    """Yield the credentials in a header of a request or response; ``name`` is in lower case.

    Of cookies all values are but the shortest: a cookie may as well store a language.
    """
    if name in CREDENTIAL_HEADERS or is_secret_field(name, value):
        yield value.rpartition(" ")[2]
    elif name in CHALLENGE_HEADERS:
        yield from redact_challenge(value)[1]
    elif name == "cookie":
        yield from filter(_is_secret_cookie, _COOKIE_PAIR.findall(value))
    elif name == "set-cookie":
        values = (cookie.partition("=")[2].strip('"') for cookie in set_cookies(value))
        yield from filter(_is_secret_cookie, values)
    elif name in SECRET_RESPONSE_HEADERS:
        yield value


def set_cookies(value: str) -> list[str]:
    """Return the cookies of a ``set-cookie`` header, each ``name=value`` without its attributes."""
    return [cookie.partition(";")[0].strip() for cookie in _NEXT_COOKIE.split(value)]


def redact_header(name: str, value: str) -> str:
    """Return a header of a response without the secrets that its own form shows."""
    for secret in secrets_in_header(name, value):
        value = value.replace(secret, TOKEN) if secret else value
    if name == "set-cookie":
        return _EXPIRY.sub("", value)
    return redact_parameters(_USER_INFO.sub("", value))


def redact_path(path: str) -> str:
    """Return a path without the token that it names (docs/protocol.md section 12)."""
    return _TOKEN_IN_PATH.sub(TOKEN, path)


def redact_parameters(text: str) -> str:
    """Return a URL, or a text with URLs, without tokens and the values of key parameters."""
    is_oauth = f"{OAUTH_ANSWER}=" in text

    def redact(match: re.Match[str]) -> str:
        name = unquote(match[2]).lower()
        is_key = _is_key(name, match[3]) or (is_oauth and name == OAUTH_CODE)
        value = TOKEN if is_key else match[3]
        if "%3D" in value.upper():
            # An address may be a parameter of another one.
            inner = unquote(value)
            clean = redact_parameters(inner)
            value = quote(clean, safe="") if clean != inner else value
        return f"{match[1]}{match[2]}={value}"

    return _PARAMETER.sub(redact, redact_path(text))


def keys_in_query(uri: str) -> Iterator[str]:
    """Yield the values of key parameters of a URL, its password, and the token in its path."""
    yield from map(unquote, _TOKEN_IN_PATH.findall(uri))
    for match in _PARAMETER.finditer(uri):
        if _is_key(unquote(match[2]).lower(), match[3]):
            yield unquote(match[3])
        elif "%3D" in match[3].upper():
            yield from keys_in_query(unquote(match[3]))
    for match in _USER_INFO.finditer(uri):
        yield unquote(match[0][:-1].partition(":")[2])


def _is_key(name: str, value: str) -> bool:
    return name in KEY_PARAMETERS or is_secret_field(name, unquote(value))


def _is_secret_cookie(value: str) -> bool:
    return _FLAG.fullmatch(value) is None
