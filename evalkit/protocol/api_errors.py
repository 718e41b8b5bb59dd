"""Errors of the API as one value.

Two shapes are in use (docs/protocol.md section 7):

* the API's own: ``{"error": {"code": "invalid_request", "message": …}}``
* the gateway's: ``{"error": {"code": 400, "message": …, "status": "INVALID_ARGUMENT"}}``, sometimes
  inside a list; its word is the code that people mean.

An error inside of a successful response (an event of a stream, a run that failed, an output with an
``error``) has the same fields. Nothing here raises.
"""

import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import NamedTuple

from evalkit._lib.json import JSON
from evalkit._lib.text import shorten, show
from evalkit.protocol.step_reader import steps_of, type_of
from evalkit.protocol.wire_facts import CHECK_ADDRESS, FAULTS, STATUS_WORDS

_NUMBER = re.compile(r"[0-9]{1,4}")
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]*)?) *s?")


class ApiError(NamedTuple):
    """An error of the API.

    ``status`` is the HTTP status; an error inside of a successful response has that of its number,
    where it names one. ``code`` is the API's or the gateway's word, else its number as text, else
    the HTTP status as text. ``body`` is None for an HTTP error without an error object; then the
    message begins with the status and its reason.
    """

    status: int
    code: str
    message: str
    body: JSON = None

    @property
    def label(self) -> str:
        """The status and the code, each once and only where it says something."""
        code = shorten(self.code, 60)
        return code if self.status < 300 or code == str(self.status) else f"{self.status} {code}"

    @property
    def names_status(self) -> bool:
        """Whether the message begins with all that the label says: the HTTP status."""
        return self.code == str(self.status) and self.message.startswith(f"HTTP {self.code}")

    @property
    def summary(self) -> str:
        """The error in one line: its status and code, its message."""
        if self.names_status:
            return shorten(self.message, 300)
        return f"{self.label}: {show(self.message, 300)}"

    @property
    def words(self) -> frozenset[str]:
        """Every word that names the error, in lower case: codes, status, reasons of details."""
        error = _error_object(self.body)
        fields = error if isinstance(error, dict) else {}
        words = [self.code, fields.get("code"), fields.get("status"), *_reasons(self.body)]
        return frozenset(word.lower() for word in words if isinstance(word, str))

    @property
    def advice(self) -> str | None:
        """What to do about an error that says nothing about the model, None for any other.

        This is the fault table of ``wire_facts``, applied.
        """
        for row in FAULTS:
            if not self.words.isdisjoint(row.words):
                return row.advice
        for row in FAULTS:
            if row.message and re.search(row.message, self.message):
                return row.advice
        numbers = {self.status, int(self.code) if _NUMBER.fullmatch(self.code) else 0}
        for row in FAULTS:
            if not numbers.isdisjoint(row.numbers):
                return row.advice
        if max(numbers) >= 500:
            return FAULTS[-1].advice
        return CHECK_ADDRESS if self.status >= 300 and self.body is None else None

    @property
    def retry_delay(self) -> float | None:
        """Seconds to wait before a retry, as ``google.rpc.RetryInfo`` in the details says."""
        delays = (_seconds(detail.get("retryDelay")) for detail in _details(self.body))
        return next((delay for delay in delays if delay is not None), None)

    def to_json(self) -> dict[str, JSON]:
        """Return the error as result lines contain it."""
        return {"status": self.status, "code": self.code, "message": self.message}


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
    if not codes and isinstance(fields.get("type"), str):
        codes = [fields["type"]] if fields["type"] else []
    number = next((int(code) for code in codes if _NUMBER.fullmatch(code)), None)
    if number is not None and number < len(STATUS_WORDS):
        codes.append(STATUS_WORDS[number])
    elif number is not None and status < 400 <= number < 600:
        status = number
    codes.sort(key=lambda code: _NUMBER.fullmatch(code) is not None)
    message = fields.get("message")
    message = message.strip() if isinstance(message, str) else ""
    if not codes:
        codes = [str(status) if status >= 300 else "error" if message else "unknown"]
    return ApiError(status, codes[0], message or http_reason(status), body)


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


def _details(body: JSON) -> Iterator[dict[str, JSON]]:
    """Yield the error and every object in its details, which may be an object, or nested."""
    waiting = [_error_object(body)]
    while waiting:
        item = waiting.pop(0)
        if isinstance(item, list):
            waiting += item
        elif isinstance(item, dict):
            yield item
            waiting.append(item.get("details"))


def _seconds(duration: JSON) -> float | None:
    """Return a ``google.protobuf.Duration`` in seconds: a text, its fields, or a number."""
    if not isinstance(duration, dict):
        return _number(duration)
    seconds, nanos = _number(duration.get("seconds", 0)), _number(duration.get("nanos", 0))
    return None if seconds is None or nanos is None else seconds + nanos / 1e9


def _number(value: JSON) -> float | None:
    is_number = isinstance(value, str | int | float) and not isinstance(value, bool)
    found = _DURATION.fullmatch(str(value)) if is_number else None
    return float(found[1]) if found else None


def _reasons(body: JSON) -> Iterator[str]:
    return (detail["reason"] for detail in _details(body) if isinstance(detail.get("reason"), str))


def http_reason(status: int) -> str:
    """Return what an HTTP status says where nothing else does."""
    if status < 300:
        return "no reason given"
    try:
        return f"HTTP {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"HTTP {status}"
