"""What a create request may hold (protocol section 2), as tables; reading one turns bytes into a body that can be relied on.

``read_create`` parses, drops nulls (null means absent), refuses unknown fields, wrong types and combinations the API refuses, all in
the API's shape. It knows nothing of state: whether ids exist, whether a history is true, is judged by those who keep them. Pure.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evalkit._lib.json import kind as json_kind
from evalkit._lib.text import did_you_mean
from evalkit.server.documents import Unsatisfiable, check_schema
from evalkit.server.faults import ApiFault, refuse, unknown_parameter

JSON = Any

AGENTS = (
    "antigravity-preview-05-2026",
    "antigravity-preview-09-2026",
    "deep-research-preview-04-2026",
    "deep-research-max-preview-04-2026",
    "deep-research-pro-preview-12-2025",
)
"""The agents the guide and the protocol name. Models are any ``gemini-…``: comparing revisions needs names nobody knows yet."""

_MODEL = re.compile(r"(?:models/)?gemini-[a-z0-9][a-z0-9.\-]*\Z")
_FUNCTION_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:\-]{0,127}\Z")

_FIELDS: dict[str, tuple[str, ...]] = {
    "model": ("string",), "agent": ("string",), "agent_config": ("object",), "input": ("string", "object", "array"),
    "previous_interaction_id": ("string",), "store": ("boolean",), "stream": ("boolean",), "background": ("boolean",),
    "system_instruction": ("string",), "tools": ("array",), "generation_config": ("object",), "response_format": ("object", "array"),
    "response_modalities": ("array",), "response_mime_type": ("string",), "cached_content": ("string",),
    "environment": ("string", "object"), "service_tier": ("string",), "safety_settings": ("array",), "labels": ("object",),
    "webhook_config": ("object",),
    "continuation_token": ("string",),
}  # fmt: skip
_GENERATION_FIELDS: dict[str, tuple[str, ...]] = {
    "max_output_tokens": ("number",), "seed": ("number",), "stop_sequences": ("array",), "thinking_level": ("string",),
    "thinking_summaries": ("string",), "tool_choice": ("string", "object"), "speech_config": ("array", "object"),
    "transcription_config": ("object",), "video_config": ("object",), "image_config": ("object",),
    "temperature": ("number",), "top_p": ("number",),
}  # fmt: skip
_ENUMS: dict[str, tuple[str, ...]] = {
    "service_tier": ("flex", "standard", "priority", "deferred"),
    "generation_config.thinking_level": ("minimal", "low", "medium", "high", "xhigh"),
    "generation_config.thinking_summaries": ("auto", "none"),
    "generation_config.tool_choice": ("auto", "any", "none", "validated"),
}
_TOOL_TYPES = (
    "function", "google_search", "code_execution", "url_context", "google_maps", "file_search", "mcp_server", "computer_use",
    "retrieval", "tool_search",
)  # fmt: skip
_MODEL_ONLY = ("generation_config", "cached_content")
_AGENT_ONLY = ("agent_config",)


@dataclass(frozen=True, slots=True)
class Known:
    """The names a request may call, beside every ``gemini-…`` model and the agents of the guide: what a script adds."""

    models: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()


def read_create(raw: bytes, known: Known) -> dict[str, JSON]:
    """Return the body of a create request: an object without top-level nulls, its fields checked. Raises ApiFault (400, 404).

    A known agent named in ``model`` is moved to ``agent``, as the background guide passes it (protocol section 10, row 22).
    """
    body = {name: value for name, value in _object(raw).items() if value is not None}
    _check_fields(body, _FIELDS, "")
    agents = (*AGENTS, *known.agents)
    if body.get("model") in agents and "agent" not in body:
        body["agent"] = body.pop("model")
    _check_target(body, known, agents)
    _check_combinations(body)
    _check_generation(body.get("generation_config", {}))
    _check_tools(body.get("tools", []))
    _check_formats(body.get("response_format", []))
    if body.get("service_tier", "standard") not in _ENUMS["service_tier"]:
        raise _not_in("service_tier", body["service_tier"])
    for name, value in body.get("labels", {}).items():
        if not isinstance(value, str) or len(value) > 63:
            raise refuse(f"'labels.{name}' must be a string of at most 63 characters.")
    return body


def declared_functions(body: Mapping[str, JSON]) -> list[dict[str, JSON]]:
    """Return the function declarations of a request that was read."""
    return [tool for tool in body.get("tools", []) if tool["type"] == "function"]


def answer_formats(body: Mapping[str, JSON], kind: str) -> list[dict[str, JSON]]:
    """Return the entries of ``response_format`` of a type: text, image, audio, video. A bare JSON Schema is text with that schema."""
    given = body.get("response_format", [])
    entries = [_as_format(entry) for entry in (given if isinstance(given, list) else [given])]
    return [entry for entry in entries if entry["type"] == kind]


def answer_schema(body: Mapping[str, JSON]) -> JSON:
    """Return the JSON Schema the answer must meet, None where none is asked for; any JSON (``True``) where only the mime type is given."""
    for entry in answer_formats(body, "text"):
        if entry.get("schema") is not None:
            return entry["schema"]
        if entry.get("mime_type") == "application/json":
            return True
    return True if body.get("response_mime_type") == "application/json" else None


def _as_format(entry: dict[str, JSON]) -> dict[str, JSON]:
    if entry.get("type") in ("text", "image", "audio", "video"):
        return entry
    return {"type": "text", "mime_type": "application/json", "schema": entry}


def _object(raw: bytes) -> dict[str, JSON]:
    try:
        body = json.loads(raw.decode("utf-8"), parse_constant=_no_constant, parse_float=_finite)
    except UnicodeDecodeError as error:
        raise refuse(f"The body is not UTF-8 at byte {error.start}.") from None
    except RecursionError:
        raise refuse("The body is nested too deep.") from None
    except json.JSONDecodeError as error:
        raise refuse(f"The body is not JSON: {error.msg} at line {error.lineno} column {error.colno}.") from None
    except ValueError as error:
        raise refuse(f"The body is not JSON: {error}.") from None
    if not isinstance(body, dict):
        raise refuse("The body must be a JSON object.")
    return body


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):  # it could not be sent back: JSON has no infinity
        raise ValueError(f"{digits} is too large a number")
    return value


def _check_fields(held: Mapping[str, JSON], fields: Mapping[str, tuple[str, ...]], prefix: str) -> None:
    for name, value in held.items():
        if name not in fields:
            raise unknown_parameter(prefix + name, did_you_mean(name, fields))
        if value is not None and json_kind(value) not in fields[name]:
            raise refuse(f"'{prefix}{name}' must be of type {' or '.join(fields[name])}, got {json_kind(value)}.")


def _check_target(body: Mapping[str, JSON], known: Known, agents: tuple[str, ...]) -> None:
    model, agent = body.get("model"), body.get("agent")
    if model is None and agent is None:
        raise refuse("One of 'model' and 'agent' is required.")
    if model is not None and agent is not None:
        raise refuse("'model' and 'agent' cannot be used together.")
    if model is not None and not _MODEL.match(model) and model not in known.models:
        raise ApiFault(404, f"Model '{model}' was not found.", code="model_not_found")
    if agent is not None and agent not in agents:
        raise ApiFault(404, f"Agent '{agent}' was not found{did_you_mean(agent, agents)}.")


def _check_combinations(body: Mapping[str, JSON]) -> None:
    for name in _MODEL_ONLY if "agent" in body else _AGENT_ONLY:
        if name in body:
            raise refuse(f"'{name}' cannot be used with '{'agent' if 'agent' in body else 'model'}'.")
    if body.get("background") and body.get("store") is False:
        raise refuse("'background' needs 'store': a run that is not kept cannot be polled.")
    if str(body.get("agent", "")).startswith("deep-research") and not body.get("background"):
        raise refuse(f"Agent '{body['agent']}' needs 'background': true.")
    if "continuation_token" in body:
        raise refuse("'continuation_token' was not issued by this server.")
    if "input" not in body:
        raise refuse("'input' is required.")


def _check_generation(config: Mapping[str, JSON]) -> None:
    _check_fields(config, _GENERATION_FIELDS, "generation_config.")
    for name in ("thinking_level", "thinking_summaries", "tool_choice"):
        path = f"generation_config.{name}"
        if isinstance(config.get(name), str) and config[name] not in _ENUMS[path]:
            raise _not_in(path, config[name])
    limit = config.get("max_output_tokens")
    if limit is not None and limit < 1:
        raise refuse("'generation_config.max_output_tokens' must be at least 1.")


def _check_tools(tools: list[JSON]) -> None:
    names: set[str] = set()
    for index, tool in enumerate(tools):
        where = f"tools[{index}]"
        if not isinstance(tool, dict):
            raise refuse(f"'{where}' must be an object, got {json_kind(tool)}.")
        if tool.get("type") not in _TOOL_TYPES:
            raise refuse(f"Unsupported value for 'type' at '{where}': {json.dumps(tool.get('type'))}. Supported: {', '.join(_TOOL_TYPES)}.")
        if tool["type"] != "function":
            continue
        name = tool.get("name")
        if not isinstance(name, str) or not _FUNCTION_NAME.match(name):
            raise refuse(f"'{where}.name' must be a function's name, got {json.dumps(name)}.")
        if name in names:
            raise refuse(f"'{where}.name': the function '{name}' is declared twice.")
        names.add(name)
        _check_schema(tool.get("parameters"), f"{where}.parameters")


def _check_formats(given: JSON) -> None:
    entries = given if isinstance(given, list) else [given]
    for index, entry in enumerate(entries):
        where = f"response_format[{index}]" if isinstance(given, list) else "response_format"
        if not isinstance(entry, dict):
            raise refuse(f"'{where}' must be an object, got {json_kind(entry)}.")
        if entry.get("type") in ("text", "image", "audio", "video"):
            _check_schema(entry.get("schema"), f"{where}.schema")
        else:
            _check_schema(entry, where)


def _check_schema(schema: JSON, where: str) -> None:
    if schema is None:
        return
    if not isinstance(schema, dict):
        raise refuse(f"'{where}' must be a JSON Schema, got {json_kind(schema)}.")
    try:
        check_schema(schema)
    except Unsatisfiable as error:
        raise refuse(f"'{where}': {error}.") from error


def _not_in(path: str, value: JSON) -> ApiFault:
    return refuse(f"Unsupported value for '{path}': {json.dumps(value)}. Supported: {', '.join(_ENUMS[path])}.")
