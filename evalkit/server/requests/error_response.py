"""Error responses of the API: HTTP status, body, headers (docs/protocol.md section 7).

The API's own body is ``{"error": {"code": "invalid_request", "message": …}}``. The gateway in
front of it refuses unknown field names, among others, with another body:
``{"error": {"code": 400, "message": …, "status": "INVALID_ARGUMENT", "details": […]}}``.

An error response is an answer, not a failure of this server. It never leaves ``evalkit.server``, so
it is not part of the exceptions in ``evalkit.errors``.
"""

from collections.abc import Callable, Mapping
from typing import Any

_DEFAULTS: dict[int, tuple[str, str]] = {
    400: ("invalid_request", "The request is not valid."),
    401: ("authentication", "No API key. Send one in the header x-goog-api-key or as ?key=."),
    402: ("payment_required", "Billing is not set up."),
    403: ("permission_denied", "The key may not do this."),
    404: ("not_found", "Not found."),
    405: ("method_not_allowed", "The method is not allowed here."),
    408: ("deadline_exceeded", "The request took too long."),
    409: ("aborted", "The request was aborted."),
    413: ("request_too_large", "The request body is too large."),
    416: ("out_of_range", "A value is out of range."),
    429: ("rate_limit_exceeded", "Too many requests."),
    499: ("cancelled", "The request was cancelled."),
    500: ("api_error", "Something went wrong on the server."),
    501: ("unimplemented", "Not implemented."),
    503: ("service_unavailable", "The service is overloaded."),
    504: ("deadline_exceeded", "The request took too long."),
}
"""The default code and message by status."""

_RPC_STATUSES: dict[int, str] = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    416: "OUT_OF_RANGE",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_RPC_TYPE = "type.googleapis.com/google.rpc."
_RPC_CODES = {"failed_precondition": "FAILED_PRECONDITION", "already_exists": "ALREADY_EXISTS"}


class ErrorResponse(Exception):
    """An error response to a request.

    ``code`` and ``message`` have defaults by status. ``gateway`` selects the gateway's body;
    ``field`` is the invalid field in it. ``retry_delay``: the seconds in ``google.rpc.RetryInfo``,
    in either body. ``is_inferred``: it is not known that the service refuses
    this; only a strict server does.
    """

    def __init__(
        self,
        status: int,
        message: str = "",
        *,
        code: str = "",
        headers: Mapping[str, str] | None = None,
        gateway: bool = False,
        field: str = "",
        retry_delay: float | None = None,
        is_inferred: bool = False,
    ) -> None:
        fallback = "api_error" if status >= 500 else "invalid_request"
        default = _DEFAULTS.get(status, (fallback, "The request was refused."))
        self.status = status
        self.code = code or default[0]
        self.message = message or default[1]
        self.headers = dict(headers or {})
        self.gateway = gateway
        self.field = field
        self.retry_delay = retry_delay
        self.is_inferred = is_inferred
        super().__init__(f"{self.status} {self.code}: {self.message}")

    def body(self) -> dict[str, Any]:
        """Return the error body."""
        details: list[dict[str, Any]] = []
        if self.retry_delay is not None:
            delay = {"retryDelay": f"{self.retry_delay:g}s"}
            details.append({"@type": f"{_RPC_TYPE}RetryInfo", **delay})
        if not self.gateway:
            error: dict[str, Any] = {"code": self.code, "message": self.message}
            return {"error": {**error, "details": details} if details else error}
        fallback = "INTERNAL" if self.status >= 500 else "INVALID_ARGUMENT"
        status = _RPC_CODES.get(self.code) or _RPC_STATUSES.get(self.status, fallback)
        if self.field:
            violation = {"field": self.field, "description": self.message}
            details.append({"@type": f"{_RPC_TYPE}BadRequest", "fieldViolations": [violation]})
        return {
            "error": {
                "code": self.status,
                "message": self.message,
                "status": status,
                "details": details,
            }
        }


OnViolation = Callable[[ErrorResponse], None]
"""Handles a violation of the protocol: raises it, or logs it if this server tolerates it."""


def raise_violation(error: ErrorResponse) -> None:
    """Raise the error."""
    raise error


def raise_known_violation(error: ErrorResponse) -> None:
    """Raise the error, unless it is only inferred that the service refuses the request."""
    if not error.is_inferred:
        raise error


def bad_request(message: str, *, code: str = "", is_inferred: bool = False) -> ErrorResponse:
    """Return the usual error: 400 ``invalid_request``."""
    return ErrorResponse(400, message, code=code, is_inferred=is_inferred)
