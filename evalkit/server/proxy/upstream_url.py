"""The URL that a request is forwarded to: below the configured base URL, or none. Pure.

The path of a request is forwarded as it was spelled, and servers differ in what they decode,
normalize and remove. So a path is refused if any reading of it leaves the base URL.
"""

import re
import unicodedata
from urllib.parse import unquote

import httpx

from evalkit._lib.text import quoted
from evalkit.server.requests.error_response import ErrorResponse, bad_request

_PATH = re.compile(r"/(?:[^%#\\\x00-\x20\x7f-\U0010ffff]|%[0-9A-Fa-f]{2})*")
_MAX_ENCODINGS = 4
"""How often a path may be percent-encoded; nothing encodes one more often by accident."""


def upstream_url(base: str, path: str, query: str = "") -> str:
    """Return the URL of ``base`` with a path and query as they were received.

    Raises ErrorResponse (400) for a path that is not one, or may lead out of ``base``.
    """
    if problem := _problem(path):
        raise _refusal(path, problem)
    url = base + path + (f"?{query}" if query else "")
    try:
        built, expected = httpx.URL(url), httpx.URL(base)
    except httpx.InvalidURL as error:
        raise _refusal(path, str(error)) from None
    prefix = expected.raw_path.rstrip(b"/") + b"/"
    is_below = _origin(built) == _origin(expected) and built.raw_path.startswith(prefix)
    if not is_below or built.userinfo or built.fragment:
        raise _refusal(path, "it does not lead below the upstream's URL")
    return url


def _problem(path: str) -> str:
    """Return what makes a path unfit to be forwarded, or ""."""
    if not path.startswith("/"):
        return "it must begin with a slash"
    if not _PATH.fullmatch(path):
        return "it contains a character that must be percent-encoded, or an invalid encoding"
    try:
        readings = [path]
        while (decoded := unquote(readings[-1], errors="strict")) != readings[-1]:
            readings.append(decoded)
            if len(readings) > _MAX_ENCODINGS + 1:
                return f"it is percent-encoded more than {_MAX_ENCODINGS} times"
    except UnicodeDecodeError:
        return "it is not UTF-8"
    # Letters such as U+FF0E are dots to servers that normalize.
    text = unicodedata.normalize("NFKC", readings[-1])
    if "\\" in text or any(unicodedata.category(character) == "Cc" for character in text):
        return "it contains a backslash or a control character"
    # Servers with path parameters read ``..;x`` as ``..``.
    if any(part.partition(";")[0].strip() in (".", "..") for part in text.split("/")):
        return "it contains a dot segment"
    return ""


def _refusal(path: str, problem: str) -> ErrorResponse:
    return bad_request(f"The path {quoted(path)} is not forwarded: {problem}.")


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port
