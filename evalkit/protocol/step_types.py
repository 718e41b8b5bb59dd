"""The vocabulary of the wire as tables: step types, their fields and partners, contents, annotations, statuses.

Source: protocol sections 3, 4 and 5. Everything here is data; reading steps is ``reading``'s job, typed views are ``models``'s, folding a
stream is ``assemble``'s. A type, field or status that these tables do not know is no error anywhere: the lists are open, what is unknown is
kept as it came. *Required* and *optional* are what the official Python SDK declares; they matter where histories are compared, for that
SDK drops an explicit null of an optional field and writes one for a required field that was left out (protocol section 9).
"""

from __future__ import annotations

from typing import NamedTuple


class Fields(NamedTuple):
    """The declared fields of a step, content or annotation, ``type`` aside."""

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
"""The 23 known step types, calls standing before their results."""

CONTENT_TYPES: tuple[str, ...] = tuple(CONTENT_FIELDS)

MEDIA_TYPES: frozenset[str] = frozenset(CONTENT_FIELDS) - {"text"}

CITATIONS: frozenset[str] = frozenset({"url_citation", "file_citation", "place_citation"})
"""The annotations that cite a source; the other two describe speech."""

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
"""Optional fields by type: of steps, contents and annotations alike, for no two of them share a type's name."""

RESULT_OF: dict[str, str] = {
    kind: kind.removesuffix("_call") + "_result" for kind in STEP_TYPES if kind.endswith("_call")
}
"""Call type to result type: the call's ``id`` is the result's ``call_id``."""

CALL_OF: dict[str, str] = {result: call for call, result in RESULT_OF.items()}

SERVER_CALLS: frozenset[str] = frozenset(RESULT_OF) - {"function_call"}
"""Calls of tools that run at the service; their results come with the answer. (A ``tool_search_call`` may be the client's to run.)"""

CLIENT_STEPS: frozenset[str] = frozenset({"user_input", "function_result"})
"""Steps that the client makes; a stored interaction's GET shows them before the model's."""

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
)

RUNNING: frozenset[str] = frozenset({"queued", "in_progress"})

TERMINAL: frozenset[str] = frozenset(STATUSES) - RUNNING
"""Statuses that end a poll loop. An unknown status ends it too, so ask ``status not in RUNNING``."""
