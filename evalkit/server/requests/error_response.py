"""Errors as the API answers them: HTTP status, one of two bodies, headers (protocol section 7).

The API's own body is ``{"error": {"code": "invalid_request", "message": …}}``. What stands before the API, and refuses names it does not
know and whatever a script says so of, answers ``{"error": {"code": 400, "message": …, "status": "INVALID_ARGUMENT", "details": […]}}``.

A fault is an answer, not a failure of the server: whatever refuses a request raises ErrorResponse, and the service turns it into a reply.
It never leaves this room, so it is no member of the tree in ``evalkit.errors``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

STATUSES: dict[int, tuple[str, str]] = {
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
"""The code and the message an error of a status has when nobody gives others."""

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
_RPC_CODES = {"failed_precondition": "FAILED_PRECONDITION", "already_exists": "ALREADY_EXISTS"}


class ErrorResponse(Exception):
    """A refusal, with what the client gets. ``code`` and ``message`` default by status; ``gateway`` asks for the gateway's body."""

    def __init__(
        self,
        status: int,
        message: str = "",
        *,
        code: str = "",
        headers: Mapping[str, str] | None = None,
        gateway: bool = False,
        field: str = "",
    ) -> None:
        usual_code, usual_message = STATUSES.get(
            status,
            ("api_error" if status >= 500 else "invalid_request", "The request was refused."),
        )
        self.status = status
        self.code = code or usual_code
        self.message = message or usual_message
        self.headers = dict(headers or {})
        self.gateway = gateway
        self.field = field
        super().__init__(f"{self.status} {self.code}: {self.message}")

    def body(self) -> dict[str, Any]:
        """Return the error body, in the shape this fault has."""
        if not self.gateway:
            return {"error": {"code": self.code, "message": self.message}}
        name = (
            _RPC_CODES.get(self.code)
            or _RPC_STATUSES.get(self.status)
            or ("INTERNAL" if self.status >= 500 else "INVALID_ARGUMENT")
        )
        violation = {"field": self.field, "description": self.message}
        details = (
            [{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]}]
            if self.field
            else []
        )
        return {
            "error": {
                "code": self.status,
                "message": self.message,
                "status": name,
                "details": details,
            }
        }


OnViolation = Callable[[ErrorResponse], None]
"""What is done about a breach of the protocol: refused by raising it, or, by a lenient server, logged and let pass."""


def raise_violation(fault: ErrorResponse) -> None:
    """Refuse: raise the fault."""
    raise fault


def bad_request(message: str, *, code: str = "") -> ErrorResponse:
    """Return the usual refusal: 400 ``invalid_request``."""
    return ErrorResponse(400, message, code=code)


def unknown_parameter(path: str, hint: str = "") -> ErrorResponse:
    """Return the refusal of a field the API does not know, by its path in the body; its body is the gateway's."""
    return ErrorResponse(
        400,
        f"Unknown parameter '{path}'{hint}.",
        code="parameter_unknown",
        gateway=True,
        field=path,
    )
