"""Request bodies: read bytes as a JSON object with known fields of the right types. Pure.

Every error names its path in the body. The fields of a resource are a table in the resource's own
module. Null means absent (docs/protocol.md section 10, row 18): nulls are dropped first.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

from evalkit._lib.json import JSON, json_type
from evalkit._lib.text import did_you_mean
from evalkit.server.requests.error_response import (
    OnViolation,
    bad_request,
    raise_violation,
    unknown_parameter,
)

Fields = Mapping[str, tuple[str, ...]]
"""The fields of an object, and the JSON types each may have."""


def read_object(
    raw: bytes, fields: Fields, on_violation: OnViolation = raise_violation
) -> dict[str, JSON]:
    """Return the body without its top-level nulls.

    Raises ErrorResponse (400) if it is not UTF-8, not JSON, not an object, or a field has a wrong
    type. An unknown field is a violation; if tolerated, it is left out.
    """
    body = {name: value for name, value in parse_object(raw).items() if value is not None}
    return check_fields(body, fields, "", on_violation)


def parse_object(raw: bytes) -> dict[str, JSON]:
    """Return the JSON object of a body as it was sent. Raises ErrorResponse (400)."""
    try:
        body = json.loads(raw.decode("utf-8"), parse_constant=_no_constant, parse_float=_finite)
    except UnicodeDecodeError as error:
        raise bad_request(f"The body is not UTF-8 at byte {error.start}.") from None
    except RecursionError:
        raise bad_request("The body is nested too deeply.") from None
    except json.JSONDecodeError as error:
        raise bad_request(
            f"The body is not JSON: {error.msg} at line {error.lineno} column {error.colno}."
        ) from None
    except ValueError as error:
        raise bad_request(f"The body is not JSON: {error}.") from None
    if not isinstance(body, dict):
        raise bad_request("The body must be a JSON object.")
    return body


def check_fields(
    value: Mapping[str, JSON],
    fields: Fields,
    prefix: str,
    on_violation: OnViolation = raise_violation,
) -> dict[str, JSON]:
    """Return the known fields of an object. Raises ErrorResponse (400) for a wrong type.

    ``prefix`` is the object's path with a dot.
    """
    known = {}
    for name, item in value.items():
        if name not in fields:
            on_violation(unknown_parameter(prefix + name, did_you_mean(name, fields)))
            continue
        if item is not None and json_type(item) not in fields[name]:
            types = " or ".join(fields[name])
            raise bad_request(f"'{prefix}{name}' must be of type {types}, got {json_type(item)}.")
        known[name] = item
    return known


def check_object(value: JSON, path: str) -> None:
    """Raise ErrorResponse (400) unless a value is an object."""
    if not isinstance(value, dict):
        raise bad_request(f"'{path}' must be an object, got {json_type(value)}.")


def check_choice(path: str, value: JSON, valid: tuple[str, ...]) -> None:
    """Raise ErrorResponse (400) unless a value is one of an enumeration."""
    if value not in valid:
        raise bad_request(
            f"Unsupported value for '{path}': {json.dumps(value)}. Supported: {', '.join(valid)}."
        )


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


def _finite(digits: str) -> float:
    value = float(digits)
    # JSON has no infinity, so it could not be sent back.
    if math.isinf(value):
        raise ValueError(f"{digits} is too large a number")
    return value
