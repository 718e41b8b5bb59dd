"""What the parts of a request may hold (protocol sections 2.2 to 2.5), as tables: generation config, tools, formats, environments. Pure.

Every refusal is an ErrorResponse (400) that names the place: ``tools[1].name``. Agents hold tools and environments too, and have them checked here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from evalkit._lib.json import JSON
from evalkit._lib.json import json_type as json_kind
from evalkit.server.requests.bodies import check_fields, check_strings, choice
from evalkit.server.requests.error_response import OnViolation, bad_request, raise_violation
from evalkit.server.schema_documents import NoDocument, check_schema

_FUNCTION_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:\-]{0,127}\Z")
_GENERATION_FIELDS: dict[str, tuple[str, ...]] = {
    "max_output_tokens": ("number",), "seed": ("number",), "stop_sequences": ("array",), "thinking_level": ("string",),
    "thinking_summaries": ("string",), "tool_choice": ("string", "object"), "speech_config": ("array", "object"),
    "transcription_config": ("object",), "video_config": ("object",), "image_config": ("object",),
    "temperature": ("number",), "top_p": ("number",),
}  # fmt: skip
_GENERATION_ENUMS: dict[str, tuple[str, ...]] = {
    "thinking_level": ("minimal", "low", "medium", "high", "xhigh"),
    "thinking_summaries": ("auto", "none"),
    "tool_choice": ("auto", "any", "none", "validated"),
}
_TOOL_TYPES = (
    "function", "google_search", "code_execution", "url_context", "google_maps", "file_search", "mcp_server", "computer_use",
    "retrieval", "tool_search",
)  # fmt: skip
_ENVIRONMENT_FIELDS: dict[str, tuple[str, ...]] = {
    "type": ("string",), "environment_id": ("string",), "sources": ("array",), "network": ("string", "object"), "env": ("object",),
}  # fmt: skip
_SOURCE_TYPES = ("gcs", "inline", "repository", "skill_registry")


def check_generation(config: Mapping[str, JSON], defend: OnViolation) -> dict[str, JSON]:
    """Return ``generation_config`` without nulls and unknown fields."""
    config = check_fields(
        {name: value for name, value in config.items() if value is not None},
        _GENERATION_FIELDS,
        "generation_config.",
        defend,
    )
    for name, known in _GENERATION_ENUMS.items():
        if isinstance(config.get(name), str):
            choice(f"generation_config.{name}", config[name], known)
    if config.get("max_output_tokens", 1) < 1:
        raise bad_request("'generation_config.max_output_tokens' must be at least 1.")
    return config


def check_tools(tools: list[JSON]) -> None:
    """Refuse what is no tool: an unknown type, a function without a name, declared twice or with a schema that is none."""
    names: set[str] = set()
    for index, tool in enumerate(tools):
        where = f"tools[{index}]"
        if not isinstance(tool, dict):
            raise bad_request(f"'{where}' must be an object, got {json_kind(tool)}.")
        if tool.get("type") not in _TOOL_TYPES:
            raise bad_request(
                f"Unsupported value for 'type' at '{where}': {json.dumps(tool.get('type'))}. Supported: {', '.join(_TOOL_TYPES)}."
            )
        if tool["type"] != "function":
            continue
        name = tool.get("name")
        if not isinstance(name, str) or not _FUNCTION_NAME.match(name):
            raise bad_request(f"'{where}.name' must be a function's name, got {json.dumps(name)}.")
        if name in names:
            raise bad_request(f"'{where}.name': the function '{name}' is declared twice.")
        names.add(name)
        _check_schema(tool.get("parameters"), f"{where}.parameters")


def check_formats(given: JSON) -> None:
    """Refuse a ``response_format`` that is no object, or holds a schema that is none."""
    entries = given if isinstance(given, list) else [given]
    for index, entry in enumerate(entries):
        where = f"response_format[{index}]" if isinstance(given, list) else "response_format"
        if not isinstance(entry, dict):
            raise bad_request(f"'{where}' must be an object, got {json_kind(entry)}.")
        if entry.get("type") in ("text", "image", "audio", "video"):
            _check_schema(entry.get("schema"), f"{where}.schema")
        else:
            _check_schema(entry, where)


def check_environment(given: JSON, where: str, defend: OnViolation = raise_violation) -> None:
    """Refuse an ``environment`` whose object has other fields or types than it may have; whether its id exists is not judged here."""
    if isinstance(given, dict):
        check_fields(given, _ENVIRONMENT_FIELDS, f"{where}.", defend)
        if given.get("type") is not None:
            choice(f"{where}.type", given["type"], ("remote",))
        check_place(given, f"{where}.")


def check_place(held: Mapping[str, JSON], prefix: str) -> None:
    """Refuse the ``sources`` and the ``network`` of an environment that are none."""
    for index, source in enumerate(held.get("sources") or []):
        where = f"{prefix}sources[{index}]"
        if not isinstance(source, dict):
            raise bad_request(f"'{where}' must be an object, got {json_kind(source)}.")
        choice(f"{where}.type", source.get("type"), _SOURCE_TYPES)
    network = held.get("network")
    if isinstance(network, str):
        choice(f"{prefix}network", network, ("disabled",))


def check_labels(labels: Mapping[str, JSON]) -> None:
    """Refuse labels that are no short strings."""
    for name, value in labels.items():
        if not isinstance(value, str) or len(value) > 63:
            raise bad_request(f"'labels.{name}' must be a string of at most 63 characters.")


def check_webhooks(config: Mapping[str, JSON], defend: OnViolation) -> None:
    """Refuse a ``webhook_config`` with other fields than ``uris`` and ``user_metadata``."""
    check_fields(
        config, {"uris": ("array",), "user_metadata": ("object",)}, "webhook_config.", defend
    )
    check_strings(config.get("uris") or [], "webhook_config.uris")


def _check_schema(schema: JSON, where: str) -> None:
    if schema is None:
        return
    if not isinstance(schema, dict):
        raise bad_request(f"'{where}' must be a JSON Schema, got {json_kind(schema)}.")
    try:
        check_schema(schema)
    except NoDocument as error:
        raise bad_request(f"'{where}': {error}.") from error
