"""Read a create request (docs/protocol.md section 2). Pure.

What a request may contain is a JSON Schema; other resources use the schemas of its parts. Fields
that depend on each other are checked by code. Whether ids exist and histories are intact is checked
elsewhere. A lenient server tolerates violations of the protocol; then the field in question counts
as absent.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from evalkit._lib.json import JSON
from evalkit._lib.text import did_you_mean
from evalkit.protocol.wire_facts import AGENTS, API_TOOLS, MODEL_FAMILIES
from evalkit.server.requests.bodies import (
    ARRAY,
    BASE64,
    BOOLEAN,
    JSON_SCHEMA,
    NUMBER,
    OBJECT,
    STRING,
    closed_object,
    read_object,
    validator,
)
from evalkit.server.requests.error_response import (
    ErrorResponse,
    OnViolation,
    bad_request,
    raise_known_violation,
)
from evalkit.server.schema_documents import standard_schema

_MODEL = re.compile(rf"(?:{'|'.join(MODEL_FAMILIES)})-[a-z0-9][a-z0-9.\-]*\Z")
_COLLECTION = re.compile(r"(?:.*/)?(?:models|agents)/(?=[^/]+\Z)")

_FORMAT_TYPES = ("text", "image", "audio", "video")
# An object of one of the types, or a bare JSON Schema.
_FORMAT = {
    "type": "object",
    "if": {"required": ["type"], "properties": {"type": {"enum": _FORMAT_TYPES}}},
    "then": {"properties": {"schema": JSON_SCHEMA}},
    "else": JSON_SCHEMA,
}
_FUNCTION = {
    "required": ["name"],
    "properties": {
        "name": {
            "type": "string",
            "pattern": r"^[A-Za-z_][A-Za-z0-9_.:\-]{0,127}\Z",
            "description": "a function name",
        },
        "parameters": JSON_SCHEMA,
    },
}
_GENERATION_CONFIG = closed_object(
    {
        "max_output_tokens": {**NUMBER, "minimum": 1, "description": "a number of at least 1"},
        "seed": NUMBER,
        "stop_sequences": ARRAY,
        "thinking_level": {"enum": ["minimal", "low", "medium", "high", "xhigh", None]},
        "thinking_summaries": {"enum": ["auto", "none", None]},
        "tool_choice": {
            "type": ["string", "object", "null"],
            "if": {"type": "string"},
            "then": {"enum": ["auto", "any", "none", "validated"]},
        },
        "speech_config": {"type": ["array", "object", "null"]},
        "transcription_config": OBJECT,
        "video_config": OBJECT,
        "image_config": OBJECT,
        "temperature": NUMBER,
        "top_p": NUMBER,
        "top_k": NUMBER,
    }
)
_LABEL = {
    "type": "string",
    "maxLength": 63,
    "description": "a string of at most 63 characters",
}


def tools_schema(types: Iterable[str]) -> dict[str, JSON]:
    """Return the schema of ``tools`` of some types."""
    return {
        "type": ["array", "null"],
        "items": {
            "type": "object",
            "required": ["type"],
            "properties": {"type": {"enum": list(types)}},
            "if": {"properties": {"type": {"const": "function"}}},
            "then": _FUNCTION,
        },
    }


SOURCES = {
    "type": ["array", "null"],
    "items": {
        "type": "object",
        "required": ["type"],
        "properties": {"type": {"enum": ["gcs", "inline", "repository", "skill_registry"]}},
        "if": {"required": ["encoding"], "properties": {"encoding": {"const": "base64"}}},
        "then": {"properties": {"content": BASE64}},
    },
}
NETWORK = {
    "type": ["string", "object", "null"],
    "if": {"type": "string"},
    "then": {"enum": ["disabled"]},
}
ENVIRONMENT_MODE = {"enum": ["on_demand", "self_hosted", None]}
ENVIRONMENT = {
    **closed_object(
        {
            "type": {"enum": ["remote", None]},
            "environment_id": STRING,
            "sources": SOURCES,
            "network": NETWORK,
            "env": OBJECT,
            "mode": ENVIRONMENT_MODE,
            "custom_config": OBJECT,
        }
    ),
    "type": ["string", "object", "null"],
}
REQUEST_SCHEMA = closed_object(
    {
        "model": STRING,
        "agent": STRING,
        "agent_config": OBJECT,
        "input": {"type": ["string", "object", "array"]},
        "previous_interaction_id": STRING,
        "store": BOOLEAN,
        "stream": BOOLEAN,
        "background": BOOLEAN,
        "system_instruction": STRING,
        "tools": tools_schema(("function", *API_TOOLS)),
        "generation_config": _GENERATION_CONFIG,
        "response_format": {
            "type": ["object", "array"],
            "if": {"type": "array"},
            "then": {"items": _FORMAT},
            "else": _FORMAT,
        },
        "response_modalities": ARRAY,
        "response_mime_type": STRING,
        "cached_content": STRING,
        "environment": ENVIRONMENT,
        "service_tier": {"enum": ["flex", "standard", "priority", "deferred"]},
        "safety_settings": ARRAY,
        "labels": {"type": "object", "additionalProperties": _LABEL},
        "webhook_config": closed_object(
            {
                "uris": {
                    "type": ["array", "null"],
                    "items": {"type": "string", "minLength": 1, "description": "a string"},
                },
                "user_metadata": OBJECT,
            }
        ),
        "continuation_token": STRING,
    }
)
_VALIDATOR = validator(REQUEST_SCHEMA)
_EXCLUDED = {"agent": ("generation_config", "cached_content"), "model": ("agent_config",)}
"""Fields that cannot be used with an agent, and with a model."""
_INHERITED = {
    "system_instruction": "system_instruction",
    "tools": "tools",
    "agent_config": "agent_config",
    "environment": "base_environment",
}
"""Fields of a request that an agent created by a client supplies, and their names in the agent."""


@dataclass(frozen=True, slots=True)
class KnownNames:
    """The names a request may use besides the API's own.

    ``models`` and ``agents`` are a script's. ``created_agents`` are those created by clients, by
    id.
    """

    models: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    created_agents: Mapping[str, Mapping[str, JSON]] = field(default_factory=dict)

    @property
    def all_agents(self) -> tuple[str, ...]:
        """The names of all agents."""
        return (*AGENTS, *self.agents, *self.created_agents)


def read_create(
    raw: bytes, known: KnownNames, on_violation: OnViolation = raise_known_violation
) -> dict[str, JSON]:
    """Return the checked body of a create request, without top-level nulls.

    Raises ErrorResponse (400, 404). An agent's name in ``model`` is moved to ``agent``, because the
    API's background guide sends it there (docs/protocol.md section 10, row 22). An agent that a
    client created supplies system instruction, tools, configuration and environment where the
    request has none. Names lose their collection (``models/…``), schemas get standard spelling.
    """
    body = read_object(raw, _VALIDATOR, on_violation)
    for name in ("model", "agent"):
        if name in body:
            body[name] = short_name(body[name])
    if body.get("model") in known.all_agents and "agent" not in body:
        body["agent"] = body.pop("model")
    _check_target(body, known, on_violation)
    _check_combinations(body, known, on_violation)
    check_function_names(body)
    agent = known.created_agents.get(body.get("agent", ""), {})
    inherited = {name: agent[key] for name, key in _INHERITED.items() if key in agent}
    return _with_standard_schemas({**inherited, **body})


def is_model(name: str) -> bool:
    """Return whether a name without its collection is one of a model of the API."""
    return _MODEL.match(name) is not None


def short_name(name: str) -> str:
    """Return the name of a model or agent without ``models/`` or ``agents/`` and what is before it.

    Clients of the cloud platform send ``projects/…/locations/…/publishers/google/models/…``.
    """
    return _COLLECTION.sub("", name)


def _with_standard_schemas(body: dict[str, JSON]) -> dict[str, JSON]:
    if "tools" in body:
        body["tools"] = [
            {**tool, "parameters": standard_schema(tool["parameters"])}
            if tool["type"] == "function" and "parameters" in tool
            else tool
            for tool in body["tools"]
        ]
    if "response_format" in body:
        body["response_format"] = _standard_format(body["response_format"])
    return body


def _standard_format(entry: JSON) -> JSON:
    if isinstance(entry, list):
        return [_standard_format(one) for one in entry]
    if entry.get("type") not in _FORMAT_TYPES:
        return standard_schema(entry)
    return {**entry, "schema": standard_schema(entry["schema"])} if "schema" in entry else entry


def check_function_names(body: Mapping[str, JSON]) -> None:
    """Raise ErrorResponse (400) for a function that is declared twice in ``tools``."""
    names = set()
    for index, tool in enumerate(body.get("tools", [])):
        if tool["type"] == "function":
            if tool["name"] in names:
                name = tool["name"]
                raise bad_request(
                    f"'tools[{index}].name': the function '{name}' is declared twice."
                )
            names.add(tool["name"])


def declared_functions(body: Mapping[str, JSON]) -> list[dict[str, JSON]]:
    """Return the function declarations of a checked request."""
    return [tool for tool in body.get("tools", []) if tool["type"] == "function"]


def response_formats(body: Mapping[str, JSON], kind: str) -> list[dict[str, JSON]]:
    """Return the entries of ``response_format`` of one type: text, image, audio or video.

    A bare JSON Schema is a text entry with this schema.
    """
    value = body.get("response_format", [])
    entries = [
        entry
        if entry.get("type") in _FORMAT_TYPES
        else {"type": "text", "mime_type": "application/json", "schema": entry}
        for entry in (value if isinstance(value, list) else [value])
    ]
    return [entry for entry in entries if entry["type"] == kind]


def response_schema(body: Mapping[str, JSON]) -> JSON:
    """Return the JSON Schema that the answer must be valid against, None without one.

    The schema is ``True``, any JSON, if only the MIME type is requested.
    """
    for entry in response_formats(body, "text"):
        if entry.get("schema") is not None:
            return entry["schema"]
        if entry.get("mime_type") == "application/json":
            return True
    return True if body.get("response_mime_type") == "application/json" else None


def _check_target(body: dict[str, JSON], known: KnownNames, on_violation: OnViolation) -> None:
    if "model" not in body and "agent" not in body:
        raise bad_request("One of 'model' and 'agent' is required.")
    if "model" in body and "agent" in body:
        on_violation(bad_request("'model' and 'agent' cannot be used together."))
        del body["model"]
    model, agent = body.get("model"), body.get("agent")
    if model is not None and not is_model(model) and model not in known.models:
        raise ErrorResponse(404, f"Model '{model}' was not found.", code="model_not_found")
    if agent is not None and agent not in known.all_agents:
        hint = did_you_mean(agent, known.all_agents)
        raise ErrorResponse(404, f"Agent '{agent}' was not found{hint}.")


def _check_combinations(
    body: dict[str, JSON], known: KnownNames, on_violation: OnViolation
) -> None:
    target = "agent" if "agent" in body else "model"
    for name in _EXCLUDED[target]:
        if name in body:
            on_violation(bad_request(f"'{name}' cannot be used with '{target}'."))
            del body[name]
    if body.get("service_tier") == "deferred" and not body.get("background"):
        on_violation(
            bad_request("'service_tier' deferred needs 'background': true; a deferred run waits.")
        )
    if body.get("background") and body.get("store") is False:
        on_violation(
            bad_request("'background' needs 'store': a run that is not stored cannot be polled.")
        )
        del body["background"]
    agent = str(body.get("agent", ""))
    base = str(known.created_agents.get(agent, {}).get("base_agent", agent))
    if base.startswith("deep-research") and not body.get("background"):
        on_violation(bad_request(f"Agent '{agent}' needs 'background': true."))
    if "webhook_config" in body and not body.get("background"):
        on_violation(
            bad_request(
                "'webhook_config' needs 'background': true; "
                "a run in the foreground sends no notifications."
            )
        )
    if "input" not in body and "continuation_token" not in body:
        raise bad_request("'input' is required.")
