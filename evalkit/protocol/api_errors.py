"""Reading what the API says when it refuses: status and body in, one value out.

Two shapes are in use (protocol section 7), and whatever a proxy between may answer:

* the API's own: ``{"error": {"code": "invalid_request", "message": …}}``
* the gateway's: ``{"error": {"code": 400, "message": …, "status": "INVALID_ARGUMENT", "details": […]}}``, at times inside a list
* an HTML page, plain text, or nothing at all.

Nothing here decides whether to retry, raises, or shortens for a terminal: that is the transport's, the conversation's and the report's.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from evalkit._lib.json import JSON, loads
from evalkit._lib.text import shorten

_TITLE = r"(?is)<(title|h1)[^>]*>(.*?)</\1\s*>"
_TAGS = r"(?is)<(style|script)\b.*?</\1\s*>|<[^>]*>"
_LOOKS_LIKE_HTML = r"(?i)\s*(<!doctype|<html|<head|<body|<title)"


class ApiErrorData(NamedTuple):
    """An error as the API gave it. ``code`` is its string, the gateway's number as text, or the HTTP status as text where it gave none."""

    status: int
    code: str
    message: str
    body: JSON = None


def read_error(status: int, text: str) -> ApiErrorData:
    """Read an HTTP error's body, whatever it is; ``body`` is its JSON value, None where it is not JSON. Never raises."""
    try:
        body = loads(text)
    except (ValueError, RecursionError):
        return ApiErrorData(status, str(status), _plain(status, text))
    return error_of(status, body)


def error_of(status: int, body: JSON) -> ApiErrorData:
    """Read an error from a JSON value: an HTTP body, an ``error`` event of a stream, or the error object alone."""
    inner = body[0] if isinstance(body, list) and body else body
    inner = inner.get("error", inner) if isinstance(inner, dict) else inner
    if isinstance(inner, str) and inner:
        return ApiErrorData(status, str(status), inner, body)
    if not isinstance(inner, dict):
        return ApiErrorData(status, str(status), _reason(status), body)
    return ApiErrorData(status, _code(inner, status), _message(inner, status), body)


def run_errors(interaction: dict[str, JSON]) -> list[ApiErrorData]:
    """List why a run failed: the field ``errors``, and ``error`` as the guide reads it (protocol section 10, row 9). Status is 200."""
    listed = interaction.get("errors")
    found = [error_of(200, item) for item in listed if item] if isinstance(listed, list) else []
    single = interaction.get("error")
    if single:
        first = error_of(200, single)
        if not any((first.code, first.message) == (other.code, other.message) for other in found):
            found.insert(0, first)
    return found


def _code(error: dict[str, JSON], status: int) -> str:
    for key in ("code", "status"):
        value = error.get(key)
        if (isinstance(value, str) and value) or (
            isinstance(value, int) and not isinstance(value, bool)
        ):
            return str(value)
    return str(status)


def _message(error: dict[str, JSON], status: int) -> str:
    message = error.get("message")
    return message if isinstance(message, str) and message else _reason(status)


def _plain(status: int, text: str) -> str:
    if re.match(_LOOKS_LIKE_HTML, text):
        from html import unescape

        title = re.search(_TITLE, text)
        text = unescape(re.sub(_TAGS, " ", title[2] if title else text))
    return shorten(" ".join(text.split()), 200) or _reason(status)


def _reason(status: int) -> str:
    from http import HTTPStatus

    try:
        return f"HTTP {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"HTTP {status}"
