"""Which headers of a response are recorded, and what of them is secret. Pure.

An unknown header is left out, because it may contain a credential. Recorded is what a client acts
on: where to go next (redirects, pages, uploads, operations), what the body is, when to try again,
which session and which cookies to send, and the names by which a support team finds a request.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import unquote

from evalkit.protocol.wire_facts import (
    CREDENTIAL_HEADERS,
    KEY_PARAMETERS,
    OAUTH_ANSWER,
    OAUTH_CODE,
    SECRET_RESPONSE_HEADERS,
)

TOKEN = "REDACTED"  # noqa: S105 - the replacement, not a secret
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
_COOKIE = re.compile(r'\s*[^=;\s]+="?([^;"]*)')
_COOKIE_PAIR = re.compile(r'(?:^|;)\s*[^=;\s]+="?([^;"]*)')
# A cassette outlives the cookies in it. Servers delete cookies with a date long ago.
_EXPIRY = re.compile(r";\s*expires=(?![^;]*\b(?:19|200)\d)[^;]*", re.IGNORECASE)
_PARAMETER = re.compile(r"""([?&#])([^=&#\s<>;,"']+)=([^&#\s<>;,"']*)""")
_TOKEN_IN_PATH = re.compile(r"(?<=/auth_tokens/)[^/?#:\s]+")
_FLAG = re.compile(r"(?:[A-Za-z-]{0,7}|[01])")
_RUN = re.compile(r"(?=[a-z]*[0-9])[a-z0-9]{16,}|[0-9a-f]{8}-[0-9a-f-]{27}")
_MEDIA_TYPE = re.compile(r"[a-z]+/")
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
    if name in CREDENTIAL_HEADERS:
        yield value.rpartition(" ")[2]
    elif name == "cookie":
        yield from filter(_is_secret_cookie, _COOKIE_PAIR.findall(value))
    elif name == "set-cookie":
        yield from filter(_is_secret_cookie, _COOKIE.findall(value)[:1])
    elif name in SECRET_RESPONSE_HEADERS:
        yield value


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
        is_key = name in KEY_PARAMETERS or (is_oauth and name == OAUTH_CODE)
        return f"{match[1]}{match[2]}={TOKEN}" if is_key else match[0]

    return _PARAMETER.sub(redact, redact_path(text))


def keys_in_query(uri: str) -> Iterator[str]:
    """Yield the values of key parameters of a URL, its password, and the token in its path."""
    yield from map(unquote, _TOKEN_IN_PATH.findall(uri))
    for match in _PARAMETER.finditer(uri):
        if unquote(match[2]).lower() in KEY_PARAMETERS:
            yield unquote(match[3])
    for match in _USER_INFO.finditer(uri):
        yield unquote(match[0][:-1].partition(":")[2])


def looks_random(value: str) -> bool:
    """Return whether a value of a secret field is so random that it is nothing else elsewhere.

    The value of a field may be a media type, a region or a date, too.
    """
    if len(value) < 16 or any(map(str.isspace, value)) or "://" in value:
        return False
    if _MEDIA_TYPE.match(value):
        return False
    kinds = (str.isupper, str.islower, str.isdigit)
    return all(any(map(kind, value)) for kind in kinds) or _RUN.search(value) is not None


def _is_secret_cookie(value: str) -> bool:
    return _FLAG.fullmatch(value) is None
