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
    SECRET_RESPONSE_HEADERS,
)

TOKEN = "REDACTED"  # noqa: S105 - the replacement, not a secret
SHORTEST = 8
REQUEST_HEADERS = frozenset(("content-type",))
_RESPONSE_HEADERS = re.compile(
    "|".join(
        (
            "location|link|refresh|operation-location|azure-asyncoperation",
            "content-(?:type|length|disposition|language|location|range|md5|digest)|digest",
            "repr-digest|accept-ranges|allow|etag|last-modified",
            "retry-after(?:-ms)?|(?:x-)?rate-?limit-.*|(?:www|proxy)-authenticate",
            "(?:x-)?(?:next|prev|previous|first|last|total|page|per-page|pagination)(?:-.*)?",
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
_PARAMETER = re.compile(r"""([?&])([^=&#\s<>;,"']+)=([^&#\s<>;,"']+)""")
_USER_INFO = re.compile(r"(?<=://)[^/?#@\s]*@")


def is_recorded(name: str) -> bool:
    """Return whether a header of a response is recorded; ``name`` is in lower case."""
    return _RESPONSE_HEADERS.fullmatch(name) is not None


def body_headers(method: str, headers: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return the headers of a response whose body is recorded without its codings."""
    dropped = _TRANSFER_HEADERS - ({"content-length"} if method == "HEAD" else set())
    return {name: list(values) for name, values in headers.items() if name not in dropped}


def secrets_in_header(name: str, value: str) -> Iterator[str]:
    """Yield the credentials in a header of a request or response; ``name`` is in lower case.

    Of cookies only values that look random are: a cookie may as well store a language.
    """
    if name in CREDENTIAL_HEADERS:
        yield value.rpartition(" ")[2]
    elif name == "cookie":
        yield from filter(_is_random, _COOKIE_PAIR.findall(value))
    elif name == "set-cookie":
        yield from filter(_is_random, _COOKIE.findall(value)[:1])
    elif name in SECRET_RESPONSE_HEADERS:
        yield value


def redact_header(name: str, value: str) -> str:
    """Return a header of a response without the secrets that its own form shows."""
    for secret in secrets_in_header(name, value):
        value = value.replace(secret, TOKEN) if secret else value
    if name == "set-cookie":
        return _EXPIRY.sub("", value)
    return _PARAMETER.sub(_redact_parameter, _USER_INFO.sub("", value))


def _redact_parameter(match: re.Match[str]) -> str:
    is_key = unquote(match[2]).lower() in KEY_PARAMETERS
    return f"{match[1]}{match[2]}={TOKEN}" if is_key else match[0]


def _is_random(value: str) -> bool:
    return len(value) >= SHORTEST and (len(value) >= 20 or any(map(str.isdigit, value)))
