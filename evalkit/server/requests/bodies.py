"""Request bodies: read bytes as a JSON object, and check it by a JSON Schema. Pure.

The schema of a resource is in the resource's own module. Null means absent (docs/protocol.md
section 10, row 18): nulls of a body are dropped, and its optional fields may be null. Every error
names its path in the body. Where a schema has a ``description``, its errors say that the value must
be that. Errors of a schema with ``"$comment": INFERRED`` are refused by strict servers only.
"""

import base64
import json
import re
from collections.abc import Iterable

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError

from evalkit._lib.exact_json import FINITE
from evalkit._lib.json import JSON, json_type
from evalkit._lib.text import did_you_mean, show
from evalkit.server.requests.error_response import (
    ErrorResponse,
    OnViolation,
    bad_request,
    raise_known_violation,
)
from evalkit.server.schema_documents import NoDocument, check_schema, standard_schema

STRING = {"type": ["string", "null"]}
BOOLEAN = {"type": ["boolean", "null"]}
NUMBER = {"type": ["number", "null"]}
ARRAY = {"type": ["array", "null"]}
OBJECT = {"type": ["object", "null"]}
INFERRED = "inferred"
_UNUSUAL_BASE64 = "base64 in the standard alphabet, padded, in one line"
# Google's JSON parsers also read the URL-safe alphabet, missing padding and white space. That this
# API does is only inferred.
BASE64 = {
    "type": ["string", "null"],
    "if": {"pattern": r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?\Z"},
    "else": {
        "allOf": [
            {"format": "base64", "description": "base64"},
            {"not": {}, "description": _UNUSUAL_BASE64, "$comment": INFERRED},
        ]
    },
}


JSON_SCHEMA = {"type": ["object", "null"], "format": "json-schema"}
_FORMATS = FormatChecker(())
_BASE64_DIGITS = re.compile(r"[A-Za-z0-9+/]*")
_URL_SAFE = str.maketrans("-_", "+/")


@_FORMATS.checks("json-schema", raises=NoDocument)
def _is_json_schema(value: JSON) -> bool:
    if value is not None:
        check_schema(standard_schema(value))
    return True


@_FORMATS.checks("base64")
def _is_base64(value: JSON) -> bool:
    digits = "".join(value.split()).translate(_URL_SAFE).rstrip("=")
    return _BASE64_DIGITS.fullmatch(digits) is not None and len(digits) % 4 != 1


def closed_object(properties: dict[str, JSON], *required: str) -> dict[str, JSON]:
    """Return the schema of an object that has no other fields."""
    return {
        "type": ["object", "null"],
        "required": list(required),
        "properties": properties,
        "additionalProperties": False,
    }


def validator(schema: JSON) -> Draft202012Validator:
    """Return the validator of a schema."""
    return Draft202012Validator(schema, format_checker=_FORMATS)


def read_object(
    raw: bytes, schema: Draft202012Validator, on_violation: OnViolation = raise_known_violation
) -> dict[str, JSON]:
    """Return the body without its top-level nulls.

    Raises ErrorResponse (400) if it is not UTF-8, not JSON, not an object, or not valid. An unknown
    field is a violation; if tolerated, it is left out.
    """
    body = {name: value for name, value in parse_object(raw).items() if value is not None}
    check(body, schema, "", on_violation)
    return body


def parse_object(raw: bytes) -> dict[str, JSON]:
    """Return the JSON object of a body as it was sent. Raises ErrorResponse (400)."""
    try:
        body = json.loads(raw.decode("utf-8"), **FINITE)
    except UnicodeDecodeError as error:
        raise bad_request(f"The body is not UTF-8 at byte {error.start}.") from None
    except RecursionError:
        raise bad_request("The body is nested too deeply.") from None
    except ValueError as error:
        raise bad_request(f"The body is not JSON: {error}.") from None
    if not isinstance(body, dict):
        raise bad_request("The body must be a JSON object.")
    return body


def check(
    value: JSON,
    schema: Draft202012Validator,
    path: str,
    on_violation: OnViolation = raise_known_violation,
) -> None:
    """Raise ErrorResponse (400) for a value that is not valid; ``path`` is where the value is.

    Unknown fields are violations; those that are tolerated are removed from the value.
    """
    for error in list(schema.iter_errors(value)):
        place = _join(path, error.absolute_path)
        closed: JSON = error.schema
        if closed.get("$comment") == INFERRED:
            on_violation(_invalid_value(place, error, is_inferred=True))
            continue
        if error.validator != "additionalProperties":
            raise _invalid_value(place, error)
        instance: JSON = error.instance
        fields = closed["properties"]
        for name in [name for name in instance if name not in fields]:
            field = _join(place, [name])
            message = f"Unknown parameter '{field}'{did_you_mean(name, fields)}."
            on_violation(
                ErrorResponse(400, message, code="parameter_unknown", gateway=True, field=field)
            )
            del instance[name]


def decode_base64(text: str) -> bytes:
    """Decode base64 of either alphabet, with or without padding and white space."""
    digits = "".join(text.split()).rstrip("=").translate(_URL_SAFE)
    return base64.b64decode(digits + "=" * (-len(digits) % 4))


def _invalid_value(
    path: str, error: ValidationError, *, is_inferred: bool = False
) -> ErrorResponse:
    value: JSON = error.instance
    schema: JSON = error.schema
    expected: JSON = error.validator_value
    if error.validator == "enum":
        parent, _, name = path.rpartition(".")
        place = f"'{name}' at '{parent}'" if parent.endswith("]") else f"'{path}'"
        names = ", ".join(name for name in expected if name is not None)
        return bad_request(
            f"Unsupported value for {place}: {json.dumps(value)}. Supported: {names}."
        )
    if error.validator == "required":
        missing = next(name for name in expected if name not in value)
        return bad_request(f"'{_join(path, [missing])}' is required.")
    if "description" in schema:
        expected = schema["description"]
        message = f"'{path}' must be {expected}, got {show(value, 60)}."
        return bad_request(message, is_inferred=is_inferred)
    if error.validator == "type":
        types = expected if isinstance(expected, list) else [expected]
        names = " or ".join(name for name in types if name != "null")
        return bad_request(f"'{path}' must be of type {names}, got {json_type(value)}.")
    return bad_request(f"'{path}': {error.cause or error.message}.")


def _join(path: str, names: Iterable[str | int]) -> str:
    for name in names:
        path += f"[{name}]" if isinstance(name, int) else f".{name}"
    return path.removeprefix(".")
