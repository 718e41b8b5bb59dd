"""Typed views of the 23 step types (protocol section 4), and ``UnknownStep`` for any other.

What the table ``steps.STEP_FIELDS`` declares is declared here, no more and no less; a test holds the two together. So a ``signature`` on a
``function_call``, which the official models do not declare either, is in ``unknown``. A field that is required there may still be None
here: what the service leaves out is for a check to find, not for a reader to choke on.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import PlainValidator

from evalkit._lib.json import JSON
from evalkit.protocol.model_base import Flag, Items, Object, OneError, Text, Typed, an_array
from evalkit.protocol.model_content import Contents, choose


class Step(Typed):
    """A step of an interaction."""


class Call(Step):
    """A step that calls a tool; ``id`` is what the result names."""

    id: Text | None = None


class Result(Step):
    """A step that answers a call."""

    call_id: Text | None = None


class ServerCall(Call):
    """A call of a tool that runs at the service."""

    signature: Text | None = None


class ServerResult(Result):
    """A result of a tool that runs at the service."""

    signature: Text | None = None


class UserInput(Step):
    """What the user said."""

    content: Contents = ()


class ModelOutput(Step):
    """What the model put out, or the error that kept it from doing so."""

    content: Contents = ()
    error: OneError | None = None


class Thought(Step):
    """What the model thought: often nothing but an opaque signature, which must be sent back unchanged."""

    signature: Text | None = None
    summary: Contents = ()


class FunctionCall(Call):
    """A call of a function of the client's."""

    name: Text | None = None
    arguments: Object | None = None


class FunctionResult(Result):
    """The client's answer to a function call; ``result`` is a string, an object or a list of content blocks."""

    result: JSON = None
    name: Text | None = None
    is_error: Flag | None = None


class CodeExecutionCall(ServerCall):
    """Code to run: ``arguments`` hold ``language`` and ``code``."""

    arguments: Object | None = None


class CodeExecutionResult(ServerResult):
    """What the code put out: a string or content blocks."""

    result: JSON = None
    is_error: Flag | None = None


class GoogleSearchCall(ServerCall):
    """A search: ``arguments`` hold ``queries``."""

    arguments: Object | None = None
    search_type: Text | None = None


class GoogleSearchResult(ServerResult):
    """What the search suggests. ``search_suggestions`` in it is foreign HTML: never render it."""

    result: Items | None = None
    is_error: Flag | None = None


class UrlContextCall(ServerCall):
    """Pages to fetch: ``arguments`` hold ``urls``."""

    arguments: Object | None = None


class UrlContextResult(ServerResult):
    """How fetching each page went."""

    result: Items | None = None
    is_error: Flag | None = None


class GoogleMapsCall(ServerCall):
    """A search on the map: ``arguments`` hold ``queries``."""

    arguments: Object | None = None


class GoogleMapsResult(ServerResult):
    """Places found."""

    result: Items | None = None


class FileSearchCall(ServerCall):
    """A search in the file stores."""


class FileSearchResult(ServerResult):
    """The answer of a search in the file stores."""


class RetrievalCall(ServerCall):
    """A search in a retrieval back end: ``arguments`` hold ``queries``."""

    arguments: Object | None = None
    retrieval_type: Text | None = None


class RetrievalResult(ServerResult):
    """The answer of a retrieval back end."""

    is_error: Flag | None = None


class ToolSearchCall(ServerCall):
    """A search for tools, at the service or at the client: ``arguments`` hold ``function_names``."""

    arguments: Object | None = None


class ToolSearchResult(ServerResult):
    """The tools found."""

    result: Items | None = None


class ProcessingCall(ServerCall):
    """Media being worked on."""


class ProcessingResult(ServerResult):
    """Media worked on."""


class McpServerToolCall(Call):
    """A call of a tool of an MCP server, made by the service."""

    name: Text | None = None
    server_name: Text | None = None
    arguments: Object | None = None


class McpServerToolResult(Result):
    """The answer of an MCP server's tool: a string, an object or a list."""

    result: JSON = None
    name: Text | None = None
    server_name: Text | None = None


class UnknownStep(Step):
    """A step of a type that is not known here, or of none."""


STEP_MODELS: dict[str, type[Step]] = {
    "user_input": UserInput,
    "model_output": ModelOutput,
    "thought": Thought,
    "function_call": FunctionCall,
    "function_result": FunctionResult,
    "code_execution_call": CodeExecutionCall,
    "code_execution_result": CodeExecutionResult,
    "google_search_call": GoogleSearchCall,
    "google_search_result": GoogleSearchResult,
    "url_context_call": UrlContextCall,
    "url_context_result": UrlContextResult,
    "google_maps_call": GoogleMapsCall,
    "google_maps_result": GoogleMapsResult,
    "file_search_call": FileSearchCall,
    "file_search_result": FileSearchResult,
    "retrieval_call": RetrievalCall,
    "retrieval_result": RetrievalResult,
    "tool_search_call": ToolSearchCall,
    "tool_search_result": ToolSearchResult,
    "processing_call": ProcessingCall,
    "processing_result": ProcessingResult,
    "mcp_server_tool_call": McpServerToolCall,
    "mcp_server_tool_result": McpServerToolResult,
}


def read_step(raw: JSON) -> Step:
    """Return the typed view of one step. Never raises."""
    return choose(raw, STEP_MODELS, UnknownStep).from_raw(raw)


def _steps(value: JSON) -> tuple[Step, ...]:
    return tuple(map(read_step, an_array(value)))


Steps = Annotated[tuple[Step, ...], PlainValidator(_steps)]
OneStep = Annotated[Step, PlainValidator(read_step)]
