"""The format of scripts as a JSON Schema, and messages for values that do not fit it. Pure.

A keyword of a schema applies to values of one type, so a value of several types needs no
alternatives: a text test is a string, or an object with certain keys.
"""

from collections.abc import Iterator

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from evalkit._lib.json import JSON, json_type
from evalkit._lib.patterns import PatternError, compile_pattern
from evalkit._lib.problems import PathProblem
from evalkit._lib.schema_validators import bounded
from evalkit._lib.text import did_you_mean, show
from evalkit.protocol.step_types import STATUSES


def _keys(properties: dict[str, JSON], *required: str) -> dict[str, JSON]:
    """Return the keywords of an object that has no other keys."""
    return {
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


_STRING, _BOOLEAN = {"type": "string"}, {"type": "boolean"}
_COUNT = {"type": "integer", "minimum": 0}
_SECONDS = {"type": "number", "minimum": 0}
_TEXTS = {"type": ["string", "array"], "items": _STRING}
_NAMES = {"type": ["boolean", "string", "array"], "items": _STRING}
TEXT_TESTS = {
    "equals": _TEXTS,
    "contains": _TEXTS,
    "any_of": _TEXTS,
    "matches": {"type": "string", "format": "regex"},
}
_TEXT = {"type": ["string", "object"], **_keys(TEXT_TESTS)}
_NAME = {"type": ["boolean", "string", "object"], **_keys(TEXT_TESTS)}
# An object of tests, or the expected value.
_VALUE = _keys({**TEXT_TESTS, "present": _BOOLEAN})
_FIELDS = {"type": "object", "additionalProperties": _VALUE}
_RESULTS = _keys({"name": _TEXT, "text": _TEXT, "is_error": _BOOLEAN, "value": _FIELDS})
_ERROR = _keys(
    {
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "code": _STRING,
        "message": _STRING,
        "retry_after": _COUNT,
        "retry_delay": _SECONDS,
        "after": _COUNT,
        "shape": {"enum": ["api", "gateway"]},
    },
    "status",
)
CONDITIONS: dict[str, JSON] = {
    "text": _TEXT,
    "earlier": _TEXT,
    "anywhere": _TEXT,
    "turn": {"type": ["integer", "object"], **_keys({"min": _COUNT, "max": _COUNT})},
    "continued": {"type": ["boolean", "integer"], "minimum": 0},
    "results": {"type": ["boolean", "object"], **_RESULTS},
    "tools": _NAMES,
    "attached": _NAMES,
    "model": _NAME,
    "agent": _NAME,
    "stream": _BOOLEAN,
    "background": _BOOLEAN,
    "store": _BOOLEAN,
    "request": _FIELDS,
    "judge": _BOOLEAN,
    "question": _TEXT,
    "simulator": _BOOLEAN,
    "not": {"$ref": "#/$defs/when"},
}
STEP_KINDS: dict[str, JSON] = {
    "text": _STRING,
    "json": True,
    "call": {
        "type": ["string", "object"],
        **_keys({"name": _STRING, "arguments": {"type": ["object", "string"]}}, "name"),
    },
    "search": {
        "type": ["string", "array", "object"],
        **_keys({"queries": {"type": ["array", "string"]}, "suggestions": _STRING}, "queries"),
    },
    "code": {
        "type": ["string", "object"],
        **_keys(
            {
                "code": _STRING,
                "result": _STRING,
                "language": _STRING,
                "is_error": {"type": ["boolean", "string"]},
            },
            "code",
        ),
    },
    "picture": {
        "type": ["string", "object"],
        **_keys(
            {
                "about": _STRING,
                "width": {"type": ["number", "string"]},
                "height": {"type": ["number", "string"]},
            },
            "about",
        ),
    },
    "thought": {"type": ["string", "object"], **_keys({"summary": _STRING}, "summary")},
}
_CITATION = {"type": "object", **_keys({"url": _STRING, "title": _STRING, "words": _STRING}, "url")}
_CITATIONS = {"type": "array", "items": _CITATION}
_STEP = {
    "type": "object",
    # A raw step of the API may have any fields.
    "if": {"required": ["type"]},
    "then": {"properties": {"type": _STRING}},
    "else": {
        **_keys({**STEP_KINDS, "cite": _CITATIONS, "each": True}),
        "oneOf": [{"required": [kind]} for kind in STEP_KINDS],
        "dependentRequired": {"cite": ["text"]},
    },
}
_ERROR_ITEM = {"type": "object", **_keys({"code": _STRING, "message": _STRING})}
RULE_KEYS: dict[str, JSON] = {
    "name": _STRING,
    "when": {"$ref": "#/$defs/when"},
    "times": _COUNT,
    "plain": _BOOLEAN,
    "reply": _STRING,
    "steps": {"type": "array", "items": _STEP},
    "status": {"type": "string", "enum": list(STATUSES)},
    "errors": {"type": "array", "items": _ERROR_ITEM},
    "error": {"type": ["integer", "object"], "minimum": 400, "maximum": 599, **_ERROR},
    "usage": {"type": "object"},
    "fields": {"type": "object"},
    "decide": {"type": ["number", "string", "object"]},
    "blocked": _STRING,
    "files": {"type": "object", "additionalProperties": _STRING},
    "polls": _COUNT,
    "delay": _SECONDS,
    "event_delay": _SECONDS,
    "cut_after": _COUNT,
    "faults": True,
}
_ANSWERS = ("blocked", "decide", "error", "errors", "plain", "reply", "status", "steps")
_RULE = {
    "type": "object",
    **_keys(RULE_KEYS),
    "anyOf": [{"required": [key]} for key in _ANSWERS],
    "not": {"required": ["reply", "steps"]},
}
SCRIPT_SCHEMA: dict[str, JSON] = {
    "type": "object",
    **_keys(
        {
            "script": _STRING,
            "description": _STRING,
            "vars": {"type": "object"},
            "models": _TEXTS,
            "agents": _TEXTS,
            "signatures": _BOOLEAN,
            "faults": True,
            "rules": {"type": "array", "items": _RULE},
        },
        "script",
    ),
    "$defs": {"when": {"type": "object", **_keys(CONDITIONS)}},
}
_UNKNOWN_KEYS = "additionalProperties"
_CHOICES = ("anyOf", "oneOf")
_KIND = bounded(Draft202012Validator)
_VALIDATOR = _KIND(SCRIPT_SCHEMA, format_checker=_KIND.FORMAT_CHECKER)


def format_problems(script: JSON) -> Iterator[PathProblem]:
    """Yield what does not fit the format of scripts."""
    errors = list(_VALIDATOR.iter_errors(script))
    misspelled = [error.absolute_path for error in errors if error.validator == _UNKNOWN_KEYS]
    for error in errors:
        path = tuple(error.absolute_path)
        if error.validator == _UNKNOWN_KEYS:
            schema: JSON = error.schema
            valid = list(schema["properties"])
            for key in error.instance:
                if key not in valid:
                    hint = did_you_mean(key, valid)
                    message = f"unknown key {key!r}{hint}; valid: {', '.join(valid)}"
                    yield PathProblem((*path, key), message, "key")
        # A misspelled key is not reported again as a missing one.
        elif error.validator not in _CHOICES or error.absolute_path not in misspelled:
            yield PathProblem(path, _message(error))


def _message(error: ValidationError) -> str:
    value: JSON = error.instance
    expected: JSON = error.validator_value
    if error.validator == "type":
        types = " or ".join(expected if isinstance(expected, list) else [expected])
        actual = "nothing" if value is None else f"{json_type(value)} {show(value, 40)}"
        return f"must be {types}, got {actual}"
    if error.validator == "enum":
        hint = did_you_mean(str(value), expected)
        return f"unknown value {show(value, 40)}{hint}; valid: {', '.join(expected)}"
    if error.validator in _CHOICES:
        return f"needs one of {', '.join(branch['required'][0] for branch in expected)}"
    if error.validator == "not":
        return f"{' and '.join(map(repr, expected['required']))} exclude each other"
    if error.validator in ("minimum", "maximum"):
        limit = "below" if error.validator == "minimum" else "above"
        return f"must not be {limit} {expected}, got {value}"
    if error.validator == "format":
        try:
            compile_pattern(value)
        except PatternError as reason:
            return f"not a regular expression: {reason}"
    return error.message
