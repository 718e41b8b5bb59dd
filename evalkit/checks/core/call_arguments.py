"""The arguments of a function call against the parameters that were declared to the model.

Nearly every call fits, and jsonschema takes longer to import than a variant takes to replay. So the
keywords of simple declarations are checked here first, and only a call that may not fit is
validated in full.
"""

from collections.abc import Mapping
from itertools import islice

from evalkit._lib.exact_json import RepeatedKeyError
from evalkit._lib.json import JSON, json_type, loads
from evalkit._lib.text import shorten, show
from evalkit.checks.core.formatting import excerpt, lookalike_notes
from evalkit.checks.core.schema_validation import problems, violations
from evalkit.verdict import Finding, Where

_PLAIN_TYPES: dict[JSON, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}
_PLAIN_KEYWORDS = frozenset(
    {"type", "description", "title", "properties", "required", "items", "enum"}
)
_MAX_REASONS = 3
_MAX_COUNTED = 100


def declared_parameters(tools: JSON) -> dict[str, JSON]:
    """Return the ``parameters`` (None where there are none) of each named tool in a list."""
    return {
        tool["name"]: tool.get("parameters")
        for tool in (tools if isinstance(tools, list) else ())
        if isinstance(tool, dict) and isinstance(tool.get("name"), str)
    }


def misfit(parameters: JSON, arguments: JSON) -> str:
    """Return why arguments do not fit declared parameters, ``""`` where they do.

    Absent arguments are an empty object. Parameters that are not a JSON Schema fit everything:
    they are the mistake of the application, not of the model.
    """
    arguments = {} if arguments is None else arguments
    if not isinstance(arguments, dict):
        got = f"{json_type(arguments)} {show(arguments, 60)}"
        return f"must be an object, got {got}{_repeated_key(arguments)}"
    if not isinstance(parameters, dict) or _fits_surely(parameters, arguments):
        return ""
    if problems(parameters):
        return ""
    reasons = []
    for each in islice(violations(parameters, arguments), _MAX_COUNTED):
        notes = "".join(f" ({note})" for note in lookalike_notes(each.expected, each.got))
        reasons.append(f"{each.pointer} {each.message.splitlines()[0]}{notes}".strip())
    more = len(reasons) - _MAX_REASONS
    return "; ".join(reasons[:_MAX_REASONS]) + (f" and {more} more" if more > 0 else "")


def _repeated_key(arguments: JSON) -> str:
    """Return why arguments with a key twice are a text (``protocol.received_json``)."""
    try:
        if isinstance(arguments, str):
            loads(arguments)
    except RepeatedKeyError as error:
        return f" ({error})"
    except (ValueError, RecursionError):
        pass
    return ""


def arguments_invalid(name: JSON, arguments: JSON, reason: str, where: Where) -> Finding:
    """Return the finding for a call whose arguments do not fit."""
    text = name if isinstance(name, str) else show(name)
    return Finding(
        "arguments_invalid",
        f"{shorten(text)} was called with arguments that do not fit its declared parameters:"
        f" {reason}",
        where,
        got=excerpt(arguments),
    )


def _fits_surely(schema: JSON, value: JSON) -> bool:
    """Return True only for a value that is valid by a schema of the plainest keywords."""
    if not isinstance(schema, Mapping) or not schema.keys() <= _PLAIN_KEYWORDS:
        return False
    kind, words = schema.get("type"), schema.get("enum")
    types = _PLAIN_TYPES.get(kind, ()) if isinstance(kind, str) else ()
    if type(value) not in types:
        return False
    if words is not None and not (isinstance(value, str) and value in words):
        return False
    if isinstance(value, dict):
        properties, required = schema.get("properties", {}), schema.get("required", [])
        return (
            isinstance(properties, Mapping)
            and isinstance(required, list)
            and all(key in value for key in required)
            and all(_fits_surely(properties.get(key), item) for key, item in value.items())
        )
    items = value if isinstance(value, list) else ()
    return all(_fits_surely(schema.get("items"), item) for item in items)
