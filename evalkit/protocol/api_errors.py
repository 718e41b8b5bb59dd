"""Error responses of the API, from any body, as one value.

Two shapes are in use (docs/protocol.md section 7), and a proxy may send anything:

* the API's own: ``{"error": {"code": "invalid_request", "message": …}}``
* the gateway's: ``{"error": {"code": 400, "message": …, "status": "INVALID_ARGUMENT"}}``, sometimes
  inside a list
* an HTML page, plain text, or nothing.

Nothing here raises or decides about a retry.
"""

import re
from html import unescape
from http import HTTPStatus
from typing import NamedTuple

from evalkit._lib.json import JSON, loads
from evalkit._lib.text import shorten

_TITLE = re.compile(r"(?is)<(title|h1)[^>]*>(.*?)</\1\s*>")
_TAGS = re.compile(r"(?is)<(style|script)\b.*?</\1\s*>|<[^>]*>")
_HTML_START = re.compile(r"(?i)\s*(<!doctype|<html|<head|<body|<title)")


class ApiError(NamedTuple):
    """An error of the API.

    ``code`` is the API's word, else the gateway's number as text, else the HTTP status as text.
    """

    status: int
    code: str
    message: str
    body: JSON = None

    def to_json(self) -> dict[str, JSON]:
        """Return the error as result lines contain it."""
        return {"status": self.status, "code": self.code, "message": self.message}


def read_error(status: int, text: str) -> ApiError:
    """Read the body of an HTTP error; its ``body`` is None if the text is not JSON."""
    try:
        body = loads(text)
    except (ValueError, RecursionError):
        return ApiError(status, str(status), _plain_message(status, text))
    return error_of(status, body)


def error_of(status: int, body: JSON) -> ApiError:
    """Read an error from a JSON body, an ``error`` event of a stream, or an error object."""
    error = body[0] if isinstance(body, list) and body else body
    if isinstance(error, dict):
        error = error.get("error", error)
    if isinstance(error, str) and error:
        return ApiError(status, str(status), error, body)
    code, message = str(status), _reason(status)
    if isinstance(error, dict):
        codes = [error.get("code"), error.get("status")]
        code = next((str(value) for value in codes if _is_code(value)), code)
        if isinstance(error.get("message"), str):
            message = error["message"] or message
    return ApiError(status, code, message, body)


def _is_code(value: JSON) -> bool:
    if isinstance(value, str):
        return bool(value)
    return isinstance(value, int) and not isinstance(value, bool)


def _plain_message(status: int, text: str) -> str:
    if _HTML_START.match(text):
        title = _TITLE.search(text)
        text = unescape(_TAGS.sub(" ", title[2] if title else text))
    return shorten(" ".join(text.split()), 200) or _reason(status)


def _reason(status: int) -> str:
    try:
        return f"HTTP {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"HTTP {status}"
