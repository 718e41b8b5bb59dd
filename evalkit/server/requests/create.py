"""What a create request may hold (protocol section 2), as tables; reading one turns bytes into a body that can be relied on.

``read_create`` parses, drops nulls (null means absent), refuses unknown fields, wrong types and combinations the API refuses, all in
the API's shape. It knows nothing of state: whether ids exist, whether a history is true, is judged by those who keep them. Pure.

A breach of the protocol is refused, or by a lenient server let pass; then the field in question counts as not sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from evalkit._lib.json import JSON
from evalkit._lib.text import did_you_mean
from evalkit.server.requests.bodies import choice, read_object
from evalkit.server.requests.create_parts import (
    check_environment,
    check_formats,
    check_generation,
    check_labels,
    check_tools,
    check_webhooks,
)
from evalkit.server.requests.error_response import (
    ErrorResponse,
    OnViolation,
    bad_request,
    raise_violation,
)

AGENTS = (
    "antigravity-preview-05-2026",
    "antigravity-preview-09-2026",
    "deep-research-preview-04-2026",
    "deep-research-max-preview-04-2026",
    "deep-research-pro-preview-12-2025",
)
"""The agents the guide and the protocol name. Models are any ``gemini-…``: comparing revisions needs names nobody knows yet."""

_MODEL = re.compile(r"(?:models/)?gemini-[a-z0-9][a-z0-9.\-]*\Z")

_FIELDS: dict[str, tuple[str, ...]] = {
    "model": ("string",), "agent": ("string",), "agent_config": ("object",), "input": ("string", "object", "array"),
    "previous_interaction_id": ("string",), "store": ("boolean",), "stream": ("boolean",), "background": ("boolean",),
    "system_instruction": ("string",), "tools": ("array",), "generation_config": ("object",), "response_format": ("object", "array"),
    "response_modalities": ("array",), "response_mime_type": ("string",), "cached_content": ("string",),
    "environment": ("string", "object"), "service_tier": ("string",), "safety_settings": ("array",), "labels": ("object",),
    "webhook_config": ("object",),
    "continuation_token": ("string",),
}  # fmt: skip
_SERVICE_TIERS = ("flex", "standard", "priority", "deferred")
_MODEL_ONLY = ("generation_config", "cached_content")
_AGENT_ONLY = ("agent_config",)
_INHERITED = {
    "system_instruction": "system_instruction",
    "tools": "tools",
    "agent_config": "agent_config",
    "environment": "base_environment",
}


@dataclass(frozen=True, slots=True)
class KnownNames:
    """The names a request may call, beside every ``gemini-…`` model and the agents of the guide: what a script adds.

    ``made`` are the agents that clients made, by id, as the resource has them.
    """

    models: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    made: Mapping[str, Mapping[str, JSON]] = field(default_factory=dict)


def read_create(
    raw: bytes, known: KnownNames, defend: OnViolation = raise_violation
) -> dict[str, JSON]:
    """Return the body of a create request: an object without top-level nulls, its fields checked. Raises ErrorResponse (400, 404).

    A known agent named in ``model`` is moved to ``agent``, as the background guide passes it (protocol section 10, row 22). An agent that a
    client made gives the request what it does not say itself: system instruction, tools, configuration, environment.
    """
    body = read_object(raw, _FIELDS, defend)
    if body.get("model") in (*AGENTS, *known.agents, *known.made) and "agent" not in body:
        body["agent"] = body.pop("model")
    _check_target(body, known, defend)
    _check_combinations(body, known, defend)
    if "generation_config" in body:
        body["generation_config"] = check_generation(body["generation_config"], defend)
    check_tools(body.get("tools", []))
    check_formats(body.get("response_format", []))
    check_environment(body.get("environment"), "environment", defend)
    check_labels(body.get("labels", {}))
    choice("service_tier", body.get("service_tier", "standard"), _SERVICE_TIERS)
    made = known.made.get(body.get("agent", ""), {})
    return {**{name: made[source] for name, source in _INHERITED.items() if source in made}, **body}


def base_agent(name: str, known: KnownNames) -> str:
    """Return the agent that runs under a name: a made agent's base, any other agent itself."""
    return str(known.made[name]["base_agent"]) if name in known.made else name


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


def _check_target(body: dict[str, JSON], known: KnownNames, defend: OnViolation) -> None:
    if "model" not in body and "agent" not in body:
        raise bad_request("One of 'model' and 'agent' is required.")
    if "model" in body and "agent" in body:
        defend(bad_request("'model' and 'agent' cannot be used together."))
        del body["model"]
    model = body.get("model")
    if model is not None and not _MODEL.match(model) and model not in known.models:
        raise ErrorResponse(404, f"Model '{model}' was not found.", code="model_not_found")
    agents = (*AGENTS, *known.agents, *known.made)
    if "agent" in body and body["agent"] not in agents:
        raise ErrorResponse(
            404, f"Agent '{body['agent']}' was not found{did_you_mean(body['agent'], agents)}."
        )


def _check_combinations(body: dict[str, JSON], known: KnownNames, defend: OnViolation) -> None:
    for name in _MODEL_ONLY if "agent" in body else _AGENT_ONLY:
        if name in body:
            defend(
                bad_request(
                    f"'{name}' cannot be used with '{'agent' if 'agent' in body else 'model'}'."
                )
            )
            del body[name]
    if body.get("background") and body.get("store") is False:
        defend(bad_request("'background' needs 'store': a run that is not kept cannot be polled."))
        del body["background"]
    if base_agent(str(body.get("agent", "")), known).startswith("deep-research") and not body.get(
        "background"
    ):
        defend(bad_request(f"Agent '{body['agent']}' needs 'background': true."))
    if "webhook_config" in body:
        check_webhooks(body["webhook_config"], defend)
        if not body.get("background"):
            defend(
                bad_request(
                    "'webhook_config' needs 'background': true; an answer in the foreground tells its end itself."
                )
            )
    if "input" not in body and "continuation_token" not in body:
        raise bad_request("'input' is required.")
