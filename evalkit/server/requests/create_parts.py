"""Check the parts of a create request (docs/protocol.md sections 2.2 to 2.5). Pure.

What each part may contain is a table. Every error is an ErrorResponse (400) that names the
position: ``tools[1].name``. Tools and environments of agents are checked by the same functions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from evalkit._lib.json import JSON, json_type
from evalkit.server.requests.bodies import Fields, check_choice, check_fields, check_object
from evalkit.server.requests.error_response import OnViolation, bad_request, raise_violation
from evalkit.server.schema_documents import NoDocument, check_schema

FORMAT_TYPES = ("text", "image", "audio", "video")
_FUNCTION_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:\-]{0,127}\Z")
_GENERATION_FIELDS: Fields = {
    "max_output_tokens": ("number",),
    "seed": ("number",),
    "stop_sequences": ("array",),
    "thinking_level": ("string",),
    "thinking_summaries": ("string",),
    "tool_choice": ("string", "object"),
    "speech_config": ("array", "object"),
    "transcription_config": ("object",),
    "video_config": ("object",),
    "image_config": ("object",),
    "temperature": ("number",),
    "top_p": ("number",),
}
_GENERATION_CHOICES: dict[str, tuple[str, ...]] = {
    "thinking_level": ("minimal", "low", "medium", "high", "xhigh"),
    "thinking_summaries": ("auto", "none"),
    "tool_choice": ("auto", "any", "none", "validated"),
}
_TOOL_TYPES = (
    "function",
    "google_search",
    "code_execution",
    "url_context",
    "google_maps",
    "file_search",
    "mcp_server",
    "computer_use",
    "retrieval",
    "tool_search",
)
_ENVIRONMENT_FIELDS: Fields = {
    "type": ("string",),
    "environment_id": ("string",),
    "sources": ("array",),
    "network": ("string", "object"),
    "env": ("object",),
}
_SOURCE_TYPES = ("gcs", "inline", "repository", "skill_registry")
_WEBHOOK_FIELDS: Fields = {"uris": ("array",), "user_metadata": ("object",)}


def check_generation(config: Mapping[str, JSON], on_violation: OnViolation) -> dict[str, JSON]:
    """Return ``generation_config`` without nulls and unknown fields."""
    fields = {name: value for name, value in config.items() if value is not None}
    fields = check_fields(fields, _GENERATION_FIELDS, "generation_config.", on_violation)
    for name, valid in _GENERATION_CHOICES.items():
        if isinstance(fields.get(name), str):
            check_choice(f"generation_config.{name}", fields[name], valid)
    if fields.get("max_output_tokens", 1) < 1:
        raise bad_request("'generation_config.max_output_tokens' must be at least 1.")
    return fields


def check_tools(tools: list[JSON]) -> None:
    """Raise for an unknown tool type, and for an invalid or repeated function declaration."""
    names: set[str] = set()
    for index, tool in enumerate(tools):
        path = f"tools[{index}]"
        check_object(tool, path)
        if tool.get("type") not in _TOOL_TYPES:
            raise bad_request(
                f"Unsupported value for 'type' at '{path}': {json.dumps(tool.get('type'))}. "
                f"Supported: {', '.join(_TOOL_TYPES)}."
            )
        if tool["type"] != "function":
            continue
        name = tool.get("name")
        if not isinstance(name, str) or not _FUNCTION_NAME.match(name):
            raise bad_request(f"'{path}.name' must be a function name, got {json.dumps(name)}.")
        if name in names:
            raise bad_request(f"'{path}.name': the function '{name}' is declared twice.")
        names.add(name)
        _check_schema(tool.get("parameters"), f"{path}.parameters")


def check_formats(value: JSON) -> None:
    """Raise for a ``response_format`` that is not an object or has an invalid schema."""
    entries = value if isinstance(value, list) else [value]
    for index, entry in enumerate(entries):
        path = f"response_format[{index}]" if isinstance(value, list) else "response_format"
        check_object(entry, path)
        if entry.get("type") in FORMAT_TYPES:
            _check_schema(entry.get("schema"), f"{path}.schema")
        else:
            _check_schema(entry, path)


def check_environment(value: JSON, path: str, on_violation: OnViolation = raise_violation) -> None:
    """Raise for invalid fields of an ``environment``; whether its id exists is not checked here."""
    if isinstance(value, dict):
        check_fields(value, _ENVIRONMENT_FIELDS, f"{path}.", on_violation)
        if value.get("type") is not None:
            check_choice(f"{path}.type", value["type"], ("remote",))
        check_environment_content(value, f"{path}.")


def check_environment_content(value: Mapping[str, JSON], prefix: str) -> None:
    """Raise for invalid ``sources`` or ``network`` of an environment."""
    for index, source in enumerate(value.get("sources") or []):
        path = f"{prefix}sources[{index}]"
        check_object(source, path)
        check_choice(f"{path}.type", source.get("type"), _SOURCE_TYPES)
    if isinstance(value.get("network"), str):
        check_choice(f"{prefix}network", value["network"], ("disabled",))


def check_labels(labels: Mapping[str, JSON]) -> None:
    """Raise for labels that are not short strings."""
    for name, value in labels.items():
        if not isinstance(value, str) or len(value) > 63:
            raise bad_request(f"'labels.{name}' must be a string of at most 63 characters.")


def check_webhook_config(config: Mapping[str, JSON], on_violation: OnViolation) -> None:
    """Raise for invalid fields of a ``webhook_config``."""
    check_fields(config, _WEBHOOK_FIELDS, "webhook_config.", on_violation)
    for index, uri in enumerate(config.get("uris") or []):
        if not isinstance(uri, str) or not uri:
            raise bad_request(
                f"'webhook_config.uris[{index}]' must be a string, got {json_type(uri)}."
            )


def _check_schema(schema: JSON, path: str) -> None:
    if schema is None:
        return
    if not isinstance(schema, dict):
        raise bad_request(f"'{path}' must be a JSON Schema, got {json_type(schema)}.")
    try:
        check_schema(schema)
    except NoDocument as error:
        raise bad_request(f"'{path}': {error}.") from error
