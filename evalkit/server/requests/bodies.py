"""Request bodies: bytes in, a JSON object with known fields of the right types out. Pure; every refusal names its path in the body.

What resources share is here; what a certain resource may hold is the tables of its own module. Nulls are absences (protocol section 10,
row 18): they are dropped before anything is looked at.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

from evalkit._lib.json import JSON
from evalkit._lib.json import json_type as json_kind
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
    raw: bytes, fields: Fields, defend: OnViolation = raise_violation
) -> dict[str, JSON]:
    """Return the body without its top-level nulls. Raises ErrorResponse (400): not UTF-8, no JSON, no object, an unknown field, a wrong type.

    A field that is not known is a breach for ``defend`` to judge; one that is let pass is not in what is returned.
    """
    body = {name: value for name, value in parse(raw).items() if value is not None}
    return check_fields(body, fields, "", defend)


def parse(raw: bytes) -> dict[str, JSON]:
    """Return the JSON object of a body as it was sent. Raises ErrorResponse (400)."""
    try:
        body = json.loads(raw.decode("utf-8"), parse_constant=_no_constant, parse_float=_finite)
    except UnicodeDecodeError as error:
        raise bad_request(f"The body is not UTF-8 at byte {error.start}.") from None
    except RecursionError:
        raise bad_request("The body is nested too deep.") from None
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
    held: Mapping[str, JSON], fields: Fields, prefix: str, defend: OnViolation = raise_violation
) -> dict[str, JSON]:
    """Return the known fields of an object; ``prefix`` is the object's path with a dot. Raises ErrorResponse (400)."""
    known = {}
    for name, value in held.items():
        if name not in fields:
            defend(unknown_parameter(prefix + name, did_you_mean(name, fields)))
            continue
        if value is not None and json_kind(value) not in fields[name]:
            raise bad_request(
                f"'{prefix}{name}' must be of type {' or '.join(fields[name])}, got {json_kind(value)}."
            )
        known[name] = value
    return known


def check_strings(value: list[JSON], where: str) -> None:
    """Refuse a list that holds anything but strings with something in them."""
    for index, item in enumerate(value):
        if not isinstance(item, str) or not item:
            raise bad_request(f"'{where}[{index}]' must be a string, got {json_kind(item)}.")


def choice(path: str, value: JSON, known: tuple[str, ...]) -> None:
    """Refuse a value that is none of an enumeration's."""
    if value not in known:
        raise bad_request(
            f"Unsupported value for '{path}': {json.dumps(value)}. Supported: {', '.join(known)}."
        )


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):  # it could not be sent back: JSON has no infinity
        raise ValueError(f"{digits} is too large a number")
    return value
