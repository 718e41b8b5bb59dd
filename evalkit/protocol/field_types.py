"""The fields of every JSON object of the API: their names, JSON types, and which are required.

Source: docs/protocol.md sections 2 to 7, and section 11 for what the service really sends. The
fields of steps, contents and annotations come from ``step_types``; their types are added here, and
the objects around and inside them. All lists of the API are open: a name that is missing here is
new, not wrong. ``lint`` checks recordings against these tables.

A *kind* describes the values of a field: a JSON type (``string``, ``number``, ``boolean``,
``object``, ``array``), ``count`` (an integer, which int64 spells as a string), ``any``, the name of
a shape or family below, any of these in brackets for a list of it, or alternatives joined by ``|``.
"""

from collections.abc import Mapping
from typing import NamedTuple

from evalkit.protocol.step_types import (
    ANNOTATION_FIELDS,
    CALL_OF,
    CONTENT_FIELDS,
    RESULT_OF,
    STEP_FIELDS,
    Fields,
)
from evalkit.protocol.stream_order import COMPLETED, CREATED, DELTA, ERROR, START, STATUS, STOP


class Shape(NamedTuple):
    """The fields of one object, by name and without its type; values are kinds."""

    fields: Mapping[str, str]
    required: tuple[str, ...] = ()


class Family(NamedTuple):
    """Objects that a field (``tag``) distinguishes: the known shapes by the value of that field.

    ``noun`` is the word for one of them in messages.
    """

    noun: str
    shapes: Mapping[str, Shape]
    tag: str = "type"


_FIELD_KINDS: dict[str, str] = {
    "content": "[content]", "error": "error", "signature": "string", "summary": "[content]",
    "id": "string", "name": "string",
    "arguments": "object", "call_id": "string", "result": "array", "is_error": "boolean",
    "search_type": "string|array",
    "retrieval_type": "string|array", "server_name": "string", "text": "string",
    "annotations": "[annotation]", "data": "string",
    "uri": "string", "mime_type": "string", "resolution": "string", "sample_rate": "count",
    "channels": "count", "processing": "any",
    "url": "string", "title": "string", "start_index": "count", "end_index": "count",
    "document_uri": "string", "file_name": "string",
    "source": "string", "page_number": "count", "media_id": "string", "custom_metadata": "object",
    "place_id": "string",
    "review_snippets": "[review_snippet]", "speaker": "string", "style": "string",
    "start_offset": "any", "end_offset": "any",
}  # fmt: skip
_SPECIAL_KINDS: dict[tuple[str, str], str] = {
    ("function_result", "result"): "string|object|[output]",
    ("mcp_server_tool_result", "result"): "string|object|array",
    ("code_execution_result", "result"): "string|[content]",
    ("google_search_result", "result"): "[search_suggestion]",
    ("url_context_result", "result"): "[fetched_page]",
    ("google_maps_result", "result"): "[found_places]",
    ("tool_search_result", "result"): "[any]",
    ("code_execution_call", "arguments"): "code_arguments",
    ("google_search_call", "arguments"): "query_arguments",
    ("google_maps_call", "arguments"): "query_arguments",
    ("retrieval_call", "arguments"): "query_arguments",
    ("url_context_call", "arguments"): "url_arguments",
    ("tool_search_call", "arguments"): "name_arguments",
}
_UNDECLARED_FIELDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(STEP_FIELDS, ("signature",)),
    "file_search_result": ("signature", "result"),
    "text": ("signature",),
}
"""Fields that the SDK does not declare but the service sends: signatures on any step (section 4)
and the result of a file search, which only its delta declares."""


def _table(declared: Mapping[str, Fields]) -> dict[str, Shape]:
    table = {}
    for kind, fields in declared.items():
        names = (*fields.required, *fields.optional, *_UNDECLARED_FIELDS.get(kind, ()))
        table[kind] = Shape(
            {name: _SPECIAL_KINDS.get((kind, name), _FIELD_KINDS[name]) for name in names},
            fields.required,
        )
    return table


_STEPS = _table(STEP_FIELDS)
_CONTENTS = _table(CONTENT_FIELDS)
_MEDIA = {kind: shape for kind, shape in _CONTENTS.items() if kind != "text"}

_INTERACTION: dict[str, str] = {
    "id": "string", "object": "string", "status": "string", "model": "string", "agent": "string",
    "agent_config": "object",
    "created": "string", "updated": "string", "steps": "[step]", "usage": "usage",
    "environment_id": "string", "errors": "[error]",
    "error": "error", "continuation_token": "string", "previous_interaction_id": "string",
    "input": "any", "system_instruction": "string",
    "tools": "array", "generation_config": "object", "response_format": "any",
    "environment": "any", "labels": "object",
    "service_tier": "string", "webhook_config": "object", "safety_settings": "array",
    "cached_content": "string",
    "response_modalities": "array", "response_mime_type": "string", "store": "boolean",
    "stream": "boolean", "background": "boolean",
}  # fmt: skip
_EVENT = {"event_id": "string"}

SHAPES: dict[str, Shape] = {
    "interaction": Shape(_INTERACTION, ("status",)),
    "partial_interaction": Shape({**_INTERACTION, "steps": "any"}),
    "usage": Shape(
        {
            **dict.fromkeys(
                (
                    "total_tokens", "total_input_tokens", "total_output_tokens",
                    "total_thought_tokens", "total_cached_tokens",
                    "total_tool_use_tokens", "initial_input_tokens",
                ),
                "count",
            ),
            **dict.fromkeys(
                (
                    "input_tokens_by_modality", "output_tokens_by_modality",
                    "cached_tokens_by_modality",
                    "tool_use_tokens_by_modality",
                ),
                "[modality_tokens]",
            ),
            "grounding_tool_count": "[tool_count]",
        }
    ),
    "modality_tokens": Shape({"modality": "string", "tokens": "count"}),
    "tool_count": Shape({"type": "string", "count": "count"}),
    "error": Shape({"code": "string|number", "message": "string", "status": "string",
    "details": "any"}),
    "review_snippet": Shape({"review_id": "string", "title": "string", "url": "string"}),
    "search_suggestion": Shape({"search_suggestions": "string"}),
    "fetched_page": Shape({"url": "string", "status": "string"}),
    "found_places": Shape({"places": "[place]", "widget_context_token": "string"}),
    "place": Shape({"name": "string", "place_id": "string", "url": "string",
    "review_snippets": "[review_snippet]"}),
    "code_arguments": Shape({"language": "string", "code": "string"}),
    "query_arguments": Shape({"queries": "[string]"}),
    "url_arguments": Shape({"urls": "[string]"}),
    "name_arguments": Shape({"function_names": "[string]"}),
    "event_metadata": Shape({"total_usage": "usage"}),
    "create": Shape(
        {
            "model": "string", "agent": "string", "agent_config": "object", "input": "input",
            "previous_interaction_id": "string",
            "store": "boolean", "stream": "boolean", "background": "boolean",
            "system_instruction": "string", "tools": "[tool]",
            "generation_config": "generation_config", "response_format": "object|array",
            "response_modalities": "array",
            "response_mime_type": "string", "cached_content": "string",
            "environment": "string|object", "service_tier": "string",
            "safety_settings": "array", "labels": "object", "webhook_config": "webhook_config",
            "continuation_token": "string",
        }
    ),
    "generation_config": Shape(
        {
            "max_output_tokens": "count", "seed": "count", "stop_sequences": "[string]",
            "thinking_level": "string",
            "thinking_summaries": "string", "tool_choice": "string|object",
            "speech_config": "array|object",
            "transcription_config": "object", "video_config": "object", "image_config": "object",
            "temperature": "number",
            "top_p": "number", "top_k": "number",
        }
    ),
    "webhook_config": Shape({"uris": "[string]", "user_metadata": "object"}),
}  # fmt: skip
"""Objects with a single shape, by name. Events carry a ``partial_interaction``."""

_DELTAS: dict[str, Shape] = {
    "text": Shape({"text": "any", "annotations": "any"}),
    "text_annotation_delta": Shape({"annotations": "[annotation]"}),
    "text_annotation": Shape({"annotations": "[annotation]"}),
    **{kind: Shape({**shape.fields, "rate": "any"}) for kind, shape in _MEDIA.items()},
    "thought_summary": Shape({"content": "any"}),
    "thought_signature": Shape({"signature": "any"}),
    "arguments_delta": Shape({"arguments": "any"}),
    **{
        kind: Shape({**dict.fromkeys(_STEPS[kind].fields, "any"), "name": "any"})
        for kind in (*RESULT_OF, *CALL_OF)
    },
}

FAMILIES: dict[str, Family] = {
    "step": Family("step", _STEPS),
    "content": Family("content", _CONTENTS),
    "output": Family("content", {**_CONTENTS, "function": Shape(dict.fromkeys(("name",
    "description", "parameters"), "any"))}),
    "annotation": Family("annotation", _table(ANNOTATION_FIELDS)),
    "event": Family(
        "event",
        {
            CREATED: Shape({**_EVENT, "interaction": "partial_interaction"}),
            STATUS: Shape(
                {**_EVENT, "interaction_id": "string", "status": "string",
                "continuation_token": "string", "usage": "usage"}
            ),
            START: Shape({**_EVENT, "index": "any", "step": "any"}),
            DELTA: Shape({**_EVENT, "index": "any", "delta": "delta",
            "metadata": "event_metadata"}),
            STOP: Shape({**_EVENT, "index": "any", "usage": "usage", "step_usage": "usage"}),
            COMPLETED: Shape({**_EVENT, "interaction": "partial_interaction"}),
            ERROR: Shape({**_EVENT, "error": "any"}),
        },
        "event_type",
    ),
    "delta": Family("delta", _DELTAS),
    "tool": Family(
        "tool",
        {
            "function": Shape(
                {
                    "name": "string", "description": "string", "parameters": "object",
                    "short_description": "string",
                    "defer_loading": "boolean",
                },
                ("name",),
            ),
            "google_search": Shape({"search_types": "array"}),
            "code_execution": Shape({}),
            "url_context": Shape({}),
            "google_maps": Shape({"latitude": "number", "longitude": "number",
            "enable_widget": "boolean"}),
            "file_search": Shape({"file_search_store_names": "array", "metadata_filter": "any",
            "top_k": "count"}),
            "mcp_server": Shape({"name": "string", "url": "string", "headers": "object",
            "allowed_tools": "array", "defer_loading": "boolean"}),
            "computer_use": Shape(
                {
                    "environment": "string", "excluded_predefined_functions": "array",
                    "disabled_safety_policies": "array",
                    "enable_prompt_injection_detection": "boolean",
                }
            ),
            "retrieval": Shape(
                {
                    "retrieval_types": "array", "vertex_ai_search_config": "object",
                    "rag_store_config": "object",
                    "exa_ai_search_config": "object", "parallel_ai_search_config": "object",
                }
            ),
            "tool_search": Shape({"execution": "string", "name": "string",
            "description": "string", "parameters": "object"}),
        },
    ),
}  # fmt: skip
"""Objects that a field distinguishes, by name.

The stream assembler checks the values of deltas, so the kinds of their fields are mostly ``any``.
"""

SDK_MADE: frozenset[str] = frozenset(
    {
        "output_text",
        "output_image",
        "output_audio",
        "output_video",
        "continuation_ids",
        "sdkHttpResponse",
    }
)
"""Fields of an Interaction that SDKs compute; a server may send them too (section 3)."""
