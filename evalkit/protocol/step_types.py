"""Types and fields of steps, contents and annotations, and the statuses of an interaction.

Source: docs/protocol.md sections 3, 4 and 5. The lists are open: an unknown type, field or status
is not an error anywhere and is preserved as received. *Required* and *optional* are what the
official Python SDK declares. They matter where histories are compared: that SDK drops an explicit
null of an optional field and adds a null for a missing required field (section 9).
"""

from typing import NamedTuple


class Fields(NamedTuple):
    """The declared fields of a step, content or annotation, without ``type``."""

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


STEP_FIELDS: dict[str, Fields] = {
    "user_input": Fields((), ("content",)),
    "model_output": Fields((), ("content", "error")),
    "thought": Fields((), ("signature", "summary")),
    "function_call": Fields(("id", "name", "arguments")),
    "function_result": Fields(("call_id", "result"), ("name", "is_error")),
    "code_execution_call": Fields(("id", "arguments"), ("signature",)),
    "code_execution_result": Fields(("call_id", "result"), ("is_error", "signature")),
    "google_search_call": Fields(("id", "arguments"), ("search_type", "signature")),
    "google_search_result": Fields(("call_id", "result"), ("is_error", "signature")),
    "url_context_call": Fields(("id", "arguments"), ("signature",)),
    "url_context_result": Fields(("call_id", "result"), ("is_error", "signature")),
    "google_maps_call": Fields(("id",), ("arguments", "signature")),
    "google_maps_result": Fields(("call_id", "result"), ("signature",)),
    "file_search_call": Fields(("id",), ("signature",)),
    "file_search_result": Fields(("call_id",), ("signature",)),
    "retrieval_call": Fields(("id", "arguments"), ("retrieval_type", "signature")),
    "retrieval_result": Fields(("call_id",), ("is_error", "signature")),
    "tool_search_call": Fields(("id", "arguments"), ("signature",)),
    "tool_search_result": Fields(("call_id",), ("result", "signature")),
    "processing_call": Fields(("id",), ("signature",)),
    "processing_result": Fields(("call_id",), ("signature",)),
    "mcp_server_tool_call": Fields(("id", "name", "server_name", "arguments")),
    "mcp_server_tool_result": Fields(("call_id", "result"), ("name", "server_name")),
}

CONTENT_FIELDS: dict[str, Fields] = {
    "text": Fields(("text",), ("annotations",)),
    "image": Fields((), ("data", "uri", "mime_type", "resolution")),
    "audio": Fields((), ("data", "uri", "mime_type", "sample_rate", "channels", "processing")),
    "video": Fields((), ("data", "uri", "mime_type", "resolution", "name", "processing")),
    "document": Fields((), ("data", "uri", "mime_type", "resolution", "processing")),
}

ANNOTATION_FIELDS: dict[str, Fields] = {
    "url_citation": Fields((), ("url", "title", "start_index", "end_index")),
    "file_citation": Fields(
        (),
        (
            "document_uri",
            "file_name",
            "source",
            "page_number",
            "media_id",
            "custom_metadata",
            "start_index",
            "end_index",
        ),
    ),
    "place_citation": Fields(
        (), ("name", "place_id", "url", "review_snippets", "start_index", "end_index")
    ),
    "speech_metadata": Fields((), ("speaker", "style", "start_index", "end_index")),
    "word_info": Fields(
        (), ("text", "start_offset", "end_offset", "speaker", "start_index", "end_index")
    ),
}

STEP_TYPES: tuple[str, ...] = tuple(STEP_FIELDS)
"""The 23 known step types; calls come before their results."""

CONTENT_TYPES: tuple[str, ...] = tuple(CONTENT_FIELDS)

MEDIA_TYPES: frozenset[str] = frozenset(CONTENT_FIELDS) - {"text"}

REQUIRED_FIELDS: dict[str, frozenset[str]] = {
    kind: frozenset(fields.required)
    for table in (STEP_FIELDS, CONTENT_FIELDS, ANNOTATION_FIELDS)
    for kind, fields in table.items()
}

OPTIONAL_FIELDS: dict[str, frozenset[str]] = {
    kind: frozenset(fields.optional)
    for table in (STEP_FIELDS, CONTENT_FIELDS, ANNOTATION_FIELDS)
    for kind, fields in table.items()
}
"""Optional fields by type. Steps, contents and annotations share no type name."""

RESULT_OF: dict[str, str] = {
    kind: kind.removesuffix("_call") + "_result" for kind in STEP_TYPES if kind.endswith("_call")
}
"""Result type by call type; the ``id`` of the call is the ``call_id`` of the result."""

CALL_OF: dict[str, str] = {result: call for call, result in RESULT_OF.items()}

SERVER_CALLS: frozenset[str] = frozenset(RESULT_OF) - {"function_call"}
"""Calls of tools that the service runs; the response contains their results.

A client may have to run a ``tool_search_call``.
"""

CLIENT_STEPS: frozenset[str] = frozenset({"user_input", "function_result"})
"""Steps that the client sends; a GET shows them before those of the model."""

STATUSES: tuple[str, ...] = (
    "queued",
    "in_progress",
    "requires_action",
    "completed",
    "incomplete",
    "failed",
    "cancelled",
    "budget_exceeded",
    "requires_continuation",
    "idle",
)

RUNNING: frozenset[str] = frozenset({"queued", "in_progress"})
"""Statuses of a running interaction; every other status, known or not, ends a poll loop."""

UNANSWERED: frozenset[str] = frozenset({"idle", "cancelled"})
"""Statuses of an interaction that ended without an answer, through no fault of the model."""
