"""Error responses of the API, from any body, as one value.

Two shapes are in use (docs/protocol.md section 7), and a proxy may send anything:

* the API's own: ``{"error": {"code": "invalid_request", "message": …}}``
* the gateway's: ``{"error": {"code": 400, "message": …, "status": "INVALID_ARGUMENT"}}``, sometimes
  inside a list; its word is the code that people mean
* an HTML page, plain text, or nothing.

An error inside of a successful response (an event of a stream, a run that failed, an output with an
``error``) has the same fields. Nothing here raises.
"""

import re
from collections.abc import Iterator, Mapping
from html import unescape
from http import HTTPStatus
from typing import NamedTuple

from evalkit._lib.json import JSON, loads
from evalkit._lib.text import shorten
from evalkit.protocol.step_reader import steps_of, type_of
from evalkit.protocol.wire_facts import FAULTS, STATUS_WORDS

_TITLE = re.compile(r"(?is)<(title|h1)[^>]*>(.*?)</\1\s*>")
_TAGS = re.compile(r"(?is)<(style|script)\b.*?</\1\s*>|<[^>]*>")
_NUMBER = re.compile(r"[0-9]{1,4}")
_HTML_START = re.compile(r"(?i)\s*(<!doctype|<html|<head|<body|<title)")


class ApiError(NamedTuple):
    """An error of the API.

    ``status`` is the HTTP status; an error inside of a successful response has that of its number,
    where it names one. ``code`` is the API's or the gateway's word, else its number as text, else
    the HTTP status as text.
    """

    status: int
    code: str
    message: str
    body: JSON = None

    @property
    def label(self) -> str:
        """The status and the code, each once and only where it says something."""
        code = shorten(self.code, 60)
        return code if self.status < 400 or code == str(self.status) else f"{self.status} {code}"

    @property
    def advice(self) -> str | None:
        """What to do about an error that says nothing about the model, None for any other.

        This is the fault table of ``wire_facts``, applied.
        """
        words = {self.code.lower(), *(reason.lower() for reason in _reasons(self.body))}
        for row in FAULTS:
            if not words.isdisjoint(row.words):
                return row.advice
        for row in FAULTS:
            if row.message and re.search(row.message, self.message):
                return row.advice
        numbers = {self.status, int(self.code) if _NUMBER.fullmatch(self.code) else 0}
        for row in FAULTS:
            if not numbers.isdisjoint(row.numbers):
                return row.advice
        return FAULTS[-1].advice if max(numbers) >= 500 else None

    @property
    def retry_delay(self) -> float | None:
        """Seconds to wait before a retry, as ``google.rpc.RetryInfo`` in the details says."""
        for detail in _details(self.body):
            found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]+)?)s", str(detail.get("retryDelay")))
            if found:
                return float(found[1])
        return None

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
    """Read an error from a JSON body, an ``error`` event of a stream, or an error object.

    Words are preferred to numbers. Inside of a successful response an error without a code has the
    code ``error``, one without any reason ``unknown``.
    """
    error = _error_object(body)
    if isinstance(error, str):
        error = {"message": error}
    fields: dict[str, JSON] = error if isinstance(error, dict) else {}
    values = fields.get("code"), fields.get("status")
    codes = [str(value) for value in values if value and type(value) in (str, int)]
    number = next((int(code) for code in codes if _NUMBER.fullmatch(code)), None)
    if number is not None and number < len(STATUS_WORDS):
        codes.append(STATUS_WORDS[number])
    elif number is not None and status < 400 <= number < 600:
        status = number
    codes.sort(key=lambda code: _NUMBER.fullmatch(code) is not None)
    message = fields.get("message")
    message = message if isinstance(message, str) else ""
    if not codes:
        codes = [str(status) if status >= 400 else "error" if message else "unknown"]
    return ApiError(status, codes[0], message or _reason(status), body)


def errors_of_run(interaction: Mapping[str, JSON]) -> list[ApiError]:
    """Return the errors that an interaction lists for itself and its outputs.

    A run that was completed lists diagnostics in ``errors``; they did not end it.
    """
    listed: list[JSON] = []
    if interaction.get("status") != "completed":
        errors = interaction.get("errors")
        listed += errors if isinstance(errors, list) else []
        listed.append(interaction.get("error"))
    steps = steps_of(interaction)
    listed += [step.get("error") for step in steps if type_of(step) == "model_output"]
    return [error_of(0, item) for item in listed if item]


def find_error(value: JSON) -> dict[str, JSON] | None:
    """Return the error body in a JSON value: ``{"error": …}``, alone or in a list."""
    items = value if isinstance(value, list) else [value]
    return next((item for item in items if isinstance(item, dict) and "error" in item), None)


def _error_object(body: JSON) -> JSON:
    found = find_error(body)
    if found is not None:
        return found["error"]
    return body[0] if isinstance(body, list) and body else body


def _details(body: JSON) -> list[dict[str, JSON]]:
    error = _error_object(body)
    details = error.get("details") if isinstance(error, dict) else None
    items = details if isinstance(details, list) else []
    return [item for item in items if isinstance(item, dict)]


def _reasons(body: JSON) -> Iterator[str]:
    return (detail["reason"] for detail in _details(body) if isinstance(detail.get("reason"), str))


def _plain_message(status: int, text: str) -> str:
    if _HTML_START.match(text):
        title = _TITLE.search(text)
        text = unescape(_TAGS.sub(" ", title[2] if title else text))
    return shorten(" ".join(text.split()), 200) or _reason(status)


def _reason(status: int) -> str:
    if status < 400:
        return "no reason given"
    try:
        return f"HTTP {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"HTTP {status}"
